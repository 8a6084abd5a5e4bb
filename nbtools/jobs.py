"""Jobs: submit, look, wait, cancel. The only writer of job state.

A job's state changes in one place, `_advance`, by the table in `states.py`. Nothing runs
in the background here: whoever looks at a job asks its executor what it sees and writes
that down, so a job whose process died is found by the next command, whichever it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from nbtools import harvest, keyring, lineage, registry, revision
from nbtools.errors import (
    AlreadyExists,
    NbtoolsError,
    NotFound,
    RequestError,
    StateError,
)
from nbtools.executor import Observation
from nbtools.nouns import (
    JOB,
    NOTEBOOK,
    REPORT,
    Artifact,
    Context,
    Execution,
    Job,
    run_id,
    utc_now,
)
from nbtools.outputs import Outputs
from nbtools.runs import close_run, find_context, open_run
from nbtools.settings import Settings
from nbtools.states import AS_EXECUTION, MAY_FOLLOW, ExecutionState, JobState
from nbtools.store import Store

if TYPE_CHECKING:
    from nbtools.executor import Executor, Task
    from nbtools.request import Plan, Request

#: a job that was remembered but not handed over in this time was left by a crash.
HANDOVER = timedelta(seconds=60)
UNFINISHED = (ExecutionState.NEW, ExecutionState.RUNNING)


class SubmittedJob(Job):
    """A job that can be waited for; every other field is the record's."""

    def refresh(self) -> SubmittedJob:
        """The same job as it stands now."""
        return Jobs.open().get(self.name)

    def wait(self, timeout: float | None = None) -> SubmittedJob:
        """Wait until it ends, at most `timeout` seconds; returns it as it then stands."""
        jobs = Jobs.open()
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            job = jobs.get(self.name)
            if job.state.final or (deadline is not None and time.monotonic() > deadline):
                return job
            time.sleep(0.05)

    def cancel(self) -> SubmittedJob:
        """Ask it to stop; wait() tells when it has."""
        return Jobs.open().cancel(self.name)

    def resume(self, checkpoint: str = "", from_cell: str | int = "failed-cell") -> SubmittedJob:
        """Begin a job that goes on where this one stopped; see `nbtools.resume`."""
        from nbtools.resume import resume

        return resume(Jobs.open(), self.name, checkpoint, from_cell)

    def retry(self, *, changed: bool = False) -> SubmittedJob:
        """Begin a job that executes the same again; see `nbtools.retry`."""
        from nbtools.retry import retry

        return retry(Jobs.open(), self.name, changed=changed)

    @property
    def outputs(self) -> Outputs:
        """What it has left behind so far."""
        return Jobs.open().outputs(self)


