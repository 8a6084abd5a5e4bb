"""Which old jobs may go, and why others stay: nothing that something else refers to goes.

A job that is old enough stays as long as anything refers to it that stays itself. Two old
jobs of which one refers to the other go together. docs/decisions/0012 says what refers to
what.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from nbtools import contents
from nbtools.checkpoint import Checkpoints
from nbtools.duration import seconds
from nbtools.errors import RequestError
from nbtools.jobs import Jobs
from nbtools.nouns import JOB, MODEL, RUN, SWEEP, Context, Execution, Job, Run, place, run_id
from nbtools.schedule import Tick
from nbtools.settings import Settings
from nbtools.shipment import shipments
from nbtools.spool import spools

#: why a job stays that is old enough.
Reason = str
#: who refers to a job (a job's name, "" for anything else), the job, and why.
Reference = tuple[str, str, Reason]


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What is asked for: a job goes when neither keeps it."""

    keep: timedelta | None = None  #: what is younger stays; None: age is no reason to
    keep_last: int = 0  #: so many of each schedule, or else of each notebook, stay
    models: bool = False  #: also what has left a model
    experiment: str = ""  #: only jobs of this experiment
    notebook: str = ""  #: only jobs of this notebook: a path, or a file's name
    schedule: str = ""  #: only jobs of this schedule

    @classmethod
    def of(cls, settings: Settings) -> Rules | None:
        """What the settings say to keep, None when they say nothing. Raises RequestError."""
        if not settings.keep and not settings.keep_last:
            return None
        keep = timedelta(seconds=seconds(settings.keep)) if settings.keep else None
        return cls(keep=keep, keep_last=settings.keep_last)

    def check(self) -> None:
        """Raises RequestError for rules that would keep nothing, or make no sense."""
        if self.keep is None and not self.keep_last:
            raise RequestError(
                "say what to keep: --keep 30d for an age, --keep-last 20 for a number, or both; or "
                'keep = "30d" in [tool.nbtools]'
            )
        if self.keep_last < 0:
            raise RequestError(f"keep_last must be 0 or more: not {self.keep_last}")

    @property
    def chosen(self) -> bool:
        """Whether they are about some jobs only."""
        return bool(self.experiment or self.notebook or self.schedule)

    def about(self, job: Job) -> bool:
        """Whether a job is one of those."""
        path = Path(job.notebook)
        named = self.notebook in ("", path.name, path.stem) or place(self.notebook) == path
        return (
            named
            and self.experiment in ("", job.experiment)
            and self.schedule in ("", job.schedule)
        )


@dataclass(frozen=True)
class Decision:
    """What the rules come to at a moment."""

    going: tuple[Job, ...]  #: what refers to another stands before that
    staying: dict[str, Reason]  #: old enough, and why each stays all the same
    kept: int  #: how many stay because they are young, or among the newest


def decide(jobs: Jobs, rules: Rules, now: datetime, only: Container[str] | None = None) -> Decision:
    """Which jobs may go, of those named `only` if that is given. To be trusted it is to be
    asked within a transaction.
    """
    everything = [Job.of(e) for e in jobs.store.select(Execution, JOB)]
    names = {job.name for job in everything}
    old = [job for job in _beyond(everything, rules, now) if rules.about(job)]
    if only is not None:
        old = [job for job in old if job.name in only]
    asked_about = sum(map(rules.about, everything))
    references = defaultdict[str, list[tuple[str, Reason]]](list)
    for who, target, why in _references(jobs, everything, rules):
        if target in names and who != target:
            references[target].append((who, why))
    going, staying = {job.name: job for job in old}, dict[str, Reason]()
    changed = True
    while changed:
        found = {
            name: next((why for who, why in references[name] if who not in going), "")
            for name in going
        }
        stay = {name: why for name, why in found.items() if why}
        staying |= stay
        going = {name: job for name, job in going.items() if name not in stay}
        changed = bool(stay)
    order = _referring_first(going, references)
    return Decision(tuple(going[name] for name in order), staying, asked_about - len(old))


def _referring_first(
    going: Mapping[str, Job], references: Mapping[str, list[tuple[str, Reason]]]
) -> list[str]:
    """The names in an order in which each may be the last to go."""
    order: dict[str, None] = {}
    begun: set[str] = set()
    for first in going:
        stack = [first]
        while stack:
            name = stack[-1]
            before = [
                who for who, _ in references.get(name, ()) if who in going and who not in begun
            ]
            if name in begun or not before:
                order[stack.pop()] = None
            begun.add(name)
            stack += [] if name in order else before
    return list(order)


def _beyond(everything: Iterable[Job], rules: Rules, now: datetime) -> Iterator[Job]:
    """The jobs that have ended and that no rule keeps, the newest first."""
    met: dict[str, int] = defaultdict(int)
    for job in everything:
        group = job.schedule or job.notebook
        met[group] += 1
        age = now - max(t for t in (job.create_time or now, job.end_time, job.used_time) if t)
        young = rules.keep is not None and age < rules.keep
        if job.state.final and not young and met[group] > rules.keep_last:
            yield job


