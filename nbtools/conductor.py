"""Carries a sweep out: begins its trials, never more at a time than asked, and hears of
their ends.

Nothing of it is lost with this process. A trial is a job of its own, which goes on when
whoever began it is killed; its run says which trial it is, and who conducts next takes it
up from there. A lock sees to it that only one conducts.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from nbtools import cache, lineage, trials
from nbtools.batch import PAUSE, cores, room
from nbtools.design import Design
from nbtools.errors import NbtoolsError, RequestError, StateError
from nbtools.executor import Observation
from nbtools.jobs import Jobs, SubmittedJob
from nbtools.notebook import Notebook
from nbtools.nouns import Context, run_id
from nbtools.request import Plan, plan, shares_cores
from nbtools.search import search
from nbtools.trials import Trial

#: seconds in which a job that was handed over is heard of.
HANDOVER = 2.0


@dataclass
class Board:
    """A sweep at one moment, for who watches."""

    name: str
    design: Design
    parallel: int = 1  #: trials at a time
    ended: list[Trial] = field(default_factory=list)  #: in the order of their ends
    working: dict[int, tuple[Trial, SubmittedJob, Observation | None]] = field(default_factory=dict)

    @property
    def done(self) -> int:
        """How many trials have ended for good."""
        return sum(t.done for t in self.ended)

    @property
    def best(self) -> Trial | None:
        """The best so far, where there is an objective."""
        return trials.best(self.ended, self.design.direction)

    @property
    def left(self) -> float:
        """About how many seconds it will take; NaN before the first trial has ended."""
        took = [t.seconds for t in self.ended if t.seconds and not t.reused]
        if not took:
            return float("nan")
        rest = self.design.trials - self.done
        return sum(took) / len(took) * rest / max(1, min(self.parallel, rest))


#: is told whenever something has changed, with the trial that has ended, if one has.
Notice = Callable[[Board, Trial | None], None]


class Conductor:
    """Of one sweep. Use it within `alone`."""

    def __init__(self, jobs: Jobs, name: str, notice: Notice | None = None) -> None:
        self._jobs, self._store, self._name = jobs, jobs.store, name
        self._design = Design.of(self._context())
        self._notebook = Notebook.read(self._design.request.notebook)  # once: it may be edited
        self._search = search(self._design, trials.folder(self._store, name))
        self._parallel = self._design.parallel or room(self._design.trials)
        self._board = Board(name, self._design, self._parallel)
        self._notice = notice
        self._number, self._done = 0, False
        self._attempts: dict[int, int] = {}
        self._known: dict[str, str] = {}  #: fingerprint -> the run that this process has begun
        self._twins: dict[int, str] = {}  #: trial -> the run that does the same

    def run(self) -> str:
        """Carry out what is left; COMPLETE, or CANCELLED when somebody said so. Ctrl-C cancels
        the trials at work, begins no other, and is raised again.
        """
        board = self._board
        try:
            self._take_up()
            while True:
                cancelled = self._context().metadata["_state"] == "CANCELLED"
                while not cancelled and not self._done and self._running() < self._parallel:
                    self._begin()
                if cancelled:
                    self._cancel()
                if not board.working:
                    return "CANCELLED" if cancelled else "COMPLETE"
                self._jobs.wait([job for _, job, _ in board.working.values()], PAUSE)
                self._look()
        except BaseException:
            self._find_begun()
            self._cancel()
            while board.working:
                self._jobs.wait([job for _, job, _ in board.working.values()], PAUSE)
                self._look()
            raise

    # -- inside ---------------------------------------------------------------------

    def _context(self) -> Context:
        return self._store.get(Context, self._name)

    def _running(self) -> int:
        return len({job.name for _, job, _ in self._board.working.values()})

    def _take_up(self) -> None:
        """What has been done, or begun, by who conducted before."""
        self._jobs.reconcile()
        self._store.drain(self._jobs.clock())
        for trial in trials.trials(self._store, self._context(), self._jobs.clock()):
            self._attempts[trial.number] = trial.attempt
            if trial.reused:
                self._twins[trial.number] = run_id(trial.experiment, trial.run)
            job, seen = self._found(trial.job)
            if trial.state == "CANCELLED" or trial.died or not job.handle:
                self._twins.pop(trial.number, None)  # all of it again
                continue
            self._known[job.fingerprint] = run_id(trial.experiment, trial.run)
            if trial.ended:
                self._ended(trial)
            else:
                self._board.working[trial.number] = trial, job, seen
        self._met = {t.number for t in self._board.ended} | self._board.working.keys()

    def _found(self, name: str) -> tuple[SubmittedJob, Observation | None]:
        """The job, which who conducted before may just have handed over when it was killed."""
        end = time.monotonic() + HANDOVER
        while True:
            job, seen = self._jobs.look(name)
            if job.handle or job.state.final or time.monotonic() > end:
                return job, seen
            time.sleep(0.05)

    def _find_begun(self) -> None:
        """The trial that was being begun when we were interrupted."""
        now = self._jobs.clock()
        for trial in trials.trials(self._store, self._context(), now):
            if not trial.ended and trial.number not in self._board.working:
                job, seen = self._jobs.look(trial.job)
                if job.handle and not job.state.final:
                    self._board.working[trial.number] = trial, job, seen

    def _begin(self) -> None:
        """The next trial that there is nothing of."""
        self._number += 1
        number = self._number
        if number in self._met:
            return
        point = self._search.ask(number)
        if point is None:
            self._done = True
            return
        made = self._plan(number, point)
        found = "" if self._design.rerun else self._twin(made)
        if found:
            self._reuse(number, found)
            return
        job = self._jobs.begin(made)
        self._attempts[number] = self._attempts.get(number, 0) + 1
        self._watch(number, job)

    def _plan(self, number: int, point: dict[str, object]) -> Plan:
        jobs, request = self._jobs, self._design.request
        before = self._attempts.get(number, 0)
        sharing = self._parallel > 1 and shares_cores(request, jobs.settings)
        share = max(1, cores() // self._parallel) if sharing else 0
        asked = replace(
            request,
            params={**request.params, **point},
            run=f"{self._name}-{number}" + (f"-{before + 1}" if before else ""),
            threads=request.threads or share,
            report=False,
            sweep=self._name,
            trial=number,
        )
        return plan(asked, jobs.settings, jobs.clock(), self._notebook)

    def _twin(self, made: Plan) -> str:
        """The run that did, or is doing, the same."""
        inputs = [lineage.find(self._store, name) for name in made.request.inputs]
        same = cache.fingerprint(made, inputs)
        found = self._known.get(same, "")
        if not found and (job := cache.find(self._store, same)):
            found = run_id(job.experiment, job.run)
            context = self._store.get(Context, found)
            name = self._design.objective
            if name and trials.objective(self._store, context, name) is None:
                found = ""
        self._known[same] = found or run_id(made.job.experiment, made.job.run)
        return found

    def _reuse(self, number: int, run: str) -> None:
        """Take what that run comes to as this trial's."""

        def also(sweep: Context) -> Context:
            reused = {**sweep.metadata.get("reused", {}), str(number): run}
            return replace(sweep, metadata={**sweep.metadata, "reused": reused})

        self._store.amend(Context, self._name, also, self._jobs.clock())
        self._twins[number] = run
        trial = self._trial(number)
        if trial.ended:
            self._ended(trial)
        else:
            self._watch(number, self._jobs.get(trial.job))

    def _watch(self, number: int, job: SubmittedJob) -> None:
        self._board.working[number] = self._trial(number, job), job, None
        self._tell(None)

    def _trial(self, number: int, job: SubmittedJob | None = None) -> Trial:
        run = self._twins.get(number)
        if run is None and job is not None:
            run = run_id(job.experiment, job.run)
        elif run is None:
            trial = self._board.working[number][0]
            run = run_id(trial.experiment, trial.run)
        return trials.trial(
            self._store, self._design, number, self._store.get(Context, run), self._jobs.clock(),
            attempt=self._attempts.get(number, 1), reused=number in self._twins,
        )  # fmt: skip

    def _look(self) -> None:
        """How those at work stand; those that have ended leave the board."""
        changed = False
        for number, (trial, before, last) in list(self._board.working.items()):
            job, seen = self._jobs.look(before.name)
            changed |= (job, seen) != (before, last)
            self._board.working[number] = trial, job, seen
            if job.state.final:
                ended = self._trial(number)
                del self._board.working[number]
                self._ended(ended)
        if changed:
            self._tell(None)

    def _ended(self, trial: Trial) -> None:
        self._board.ended.append(trial)
        if trial.done:
            self._search.tell(trial)
        self._tell(trial)

    def _tell(self, trial: Trial | None) -> None:
        if self._notice:
            self._notice(self._board, trial)

    def _cancel(self) -> None:
        for _, job, _ in self._board.working.values():
            with suppress(NbtoolsError):  # it may just have ended
                self._jobs.cancel(job.name)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Be the only one to conduct the sweep of that folder. Raises StateError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise RequestError(
            f"cannot write {folder}: {error.strerror}; free some space, or set NBTOOLS_STORE"
        ) from None
    try:
        if not any(_taken(lock) for _ in range(5)):
            raise StateError(
                f"sweep {folder.name} is being carried out already: "
                f"`nbtools sweep status {folder.name}` says how it stands"
            )
        yield
    finally:
        os.close(lock)


def _taken(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        time.sleep(0.05)  # it may have been somebody who looks whether it is held
        return False
    return True


def is_conducted(folder: Path) -> bool:
    """Whether somebody is carrying out the sweep of that folder."""
    try:
        lock = os.open(folder / "lock", os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        # Shared, so that two who look at the same time do not take each other for it.
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False
