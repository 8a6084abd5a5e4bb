"""Runs a task on this machine, in a process of its own that outlives whoever asked.

That process (`nbtools.runner`) holds a lock on a file in the job's folder for as long as
the task is at work, and appends what it sees to `progress.jsonl`. The lock is taken here
and handed over, so it is never free before the end: a free lock and no end in the
progress means that the process died.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from nbtools import leftovers, registry
from nbtools.errors import AlreadyExists, RequestError, StoreError
from nbtools.executor import DIED, Observation, Task
from nbtools.kernels import wire
from nbtools.secrets import NAMES, Secrets, own
from nbtools.settings import Settings, environment
from nbtools.states import JobState

PROGRESS, LOCK, STOP, LOG, TASK = "progress.jsonl", "lock", "stop", "runner.log", "task.json"
#: what the zygote of runners loads; the rest it learns from them.
RUNNER = ("nbtools.rehearsal",)
#: seconds that a runner may take to take a task: loading what it needs is part of it.
PATIENCE = 60.0
#: seconds between looks at a runner whose end cannot be waited for.
GLANCE = 0.05
#: a runner on another host is taken for dead after this long without a heartbeat.
SILENCE = timedelta(seconds=120)
#: seconds without a heartbeat, while somebody watched, after which a runner here is killed.
HANGS = 600.0


class Worker:
    """A runner process, as it is seen by who began it."""

    def __init__(self, env: dict[str, str]) -> None:
        """Raises StoreError when no process can be begun."""
        self.env = env
        self.control, theirs = socket.socketpair()
        self.control.settimeout(PATIENCE)
        with theirs:
            self._process = self._forked(theirs.fileno())
            if self._process is None:
                self._spawned(theirs.fileno())

    def _forked(self, control: int) -> object:
        """From a zygote that has loaded what runners need."""
        from nbtools.kernels.fork import Program
        from nbtools.kernels.zygotes import Spec, Zygotes, can_fork

        settings = Settings.load()
        if not (settings.warm and can_fork()):
            return None
        program = Program(
            module="nbtools.runner",
            argv=(),
            env=self.env,
            cwd="/",
            stdio=(None, subprocess.DEVNULL, subprocess.DEVNULL),
            keep=(control,),
            detached=True,
            safe_path=True,
        )
        spec = Spec.of(sys.executable, RUNNER, self.env, ("-P",))
        return Zygotes(settings.runtime, settings.idle).fork(spec, program)

    def _spawned(self, control: int) -> None:
        # -P: a papermill.py beside the notebook is not ours.
        command = [sys.executable, "-P", "-m", "nbtools.runner", str(control), "detach"]
        begun = subprocess.run(
            command,
            # Asked for by a job it is nothing of that job's.
            env={k: v for k, v in self.env.items() if k != leftovers.MARK},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=[control],
            start_new_session=True,
            check=False,
        )
        if begun.returncode:
            last = begun.stderr.decode(errors="replace").strip().rpartition("\n")[2]
            raise StoreError(f"no process could be begun: {last}")

    def give(
        self,
        folder: Path,
        around: Mapping[str, str],
        sealed: Mapping[str, str],
        lock: int,
        log: int,
    ) -> bool:
        """Hand it a task, what its environment has besides while it is at work, and what none
        but its kernel's shall have; False when it is gone.
        """
        message = {"folder": str(folder), "around": dict(around), "sealed": dict(sealed)}
        try:
            wire.send(self.control, message, [lock, log])
            return "taken" in wire.receive(self.control)[0]
        except (OSError, EOFError):
            return False

    def done(self) -> bool:
        """Whether it can be given another; only to be asked when it has said something."""
        try:
            return "done" in wire.receive(self.control)[0]
        except (OSError, EOFError):
            return False


class LocalExecutor:
    """A kernel on this machine for each job, and a runner process for each at a time."""

    lacks: Mapping[str, str] = {}
    differs: Mapping[str, str] = {}
    takes: frozenset[str] = frozenset()

    def __init__(self, stopwatch: Callable[[], float] = time.monotonic) -> None:
        """`stopwatch` says seconds; it stands still while the machine sleeps."""
        self._stopwatch = stopwatch
        self._beats: dict[
            str, tuple[datetime | None, float]
        ] = {}  #: handle -> last beat, when first seen
        self._at_work: dict[str, Worker] = {}  #: handle -> the runner that has it, if begun here
        self._idle: list[Worker] = []

    def accept(self, task: Task) -> Task:
        if "://" in task.output:
            raise RequestError(
                f"{task.output} is no file here: name one with --output, and send what comes out "
                f"there with `nbtools outputs fetch JOB --to {task.output}`"
            )
        return task

    def check(self, kernel: str) -> str:
        from jupyter_client.kernelspec import KernelSpecManager

        kernel, specs = kernel or "python3", KernelSpecManager()
        known = specs.find_kernel_specs()
        if kernel not in known:
            names = ", ".join(sorted(known))
            there = f"there is {names}" if known else "there is none: install ipykernel"
            raise RequestError(f"no kernel {kernel!r} here, {there}; choose with --kernel")
        try:
            command = specs.get_kernel_spec(kernel).argv
        except Exception as error:  # noqa: BLE001 - whatever is wrong in that file, its words
            raise RequestError(
                f"kernel {kernel!r} cannot be used, its {known[kernel]}/kernel.json is broken: "
                f"{' '.join(str(error).split())}; mend it, or choose another with --kernel"
            ) from None
        if not command:
            raise RequestError(
                f"kernel {kernel!r} cannot be used, its {known[kernel]}/kernel.json names no "
                "command (argv); mend it, or choose another with --kernel"
            )
        return kernel

    def start(self, task: Task, secrets: Secrets) -> str:
        whole = environment()
        # Not the runner's own: it may have been begun before, and serves others too.
        around = registry.vertex(task.vertex)(task.store, whole) if task.vertex else {}
        lock = os.open(task.folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if (task.folder / PROGRESS).exists() or not _take(lock):
                raise AlreadyExists(f"job {task.job} was started before")
            os.truncate(lock, 0)
            os.write(lock, json.dumps({"host": socket.gethostname()}).encode())
            (task.folder / TASK).write_text(task.dumps())
            with (task.folder / LOG).open("wb") as log:
                worker = self._give(task.folder, secrets, whole, around, lock, log.fileno())
                self._at_work[str(task.folder)] = worker
        finally:
            os.close(lock)
        return str(task.folder)

    def begun(self, folder: Path) -> str:
        return str(folder) if (folder / PROGRESS).exists() else ""

    def _give(
        self,
        folder: Path,
        secrets: Secrets,
        whole: dict[str, str],
        around: dict[str, str],
        lock: int,
        log: int,
    ) -> Worker:
        whole.pop(NAMES, None)  # a job that a job begins has the secrets that it asks for
        sealed = {**secrets.among(whole), **secrets}
        env = {k: v for k, v in whole.items() if k not in {*sealed, *own().among(whole)}}
        while self._idle:
            worker = self._idle.pop()
            if worker.env == env and worker.give(folder, around, sealed, lock, log):
                return worker
        worker = Worker(env)
        if not worker.give(folder, around, sealed, lock, log):
            raise StoreError("the process that was to execute the notebook ended at once")
        return worker

    def wait(self, handles: Sequence[str], seconds: float) -> None:
        poll = select.poll()
        for handle in handles:
            if worker := self._at_work.get(handle):
                poll.register(worker.control, select.POLLIN)
            else:
                seconds = min(seconds, GLANCE)  # begun by another process
        heard = {fd for fd, _ in poll.poll(seconds * 1000)}
        for handle, worker in list(self._at_work.items()):
            if worker.control.fileno() in heard:
                del self._at_work[handle]
                if worker.done():
                    self._idle.append(worker)

    def poll(self, handle: str, now: datetime) -> Observation:
        folder = Path(handle)
        if not folder.is_dir():
            return Observation(
                state=JobState.FAILED, error=f"its folder {folder} is gone", end_time=now
            )
        gone = not _alive(folder, now)  # asked before reading: nothing is written after
        seen = last_observation(folder)
        if seen.state.final:
            self._beats.pop(handle, None)
            return seen
        where = f"in cell {seen.cell} of {seen.cells}" if seen.cell else "before its first cell"
        error = f"{DIED} {where} (killed, or the machine went down); run it again"
        if not gone:
            if not self._hangs(folder) or not _kill(folder):
                return seen
            error = f"its process hung {where}: no sign of life for {HANGS:.0f} s; run it again"
        elif done := _finished(folder, seen, now):
            return done
        _recover(folder, error)
        end = _last_sign(folder) or now
        return replace(seen, state=JobState.FAILED, error=error, end_time=end)

    def _hangs(self, folder: Path) -> bool:
        """Whether its beat was the same for too long, seen by this executor all the time."""
        beat, now = _last_sign(folder), self._stopwatch()
        before, since = self._beats.get(str(folder), (None, now))
        if before != beat:
            self._beats[str(folder)] = beat, now
        return before == beat and now - since > HANGS

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


def _finished(folder: Path, seen: Observation, now: datetime) -> Observation | None:
    """How a task ended whose process died when all was done but the saying so."""
    if not (folder / TASK).exists():
        return None
    task = Task.loads((folder / TASK).read_text())
    if not task.executed.exists() or (task.output and not Path(task.output).exists()):
        return None
    end = _last_sign(folder) or now
    return replace(seen, state=JobState.SUCCEEDED, cell=seen.cells, end_time=end)


def deliver(task: Task, made: Path) -> str:
    """Put the executed notebook, or the part that was, where it was asked for; "" or why that
    failed.
    """
    if not task.output:
        return ""
    target = Path(task.output)
    beside = target.with_name(f".{target.name}.part")
    try:
        shutil.copyfile(made, beside)
        beside.replace(target)
    except OSError as error:
        beside.unlink(missing_ok=True)
        return (
            f"executed, but {target} cannot be written: {error.strerror}; "
            f"the executed notebook is {made}"
        )
    return ""


def _recover(folder: Path, reason: str) -> None:
    """Do what the process of a task can no longer do itself: end what it has left running,
    make the partial notebook.
    """
    from nbtools import farewell
    from nbtools.progress import mark, write
    from nbtools.transcript import rebuild

    try:
        task = Task.loads((folder / TASK).read_text())
        leftovers.end(task.job, task.store)
        if task.partial.exists() or task.executed.exists():
            return
        if notebook := rebuild(task.transcript):
            mark(notebook, reason, JobState.FAILED)
            write(notebook, task.partial)
            if task.deliver_partial:
                deliver(task, task.partial)
        farewell.begin(task, {**environment(), **task.env, "NBTOOLS_STORE": str(task.store)})
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
        host = _holder(os.read(lock, 4096)).get("host")
        if host not in (None, socket.gethostname()):  # locks of another host may not be seen here
            return now.timestamp() - os.fstat(lock).st_mtime < SILENCE.total_seconds()
        # Shared, so that two who look at the same time do not take each other for the runner.
        return not _take(lock, fcntl.LOCK_SH)
    finally:
        os.close(lock)


def _holder(said: bytes) -> dict[str, Any]:
    """Who holds a lock, by what is in its file; nothing while that is just being written."""
    try:
        return dict(json.loads(said))
    except ValueError:
        return {}


def _kill(folder: Path) -> bool:
    """Kill the runner that holds the lock; False when it is not this machine's to kill."""
    try:
        said = _holder((folder / LOCK).read_bytes())
    except OSError:
        return False
    if said.get("host") != socket.gethostname() or "pid" not in said:
        return False
    with suppress(ProcessLookupError):
        os.kill(said["pid"], signal.SIGKILL)
    return True


def _last_sign(folder: Path) -> datetime | None:
    try:
        return datetime.fromtimestamp((folder / LOCK).stat().st_mtime, UTC)
    except FileNotFoundError:
        return None
