"""Job definitions of the screens: our schedules, with a copy of the notebook as it was."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from jupyter_scheduler.models import (
    CreateJobDefinition,
    DescribeJobDefinition,
    ListJobDefinitionsQuery,
    ListJobDefinitionsResponse,
    UpdateJobDefinition,
)

from nbtools.attempt import attempt
from nbtools.cron import written
from nbtools.errors import AlreadyExists, RequestError
from nbtools.jobs import Jobs
from nbtools.lab import intake
from nbtools.lab.describe import definition_model, millis
from nbtools.lab.ids import definition_id, schedule_named
from nbtools.lab.listing import Keys, bounds, next_token, ordered
from nbtools.lab.slip import Slip
from nbtools.notebook import Notebook
from nbtools.nouns import JOB, Execution, Job, slug, stamp
from nbtools.schedule import Schedule, Tick
from nbtools.schedule_check import MAX_NAME
from nbtools.schedules import Schedules

Shown = tuple[Schedule, Slip]
#: what lists can be sorted by.
KEYS: Keys[Shown] = {
    "name": lambda shown: (shown[1].name or shown[0].name).lower(),
    "input_filename": lambda shown: Path(shown[0].notebook).name.lower(),
    "create_time": lambda shown: shown[0].create_time,
    "update_time": lambda shown: shown[0].update_time,
    "schedule": lambda shown: shown[0].cron,
    "timezone": lambda shown: shown[0].cron,
    "active": lambda shown: shown[0].state.value,
}


class Definitions:
    """What the screens do with job definitions. Every method raises NbtoolsError."""

    def __init__(self, jobs: Jobs, root: Path) -> None:
        self.jobs, self.root, self.schedules = jobs, root, Schedules(jobs)
        self.folder = jobs.settings.store / "lab"

    def create(self, model: CreateJobDefinition) -> str:
        """Check a definition and have it be due; returns its id. Raises InputUriError."""
        intake.need_none(model.runtime_environment_parameters)
        if not model.schedule:
            raise RequestError("a job definition needs a schedule: choose one, or run it now")
        if model.package_input_folder:
            raise RequestError(
                "what is scheduled is executed in its notebook's folder and sees its files as "
                "they are by then: leave out 'Run job with input folder'"
            )
        source = intake.notebook_at(self.root, model.input_uri)
        params = intake.params_of(source, model.parameters)
        formats, cron = intake.formats_of(model.output_formats), written(
            model.schedule, model.timezone or ""
        )  # fmt: skip
        for name in _names(model.name):
            if self.schedules.timetable.find(name) or (self.folder / name).exists():
                continue
            schedule = Schedule(
                name=name, cron=cron, notebook=str(self.folder / name / source.name),
                params=params, executor=model.compute_type or "",
                cwd=self._cwd(source.parent, model.compute_type or ""),
                kernel=intake.kernel_of(model.runtime_environment_name),
            )  # fmt: skip
            slip = Slip(name=model.name, tags=tuple(model.tags or ()), output_formats=formats)
            try:
                # Nobody sweeps the copy away meanwhile; but nobody waits for another's clock.
                elsewhere = self.schedules.delegation.takes(schedule)
                with nullcontext() if elsewhere else self.jobs.store.write():
                    self._copy(source, name)
                    self._write(slip, self.schedules.create(schedule))
            except AlreadyExists:  # another was quicker
                continue
            except BaseException:
                if not self.schedules.timetable.find(name):
                    shutil.rmtree(self.folder / name, ignore_errors=True)
                raise
            return definition_id(name)
        raise AssertionError  # there are more names than schedules

    def get(self, id_: str) -> DescribeJobDefinition:
        """A definition. Raises NotFound."""
        return self._model(self._shown(self.schedules.get(schedule_named(id_))))

    def list(self, query: ListJobDefinitionsQuery) -> ListJobDefinitionsResponse:
        """The definitions that fit a query, a page of them."""
        begin, size = bounds(query.max_items, query.next_token)
        shown = list(map(self._shown, self.schedules.all()))
        if query.create_time:
            since = int(query.create_time)
            shown = [s for s in shown if (millis(s[0].create_time) or 0) >= since]
        if query.name:
            start = query.name.lower()
            shown = [s for s in shown if (s[1].name or s[0].name).lower().startswith(start)]
        if query.tags:
            tags = set(query.tags)
            shown = [s for s in shown if tags <= set(s[1].tags)]
        fit = ordered(shown, query.sort_by, KEYS)
        page = fit[begin : begin + size]
        return ListJobDefinitionsResponse(
            job_definitions=list(map(self._model, page)), total_count=len(fit),
            next_token=next_token(begin, len(page), len(fit)),
        )  # fmt: skip

    def update(self, id_: str, model: UpdateJobDefinition) -> None:
        """Change a definition; what is at work, or waits, is executed as it was asked for."""
        asked = model.dict(exclude_none=True)
        intake.need_none(asked.get("runtime_environment_parameters"))
        old = self.schedules.get(schedule_named(id_))
        slip = self.slip(old)
        new = replace(old, **self._changes(old, asked))
        if new != old:
            self.schedules.create_all([new], replacing=True)
        said = {
            "name": asked.get("name", slip.name), "tags": tuple(asked.get("tags", slip.tags)),
            "output_formats": intake.formats_of(asked.get("output_formats", slip.output_formats)),
        }  # fmt: skip
        if (changed := replace(slip, **said)) != slip:
            self._write(changed, old)
        if model.active is not None:
            (self.schedules.resume if model.active else self.schedules.pause)(old.name)

    def delete(self, id_: str) -> None:
        """Forget a definition; its jobs stay. Raises StateError when others come after it."""
        self.schedules.delete(schedule_named(id_))
        self.sweep()

    def begin(self, id_: str, texts: Mapping[str, str] | None) -> str:
        """Execute a definition once, now, with other parameters where `texts` names some;
        returns the job's name.
        """
        schedule, now = self.schedules.get(schedule_named(id_)), self.jobs.clock()
        params = {**schedule.params, **intake.params_of(Path(schedule.notebook), texts)}
        tick = Tick(schedule=schedule.name, time=now)
        return self.jobs.begin(attempt(replace(schedule, params=params), tick, self.jobs, now)).name

    def slip(self, schedule: Schedule) -> Slip:
        """What the screens know of a schedule; nothing of one that was not made there."""
        found = Slip.read(self.folder / schedule.name)
        return found if found.made == stamp(schedule.create_time) else Slip()

    def slip_of(self, job: Job) -> Slip:
        """What they know of the schedule that has made a job, also when it is gone."""
        found = Slip.read(self.folder / job.schedule)
        schedule = self.schedules.timetable.find(job.schedule)
        return found if schedule is None or found.made == stamp(schedule.create_time) else Slip()

    def sweep(self) -> None:
        """Remove the copies of notebooks that neither a schedule nor a job is of."""
        if not self.folder.is_dir():
            return
        jobs = {Job.of(e).schedule for e in self.jobs.store.select(Execution, JOB)}
        for path in self.folder.iterdir():
            with self.jobs.store.write():  # none is created meanwhile
                if path.name not in jobs and not self.schedules.timetable.find(path.name):
                    shutil.rmtree(path, ignore_errors=True)

    # -- inside ---------------------------------------------------------------------

    def _changes(self, old: Schedule, asked: Mapping[str, Any]) -> dict[str, Any]:
        changes: dict[str, Any] = {}
        zone, _, fields = old.cron.removeprefix("TZ=").partition(" ")
        if "schedule" in asked or "timezone" in asked:
            changes["cron"] = written(asked.get("schedule", fields), asked.get("timezone", zone))
        if "runtime_environment_name" in asked:
            changes["kernel"] = intake.kernel_of(asked["runtime_environment_name"])
        if "compute_type" in asked:
            changes["executor"] = asked["compute_type"]
            changes["cwd"] = self._cwd(old.cwd, asked["compute_type"])
        # The form gives back the name of the copy, which is no path: nothing has changed then.
        uri = asked.get("input_uri", "")
        if uri and uri != Path(old.notebook).name:
            source = intake.notebook_at(self.root, uri)
            changes["notebook"] = str(self._copy(source, old.name))
            executor = changes.get("executor", old.executor)
            changes["cwd"] = self._cwd(source.parent, executor)
        if "parameters" in asked:
            notebook = Path(changes.get("notebook", old.notebook))
            changes["params"] = intake.params_of(notebook, asked["parameters"])
        return changes

    def _cwd(self, folder: str | Path, executor: str) -> str:
        return str(folder) if intake.takes_folder(executor, self.jobs.settings) else ""

    def _copy(self, source: Path, name: str) -> Path:
        to = self.folder / name / source.name
        try:
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, to)
        except OSError as error:
            raise RequestError(
                f"cannot write {to.parent}: {error.strerror}; free some space, "
                "or set NBTOOLS_STORE to another folder"
            ) from None
        return to

    def _write(self, slip: Slip, schedule: Schedule) -> None:
        replace(slip, made=stamp(schedule.create_time) or "").write(self.folder / schedule.name)

    def _shown(self, schedule: Schedule) -> Shown:
        return schedule, self.slip(schedule)

    def _model(self, shown: Shown) -> DescribeJobDefinition:
        schedule, slip = shown
        try:
            own = Notebook.read(schedule.notebook).kernel
        except RequestError:  # it is gone: its jobs will say so
            own = ""
        executor = self.jobs.settings.executor
        return definition_model(schedule, slip, own or intake.OWN_KERNEL, executor)


def _names(title: str) -> Any:
    """Names for a schedule of that title, the nicest first."""
    stem = slug(title, MAX_NAME - 5)
    return (stem if n == 1 else f"{stem}-{n}" for n in count(1))
