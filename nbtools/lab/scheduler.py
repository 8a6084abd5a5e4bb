"""The backend of jupyter-scheduler: its screens call these, and nothing else of ours.

One thread does the work, so the server's loop goes on meanwhile. jupyter-scheduler 2 awaits
what it is given; its successor, which tells a backend its id, calls from threads of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from jupyter_scheduler.exceptions import SchedulerError
from jupyter_scheduler.models import (
    CountJobsQuery,
    CreateJob,
    CreateJobDefinition,
    CreateJobFromDefinition,
    DescribeJob,
    ListJobDefinitionsQuery,
    ListJobsQuery,
    UpdateJob,
    UpdateJobDefinition,
)
from jupyter_scheduler.scheduler import BaseScheduler

from nbtools.errors import NbtoolsError
from nbtools.jobs import Jobs
from nbtools.lab.clock import Clock
from nbtools.lab.features import Features
from nbtools.lab.files import Files
from nbtools.lab.ids import job_id, job_named
from nbtools.lab.jobs import LabJobs
from nbtools.nouns import utc_now
from nbtools.settings import Settings
from nbtools.store import Store


class Scheduler(BaseScheduler):
    """Jobs and job definitions in the store of the server's folder."""

    #: what the server would have begun by itself; our clock is a process of its own.
    task_runner = None

    def __init__(
        self,
        root_dir: str,
        environments_manager: Any,
        db_url: str = "",  # noqa: ARG002 - theirs; we have our own store
        config: Any = None,
        backend_id: str = "",
        **options: Any,
    ) -> None:
        super().__init__(root_dir, environments_manager, config=config, **options)
        self.execution_manager_class = Features
        self.backend_id = backend_id
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="nbtools")
        self._jobs: LabJobs | None = None
        self._clock = Clock(Path(self.root_dir))
        self._clock.start()

    # -- jobs -------------------------------------------------------------------------

    def create_job(self, model: CreateJob) -> Any:
        return self._do(lambda jobs: job_id(jobs.create(model)))

    def list_jobs(self, query: ListJobsQuery) -> Any:
        def found(jobs: LabJobs) -> Any:
            listed = jobs.list(query)
            for model in listed.jobs:
                self._files(jobs).show(model)
            return listed

        return self._do(found)

    def count_jobs(self, query: CountJobsQuery) -> Any:
        return self._do(lambda jobs: jobs.count(query.status))

    def get_job(self, job_id: str, job_files: bool | None = True) -> Any:
        def found(jobs: LabJobs) -> DescribeJob:
            model = jobs.get(job_id)
            if job_files:
                self._files(jobs).show(model)
            return model

        return self._do(found)

    def update_job(self, job_id: str, model: UpdateJob) -> Any:
        return self._do(lambda jobs: jobs.update(job_id, model))

    def stop_job(self, job_id: str) -> Any:
        return self._do(lambda jobs: jobs.stop(job_id))

    def delete_job(self, job_id: str) -> Any:
        return self._do(lambda jobs: jobs.delete(job_id))

    def download(self, job_id: str, again: bool) -> Any:
        """Copy what a job has left to where the screens look for it."""
        return self._do(lambda jobs: self._files(jobs).download(jobs.get(job_id), again))

    # -- job definitions --------------------------------------------------------------

    def create_job_definition(self, model: CreateJobDefinition) -> Any:
        return self._do(lambda jobs: jobs.definitions.create(model), timed=True)

    def list_job_definitions(self, query: ListJobDefinitionsQuery) -> Any:
        return self._do(lambda jobs: jobs.definitions.list(query))

    def get_job_definition(self, job_definition_id: str) -> Any:
        return self._do(lambda jobs: jobs.definitions.get(job_definition_id))

    def update_job_definition(self, job_definition_id: str, model: UpdateJobDefinition) -> Any:
        return self._do(lambda jobs: jobs.definitions.update(job_definition_id, model), timed=True)

    def delete_job_definition(self, job_definition_id: str) -> Any:
        return self._do(lambda jobs: jobs.definitions.delete(job_definition_id))

    def create_job_from_definition(
        self, job_definition_id: str, model: CreateJobFromDefinition
    ) -> Any:
        return self._do(
            lambda jobs: job_id(jobs.definitions.begin(job_definition_id, model.parameters))
        )

    # -- files ------------------------------------------------------------------------

    def get_local_output_path(
        self, model: DescribeJob, root_dir_relative: bool | None = False
    ) -> str:
        below = Path(self.output_directory) / job_named(model.job_id)
        return str(below if root_dir_relative else Path(self.root_dir) / below)

    def add_job_files(self, model: DescribeJob) -> Any:
        return self._do(lambda jobs: self._files(jobs).show(model))

    def get_staging_paths(self, model: Any) -> Any:
        def found(jobs: LabJobs) -> dict[str, str]:
            if not isinstance(model, DescribeJob):
                schedule = jobs.definitions.schedules.get(model.name)
                return {"input": schedule.notebook}
            return {k: str(path) for k, (_, path) in self._files(jobs).found(model).items()}

        return self._do(found)

    # -- inside -----------------------------------------------------------------------

    def _files(self, jobs: LabJobs) -> Files:
        return Files(jobs, Path(self.root_dir), Path(self.output_directory))

    def _do(self, work: Callable[[LabJobs], Any], timed: bool = False) -> Any:
        future = self._thread.submit(self._carry_out, work, timed)
        return future.result() if self.backend_id else asyncio.wrap_future(future)

    def _carry_out(self, work: Callable[[LabJobs], Any], timed: bool) -> Any:
        try:
            if self._jobs is None:
                root = Path(self.root_dir)
                settings = Settings.load(root)
                jobs = Jobs(Store(settings.store), settings, utc_now)
                downloads = root / self.output_directory
                self._jobs = LabJobs(jobs, root, downloads, self.backend_id)
            done = work(self._jobs)
        except NbtoolsError as error:
            raise SchedulerError(str(error)) from None
        if timed:
            self._clock.look()
        return done
