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
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from nbtools.errors import AlreadyExists, RequestError, StoreError
from nbtools.executor import Observation, Task
from nbtools.states import JobState

PROGRESS, LOCK, STOP, LOG, TASK = "progress.jsonl", "lock", "stop", "runner.log", "task.json"
#: a runner on another host is taken for dead after this long without a heartbeat.
SILENCE = timedelta(seconds=120)


class LocalExecutor:
    """An ordinary kernel on this machine, a runner process a job."""

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
            # -P: a papermill.py beside the notebook is not ours.
            command = [sys.executable, "-P", "-m", "nbtools.runner", str(task.folder), str(lock)]
            with (task.folder / LOG).open("wb") as log:
                begun = subprocess.run(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=[lock],
                    start_new_session=True,
                    check=False,
                )
        finally:
            os.close(lock)
        if begun.returncode:
            raise StoreError(f"job {task.job} could not be begun: {_last_line(task.folder / LOG)}")
        return str(task.folder)

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
        return Observation(
            state=JobState.FAILED,
            cell=seen.cell,
            cells=seen.cells,
            text=seen.text,
            error=f"its process died {where} (killed, or the machine went down); run it again",
            start_time=seen.start_time,
            end_time=_last_sign(folder) or now,
        )

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
