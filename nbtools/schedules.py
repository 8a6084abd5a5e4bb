"""Schedules: create, show, pause, resume, run now, delete. What makes them happen is the
service (`nbtools service run`); these only write down what is wanted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nbtools.attempt import check_request
from nbtools.cron import upcoming, written
from nbtools.dispatch import Dispatcher
from nbtools.due import decide, first_time
from nbtools.errors import AlreadyExists, NotFound, RequestError, StateError
from nbtools.jobs import Jobs
from nbtools.machine import Machine
from nbtools.notices import check_target
from nbtools.nouns import Execution, place, slug
from nbtools.schedule import CONCURRENCY, MISFIRE, Schedule, ScheduleState, Tick, TickState

#: letters of a name: the names of jobs and runs are made of it.
MAX_NAME = 40
_NAME = re.compile(rf"[a-z0-9](?:[a-z0-9-]{{0,{MAX_NAME - 2}}}[a-z0-9])?\Z")


class Schedules:
    """The schedules of one store."""

    def __init__(self, jobs: Jobs) -> None:
        self.jobs, self.store = jobs, jobs.store
        self.timetable = jobs.store.timetable

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
        now = self.jobs.clock()
        found = self.checked(schedules)
        with self.store.write():
            made = []
            for schedule in found:
                old = self.timetable.find(schedule.name)
                if old and not replacing:
                    raise AlreadyExists(
                        f"there is already a schedule {schedule.name!r}: choose another name, or "
                        "delete it first"
                    )
                made.append(_taking_over(schedule, old, now))
                self.timetable.put(made[-1])
        return made

    def checked(self, schedules: Iterable[Schedule]) -> list[Schedule]:
        """The schedules as they would be remembered, found in order. Raises RequestError."""
        wanted = list(schedules)
        there = {s.name: s for s in self.timetable.all()}
        _check_order({**there, **{s.name: s for s in wanted}}, wanted)
        check = _Checked(self.jobs, self.jobs.clock())
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
        return self.timetable.history(self.get(name).name, limit or -1)

    def pause(self, name: str) -> Schedule:
        """Have a schedule not be due any more; what was queued is still executed.

        Raises StateError for one that is COMPLETED.
        """
        now = self.jobs.clock()
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


class _Checked:
    """Checks schedules; what many of them have in common, once."""

    def __init__(self, jobs: Jobs, now: datetime) -> None:
        self._jobs, self._now = jobs, now
        self._found: set[str] = set()

    def whole(self, schedule: Schedule) -> Schedule:
        """The schedule with all that it leaves open filled in. Raises RequestError."""
        _check_rules(schedule)
        cron = written(schedule.cron) if schedule.cron else ""
        notebook = str(place(schedule.notebook))
        cwd = str(place(schedule.cwd)) if schedule.cwd else ""
        output = str(place(schedule.output)) if schedule.output else ""
        whole = replace(schedule, cron=cron, notebook=notebook, cwd=cwd, output=output,
                        after=tuple(dict.fromkeys(schedule.after)))  # fmt: skip
        same = {"name": "", "cron": "", "source": "", "start_time": None, "end_time": None}
        key = repr({**whole.dumps(), **same})
        if key not in self._found:
            check_request(whole, self._jobs.settings, self._now)
            self._found.add(key)
        state = ScheduleState.ACTIVE
        due = first_time(whole, self._now)
        if cron and due is None:
            raise RequestError(
                f"schedule {whole.name!r} will never be due: its end is before its next time"
            )
        return replace(whole, state=state, next_run_time=due, create_time=self._now,
                       update_time=self._now)  # fmt: skip


def _taking_over(new: Schedule, old: Schedule | None, now: datetime) -> Schedule:
    """The new schedule in the place of an old one of the same name."""
    if old is None:
        return new
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


def _check_rules(schedule: Schedule) -> None:
    if not _NAME.match(schedule.name):
        raise RequestError(
            f"schedule name {schedule.name!r}: use at most {MAX_NAME} small letters, digits and "
            f"hyphens, for example {slug(schedule.name, MAX_NAME)!r}"
        )
    if bool(schedule.cron) == bool(schedule.after):
        raise RequestError(
            f"schedule {schedule.name!r} needs a cron expression, or other schedules to come "
            "after: one of the two"
        )
    for what, value, words in (
        ("concurrency", schedule.concurrency, CONCURRENCY), ("misfire", schedule.misfire, MISFIRE)
    ):  # fmt: skip
        if value not in words:
            raise RequestError(f"{what} must be {', '.join(words)}: not {value!r}")
    if schedule.misfire == "all" and schedule.concurrency in ("skip", "replace"):
        raise RequestError(
            f"misfire all with concurrency {schedule.concurrency} would drop most of what it makes "
            "up for: choose concurrency queue or allow"
        )
    for name in ("max_run_count", "max_concurrent_run_count", "max_age", "retries", "backoff",
                 "timeout", "memory", "cpu_time"):  # fmt: skip
        if not getattr(schedule, name) >= 0:
            raise RequestError(f"{name} must be 0 or more: not {getattr(schedule, name)}")
    for when in (schedule.start_time, schedule.end_time):
        if when and when.tzinfo is None:
            raise RequestError(f"{when} has no time zone: give one, for example {when}+01:00")
    for target in schedule.notify:
        check_target(target)


def _check_order(known: Mapping[str, Schedule], wanted: Iterable[Schedule]) -> None:
    """Raises RequestError when one comes after one that is not there, or after itself."""
    for schedule in wanted:
        for name in schedule.after:
            if name not in known:
                raise RequestError(
                    f"schedule {schedule.name!r} comes after {name!r}, and there is no such one"
                )
        path = [schedule.name]
        seen: set[str] = set()
        stack = [(name, [*path, name]) for name in schedule.after]
        while stack:
            name, way = stack.pop()
            if name == schedule.name:
                raise RequestError(
                    f"a cycle: {' after '.join(way)}; a schedule cannot come after itself"
                )
            if name not in seen:
                seen.add(name)
                stack += [(n, [*way, n]) for n in known[name].after if n in known]


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
            notify=tuple(notify),
            experiment=experiment,
            priority=priority,
            executor=executor,
            machine=machine or Machine(),
        )
    )
