"""Jobs of the screens: created, listed, stopped and deleted in our store."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path

from jupyter_scheduler.exceptions import IdempotencyTokenError
from jupyter_scheduler.models import (
    CreateJob,
    DescribeJob,
    ListJobsQuery,
    ListJobsResponse,
    SortDirection,
    Status,
    UpdateJob,
)

from nbtools import disposal, retention
from nbtools.errors import AlreadyExists, RequestError, StateError
from nbtools.jobs import Jobs
from nbtools.lab import intake
from nbtools.lab.definitions import Definitions
from nbtools.lab.describe import INPUT, job_model, millis
from nbtools.lab.ids import job_named, schedule_named
from nbtools.lab.listing import Keys, bounds, next_token, ordered
from nbtools.lab.slip import Slip
from nbtools.lab.status import STATUS, states
from nbtools.nouns import JOB, Execution, Job, job_name, slug
from nbtools.request import Request, plan
from nbtools.retention import Rules

#: seconds that deleting a job waits for it to stop.
PATIENCE = 15.0


@dataclass(frozen=True)
class Row:
    """A job of a list; what its slip says is read when it is asked for."""

    job: Job
    update_time: datetime | None
    definitions: Definitions

    @cached_property
    def slip(self) -> Slip:
        """Its own, or that of the definition that has made it."""
        own = Slip.read(Path(self.job.folder))
        return own if own.name or not self.job.schedule else self.definitions.slip_of(self.job)

    @property
    def name(self) -> str:
        """What people call it."""
        return self.slip.name or Path(self.job.notebook).stem


#: what lists can be sorted by.
KEYS: Keys[Row] = {
    "name": lambda row: row.name.lower(),
    "input_filename": lambda row: Path(row.job.notebook).name.lower(),
    "create_time": lambda row: row.job.create_time,
    "update_time": lambda row: row.update_time,
    "start_time": lambda row: row.job.start_time,
    "end_time": lambda row: row.job.end_time,
    "status": lambda row: STATUS[row.job.state].value,
    "runtime_environment_name": lambda row: row.job.kernel,
    "compute_type": lambda row: row.job.executor,
}


class LabJobs:
    """What the screens do with jobs. Every method raises NbtoolsError, saying what is wrong."""

    def __init__(self, jobs: Jobs, root: Path, downloads: Path, backend: str) -> None:
        """`root` is the server's, `downloads` where files are downloaded to below it."""
        self.jobs, self.root, self.downloads, self.backend = jobs, root, downloads, backend
        self.definitions = Definitions(jobs, root)

    def create(self, model: CreateJob) -> str:
        """Check what is asked for, and begin the job; returns its name.

        Raises InputUriError for a notebook that is not there, IdempotencyTokenError when the
        token was used before.
        """
        intake.need_none(model.runtime_environment_parameters)
        source, now = intake.notebook_at(self.root, model.input_uri), self.jobs.clock()
        packaged, formats = (
            bool(model.package_input_folder),
            intake.formats_of(model.output_formats),
        )
        if packaged and not intake.takes_folder(model.compute_type or "", self.jobs.settings):
            raise RequestError(
                "there are no folders of yours where this is executed: leave out "
                "'Run job with input folder'"
            )
        name = self._name(source, model.idempotency_token, now)
        folder = disposal.folder(self.jobs, name)
        request = Request(
            notebook=source,
            params=intake.params_of(source, model.parameters),
            kernel=intake.kernel_of(model.runtime_environment_name),
            executor=model.compute_type or "",
            report="html" in formats,
            job=name,
        )
        slip = Slip(name=model.name, tags=tuple(model.tags or ()), output_formats=formats,
                    package_input_folder=packaged, token=model.idempotency_token or "")  # fmt: skip
        made = plan(request, self.jobs.settings, now)  # before anything is copied
        try:
            self._lay_in(source, folder, packaged)
            if packaged:
                there = replace(request, cwd=folder / INPUT)
                made = plan(there, self.jobs.settings, now)
            slip.write(folder)
            self.jobs.begin(made)
        except BaseException as error:
            if self.jobs.store.find(Execution, name) is None:
                shutil.rmtree(folder, ignore_errors=True)
            elif isinstance(error, AlreadyExists) and model.idempotency_token:
                raise IdempotencyTokenError(model.idempotency_token) from None
            raise
        return name

    def get(self, id_: str) -> DescribeJob:
        """A job as it stands now. Raises NotFound."""
        job = self.job(id_)
        return self._model(self._row(self.jobs.store.get(Execution, job.name)))

    def job(self, id_: str) -> Job:
        """The record of the job of an id. Raises NotFound."""
        return self.jobs.look(job_named(id_))[0]

    def list(self, query: ListJobsQuery) -> ListJobsResponse:
        """The jobs that fit a query, a page of them."""
        self.jobs.reconcile()
        begin, count = bounds(query.max_items, query.next_token)
        if _plain(query):  # as the screens ask: no need to read all of them
            found = self.jobs.store.select(Execution, JOB, limit=count, offset=begin)
            rows, total = list(map(self._row, found)), sum(self.jobs.store.tally.jobs().values())
        else:
            fit = ordered(self._fitting(query), query.sort_by, KEYS)
            rows, total = fit[begin : begin + count], len(fit)
        return ListJobsResponse(
            jobs=list(map(self._model, rows)), total_count=total,
            next_token=next_token(begin, len(rows), total),
        )  # fmt: skip

    def count(self, status: Status) -> int:
        """How many jobs have a status."""
        self.jobs.reconcile()
        tally = self.jobs.store.tally.jobs()
        return sum(tally.get(state, 0) for state in states(status))

    def stop(self, id_: str) -> None:
        """Ask a job to stop. Raises StateError when it has ended."""
        self.jobs.cancel(job_named(id_))

    def update(self, id_: str, model: UpdateJob) -> None:
        """Rename a job, or stop it; where it is executed cannot be changed any more."""
        job = self.job(id_)
        if model.compute_type not in (None, job.executor):
            raise StateError(f"job {job.name} was begun by {job.executor}: create another")
        if model.name:
            row = self._row(self.jobs.store.get(Execution, job.name))
            replace(row.slip, name=model.name).write(Path(job.folder))
        if model.status is Status.STOPPED:
            self.stop(id_)

    def delete(self, id_: str) -> None:
        """Stop a job and remove its record and its files; the values of its run stay.

        Raises StateError, with nothing removed, when something else still refers to it.
        """
        job = self.job(id_)
        if not job.state.final:
            self.jobs.cancel(job.name)
            deadline = time.monotonic() + PATIENCE
            while not (job := self.jobs.look(job.name)[0]).state.final:
                if time.monotonic() > deadline:
                    raise StateError(f"job {job.name} is still stopping: delete it in a moment")
                self.jobs.wait([job], 0.1)
        rules = Rules(keep=timedelta(0), experiment=job.experiment)
        going = disposal.Going(name=job.name, notebook=job.notebook, end_time=job.end_time, bytes=0)
        only = disposal.Prospect(jobs=(going,), orphans=(), staying={}, kept=0, ticks=0, notices=0)
        now = self.jobs.clock()
        if not disposal.prune(self.jobs, rules, now, only).jobs:
            with self.jobs.store.write():
                staying = retention.decide(self.jobs, rules, now, {job.name}).staying
            raise StateError(f"job {job.name} stays: {staying.get(job.name, 'it is in use')}")
        self.definitions.sweep()

    # -- inside ---------------------------------------------------------------------

    def _name(self, source: Path, token: str | None, now: datetime) -> str:
        """A new job's name; with a token always the same one."""
        if not token:
            return job_name(source, now, hashlib.sha256(str(now).encode()).hexdigest()[:8])
        mark = f"-once-{hashlib.sha256(token.encode()).hexdigest()[:16]}"
        if any(e.name.endswith(mark) for e in self.jobs.store.select(Execution, JOB)):
            raise IdempotencyTokenError(token)
        return slug(source.stem, 40) + mark

    def _lay_in(self, source: Path, folder: Path, packaged: bool) -> None:
        """Keep the notebook as it is now, and what lies beside it where that is asked for."""
        if packaged:
            out = [self.jobs.settings.store, self.downloads]
            intake.copy_folder(source.parent, folder / INPUT, out)
        try:
            (folder / INPUT).mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, folder / INPUT / source.name)
        except OSError as error:
            raise RequestError(
                f"cannot write {folder}: {error.strerror}; free some space, "
                "or set NBTOOLS_STORE to another folder"
            ) from None

    def _row(self, execution: Execution) -> Row:
        return Row(Job.of(execution), execution.update_time, self.definitions)

    def _model(self, row: Row) -> DescribeJob:
        return job_model(row.job, row.slip, row.update_time, self.backend)

    def _fitting(self, query: ListJobsQuery) -> Sequence[Row]:
        rows = list(map(self._row, self.jobs.store.select(Execution, JOB)))
        if query.status:
            wanted = states(query.status)
            rows = [row for row in rows if row.job.state in wanted]
        if query.job_definition_id:
            schedule = schedule_named(query.job_definition_id)
            rows = [row for row in rows if row.job.schedule == schedule]
        if query.start_time:
            since = int(query.start_time)
            rows = [row for row in rows if (millis(row.job.start_time) or 0) >= since]
        if query.name:
            begin = query.name.lower()
            rows = [row for row in rows if row.name.lower().startswith(begin)]
        if query.tags:
            tags = set(query.tags)
            rows = [row for row in rows if tags <= set(row.slip.tags)]
        return rows


def _plain(query: ListJobsQuery) -> bool:
    asked = (query.status, query.job_definition_id, query.start_time, query.name, query.tags)
    by = [(f.name, f.direction) for f in query.sort_by]
    return not any(asked) and by in ([], [("create_time", SortDirection.desc)])
