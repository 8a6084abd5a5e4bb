"""What an attempt of a tick asks for: its schedule, with the placeholders filled in."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from nbtools import lineage
from nbtools.cron import zone_of
from nbtools.errors import NotFound, RequestError
from nbtools.jobs import Jobs
from nbtools.notebook import Notebook
from nbtools.nouns import Artifact, Execution, Job, place, run_id
from nbtools.placeholders import Surroundings, check, fill, holes, is_secret
from nbtools.request import Plan, Request, plan
from nbtools.schedule import Schedule, Tick
from nbtools.settings import Settings


def attempt(schedule: Schedule, tick: Tick, jobs: Jobs, now: datetime) -> Plan:
    """The job of a tick's attempt, found in order. Raises RequestError."""
    inputs: list[str] = []

    def before(name: str, kind: str, wanted: str) -> Any:
        job = _job_before(jobs, name, tick)
        if kind == "job":
            return job.name
        if kind == "outputs":
            return jobs.outputs(job)[wanted]
        path = _artifact(jobs, job, wanted)
        inputs.append(path)
        return path

    zone = _zone(schedule, jobs)
    around = Surroundings(tick.time, zone, schedule.name, tick.name, tick.attempt, before)
    request = _request(schedule, _params(schedule, around), fill(schedule.output, around))
    if "{{" in schedule.output:
        _make_room(Path(request.output))
    request = replace(request, job=tick.name, inputs=tuple(inputs))
    made = plan(request, jobs.settings, now)
    again = tick.job if tick.attempt > 1 and jobs.store.find(Execution, tick.job) else ""
    return replace(made, job=replace(made.job, retry_of=again))


def check_request(schedule: Schedule, settings: Settings, now: datetime) -> Plan:
    """A schedule's job as it would be now. Raises RequestError for anything that would be
    refused when it is due.

    What comes from the schedules before has no value yet: of it only the names are checked.
    """
    for value in schedule.params.values():
        check(value, schedule.after, secrets=True)
    check(schedule.output)  # what a notebook reports has no say in where files are written
    later = {n for n, v in schedule.params.items() if any(map(_is_later, holes(v)))}
    known = Notebook.read(schedule.notebook)
    if later and known.parameters is not None:
        names = {p.name for p in known.parameters}
        for name in later - names:
            known.check({name: ""})  # says what it is called, if it is near
    now_known = replace(
        schedule, params={n: v for n, v in schedule.params.items() if n not in later}
    )
    zone = zone_of(schedule.cron)
    around = Surroundings(now, zone, schedule.name, schedule.name, 1, lambda *_: "")
    output = "" if "{{" in schedule.output else schedule.output
    return plan(_request(now_known, _params(now_known, around), output), settings, now)


def _is_later(hole: str) -> bool:
    return "." in hole and not is_secret(hole)


def _request(schedule: Schedule, params: dict[str, Any], output: str) -> Request:
    return Request(
        notebook=schedule.notebook,
        params=params,
        output=output,
        deliver_partial=schedule.deliver_partial,
        keep_injected=schedule.keep_injected,
        env=schedule.env,
        experiment=schedule.experiment,
        kernel=schedule.kernel,
        cwd=schedule.cwd,
        executor=schedule.executor,
        timeout=schedule.timeout,
        memory=schedule.memory,
        cpu_time=schedule.cpu_time,
        machine=schedule.machine,
        secrets=schedule.secrets,
        vertex=schedule.vertex,
        schedule=schedule.name,
    )


def _params(schedule: Schedule, around: Surroundings) -> dict[str, Any]:
    """The parameters filled in; what was text with a placeholder is read as on a command line."""
    known = {p.name: p for p in Notebook.read(schedule.notebook).parameters or ()}
    values = {}
    for name, value in schedule.params.items():
        filled = fill(value, around)
        if isinstance(filled, str) and filled != value and name in known:
            filled = known[name].read(filled)
        values[name] = filled
    return values


def _job_before(jobs: Jobs, schedule: str, tick: Tick) -> Job:
    found = jobs.store.timetable.tick(schedule, tick.time)
    if found is None or not found.job:
        raise NotFound(f"schedule {schedule!r} has no job of {tick.time:%Y-%m-%d %H:%M:%S} UTC")
    return Job.of(jobs.store.get(Execution, found.job))


def _artifact(jobs: Jobs, job: Job, name: str) -> str:
    """Where what a job has left under that name lies."""
    context = run_id(job.experiment, job.run)
    found = jobs.store.select(Artifact, context=context, display_name=name, limit=1)
    if found:
        return str(found[0].path) if "://" not in found[0].uri else found[0].uri
    paths = jobs.outputs(job).paths
    with suppress(KeyError):
        return str(paths[name])
    left = jobs.store.select(Artifact, context=context)
    names = ", ".join(sorted({*paths, *(a.display_name for a in left)})) or "nothing"
    raise NotFound(f"job {job.name} has left no artifact {name!r}: there is {names}")


def _zone(schedule: Schedule, jobs: Jobs) -> Any:
    """The zone that its times are written in; without one of its own, that of those before."""
    for name in schedule.after:
        if not schedule.cron and (before := jobs.store.timetable.find(name)):
            return _zone(before, jobs)
    return zone_of(schedule.cron)


def _make_room(output: Path) -> None:
    folder = place(output).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError(f"cannot make {folder}: {error.strerror}; name another output") from None


def inputs_of(made: Plan, jobs: Jobs) -> list[Artifact]:
    """The artifacts that an attempt reads."""
    return [lineage.find(jobs.store, name) for name in made.request.inputs]
