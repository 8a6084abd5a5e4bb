"""What to do with a schedule at a time: decided here and done elsewhere. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from nbtools.cron import times
from nbtools.schedule import Schedule, ScheduleState, Tick, TickState

#: a time that is seen so late was missed: nobody was there when it came.
LATE = timedelta(seconds=60)
#: times decided on at once; the others at the next call, which is due at once.
MOST = 1000
#: seconds that a retry waits at most.
LONGEST = 3600.0


@dataclass(frozen=True)
class Decision:
    """What a schedule's being due comes to."""

    ticks: tuple[Tick, ...]  #: one for each time that was due, in their order
    schedule: Schedule  #: as it is afterwards


def decide(schedule: Schedule, unfinished: int, now: datetime) -> Decision:
    """What to do with an ACTIVE schedule of which `unfinished` ticks are queued or at work.

    The same call gives the same answer, and one that was carried out leaves nothing to do.
    """
    due, rest = _due(schedule, now)
    ticks: list[Tick] = []
    for number, time in enumerate(due):
        newest = number == len(due) - 1 and (rest is None or rest > now)
        ticks.append(_tick(schedule, time, unfinished, _missed(schedule, time, newest, now)))
        if ticks[-1].state is TickState.QUEUED:
            schedule, unfinished = _counted(schedule), unfinished + 1
        if _done(schedule):
            break
    after = None if _done(schedule) else rest
    state = ScheduleState.ACTIVE if after else ScheduleState.COMPLETED
    return Decision(tuple(ticks), replace(schedule, next_run_time=after, state=state))


def follow(schedule: Schedule, time: datetime, unfinished: int, reason: str) -> Decision:
    """What to do with a schedule that comes after others, all of which have succeeded at
    `time`; or one has not, for the `reason`.
    """
    tick = _tick(schedule, time, unfinished, reason)
    if tick.state is TickState.QUEUED:
        schedule = _counted(schedule)
    state = ScheduleState.COMPLETED if _done(schedule) else schedule.state
    return Decision((tick,), replace(schedule, state=state))


def _tick(schedule: Schedule, time: datetime, unfinished: int, reason: str) -> Tick:
    limit = schedule.max_concurrent_run_count
    if not reason and schedule.concurrency == "skip" and limit and unfinished >= limit:
        reason = f"{unfinished} of its jobs were still at work (concurrency skip)"
    state = TickState.SKIPPED if reason else TickState.QUEUED
    return Tick(schedule=schedule.name, time=time, state=state, reason=reason,
                priority=schedule.priority)  # fmt: skip


def _counted(schedule: Schedule) -> Schedule:
    return replace(schedule, started_run_count=schedule.started_run_count + 1)


def _done(schedule: Schedule) -> bool:
    return bool(schedule.max_run_count) and schedule.started_run_count >= schedule.max_run_count


def first_time(schedule: Schedule, now: datetime) -> datetime | None:
    """When a schedule is next due by the clock, from `now` or its start time on; None: never."""
    if not schedule.cron:
        return None
    begin = max(now, schedule.start_time - timedelta(seconds=1)) if schedule.start_time else now
    return _until_end(schedule, next(times(schedule.cron, begin), None))


def retry_time(schedule: Schedule, tick: Tick, now: datetime) -> datetime | None:
    """When a tick whose attempt has failed is to be tried again; None: no more.

    The pauses double, up to an hour, and each is up to a quarter shorter or longer, so that
    what failed together is not tried together.
    """
    if tick.attempt > schedule.retries:
        return None
    pause = min(schedule.backoff * 2.0 ** min(tick.attempt - 1, 30), LONGEST)
    digest = hashlib.sha256(tick.name.encode()).digest()
    return now + timedelta(seconds=pause * (0.75 + 0.5 * digest[0] / 255))


def _due(schedule: Schedule, now: datetime) -> tuple[list[datetime], datetime | None]:
    """The times that are due, at most `MOST`, and the one that comes after them."""
    first = schedule.next_run_time
    if first is None or first > now:
        return [], first
    found, rest = [first], None
    for time in times(schedule.cron, first):
        if time > now or len(found) == MOST:
            rest = time
            break
        found.append(time)
    return [t for t in found if _until_end(schedule, t)], _until_end(schedule, rest)


def _until_end(schedule: Schedule, time: datetime | None) -> datetime | None:
    return None if time and schedule.end_time and time > schedule.end_time else time


def _missed(schedule: Schedule, time: datetime, newest: bool, now: datetime) -> str:
    """Why a time is not made up for; empty: it is, or was not missed at all."""
    late = now - time
    if late < LATE:
        return ""
    if schedule.misfire == "skip":
        return f"missed: no service was there at {_clock(time)} (misfire skip)"
    if schedule.max_age and late.total_seconds() > schedule.max_age:
        return f"missed, and more than {schedule.max_age:.0f} s ago (max-age)"
    if schedule.misfire == "latest" and not newest:
        return "missed, and a later one too (misfire latest)"
    return ""


def _clock(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
