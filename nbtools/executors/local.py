"""Runs a task on this machine, in a process of its own that outlives whoever asked.

That process (`nbtools.runner`) holds a lock on a file in the job's folder for as long as
it lives, and appends what it sees to `progress.jsonl`. The lock is taken before the
process is begun and handed to it, so it is never free while the task is at work: a free
lock and no end in the progress means that the process died.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import socket
import subprocess
import sys
import warnings
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING

from nbtools.errors import AlreadyExists, RequestError, StoreError
from nbtools.executor import Observation, Task
from nbtools.settings import Settings, environment
from nbtools.states import JobState

if TYPE_CHECKING:
    from nbtools.kernels.fork import Fork

PROGRESS, LOCK, STOP, LOG, TASK = "progress.jsonl", "lock", "stop", "runner.log", "task.json"
#: what the zygote of runners loads; the rest it learns from them.
RUNNER = ("nbtools.rehearsal",)
#: seconds between looks at a runner whose end cannot be waited for.
GLANCE = 0.05
#: a runner on another host is taken for dead after this long without a heartbeat.
SILENCE = timedelta(seconds=120)


class LocalExecutor:
    """A kernel on this machine, a runner process a job."""

    def __init__(self) -> None:
        self._ends: dict[str, Fork] = {}  #: of the runners that were begun here

    def check(self, kernel: str) -> str:
        from jupyter_client.kernelspec import KernelSpecManager

        kernel = kernel or "python3"
        known = sorted(KernelSpecManager().find_kernel_specs())
        if kernel not in known:
            there = f"there is {', '.join(known)}" if known else "there is none: install ipykernel"
            raise RequestError(f"no kernel {kernel!r} here, {there}; choose with --kernel")
        return kernel

    def start(self, task: Task) -> str:
        lock = os.open(task.folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if (task.folder / PROGRESS).exists() or not _take(lock):
                raise AlreadyExists(f"job {task.job} was started before")
            os.truncate(lock, 0)
            os.write(lock, json.dumps({"host": socket.gethostname()}).encode())
            (task.folder / TASK).write_text(task.dumps())
            with (task.folder / LOG).open("wb") as log:
                if not (task.warm and self._forked(task, lock, log)):
                    self._spawned(task, lock, log)
        finally:
            os.close(lock)
        return str(task.folder)

    def _forked(self, task: Task, lock: int, log: IO[bytes]) -> bool:
        """Begin a runner from a zygote that has loaded what runners need."""
        from nbtools.kernels.fork import Program
        from nbtools.kernels.zygotes import Spec, Zygotes, can_fork

        if not can_fork():
            return False
        settings, env = Settings.load(), environment()
        program = Program(
            module="nbtools.runner",
            argv=(str(task.folder),),
            env=env,
            cwd=str(task.folder),
            stdio=(None, log, log),
            keep=(lock,),
            detached=True,
            safe_path=True,
        )
        spec = Spec.of(sys.executable, RUNNER, env, ("-P",))
        fork = Zygotes(settings.runtime, settings.idle).fork(spec, program)
        if fork:
            self._ends[str(task.folder)] = fork
        return fork is not None

    def _spawned(self, task: Task, lock: int, log: IO[bytes]) -> None:
        # -P: a papermill.py beside the notebook is not ours.
        command = [sys.executable, "-P", "-m", "nbtools.runner", str(task.folder), str(lock)]
        begun = subprocess.run(
            [*command, "detach"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[lock],
            start_new_session=True,
            check=False,
        )
        if begun.returncode:
            raise StoreError(f"job {task.job} could not be begun: {_last_line(task.folder / LOG)}")

    def wait(self, handles: Sequence[str], seconds: float) -> None:
        poll = select.poll()
        for handle in handles:
            if fork := self._ends.get(handle):
                poll.register(fork.pidfd, select.POLLIN)
            else:
                seconds = min(seconds, GLANCE)  # begun by another process, or not forked
        poll.poll(seconds * 1000)

    def poll(self, handle: str, now: datetime) -> Observation:
        folder = Path(handle)
        if not folder.is_dir():
            return Observation(
                state=JobState.FAILED, error=f"its folder {folder} is gone", end_time=now
            )
        gone = not _alive(folder, now)  # asked before reading: nothing is written after
        seen = last_observation(folder)
        if seen.state.final or not gone:
            return seen
        where = f"in cell {seen.cell} of {seen.cells}" if seen.cell else "before its first cell"
        error = f"its process died {where} (killed, or the machine went down); run it again"
        _recover(folder, error)
        end = _last_sign(folder) or now
        return replace(seen, state=JobState.FAILED, error=error, end_time=end)

    def stop(self, handle: str) -> None:
        # A file instead of a signal: it cannot hit a stranger that has inherited the pid.
        (Path(handle) / STOP).touch()


def last_observation(folder: Path) -> Observation:
    """The newest whole line of the progress, however long the file is."""
    try:
        with (folder / PROGRESS).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 16384))
            lines = file.read().splitlines()
    except FileNotFoundError:
        lines = []
    for line in reversed(lines):
        try:
            return Observation.loads(line)
        except (ValueError, KeyError, TypeError):
            continue  # being written, or cut off by a full disk
    return Observation(state=JobState.PENDING)


def _recover(folder: Path, reason: str) -> None:
    """Make the partial notebook of a task whose process can no longer do it itself."""
    from nbtools.progress import mark, write
    from nbtools.transcript import rebuild

    try:
        task = Task.loads((folder / TASK).read_text())
        if task.partial.exists() or task.executed.exists():
            return
        if notebook := rebuild(task.transcript):
            mark(notebook, reason, JobState.FAILED)
            write(notebook, task.partial)
    except Exception as error:  # noqa: BLE001 - that the task died must be told all the same
        warnings.warn(f"{folder}: its notebook could not be recovered: {error}", stacklevel=2)


def _take(lock: int, how: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _alive(folder: Path, now: datetime) -> bool:
    try:
        lock = os.open(folder / LOCK, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        host = json.loads(os.read(lock, 4096) or b"{}").get("host")
        if host not in (None, socket.gethostname()):  # locks of another host may not be seen here
            return now.timestamp() - os.fstat(lock).st_mtime < SILENCE.total_seconds()
        # Shared, so that two who look at the same time do not take each other for the runner.
        return not _take(lock, fcntl.LOCK_SH)
    finally:
        os.close(lock)


def _last_sign(folder: Path) -> datetime | None:
    try:
        return datetime.fromtimestamp((folder / LOCK).stat().st_mtime, UTC)
    except FileNotFoundError:
        return None


def _last_line(path: Path) -> str:
    try:
        lines = path.read_text(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1].strip()[:300] if lines else ""
