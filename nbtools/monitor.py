"""All jobs at once: those at work, and those that have ended lately, as they change."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from nbtools.errors import NotFound
from nbtools.jobs import UNFINISHED, Jobs, SubmittedJob
from nbtools.nouns import JOB, Execution, stamp
from nbtools.states import ExecutionState

#: seconds between two looks.
PAUSE = 0.25
#: how long ago "lately" is, and how many jobs of each state are looked at for it.
LATELY, NEWEST = timedelta(minutes=10), 20
_ENDS = (ExecutionState.COMPLETE, ExecutionState.FAILED, ExecutionState.CANCELLED)


@dataclass(frozen=True, kw_only=True)
class Sight:
    """A job as it stands at a moment."""

    job: SubmittedJob
    text: str = ""  #: the last line that it printed
    seconds: float = 0.0  #: how long it has been, or was, at work

    def record(self) -> dict[str, Any]:
        """What there is to say of it, as JSON takes it."""
        job = self.job
        return {
            "job": job.name, "notebook": job.notebook, "state": str(job.state), "cell": job.cell,
            "cells": job.cells, "seconds": round(self.seconds, 1), "text": self.text,
            "error": job.error, "schedule": job.schedule, "end_time": stamp(job.end_time),
        }  # fmt: skip


class Monitor:
    """Looks at the jobs of a store again and again; they may come and go meanwhile."""

    def __init__(self, jobs: Jobs, names: Sequence[str] = ()) -> None:
        """`names`: only these jobs, as `Jobs.get` takes them. Raises NotFound."""
        self._jobs = jobs
        self._only = [jobs.get(name).name for name in names]
        self._seen: dict[str, Sight] = {}

    def look(self, earlier: int = 0) -> list[Sight]:
        """The jobs at work, the oldest first, and behind them those that have ended lately, or
        were named, the newest first; and the `earlier` newest of all that have ended.
        """
        now, found = self._jobs.clock(), []
        select = self._jobs.store.select
        old = select(Execution, JOB, states=_ENDS, limit=earlier) if earlier else []
        besides = {execution.name for execution in old}
        for name in self._only or dict.fromkeys([*self._names(), *besides]):
            before = self._seen.get(name)
            if before and before.job.state.final:
                found.append(before)
                continue
            try:
                job, seen = self._jobs.look(name)
            except NotFound:  # removed meanwhile
                continue
            text = seen.text if seen and seen.text else before.text if before else ""
            found.append(Sight(job=job, text=text, seconds=job.seconds(now)))
        if not self._only:
            found = [
                s for s in found
                if s.job.name in besides or not s.job.end_time or now - s.job.end_time < LATELY
            ]  # fmt: skip
        self._seen = {sight.job.name: sight for sight in found}
        working = [s for s in found if not s.job.state.final]
        ended = [s for s in found if s.job.state.final]
        working.sort(key=lambda s: (s.job.create_time or now, s.job.name))
        ended.sort(key=lambda s: (s.job.end_time or now, s.job.name), reverse=True)
        return working + ended

    def changes(self) -> Iterator[list[Sight]]:
        """What has changed since the last time, at each look at which something has: first
        what is at work, or was named. Ends when the named jobs have; else it never does.
        """
        told: dict[str, tuple[object, ...]] = {}
        first = True
        while True:
            sights = self.look()
            new = [s for s in sights if told.get(s.job.name) != _telling(s)]
            told = {s.job.name: _telling(s) for s in sights}
            if first and not self._only:
                new = [s for s in new if not s.job.state.final]
            if new:
                yield new
            if self._only and all(s.job.state.final for s in sights):
                return
            first = False
            time.sleep(PAUSE)

    def _names(self) -> list[str]:
        select = self._jobs.store.select
        found = select(Execution, JOB, states=UNFINISHED)
        for state in _ENDS:
            found += select(Execution, JOB, states=(state,), limit=NEWEST)
        return list(dict.fromkeys([*(e.name for e in found), *self._seen]))


def _telling(sight: Sight) -> tuple[object, ...]:
    job = sight.job
    return job.state, job.cell, job.cells, job.error, sight.text
