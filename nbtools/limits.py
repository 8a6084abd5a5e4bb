"""What a task may take, and whether it still may: time, memory, and nobody asking it to stop."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from nbtools.client import Stopped
from nbtools.executor import Task
from nbtools.states import JobState

#: how libraries are told how many threads to use.
THREADS = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)  # fmt: skip


class Limits:
    """Those of `task`, from now on; `stop` is the file that asks it to stop."""

    def __init__(self, task: Task, stop: Path) -> None:
        self._task, self._stop = task, stop
        self._begin = time.monotonic()

    def due(self, cell_seconds: float, pid: int, place: str) -> Stopped | None:
        """The reason to stop now, if there is one.

        `cell_seconds` is how long the cell at work has taken, `pid` the kernel (0: none
        yet), `place` where that is, in words.
        """
        task = self._task
        if self._stop.exists():
            return Stopped(JobState.CANCELLED, f"cancelled {place}")
        if task.timeout and time.monotonic() - self._begin > task.timeout:
            limit = f"it took longer than the {task.timeout:g} s that --timeout allows"
            return Stopped(JobState.FAILED, f"timed out {place}: {limit}")
        if task.cell_timeout and cell_seconds > task.cell_timeout:
            limit = f"it took longer than the {task.cell_timeout:g} s that --cell-timeout allows"
            return Stopped(JobState.FAILED, f"timed out {place}: {limit}")
        if task.memory and pid and (used := memory(pid)) > task.memory:
            limit = f"it used {size(used)}, more than the {size(task.memory)} that --memory allows"
            return Stopped(JobState.FAILED, f"stopped {place}: {limit}")
        return None


def memory(pid: int) -> int:
    """Bytes of memory that a process and all its children hold, files apart."""
    return sum(map(_held, (pid, *_offspring(pid))))


def size(number: float) -> str:
    """Bytes, for people."""
    for unit in ("B", "KiB", "MiB"):
        if number < 1024:
            return f"{number:.4g} {unit}"
        number /= 1024
    return f"{number:.4g} GiB"


def _held(pid: int) -> int:
    with contextlib.suppress(OSError):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        parts = [line.split()[1] for line in lines if line.startswith(("RssAnon:", "RssShmem:"))]
        return 1024 * sum(map(int, parts))
    return 0  # it has ended meanwhile


def _offspring(pid: int) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                yield child
                yield from _offspring(child)
