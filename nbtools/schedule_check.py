"""Whether schedules are in order, before any of them is remembered."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from nbtools.attempt import check_request
from nbtools.cron import written
from nbtools.delegation import Delegation
from nbtools.due import first_time
from nbtools.errors import RequestError
from nbtools.jobs import Jobs
from nbtools.notices import check_target
from nbtools.nouns import place, slug
from nbtools.schedule import CONCURRENCY, MISFIRE, Schedule, ScheduleState

#: letters of a name: the names of jobs and runs are made of it.
MAX_NAME = 40
_NAME = re.compile(rf"[a-z0-9](?:[a-z0-9-]{{0,{MAX_NAME - 2}}}[a-z0-9])?\Z")


class Checked:
    """Checks schedules; what many of them have in common, once."""

    def __init__(self, jobs: Jobs, now: datetime) -> None:
        self._jobs, self._now = jobs, now
        self._found: set[str] = set()
        self._delegation = Delegation(jobs)

    def whole(self, schedule: Schedule) -> Schedule:
        """The schedule with all that it leaves open filled in. Raises RequestError."""
        _check_rules(schedule)
        cron = written(schedule.cron) if schedule.cron else ""
        notebook = str(place(schedule.notebook))
        cwd = str(place(schedule.cwd)) if schedule.cwd else ""
        uri = "://" in schedule.output
        output = schedule.output if uri or not schedule.output else str(place(schedule.output))
        whole = replace(schedule, cron=cron, notebook=notebook, cwd=cwd, output=output,
                        after=tuple(dict.fromkeys(schedule.after)))  # fmt: skip
        same = {"name": "", "cron": "", "source": "", "start_time": None, "end_time": None}
        key = repr({**whole.dumps(), **same})
        if key not in self._found:
            self._delegation.check(whole)
            check_request(whole, self._jobs.settings, self._now)
            self._found.add(key)
        if self._delegation.takes(whole):  # kept, whatever the settings say later
            whole = replace(whole, executor=self._delegation.executor(whole))
        state = ScheduleState.ACTIVE
        due = first_time(whole, self._now)
        if cron and due is None:
            raise RequestError(
                f"schedule {whole.name!r} will never be due: its end is before its next time"
            )
        return replace(whole, state=state, next_run_time=due, create_time=self._now,
                       update_time=self._now)  # fmt: skip


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


def check_order(known: Mapping[str, Schedule], wanted: Iterable[Schedule]) -> None:
    """Raises RequestError when one comes after one that is not there, or after itself."""
    for schedule in wanted:
        for name in schedule.after:
            if name not in known:
                raise RequestError(
                    f"schedule {schedule.name!r} comes after {name!r}, and there is no such one"
                )
            if known[name].handle:
                raise RequestError(
                    f"schedule {schedule.name!r} cannot come after {name!r}: that is fired by "
                    f"{known[name].executor}, and nobody here hears of it"
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
