"""The records of what happens by the clock: a schedule, and its ticks.

A schedule has Vertex AI's field names where Vertex AI has the field. A tick is one time at
which a schedule was due, and what became of it; there is one for each such time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from nbtools.machine import Machine
from nbtools.nouns import moment, stamp


class ScheduleState(StrEnum):
    """Where a schedule stands, in Vertex AI's words."""

    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"
    COMPLETED = "COMPLETED"  #: its end time or its last run has come


class TickState(StrEnum):
    """Where a tick stands."""

    QUEUED = "QUEUED"  #: to be executed as soon as there is room, or again after a failure
    STARTED = "STARTED"  #: its job is remembered, and will be executed whatever crashes
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"  #: its last attempt failed
    CANCELLED = "CANCELLED"
    SKIPPED = "SKIPPED"  #: not executed, by the schedule's rules; the reason says by which

    @property
    def final(self) -> bool:
        """Whether nothing will follow."""
        return self not in (TickState.QUEUED, TickState.STARTED)


#: how the reason begins of a tick that was skipped because of another schedule's failure.
FAILED_BEFORE = "schedule {} has not succeeded"
#: what happens when a schedule is due and its limit of jobs is at work.
CONCURRENCY = ("allow", "skip", "queue", "replace")
#: which of the times are made up for that came while no service was there.
MISFIRE = ("skip", "latest", "all")
_TIMES = ("start_time", "end_time", "next_run_time", "create_time", "update_time")


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Execute a notebook whenever a cron expression is due, or after other schedules."""

    name: str  #: the id: small letters, digits, hyphens
    notebook: str  #: absolute path
    cron: str = ""  #: `TZ=Europe/Berlin 0 2 * * *`; empty: by `after`, or by run-now alone
    after: tuple[str, ...] = ()  #: schedules whose success at a time is when it is due
    params: Mapping[str, Any] = field(default_factory=dict)  #: may hold `{{ scheduled_time }}`
    output: str = ""  #: deliver the executed notebook here; may hold `{{ scheduled_date }}`
    deliver_partial: bool = False  #: also when it did not reach its end
    keep_injected: bool = False  #: what was injected into it before stays
    experiment: str = ""  #: default: the notebook's name
    kernel: str = ""  #: default: the notebook's own
    cwd: str = ""  #: default: the notebook's folder
    executor: str = ""  #: who runs it
    start_time: datetime | None = None  #: UTC; not due before
    end_time: datetime | None = None  #: UTC; not due after
    max_run_count: int = 0  #: COMPLETED after so many; 0: no limit
    max_concurrent_run_count: int = 1  #: so many of its jobs at work at a time; 0: no limit
    concurrency: str = "skip"  #: allow | skip | queue | replace, when so many are at work
    misfire: str = "latest"  #: skip | latest | all of the times that no service was there
    max_age: float = 0.0  #: seconds after which a missed time is not made up for; 0: no limit
    retries: int = 0  #: how often a failed job is executed again
    backoff: float = 30.0  #: seconds before the first of these; doubled for each further
    timeout: float = 0.0  #: seconds each attempt may take; 0: no limit
    memory: int = 0  #: bytes that its kernel may use; 0: no limit
    cpu_time: float = 0.0  #: seconds of CPU that each attempt may use; 0: no limit
    machine: Machine = Machine()  #: what each attempt is to be executed on
    env: Mapping[str, str] = field(default_factory=dict)  #: more for its kernel's environment
    secrets: tuple[str, ...] = ()  #: names of secrets that its kernel's environment gets
    vertex: str = ""  #: `local`: Google's SDK in the notebook talks to the emulator of the store
    priority: int = 0  #: the higher is executed first when there is not room for all
    notify: tuple[str, ...] = ()  #: who hears of failure and recovery: see nbtools.notices
    handle: str = ""  #: what the clock of its executor knows it by; empty: our service fires it
    source: str = ""  #: the file that declares it; empty: it was created by hand
    state: ScheduleState = ScheduleState.ACTIVE
    reason: str = ""  #: one sentence: why it was paused, when nobody has asked for it
    next_run_time: datetime | None = None  #: UTC; None: by the clock it will not be due
    started_run_count: int = 0  #: runs asked for so far; attempts of one count as one
    create_time: datetime | None = None  #: UTC; set by the store
    update_time: datetime | None = None  #: UTC; when it was changed, or last due

    @property
    def allow_queueing(self) -> bool:
        """Vertex AI's field: whether a run waits while the limit of jobs is at work."""
        return self.concurrency in ("queue", "replace")

    @property
    def catch_up(self) -> bool:
        """Vertex AI's field: whether all missed runs are made up for."""
        return self.misfire == "all"

    def dumps(self) -> dict[str, Any]:
        """The record as JSON takes it."""
        values = dict(vars(self))  # not asdict: it would copy each of thousands to its depth
        values.update(params=dict(self.params), env=dict(self.env), machine=self.machine.dumps())
        for key in _TIMES:
            values[key] = stamp(values[key])
        return values

    @classmethod
    def loads(cls, values: Mapping[str, Any]) -> Schedule:
        """The record that `dumps` gave; what a newer nbtools has added is left out."""
        kept = {k: v for k, v in values.items() if k in _KNOWN}
        for key in _TIMES:
            kept[key] = moment(kept.get(key))
        for key in ("after", "notify", "secrets"):
            kept[key] = tuple(kept.get(key, ()))
        kept["machine"] = Machine.loads(kept.get("machine", {}))
        return cls(**{**kept, "state": ScheduleState(kept["state"])})


_KNOWN = frozenset(f.name for f in fields(Schedule))


@dataclass(frozen=True, kw_only=True)
class Tick:
    """One time at which a schedule was due."""

    schedule: str  #: name of the schedule
    time: datetime  #: UTC; with the schedule's name, what it is known by
    state: TickState = TickState.QUEUED
    priority: int = 0  #: the schedule's
    attempt: int = 1  #: the attempt at work, or the next
    not_before: datetime | None = None  #: UTC; the next attempt waits until then
    job: str = ""  #: the job of the last attempt
    reason: str = ""  #: one sentence: why it was skipped, or has failed
    update_time: datetime | None = None  #: UTC

    @property
    def name(self) -> str:
        """The name of this attempt's job: whoever makes it, it is the same one."""
        return job_of(self.schedule, self.time, self.attempt)


def job_of(schedule: str, time: datetime, attempt: int = 1) -> str:
    """The name of the job of a tick's attempt, counted from 1."""
    time = time.astimezone(UTC)
    fraction = f".{time:%f}".replace(".", "-") if time.microsecond else ""
    again = f"-{attempt}" if attempt > 1 else ""
    return f"{schedule}-{time:%Y%m%d-%H%M%S}{fraction}{again}"
