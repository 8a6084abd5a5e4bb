"""What a task may take, and whether it still may: time, memory, and nobody asking it to stop."""

from __future__ import annotations

import contextlib
import os
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
        self._cpu: CpuTime | None = None

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
        if task.cpu_time and pid:
            if self._cpu is None:
                self._cpu = CpuTime(pid, task.cpu_time)
            if (seconds := self._cpu.seconds(time.monotonic())) > task.cpu_time:
                limit = f"more than the {task.cpu_time:g} s that --cpu-time allows"
                reason = f"stopped {place}: it used {seconds:.4g} s of CPU, {limit}"
                return Stopped(JobState.FAILED, reason)
        return None


class CpuTime:
    """Seconds of CPU that a process and all that it has started have used, ended ones too.

    Looks once a second, and more often only where so many cores could reach the limit before.
    """

    def __init__(self, pid: int, limit: float) -> None:
        self._limit, self._cores = limit, os.cpu_count() or 1
        self._known: dict[int, int] = {pid: _times(pid)[0]}  #: pid -> when it was started
        self._used = self._lost = self._next = 0.0

    def seconds(self, now: float) -> float:
        """How many by `now`, in seconds of any clock, or by the last look."""
        if now >= self._next:
            self._look()
            left = max(0.0, self._limit - self._used - self._lost)
            self._next = now + min(1.0, left / self._cores)
        return self._used + self._lost

    def _look(self) -> None:
        # Those that were seen once stay known: a child may outlive its parent.
        for pid in [child for known in list(self._known) for child in _offspring(known)]:
            self._known.setdefault(pid, _times(pid)[0])
        used = self._sum()
        if used < self._used:  # one has ended after its parent was asked, which has its now
            used = self._sum()
        # Less all the same: who ends leaves its seconds to nobody when its parent has ended,
        # or does not care.
        self._lost += max(0.0, self._used - used)
        self._used = used

    def _sum(self) -> float:
        """Parents first: a child that ends meanwhile is not counted twice."""
        used = 0.0
        for pid, start in list(self._known.items()):
            started, seconds = _times(pid)
            if started and started == start:
                used += seconds
            else:
                del self._known[pid]
        return used


def _times(pid: int) -> tuple[int, float]:
    """When a process was started, in the kernel's own count, and the seconds of CPU that it
    and those of its children have used that have ended; zeros when it has ended itself.
    """
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return int(words[19]), sum(map(int, words[11:15])) / os.sysconf("SC_CLK_TCK")
    return 0, 0.0


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
