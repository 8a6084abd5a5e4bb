"""Many requests, executed side by side on this machine or handed out by any executor.

First come, first served: never more than `parallel` at work, and the next begins when one
has ended. Every request is checked before the first begins.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from nbtools.errors import NbtoolsError
from nbtools.executor import Observation
from nbtools.jobs import Jobs, SubmittedJob
from nbtools.request import Plan, Request, plan, shares_cores

#: memory that one job is reckoned to need.
ROOM = 1 << 30
#: seconds between looks at the jobs at work.
PAUSE = 0.5

#: is told of each job that has changed, with what its executor saw.
Notice = Callable[[SubmittedJob, Observation | None], None]


def run_many(
    requests: Iterable[Request], parallel: int = 0, notice: Notice | None = None
) -> list[SubmittedJob]:
    """Execute every request, at most `parallel` at a time (0: as many as this machine has
    cores and memory for), and return the jobs as they ended, in the order of the requests.

    A job that fails does not end the others. Their reports are made when they are asked for
    (`Jobs.report`). Each job's libraries use the cores that are
    its share, unless its request or the environment says otherwise. Raises RequestError,
    with nothing begun, when one of the requests is wrong. Ctrl-C cancels those at work,
    begins no other, and is raised again.
    """
    jobs = Jobs.open()
    asked = list(requests)
    parallel = parallel or room(len(asked))
    share = max(1, cores() // parallel) if parallel > 1 else 0
    waiting = [_plan(jobs, request, share) for request in asked]
    order = [made.job.name for made in waiting]
    ended: dict[str, SubmittedJob] = {}
    working: dict[str, SubmittedJob] = {}
    waiting.reverse()
    try:
        while waiting or working:
            while waiting and len(working) < parallel:
                made = waiting.pop()
                job = jobs.begin(made)
                working[job.name] = job
                _tell(notice, job, None)
            jobs.wait(list(working.values()), PAUSE)
            for name in list(working):
                job, seen = jobs.look(name)
                if job != working[name] or seen:
                    _tell(notice, job, seen)
                working[name] = job
                if job.state.final:
                    ended[name] = working.pop(name)
    except BaseException:
        for name in working:
            with suppress(NbtoolsError):  # it may just have ended
                jobs.cancel(name)
        for name in working:
            for job, seen in jobs.follow(name):
                _tell(notice, job, seen)
        raise
    return [ended[name] for name in order]


def room(wanted: int) -> int:
    """How many jobs this machine has cores and memory for, at most `wanted`, at least 1."""
    return max(1, min(wanted, cores(), _memory() // ROOM))


def _plan(jobs: Jobs, request: Request, share: int) -> Plan:
    if shares_cores(request, jobs.settings):
        request = replace(request, threads=request.threads or share)
    return plan(replace(request, report=False), jobs.settings, jobs.clock())


def _tell(notice: Notice | None, job: SubmittedJob, seen: Observation | None) -> None:
    if notice:
        notice(job, seen)


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory() -> int:
    """Bytes that are free for more processes; of a container, what its limit leaves."""
    free = ROOM * 1024
    with suppress(OSError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        line = next(line for line in lines if line.startswith("MemAvailable:"))
        free = int(line.split()[1]) * 1024
    with suppress(OSError, ValueError):
        cgroup = Path("/sys/fs/cgroup")
        limit = int((cgroup / "memory.max").read_text())
        free = min(free, limit - int((cgroup / "memory.current").read_text()))
    return free
