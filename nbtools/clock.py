"""The contract of clocks: who fires a schedule where no service of ours runs.

An executor may have a clock beside it, named in `registry.CLOCKS`. Its schedules are kept there;
our store has a record of each, with the handle by which it is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from nbtools.executor import Task
from nbtools.schedule import Schedule, ScheduleState, Tick


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How a schedule stands there."""

    state: ScheduleState
    next_run_time: datetime | None  #: UTC
    started_run_count: int  #: runs begun so far


class Clock(Protocol):
    """Who fires schedules."""

    #: fields of `Schedule` that it has no equivalent of -> one sentence to whoever asks.
    lacks: Mapping[str, str]

    def put(self, schedule: Schedule, task: Task, prepared: str) -> str:
        """Have a schedule be fired, and return its handle: that of the record, or of one by this
        name that was left by a crash, is changed. `prepared` is the notebook; `task` says how
        it is executed, of no job in particular.

        Raises RequestError for what cannot be, Unavailable when it may have been done.
        """

    def look(self, handle: str) -> Standing:
        """How it stands. Raises NotFound, Unavailable, RequestError."""

    def pause(self, handle: str) -> None:
        """Have it not be due any more. Raises as `look`."""

    def resume(self, handle: str, catch_up: bool) -> None:
        """Have it be due again; `catch_up`: at the times that have gone by too."""

    def delete(self, handle: str) -> None:
        """Forget it; one that is gone already is no error."""

    def history(self, handle: str, limit: int) -> list[Tick]:
        """The times at which it was due, newest first; at most `limit`, all if negative."""
