"""Removes what the rules of retention let go: so that a crash anywhere leaves what can be finished.

A job's record is forgotten and its folder put aside (renamed) in one transaction; what is
aside is deleted afterwards. Whoever prunes next finds what a killed one has left: a folder
aside whose record is still there was not meant to go yet, and is put back; any other is
deleted. Within the transaction it is decided anew, so a job that began to refer to another
in the meantime keeps it; one that comes later finds it gone, and says so.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from nbtools import removal, retention
from nbtools.errors import RequestError, StateError
from nbtools.jobs import Jobs
from nbtools.nouns import Artifact, Execution, Job, run_id
from nbtools.retention import Rules
from nbtools.spool import take_lock

#: jobs that one transaction takes.
BATCH = 100
#: no tick that is younger goes: should the clock be put back, it tells what was seen to.
TICKS = timedelta(days=2)
#: no folder without a record that is younger goes: its job may be about to be remembered.
ORPHANS = timedelta(hours=1)
#: how old those may be where no age is given.
AGE = timedelta(days=1)
_ASIDE = re.compile(r"\.(.+)\.pruned\Z")


@dataclass(frozen=True, kw_only=True)
class Going:
    """A job, or a folder without one, that goes."""

    name: str
    notebook: str  #: its notebook; empty: a folder that no job belongs to
    end_time: datetime | None  #: UTC
    bytes: int  #: of its folder


@dataclass(frozen=True, kw_only=True)
class Prospect:
    """What would go, or has gone."""

    jobs: tuple[Going, ...]
    orphans: tuple[Going, ...]  #: folders that no job belongs to
    staying: dict[str, str]  #: jobs that are old enough, and why each stays
    kept: int  #: jobs that stay because they are young, or among the newest
    ticks: int  #: times of schedules that go from their histories
    notices: int  #: notices that were sent, or given up, and go

    @property
    def bytes(self) -> int:
        """All that becomes free on disk."""
        return sum(going.bytes for going in (*self.jobs, *self.orphans))

    @property
    def nothing(self) -> bool:
        """Whether nothing goes."""
        return not (self.jobs or self.orphans or self.ticks or self.notices)


def prospect(jobs: Jobs, rules: Rules, now: datetime) -> Prospect:
    """What would go. Raises RequestError when the rules make no sense."""
    rules.check()
    jobs.reconcile()
    with jobs.store.write():
        decision = retention.decide(jobs, rules, now)
        orphans = tuple(_orphans(jobs, rules, now))
        names = [job.name for job in decision.going]
        timetable, ticks = jobs.store.timetable, 0
        for schedule in _schedules(jobs, rules):
            ticks += timetable.finished(schedule, _until(jobs, rules, schedule, now), names)
        notices = timetable.told(*_notices(rules, now))
    going = tuple(_going(folder(jobs, job.name), job) for job in decision.going)
    without = tuple(_going(path) for path in orphans)
    return Prospect(jobs=going, orphans=without, staying=decision.staying, kept=decision.kept,
                    ticks=ticks, notices=notices)  # fmt: skip


def prune(jobs: Jobs, rules: Rules, now: datetime, shown: Prospect | None = None) -> Prospect:
    """Remove what may go; of what was `shown` before only what may go still.

    Raises RequestError when the rules make no sense or files cannot be removed, StateError
    when another is at it.
    """
    rules.check()
    with _alone(jobs):
        recover(jobs)
        shown = shown or prospect(jobs, rules, now)
        gone = tuple(_jobs(jobs, rules, now, {going.name: going for going in shown.jobs}))
        orphans = []
        for going in shown.orphans:
            with jobs.store.write():  # within: a job of that name may be about to be remembered
                known = jobs.store.find(Execution, going.name)
                aside = None if known else _aside(jobs, going.name)
            if aside:
                _delete(aside)
                orphans.append(going)
        with jobs.store.write():
            timetable, ticks = jobs.store.timetable, 0
            for schedule in _schedules(jobs, rules):
                ticks += timetable.forget(schedule, _until(jobs, rules, schedule, now))
            notices = timetable.forget_told(*_notices(rules, now))
    return Prospect(jobs=gone, orphans=tuple(orphans), staying=shown.staying,
                    kept=shown.kept, ticks=ticks, notices=notices)  # fmt: skip


def recover(jobs: Jobs) -> int:
    """Finish, or undo, what was left by one that was killed; returns how many folders."""
    count = 0
    for path in _folders(jobs):
        if not (found := _ASIDE.match(path.name)):
            continue
        count += 1
        back = path.with_name(found[1])
        if jobs.store.find(Execution, found[1]) and not os.path.lexists(back):
            path.rename(back)
        else:
            _delete(path)
    return count


def folder(jobs: Jobs, name: str) -> Path:
    """Where the files of the job of that name lie."""
    return jobs.settings.store / "jobs" / name


def size(path: Path) -> int:
    """The bytes of all files below a folder; of a link its own."""
    total = 0
    for root, _, names in os.walk(path):
        for name in names:
            try:
                total += (Path(root) / name).lstat().st_size
            except FileNotFoundError:
                continue  # just removed
    return total


# -- inside -----------------------------------------------------------------------------


def _jobs(jobs: Jobs, rules: Rules, now: datetime, shown: dict[str, Going]) -> Iterator[Going]:
    decided: tuple[int, list[Job]] = (-1, [])
    gone: set[str] = set()
    while True:
        try:
            with jobs.store.write():
                if decided[0] != jobs.store.version[0]:  # another has written meanwhile
                    left = retention.decide(jobs, rules, now, shown.keys() - gone).going
                    decided = jobs.store.version[0], list(left)
                batch, rest = decided[1][:BATCH], decided[1][BATCH:]
                for job in batch:
                    _forget(jobs, job)
                    _aside(jobs, job.name)  # the last of it: then it is all, or put back
        except BaseException:
            recover(jobs)
            raise
        if not batch:
            return
        decided = decided[0], rest
        gone |= {job.name for job in batch}
        jobs.store.sync()  # a record must not come back without its files when the power fails
        for job in batch:
            _delete(_aside_of(jobs, job.name))
            yield shown[job.name]


def _forget(jobs: Jobs, job: Job) -> None:
    """The job's record, and those of the files in its folder; within a transaction."""
    store, run = jobs.store, run_id(job.experiment, job.run)
    touched = [store.get(Artifact, event.artifact) for event in store.events(execution=job.name)]
    touched += store.select(Artifact, context=run)
    roots = (job.folder, str(folder(jobs, job.name)))
    own = [a.name for a in touched if a.uri.startswith(tuple(f"{root}/" for root in roots))]
    removal.remove(store, Execution, job.name)
    for name in {*own, *removal.unused(store, (artifact.name for artifact in touched))}:
        removal.remove(store, Artifact, name)