def _references(jobs: Jobs, everything: list[Job], rules: Rules) -> Iterator[Reference]:
    """What refers to a job, and why that keeps it."""
    for find in (_of_jobs, _of_artifacts, _of_runs, _of_sweeps, _of_schedules, _of_mirrors,
                 _of_checkpoints):  # fmt: skip
        yield from find(jobs, everything)
    if not rules.models:
        for job, model in contents.left(jobs.store, MODEL):
            yield "", job, f"it has left a model, {model}: --models lets it go"


def _of_jobs(jobs: Jobs, everything: list[Job]) -> Iterator[Reference]:
    inside = _naming(jobs)
    runs = defaultdict[str, list[Job]](list)
    for job in everything:
        yield job.name, job.resume_of, f"job {job.name} goes on from it"
        yield job.name, job.retry_of, f"job {job.name} executes it again"
        for newer in runs[run_id(job.experiment, job.run)]:
            yield newer.name, job.name, f"job {newer.name} went on with the same run"
        runs[run_id(job.experiment, job.run)].append(job)
        said = json.dumps(
            [dict(job.params), job.notebook, job.output], default=str, ensure_ascii=False
        )
        for other in inside(said):
            yield job.name, other, f"job {job.name} was given the path of a file of its"


def _of_artifacts(jobs: Jobs, everything: list[Job]) -> Iterator[Reference]:
    """Whoever has read what a job left, wherever a copy of it lay."""
    inside, by_name = _naming(jobs), {job.name: job for job in everything}
    left = contents.leavers(jobs.store)
    for who, artifact, name, uri in contents.reads(jobs.store):
        for job in {*left.get(artifact, ()), *inside(uri)}:
            yield who, job, f"{who} has read its {name}"
    for context, artifact, name in contents.held(jobs.store):
        for job in left.get(artifact, ()):
            own = by_name.get(job)
            if own and context != run_id(own.experiment, own.run):
                yield "", job, f"{context} has its {name}"


def _of_runs(jobs: Jobs, everything: list[Job]) -> Iterator[Reference]:
    by_run = defaultdict[str, list[str]](list)
    for job in everything:
        by_run[run_id(job.experiment, job.run)].append(job.name)
    for context in jobs.store.select(Context, RUN):
        run = Run.of(context)
        if run.tags or run.notes:
            what = f"is tagged {', '.join(run.tags)}" if run.tags else "has a note"
            for name in by_run[context.name]:
                yield "", name, f"its run {what}"


def _of_sweeps(jobs: Jobs, everything: list[Job]) -> Iterator[Reference]:
    """Those that can be resumed look at their trials' jobs."""
    open_ones = {
        c.name: set(c.metadata.get("reused", {}).values())
        for c in jobs.store.select(Context, SWEEP)
        if c.metadata.get("_state") != "COMPLETE"
    }
    for job in everything if open_ones else ():
        name = run_id(job.experiment, job.run)
        context = jobs.store.find(Context, name)
        own = str(context.metadata.get("_sweep", "")) if context else ""
        for sweep, reused in open_ones.items():
            if sweep == own or name in reused:
                yield "", job.name, f"sweep {sweep} is not complete"


def _of_schedules(jobs: Jobs, _: list[Job]) -> Iterator[Reference]:
    """From the first time on that is not seen to, what came before may be asked for."""
    timetable, inside = jobs.store.timetable, _naming(jobs)
    for schedule in timetable.all():
        for name in inside(
            json.dumps([dict(schedule.params), schedule.notebook], default=str, ensure_ascii=False)
        ):
            yield "", name, f"schedule {schedule.name} is given the path of a file of its"
    first = timetable.first_unfinished()
    if first is None:
        return
    for tick in timetable.since(first):
        yield "", tick.job, _not_seen_to(tick, first)


def _not_seen_to(tick: Tick, first: datetime) -> Reason:
    if not tick.state.final:
        return f"schedule {tick.schedule} will try it again"
    return f"schedules have not seen to {first:%Y-%m-%d %H:%M} UTC, and may ask for it"


def _of_mirrors(jobs: Jobs, everything: list[Job]) -> Iterator[Reference]:
    folder = jobs.settings.store
    waiting = {spool.run.id: spool.mirror for spool in spools(folder)}
    for job in everything if waiting else ():
        if mirror := waiting.get(run_id(job.experiment, job.run)):
            yield "", job.name, f"its run is not all sent to {mirror}: nbtools push"
    inside = _naming(jobs)
    for shipment in shipments(folder):
        for name in inside(f"{shipment.folder}/"):
            yield "", name, f"its files are not all shipped to {shipment.uri}: nbtools push"


def _of_checkpoints(jobs: Jobs, everything: list[Job]) -> Iterator[Reference]:
    sockets = jobs.settings.runtime.glob("c-*-*.sock")
    there = {path.name.rpartition("-")[0] for path in sockets}
    for job in everything if there else ():
        kept = Checkpoints.of(jobs.settings.runtime, job.name)
        if kept.stem.name in there and kept.latest(job.cells):
            yield "", job.name, "its kernel's state is kept to be gone on from"


def _naming(jobs: Jobs) -> Callable[[str], set[str]]:
    """The names of the jobs whose folders a text names."""
    roots = {str(jobs.settings.store / "jobs"), str((jobs.settings.store / "jobs").resolve())}
    pattern = re.compile(f'(?:{"|".join(map(re.escape, roots))})/([^/"\\\\]+)')
    return lambda text: set(pattern.findall(text))