class Jobs:
    """The jobs of one store."""

    def __init__(
        self, store: Store, settings: Settings, clock: Callable[[], datetime] = utc_now
    ) -> None:
        self.store, self.settings, self.clock = store, settings, clock
        self._executors: dict[str, Executor] = {}

    @classmethod
    def open(cls) -> Jobs:
        """The jobs of the store that the settings name."""
        settings = Settings.load()
        return cls(Store(settings.store), settings)

    def submit(self, request: Request) -> SubmittedJob:
        """Check the request, remember the job, hand it to its executor.

        Raises RequestError, with nothing remembered, for anything wrong with the request.
        """
        from nbtools.request import plan  # here: looking at jobs reads no notebook

        return self.begin(plan(request, self.settings, self.clock()))

    def begin(self, made: Plan) -> SubmittedJob:
        """Remember the job of a request that was found in order, and hand it over.

        With `cache`, a job that succeeded with the same before is returned instead.
        """
        from nbtools import cache

        inputs = [lineage.find(self.store, name) for name in made.request.inputs]
        same = cache.fingerprint(made, inputs)
        if made.request.cache and (found := cache.take(self.store, same, self.clock())):
            return _submitted(found)
        made = replace(made, job=replace(made.job, fingerprint=same))
        self.remember(made, inputs)
        return self.hand_over(made.task)

    def remember(self, made: Plan, inputs: Sequence[Artifact]) -> None:
        """Remember a job, which `hand_over` will begin. Raises AlreadyExists."""
        now = self.clock()
        with self.store.write():
            self._remember(made, made.request.resume, now)
            for artifact in inputs:
                lineage.read(self.store, artifact, made.job.name, now)
            made.lay_out()  # inside: a full disk leaves no job without its files

    def hand_over(self, task: Task) -> SubmittedJob:
        """Have a job begun that is remembered; again, or by several at once, is the same."""
        name, now = task.job, self.clock()
        remembered = self.store.get(Execution, name).metadata
        executor = self._executor(remembered["executor"])
        try:
            handle = executor.start(task, keyring.find(task.secrets, self.settings))
        except AlreadyExists:  # another has begun it, is about to, or has died over that
            return self.look(name)[0]
        except NbtoolsError as error:
            failed = Observation(state=JobState.FAILED, error=str(error), end_time=now)
            self._observe(name, failed, now)
            raise
        revision.ask(Path(remembered["notebook"]), task.folder)  # now: while its kernel starts
        job = self._advance(name, Observation(state=JobState.PENDING), now, handle=handle)
        if job.state is JobState.CANCELLING or job.state.final:  # asked for in the meantime
            executor.stop(handle)
        return job

    def get(self, name: str) -> SubmittedJob:
        """The job of that name as it stands now; also by an unmistakable beginning of its
        name, or `last` for the newest. Raises NotFound.
        """
        return self.look(self._full_name(name))[0]

    def list(self, limit: int = -1) -> list[SubmittedJob]:
        """All jobs as they stand now, newest first."""
        self.reconcile()
        executions = self.store.select(Execution, JOB, limit=limit)
        return [_submitted(Job.of(e)) for e in executions]

    def look(self, name: str) -> tuple[SubmittedJob, Observation | None]:
        """Ask the executor how the job stands, and write it down.

        The observation is None when the job has ended or was not handed over yet.
        """
        job, now = Job.of(self.store.get(Execution, name)), self.clock()
        if job.state.final:
            return _submitted(job), None
        if not job.handle:
            executor = self._executor(job.executor)
            if handle := executor.begun(Path(job.folder)):
                if job.state is JobState.CANCELLING:
                    executor.stop(handle)
                self._advance(name, Observation(state=JobState.PENDING), now, handle=handle)
                return self.look(name)
            if job.state is JobState.CANCELLING:  # who is about to begin it will see that
                return self._observe(name, Observation(state=JobState.CANCELLED), now), None
            if job.create_time and now - job.create_time < HANDOVER:
                return _submitted(job), None
            if job.schedule:  # a service will begin it
                return _submitted(job), None
            error = "whoever submitted it ended before handing it over; run it again"
            return self._observe(name, Observation(state=JobState.FAILED, error=error), now), None
        seen = self._executor(job.executor).poll(job.handle, now)
        return self._observe(name, seen, now), seen

    def follow(self, name: str, pause: float = 0.1) -> Iterator[tuple[SubmittedJob, Observation]]:
        """Yield the job each time something about it has changed, until it has ended."""
        before: object = None
        while True:
            job, seen = self.look(name)
            if (job, seen) != before:
                yield job, seen or Observation(state=job.state, cell=job.cell, cells=job.cells)
            if job.state.final:
                return
            before = job, seen
            self.wait([job], pause)

    def wait(self, jobs: Iterable[Job], seconds: float) -> None:
        """Return when one of them may have ended, after `seconds` at the latest."""
        handles: dict[str, list[str]] = {}
        for job in jobs:
            handles.setdefault(job.executor, []).append(job.handle)
        for name, theirs in handles.items():  # several executors take turns
            self._executor(name).wait(theirs, seconds / len(handles))

    def reconcile(self) -> None:
        """Bring every unfinished job up to date: what died is found here."""
        for execution in self.store.select(Execution, JOB, states=UNFINISHED):
            self.look(execution.name)

    def cancel(self, name: str) -> SubmittedJob:
        """Ask a job to stop. Raises StateError when it has ended already."""
        job = self.get(name)
        if job.state.final:
            raise StateError(f"job {job.name} has ended already: it is {job.state}")
        self._advance(job.name, Observation(state=JobState.CANCELLING), self.clock())
        if job.handle:
            self._executor(job.executor).stop(job.handle)
        return self.get(job.name)

    def outputs(self, job: Job) -> Outputs:
        """What a job has left behind so far."""
        self.store.drain(self.clock())
        return Outputs.of(job, self.store)

    def report(self, job: Job) -> Path:
        """The job's report, made now if it was not made before. Raises NotFound without a
        notebook to make it from.
        """
        outputs = self.outputs(job)
        if outputs.report:
            return outputs.report
        if outputs.notebook is None:
            raise NotFound(f"job {job.name} has left no notebook to make a report of")
        import nbformat

        from nbtools.page import write_report

        path = Path(job.folder) / f"{Path(job.notebook).stem}.html"
        write_report(nbformat.read(outputs.notebook, as_version=4), path, path.stem)
        context = run_id(job.experiment, job.run)
        if job.state.final and self.store.find(Context, context):  # else the run was deleted
            self._left(job.name, "report", REPORT, path, context)
        return path

    # -- inside ---------------------------------------------------------------------

    def _left(self, job: str, what: str, schema: str, path: Path, context: str) -> None:
        artifact = lineage.of_file(f"{job}-{what}", path, schema)
        lineage.left(self.store, artifact, job, context, self.clock())

    def _executor(self, name: str) -> Executor:
        """One for all jobs of that name: it may know more of those it began itself."""
        if name not in self._executors:
            self._executors[name] = registry.executor(name)
        return self._executors[name]

    def _full_name(self, name: str) -> str:
        if name == "last":
            found = self.store.select(Execution, JOB, limit=1)
        elif self.store.find(Execution, name):
            return name
        else:
            found = self.store.select(Execution, JOB, prefix=name, limit=2) if name else []
        if not found:
            raise NotFound(f"no job {name!r}: `nbtools jobs list` shows them")
        if len(found) > 1:
            raise RequestError(f"{name!r} is the beginning of several jobs: give more of the name")
        return found[0].name

    def _remember(self, made: Plan, resume: bool, now: datetime) -> None:
        """The job's part of the graph: experiment, run, execution, source notebook."""
        store, job = self.store, made.job
        old = find_context(store, job.experiment, job.run)
        before = str(old.metadata.get("_job", "")) if old else ""
        for other in filter(None, (job.retry_of, job.resume_of)):
            store.get(Execution, other)  # else it was pruned in this moment, with its files
        there = bool(before) and store.find(Execution, before) is not None
        if resume and there and not self.look(before)[0].state.final:
            raise StateError(
                f"run {job.run!r} is still at work in job {before}: wait, or cancel it"
            )
        params = made.notebook.effective(job.params)
        context = open_run(
            store, job.experiment, job.run, now, params=params, resume=resume, job=job.name
        )
        if sweep := made.request.sweep:
            mark = {"_sweep": sweep, "_trial": made.request.trial}
            store.amend(
                Context, context.name, lambda c: replace(c, metadata={**c.metadata, **mark}), now
            )
            store.add_child(sweep, context.name)
        store.add(job.execution(), now)
        store.associate(context.name, execution=job.name)
        source = made.source or lineage.of_source(store, made.notebook.path)
        lineage.read(store, source, job.name, now)

    def _observe(self, name: str, seen: Observation, now: datetime) -> SubmittedJob:
        """Write down what was seen; at the end also what was left behind, in one go."""
        if not seen.state.final:
            return self._advance(name, seen, now)
        with self.store.write():
            job = self._advance(name, seen, now, note=self._harvested(name, now))
            self.store.drain(now)
            outputs = Outputs.of(job, self.store)
            context = run_id(job.experiment, job.run)
            found = (("notebook", NOTEBOOK, outputs.notebook), ("report", REPORT, outputs.report))
            for what, schema, path in found:
                if path:
                    self._left(name, what, schema, path, context)
            if found_at := revision.read(Path(job.folder)):
                lineage.located(self.store, job, found_at, now)
            close_run(self.store, context, AS_EXECUTION[job.state], job.error, now)
        return job

    def _harvested(self, name: str, now: datetime) -> str:
        """Take home the run of a notebook that could not reach this store; what is missing."""
        job = Job.of(self.store.get(Execution, name))
        if job.state.final or "store" not in self._executor(job.executor).differs:
            return ""
        return harvest.harvest(self.store, job, Outputs.of(job, self.store).notebook, now)

    def _advance(
        self, name: str, seen: Observation, now: datetime, handle: str = "", note: str = ""
    ) -> SubmittedJob:
        """The only place where a job's state is changed."""

        def change(execution: Execution) -> Execution:
            job = Job.of(execution)
            if job.state.final:
                return execution
            state = seen.state if seen.state in MAY_FOLLOW[job.state] else job.state
            new = replace(
                job,
                state=state,
                handle=handle or job.handle,
                cell=max(seen.cell, job.cell),
                cells=seen.cells or job.cells,
                error=seen.error or job.error,
                note="; ".join(filter(None, (job.note, note))),
                start_time=seen.start_time or job.start_time,
                end_time=(seen.end_time or now) if state.final else None,
            ).execution()
            return replace(new, create_time=execution.create_time, etag=execution.etag,
                           update_time=execution.update_time)  # fmt: skip

        return _submitted(Job.of(self.store.amend(Execution, name, change, now)))


def _submitted(job: Job) -> SubmittedJob:
    return SubmittedJob(**vars(job))
