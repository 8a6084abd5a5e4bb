"""Schedules: create, show, pause, resume, run now, delete. What makes them happen is the
service (`nbtools service run`); these only write down what is wanted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nbtools.cron import upcoming, written
from nbtools.delegation import Delegation
from nbtools.dispatch import Dispatcher
from nbtools.due import decide, first_time
from nbtools.errors import AlreadyExists, NotFound, StateError
from nbtools.jobs import Jobs
from nbtools.machine import Machine
from nbtools.nouns import Execution
from nbtools.schedule import Schedule, ScheduleState, Tick, TickState
from nbtools.schedule_check import Checked, check_order


class Schedules:
    """The schedules of one store."""

    def __init__(self, jobs: Jobs) -> None:
        self.jobs, self.store = jobs, jobs.store
        self.timetable = jobs.store.timetable
        self.delegation = Delegation(jobs)

    @classmethod
    def open(cls) -> Schedules:
        """The schedules of the store that the settings name."""
        return cls(Jobs.open())

    def create(self, schedule: Schedule) -> Schedule:
        """Check a schedule and remember it. Raises RequestError for anything that is wrong
        with it, AlreadyExists when there is one of that name.
        """
        return self.create_all([schedule])[0]

    def create_all(self, schedules: Iterable[Schedule], replacing: bool = False) -> list[Schedule]:
        """Check schedules and remember all of them or none.

        With `replacing`, one that is there already is changed: its state, its count of runs
        and its history stay. Raises RequestError, AlreadyExists.
        """
        found = self.checked(schedules)
        if not replacing:
            self._check_free(found)  # also before another's clock has it
        return self.remember(self.delegation.put(found), replacing)

    def remember(self, found: Iterable[Schedule], replacing: bool = False) -> list[Schedule]:
        """Remember schedules that were checked, and those of another's clock put there."""
        now = self.jobs.clock()
        with self.store.write():
            made = []
            for schedule in found:
                old = self.timetable.find(schedule.name)
                if not replacing:
                    self._check_free([schedule])
                made.append(_taking_over(schedule, old, now))
                self.timetable.put(made[-1])
        return made

    def checked(self, schedules: Iterable[Schedule]) -> list[Schedule]:
        """The schedules as they would be remembered, found in order. Raises RequestError."""
        wanted = [replace(s, handle=self._handle(s)) for s in schedules]
        there = {s.name: s for s in self.timetable.all()}
        check_order({**there, **{s.name: s for s in wanted}}, wanted)
        check = Checked(self.jobs, self.jobs.clock())
        return [check.whole(schedule) for schedule in wanted]

    def get(self, name: str) -> Schedule:
        """The schedule of that name. Raises NotFound."""
        found = self.timetable.find(name)
        if found is None:
            names = ", ".join(s.name for s in self.timetable.all()[:10]) or "none yet"
            raise NotFound(f"no schedule {name!r}: there is {names}")
        return found

    def all(self) -> list[Schedule]:
        """All schedules, by name."""
        return self.timetable.all()

    def standing(self, schedules: Iterable[Schedule]) -> list[Schedule]:
        """The same as they stand now, which of another's clock has to be asked: where it cannot
        be, they are as they were, and their reason says so.
        """
        return [self._asked(s) if s.handle else s for s in schedules]

    def next(self, name: str, count: int = 5) -> list[datetime]:
        """The next times, in UTC, at which a schedule will be due; none for one that is
        paused, or comes after others.
        """
        schedule = self.get(name)
        first = schedule.next_run_time
        if schedule.state is not ScheduleState.ACTIVE or first is None:
            return []
        if schedule.max_run_count:
            count = min(count, schedule.max_run_count - schedule.started_run_count)
        found = [first, *upcoming(schedule.cron, first, count - 1)][:count]
        return [t for t in found if not schedule.end_time or t <= schedule.end_time]

    def history(self, name: str, limit: int = 20) -> list[Tick]:
        """The times at which a schedule was due, newest first, and what became of each."""
        schedule = self.get(name)
        if schedule.handle:
            return self.delegation.history(schedule, limit or -1)
        return self.timetable.history(name, limit or -1)

    def pause(self, name: str) -> Schedule:
        """Have a schedule not be due any more; what was queued is still executed.

        Raises StateError for one that is COMPLETED.
        """
        now = self.jobs.clock()
        if (schedule := self._not_completed(name)).handle:
            return self._kept(self.delegation.pause(schedule))
        with self.store.write():
            schedule = self._not_completed(name)
            paused = replace(schedule, state=ScheduleState.PAUSED, reason="", update_time=now)
            self.timetable.put(paused)
        return paused

    def resume(self, name: str, catch_up: bool | None = None) -> Schedule:
        """Have a paused schedule be due again.

        `catch_up`: also at the times that came while it was paused; default: when it makes
        up for all missed times (misfire all). Raises StateError for one that is COMPLETED.
        """
        now = self.jobs.clock()
        if (schedule := self._not_completed(name)).handle:
            return self._kept(self.delegation.resume(schedule, bool(catch_up)))
        with self.store.write():
            schedule = self._not_completed(name)
            if schedule.state is ScheduleState.ACTIVE:
                return schedule
            due = first_time(schedule, now)
            if schedule.catch_up if catch_up is None else catch_up:
                schedule = self._caught_up(schedule, now)
                due = schedule.next_run_time
            state = ScheduleState.ACTIVE if due or schedule.after else ScheduleState.COMPLETED
            resumed = replace(schedule, state=state, reason="", next_run_time=due, update_time=now)
            self.timetable.put(resumed)
        return resumed

    def run_now(self, name: str) -> Tick:
        """Have a schedule be due once more, at once; a service begins it.

        It may be paused or COMPLETED. The schedules that come after it follow.
        """
        now = self.jobs.clock()
        self._ours(name, "cannot be fired before its time: `nbtools run` executes its notebook")
        with self.store.write():
            schedule = self.get(name)
            tick = Tick(schedule=name, time=now, priority=schedule.priority)
            if not self.timetable.add(tick, now):
                raise AlreadyExists(f"schedule {name!r} is being run at this very moment")
            count = schedule.started_run_count + 1
            self.timetable.put(replace(schedule, started_run_count=count))
        return tick

    def cancel(self, name: str) -> list[Tick]:
        """Cancel what waits or is at work: of a schedule all, or the one time that has that
        name in `history`. Returns those as they were; what has begun takes a moment to end.

        Schedules that come after are skipped for it. Raises NotFound, StateError when there
        is nothing to cancel.
        """
        now, dispatcher = self.jobs.clock(), Dispatcher(self.jobs, 0)
        if self.timetable.find(name):
            self._ours(name, "has its jobs there: cancel them there")
        states = (TickState.QUEUED, TickState.STARTED)
        with self.store.write():  # none is begun meanwhile
            found = [t for state in states for t in self.timetable.in_state(state)]
            asked = [t for t in found if name in (t.schedule, t.name)]
            if not asked:
                if not any(f"{name}-".startswith(f"{s.name}-") for s in self.timetable.all()):
                    self.get(name)
                raise StateError(f"nothing of {name!r} waits or is at work: see its history")
            for tick in asked:
                if tick.state is TickState.QUEUED:
                    dispatcher.end(tick, TickState.CANCELLED, "cancelled before it began", now)
        for tick in asked:
            if tick.state is TickState.STARTED:
                with suppress(StateError):  # it has just ended
                    self.jobs.cancel(tick.job)
        return asked

    def delete(self, name: str) -> Schedule:
        """Forget a schedule and its history; what was queued is dropped, its jobs stay.

        Raises StateError when another schedule comes after it.
        """
        if (schedule := self.get(name)).handle:
            self.delegation.delete(schedule)
        with self.store.write():
            schedule = self.get(name)
            if after := [s.name for s in self.timetable.followers(name)]:
                raise StateError(
                    f"schedule {', '.join(after)} comes after {name!r}: delete that first"
                )
            left = [t.job for t in self.timetable.in_state(TickState.STARTED, name)]
            self.timetable.remove(name)
        for job in left:
            found = self.store.find(Execution, job)
            if found and not found.metadata.get("handle"):  # nobody will begin it any more
                self.jobs.cancel(job)
        return schedule

    def _handle(self, schedule: Schedule) -> str:
        """What a schedule that is there already is known by to its clock."""
        old = self.timetable.find(schedule.name)
        return old.handle if old else ""

    def _check_free(self, schedules: Iterable[Schedule]) -> None:
        for schedule in schedules:
            if self.timetable.find(schedule.name):
                raise AlreadyExists(
                    f"there is already a schedule {schedule.name!r}: choose another name, or "
                    "delete it first"
                )

    def _ours(self, name: str, why: str) -> None:
        if (schedule := self.get(name)).handle:
            raise StateError(f"schedule {name!r} is fired by {schedule.executor}, and {why}")

    def _asked(self, schedule: Schedule) -> Schedule:
        now = self.delegation.standing(schedule)
        same = replace(now, reason=schedule.reason) == schedule
        return now if same else self._kept(now)

    def _kept(self, now: Schedule) -> Schedule:
        with self.store.write():
            if self.timetable.find(now.name):  # else it was deleted meanwhile
                self.timetable.put(now)
        return now

    def _caught_up(self, schedule: Schedule, now: datetime) -> Schedule:
        """Queue every time that has come since; within a transaction."""
        after = replace(schedule, misfire="all", concurrency="queue", state=ScheduleState.ACTIVE)
        while after.state is ScheduleState.ACTIVE and after.next_run_time:
            if after.next_run_time > now:
                break
            decision = decide(after, 0, now)
            for tick in decision.ticks:
                self.timetable.add(tick, now)
            after = decision.schedule
        return replace(after, misfire=schedule.misfire, concurrency=schedule.concurrency)

    def _not_completed(self, name: str) -> Schedule:
        schedule = self.get(name)
        if schedule.state is ScheduleState.COMPLETED:
            raise StateError(
                f"schedule {name!r} is COMPLETED: create another, or run it once with run-now"
            )
        return schedule


