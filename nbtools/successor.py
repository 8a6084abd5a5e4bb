"""A job that takes the place of one that has ended: asked for as that was, in its tick too."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from nbtools import lineage
from nbtools.errors import StateError
from nbtools.executor import Task
from nbtools.jobs import Jobs, SubmittedJob
from nbtools.nouns import Execution, Job
from nbtools.request import Plan, Request
from nbtools.schedule import FAILED_BEFORE, Tick, TickState

#: what a request says and the task of it too, under the same name.
_SAME = {f.name for f in fields(Request)} & {f.name for f in fields(Task)} - {"job"}


@dataclass(frozen=True, kw_only=True)
class Place:
    """The tick whose last attempt the old job was: the new one is its next."""

    tick: Tick  #: as it is now
    started: Tick  #: as it will be


def rested(jobs: Jobs, name: str) -> SubmittedJob:
    """The job of that name. Raises StateError when it is still at work."""
    old = jobs.get(name)
    if not old.state.final:
        raise StateError(f"job {old.name} is {old.state}: wait for its end, or cancel it")
    return old


def task(old: Job) -> Task:
    """What the executor was given. Raises StateError when the job's files are gone."""
    try:
        return Task.loads((Path(old.folder) / "task.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise StateError(
            f"the files of job {old.name} are gone from {old.folder}: execute its notebook anew "
            f"with `nbtools run {old.notebook}`"
        ) from None


def asked(jobs: Jobs, old: Job, place: Place | None, **other: Any) -> Request:
    """What was asked for then, but for `other`; for its place, if there is one."""
    told = task(old)
    values = {
        **{name: getattr(told, name) for name in _SAME},
        "notebook": old.notebook,
        "params": old.params,
        "experiment": old.experiment,
        "executor": old.executor,
        "report": told.report_wanted,
        "inputs": tuple(a.name for a in lineage.inputs(jobs.store, old)[1]),
        "allow_unknown": True,  # they were allowed, or are gone from the notebook since
        "job": place.started.name if place else "",
        "schedule": place.started.schedule if place else "",
    }
    return Request(**{**values, **other})


def place_of(jobs: Jobs, old: Job) -> Place | None:
    """The tick that a new attempt belongs to; None for a job that no schedule has made, or
    whose tick has succeeded, or has had another attempt since.
    """
    tick = jobs.store.timetable.of_job(old.schedule, old.name) if old.schedule else None
    if tick is None or tick.state in (TickState.SUCCEEDED, TickState.SKIPPED):
        return None
    waits = tick.state is TickState.QUEUED  # for its next attempt, which this then is
    started = replace(tick, state=TickState.STARTED, attempt=tick.attempt + (not waits),
                      not_before=None, reason="")  # fmt: skip
    return Place(tick=tick, started=replace(started, job=started.name))


def begin(jobs: Jobs, made: Plan, place: Place | None) -> SubmittedJob:
    """Begin the new job; in the old one's place, the schedules that come after follow it.

    Raises StateError when a service has begun the tick's next attempt in this moment.
    """
    if place is None:
        return jobs.begin(made)
    timetable, now = jobs.store.timetable, jobs.clock()
    inputs = [lineage.find(jobs.store, name) for name in made.request.inputs]
    with jobs.store.write():
        tick = place.tick
        if timetable.tick(tick.schedule, tick.time) != tick:
            raise StateError(
                f"schedule {tick.schedule} has begun its next attempt in this moment: "
                f"`nbtools schedule history {tick.schedule}` shows it"
            )
        timetable.change(place.started, now)
        _forget_skipped(jobs, tick)
        jobs.remember(made, inputs)
    return jobs.hand_over(made.task)


def successors(jobs: Jobs, name: str) -> list[Job]:
    """The jobs that execute that one again, or go on from it, oldest first."""
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    both = " OR ".join(
        f'metadata.{field}.string_value = "{quoted}"' for field in ("retry_of", "resume_of")
    )
    return [Job.of(e) for e in reversed(jobs.store.select(Execution, filter=both))]


def _forget_skipped(jobs: Jobs, tick: Tick) -> None:
    """Have the schedules that were skipped because of this tick's failure be due again when
    it succeeds; within a transaction.
    """
    timetable = jobs.store.timetable
    for schedule in timetable.followers(tick.schedule):
        skipped = timetable.tick(schedule.name, tick.time)
        because = FAILED_BEFORE.format(tick.schedule)
        if skipped and skipped.state is TickState.SKIPPED and skipped.reason.startswith(because):
            timetable.drop(skipped)
            _forget_skipped(jobs, skipped)


def free_name(taken: Iterable[str], base: str) -> str:
    """`base-2`, or with the first number after that which is not taken."""
    known = set(taken)
    number = 2
    while f"{base}-{number}" in known:
        number += 1
    return f"{base}-{number}"