def _aside_of(jobs: Jobs, name: str) -> Path:
    return folder(jobs, name).with_name(f".{name}.pruned")


def _aside(jobs: Jobs, name: str) -> Path:
    aside = _aside_of(jobs, name)
    try:
        folder(jobs, name).rename(aside)
    except FileNotFoundError:
        pass  # removed by hand: there is nothing to put aside
    except OSError as error:
        raise RequestError(
            f"cannot remove {folder(jobs, name)}: {error.strerror}; mend that, and prune again"
        ) from None
    return aside


def _delete(path: Path) -> None:
    if path.is_symlink():
        path.unlink()  # what it leads to is not ours
    elif path.exists():
        try:
            shutil.rmtree(path)
        except OSError as error:
            raise RequestError(
                f"cannot remove {error.filename}: {error.strerror}; mend that, and prune again"
            ) from None


def _folders(jobs: Jobs) -> list[Path]:
    try:
        return sorted((jobs.settings.store / "jobs").iterdir())
    except FileNotFoundError:
        return []


def _orphans(jobs: Jobs, rules: Rules, now: datetime) -> Iterator[Path]:
    if rules.chosen:
        return  # nobody knows what they were of
    age = max(AGE if rules.keep is None else rules.keep, ORPHANS)
    for path in _folders(jobs):
        known = path.name.startswith(".") or jobs.store.find(Execution, path.name)
        if not known and path.is_dir() and not path.is_symlink():
            times = (p.lstat().st_mtime for p in (path, *path.iterdir()))
            if now - datetime.fromtimestamp(max(times), UTC) > age:
                yield path


def _schedules(jobs: Jobs, rules: Rules) -> list[str]:
    """Those whose histories are cut too."""
    if rules.experiment or rules.notebook:
        return []
    return [s.name for s in jobs.store.timetable.all() if rules.schedule in ("", s.name)]


def _until(jobs: Jobs, rules: Rules, schedule: str, now: datetime) -> datetime:
    """Ticks before this may go: not those of the rules, nor the last that was executed, nor
    what schedules that come after may still ask for.
    """
    timetable = jobs.store.timetable
    times = [_age(rules, now)]
    times += timetable.executed(schedule, max(1, rules.keep_last))
    if first := timetable.first_unfinished():
        times.append(first)
    return min(times)


def _notices(rules: Rules, now: datetime) -> tuple[str | None, datetime]:
    """Of which schedule, None for all, notices go, and up to when."""
    if rules.experiment or rules.notebook:
        return "", now  # of none
    return rules.schedule or None, _age(rules, now)


def _age(rules: Rules, now: datetime) -> datetime:
    return now - max(rules.keep or TICKS, TICKS)


def _going(path: Path, job: Job | None = None) -> Going:
    return Going(name=path.name, notebook=job.notebook if job else "",
                 end_time=job.end_time if job else None, bytes=size(path))  # fmt: skip


@contextmanager
def _alone(jobs: Jobs) -> Iterator[None]:
    path = jobs.settings.store / "prune.lock"
    try:
        lock = take_lock(path)
    except OSError as error:
        raise RequestError(f"cannot write {path}: {error.strerror}; mend that") from None
    if lock < 0:
        raise StateError("another prune is at work on this store: wait for its end")
    try:
        yield
    finally:
        os.close(lock)