def _taking_over(new: Schedule, old: Schedule | None, now: datetime) -> Schedule:
    """The new schedule in the place of an old one of the same name."""
    if old is None:
        return new
    if new.handle:  # how it stands its clock has said
        return replace(new, create_time=old.create_time)
    due = old.next_run_time if old.cron == new.cron else new.next_run_time
    done = bool(new.max_run_count) and old.started_run_count >= new.max_run_count
    paused = old.state is ScheduleState.PAUSED
    state: ScheduleState = ScheduleState.PAUSED if paused else ScheduleState.ACTIVE
    if done:
        state, due = ScheduleState.COMPLETED, None
    elif due is None or due <= now or (new.start_time, new.end_time) != (
        old.start_time, old.end_time
    ):  # fmt: skip
        due = new.next_run_time
    return replace(new, state=state, next_run_time=due, create_time=old.create_time,
                   started_run_count=old.started_run_count)  # fmt: skip


def create(
    name: str,
    cron: str,
    notebook: str | Path,
    params: Mapping[str, Any] | None = None,
    *,
    tz: str = "",
    after: Iterable[str] = (),
    output: str | Path = "",
    start: datetime | None = None,
    end: datetime | None = None,
    max_runs: int = 0,
    max_concurrent: int = 1,
    concurrency: str = "",
    misfire: str = "latest",
    max_age: float = 0.0,
    retries: int = 0,
    backoff: float = 30.0,
    timeout: float = 0.0,
    cpu_time: float = 0.0,
    secrets: Iterable[str] = (),
    vertex: str = "",
    notify: Iterable[str] = (),
    experiment: str = "",
    priority: int = 0,
    executor: str = "",
    machine: Machine | None = None,
) -> Schedule:
    """Create a schedule; `nbtools service run` executes it when it is due.

    `cron` is an expression in the zone `tz` (an IANA name, default UTC), or empty with
    `after`, schedules to come after. `max_age`, `backoff`, `timeout` and `cpu_time` are in seconds.
    The other arguments are those of `Schedule`. Raises RequestError, saying what is wrong.
    """
    return Schedules.open().create(
        Schedule(
            name=name,
            cron=written(cron, tz) if cron else "",
            after=tuple(after),
            notebook=str(notebook),
            params=params or {},
            output=str(output),
            start_time=start.astimezone(UTC) if start else None,
            end_time=end.astimezone(UTC) if end else None,
            max_run_count=max_runs,
            max_concurrent_run_count=max_concurrent,
            concurrency=concurrency or ("queue" if misfire == "all" else "skip"),
            misfire=misfire,
            max_age=max_age,
            retries=retries,
            backoff=backoff,
            timeout=timeout,
            cpu_time=cpu_time,
            secrets=tuple(secrets),
            vertex=vertex,
            notify=tuple(notify),
            experiment=experiment,
            priority=priority,
            executor=executor,
            machine=machine or Machine(),
        )
    )
