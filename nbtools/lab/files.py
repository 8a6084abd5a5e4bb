"""What a job has left, as the screens show it, and its way into the server's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jupyter_scheduler.job_files_manager import JobFilesManager
from jupyter_scheduler.models import DescribeJob, JobFile
from jupyter_scheduler.utils import create_output_filename
from jupyter_server.utils import ensure_async

from nbtools.delivery import deliver
from nbtools.lab.describe import INPUT, side_paths
from nbtools.lab.jobs import LabJobs
from nbtools.lab.slip import FORMATS, Slip
from nbtools.nouns import Job

#: format -> the name of a download, and where the file lies.
Found = dict[str, tuple[str, Path]]


class Files:
    """The files of jobs."""

    def __init__(self, jobs: LabJobs, root: Path, below: Path) -> None:
        """`below` is the folder, from the server's `root`, that downloads go to."""
        self.jobs, self.root, self.below = jobs, root, below

    def show(self, model: DescribeJob) -> None:
        """Say of a job's files where they are, as far as they were downloaded."""
        job = self.jobs.job(model.job_id)
        found, folder = self.found(model), self.below / job.name
        names = {**FORMATS, "input": "Input"}
        shown = {key: name for key, name in names.items() if key in found}
        if not job.state.final:
            wanted = (*(model.output_formats or ()), "input")
            shown = {key: names[key] for key in wanted}
        model.job_files = [
            JobFile(display_name=name, file_format=key, file_path=self._there(folder, found, key))
            for key, name in shown.items()
        ]
        beside = side_paths(job, Slip.read(Path(job.folder)))
        if beside:
            there = all((self.root / folder / name).is_file() for name in beside)
            path = str(folder) if there else None
            model.job_files.append(
                JobFile(display_name="Files", file_format="files", file_path=path)
            )
        model.downloaded = all(file.file_path for file in model.job_files)

    def found(self, model: DescribeJob) -> Found:
        """The files that there are, or can be made at once, by format."""
        job = self.jobs.job(model.job_id)
        outputs = self.jobs.jobs.outputs(job)
        found: Found = {}
        if outputs.notebook and job.state.final:
            report = outputs.report or Path(job.folder) / f"{Path(job.notebook).stem}.html"
            lying = {"ipynb": outputs.notebook, "html": report}
            for key in model.output_formats or ():
                name = create_output_filename(model.input_filename, model.create_time, key)
                found[key] = name, lying[key]
        if source := _source(job):
            found["input"] = source.name, source
        return found

    def download(self, model: DescribeJob, again: bool) -> None:
        """Copy them below the server's folder; with `again` also what is there already.

        Raises RequestError when one cannot be written.
        """
        job, found = self.jobs.job(model.job_id), self.found(model)
        if "html" in found:
            self.jobs.jobs.report(job)
        wanted = side_paths(job, Slip.read(Path(job.folder)))
        wanted |= dict(found.values())
        to = self.root / self.below / job.name
        deliver({n: p for n, p in wanted.items() if again or not (to / n).is_file()}, to, again)

    def _there(self, folder: Path, found: Found, key: str) -> str | None:
        path = folder / found[key][0] if key in found else None
        return str(path) if path and (self.root / path).is_file() else None


class Manager(JobFilesManager):
    """Where the screens' download button ends; other backends' jobs are left to them."""

    def __init__(self, scheduler: Any = None, backend_registry: Any = None) -> None:
        self.scheduler, self._registry = scheduler, backend_registry
        if backend_registry is not None:
            super().__init__(backend_registry=backend_registry)

    async def copy_from_staging(self, job_id: str, redownload: Any = False) -> None:
        """Copy a job's files; returns when that is done."""
        from nbtools.lab.scheduler import Scheduler

        again = str(redownload).lower() == "true"  # it comes as text
        ours = self.scheduler
        if self._registry is not None:
            backend = self._registry.get_backend(job_id.partition(":")[0])
            ours = backend.scheduler if backend else None
        if isinstance(ours, Scheduler):
            await ensure_async(ours.download(job_id, again))
        else:
            await super().copy_from_staging(job_id, redownload)


def _source(job: Job) -> Path | None:
    """A job's notebook as it was, or else as it is now."""
    kept, now = Path(job.folder) / INPUT / Path(job.notebook).name, Path(job.notebook)
    return next((path for path in (kept, now) if path.is_file()), None)
