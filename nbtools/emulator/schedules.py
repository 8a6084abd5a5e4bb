"""ScheduleService: schedules that execute notebooks. Each is a schedule of nbtools.

The resource, `schedules/NAME`, is what was asked for; the schedule of that name says how it
stands. Its notebook lies in the emulator's folder, or is the object itself, so that each time
the object is executed as it is then. What takes long here is done before the transaction.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from nbtools.cron import written
from nbtools.dispatch import Dispatcher
from nbtools.emulator import (
    buckets,
    executions,
    lifecycle,
    names,
    operations,
    paging,
    selection,
    specs,
    wire,
)
from nbtools.emulator.call import Call, Handler, Refused
from nbtools.nouns import Execution, default_experiment, slug, stamp
from nbtools.resources import Resource
from nbtools.schedule import Schedule, ScheduleState, Tick, TickState
from nbtools.schedules import Schedules

TYPE: Final = "Schedule"
COLLECTION: Final = "schedules"
REQUEST: Final = "create_notebook_execution_job_request"
#: letters of the display name that are in a schedule's id.
SHOWN: Final = 24
#: what an update may name.
CHANGEABLE: Final = (
    "display_name", "cron", "start_time", "end_time", "max_run_count", "max_concurrent_run_count",
    "allow_queueing", REQUEST,
)  # fmt: skip
#: what the schedule of nbtools says, and the resource does not keep.
SAID: Final = ("state", "next_run_time", "started_run_count", "last_scheduled_run_response")
FIELDS: Final = {
    "display_name": selection.Field(lambda m: m.display_name, ("=", "!=", ":")),
    "state": selection.Field(selection.word_of("state"), ("=", "!=")),
    "create_pipeline_job_request": selection.Field(lambda _: None, (":",)),
    REQUEST: selection.Field(lambda m: "*" if m.HasField(REQUEST) else None, (":",)),
    **{
        name: selection.Field(selection.time_of(name), selection.TIME, is_time=True)
        for name in ("create_time", "start_time", "end_time", "next_run_time")
    },
}
ORDERS: Final = ("create_time", "start_time", "end_time", "next_run_time")


def create(call: Call, request: Any) -> Any:
    (location,) = names.ids(request.parent)
    sent = request.schedule
    name = f"{slug(sent.display_name, SHOWN)}-{uuid4().int % 10**12}"
    folder = _folder(call, name)
    try:
        wanted = _planned(call, sent, name, folder)
        with call.store.write():
            made = Schedules(call.hands.jobs).create(wanted)
            new = Resource(name=f"{COLLECTION}/{name}", type=TYPE,
                           display_name=sent.display_name, record=_record(sent))  # fmt: skip
            return shown(call, call.store.resources.add(new, call.now), made, location)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _planned(call: Call, sent: Any, name: str, folder: Path) -> Schedule:
    """The schedule, found in order: that takes long the first time, and nobody else shall wait."""
    with call.hands.alone:
        wanted = _schedule(call, sent, name, folder)
        return Schedules(call.hands.jobs).checked([wanted])[0]


def _schedule(call: Call, sent: Any, name: str, folder: Path) -> Schedule:
    """The schedule of nbtools that a message describes; its notebook is laid into `folder`.

    Raises Refused, RequestError.
    """
    _check(call, sent)
    job = sent.create_notebook_execution_job_request.notebook_execution_job
    file, content = executions.source(call, job)
    direct = job.WhichOneof("notebook_source") == "direct_notebook_source"
    notebook = executions.lay(folder, file, content)
    if not direct and not job.gcs_notebook_source.generation:
        notebook.unlink()  # each time it is executed as it is then
        notebook = buckets.path(call.hands.folder, job.gcs_notebook_source.uri)
    executions.output(call, job, name, file)  # refused now rather than when it is due
    return Schedule(
        name=name,
        notebook=str(notebook),
        cron=written(sent.cron),
        output=executions.output(call, job, "{{ job }}", file),
        deliver_partial=True,
        keep_injected=True,
        experiment=default_experiment(job.display_name or sent.display_name),
        kernel=job.kernel_name,
        cwd=str(folder),
        executor="local",
        start_time=_time(sent, "start_time"),
        end_time=_time(sent, "end_time"),
        max_run_count=sent.max_run_count,
        max_concurrent_run_count=sent.max_concurrent_run_count,
        concurrency="queue" if sent.allow_queueing else "skip",
        timeout=executions.timeout(job),
        env=executions.environment(call, job),
        vertex="local",
    )


def _check(call: Call, sent: Any) -> None:
    specs.check_name(sent, required=True)
    if not sent.cron:
        raise _wrong("cron is required")
    if sent.max_concurrent_run_count < 1:
        raise _wrong("max_concurrent_run_count is required, and 1 or more")
    if sent.max_run_count < 0:
        raise _wrong("max_run_count is 1 or more")
    kind = sent.WhichOneof("request")
    if kind == "create_pipeline_job_request":
        raise Refused("UNIMPLEMENTED", "the emulator executes notebooks, and no pipelines")
    if kind != REQUEST:
        raise _wrong(f"{REQUEST} is required")
    if sent.max_concurrent_active_run_count:
        raise _wrong("max_concurrent_active_run_count is for create_pipeline_job_request only")
    asked = sent.create_notebook_execution_job_request
    names.ids(asked.parent)
    if asked.notebook_execution_job_id:
        raise Refused("UNIMPLEMENTED", "notebook_execution_job_id: each run gets an id of its own")
    specs.check_job(call, asked.notebook_execution_job)


def _record(sent: Any) -> dict[str, Any]:
    kept = type(sent)()
    kept.CopyFrom(sent)
    for name in (*SAID, "last_pause_time", "last_resume_time", "catch_up"):
        kept.ClearField(name)
    job = kept.create_notebook_execution_job_request.notebook_execution_job
    if job.WhichOneof("notebook_source") == "direct_notebook_source":
        job.direct_notebook_source.ClearField("content")
    return wire.record(kept)


def find(call: Call, name: str) -> tuple[str, Resource, Schedule]:
    """The location, what was asked for, and how it stands. Raises Refused."""
    location, id_ = names.ids(name, COLLECTION)
    found = call.store.resources.find(f"{COLLECTION}/{id_}")
    schedule = call.store.timetable.find(id_)
    if found is None or schedule is None:
        raise Refused("NOT_FOUND", f"{TYPE} {name} is not found.")
    return location, found, schedule


def shown(call: Call, found: Resource, schedule: Schedule, location: str) -> Any:
    """A resource as its message, with what the schedule says of itself."""
    made = wire.message(call, found, location)
    if not made.HasField("start_time"):
        made.start_time.CopyFrom(made.create_time)
    made.state = type(made).State.Value(schedule.state)
    made.started_run_count = schedule.started_run_count
    if schedule.next_run_time and schedule.state is not ScheduleState.COMPLETED:
        made.next_run_time.FromDatetime(schedule.next_run_time)
    begun = (t for t in call.store.timetable.history(schedule.name, 100) if t.job or t.reason)
    if last := next(begun, None):
        made.last_scheduled_run_response.scheduled_run_time.FromDatetime(last.time)
        made.last_scheduled_run_response.run_response = _response(call, last, location)
    job = made.create_notebook_execution_job_request.notebook_execution_job
    if job.WhichOneof("notebook_source") == "direct_notebook_source":
        path = Path(schedule.notebook)
        job.direct_notebook_source.content = path.read_bytes() if path.exists() else b""
    return made


def _response(call: Call, tick: Tick, location: str) -> str:
    if tick.job and call.store.find(Execution, tick.job):
        return f"{location}/{executions.COLLECTION}/{tick.job}"
    return tick.reason or str(tick.state)


def get(call: Call, request: Any) -> Any:
    location, found, schedule = find(call, request.name)
    return shown(call, found, schedule, location)


def list_(call: Call, request: Any) -> Any:
    (location,) = names.ids(request.parent)
    page = paging.page(request, call.now, default=100, most=1000)
    there = page.old(call.store.resources.select(TYPE))
    known = {schedule.name: schedule for schedule in call.store.timetable.all()}
    made = [shown(call, r, known[r.id], location) for r in there if r.id in known]
    order = request.order_by or "create_time desc"
    found = selection.matching(made, request.filter, order, FIELDS, ORDERS)
    here, token = page.cut(found)
    return call.new("ListSchedulesResponse", schedules=here, next_page_token=token)


def update(call: Call, request: Any) -> Any:
    """What was queued and has not begun is skipped, as on Vertex AI."""
    sent = request.schedule
    location, old, before = find(call, sent.name)
    if before.state is ScheduleState.COMPLETED:
        raise Refused("FAILED_PRECONDITION", f"{TYPE} {sent.name} is COMPLETED")
    new = shown(call, old, before, location)
    for path in request.update_mask.paths or ["*"]:
        _change(new, sent, path)
    folder = _folder(call, before.name)
    try:
        wanted = _planned(call, new, before.name, folder)
        with call.store.write():
            location, old, before = find(call, sent.name)
            (made,) = Schedules(call.hands.jobs).create_all([wanted], replacing=True)
            dispatcher = Dispatcher(call.hands.jobs, 0)
            for tick in call.store.timetable.in_state(TickState.QUEUED, before.name):
                dispatcher.end(tick, TickState.SKIPPED, "the schedule was updated", call.now)
            changed = replace(old, display_name=new.display_name,
                              record={**_kept(old), **_record(new)})  # fmt: skip
            return shown(call, call.store.resources.put(changed, call.now), made, location)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _change(new: Any, sent: Any, path: str) -> None:
    """Take over what a path of the update mask names. Raises Refused."""
    if path == "*":
        for field, _ in sent.ListFields():
            if field.name in CHANGEABLE:
                _change(new, sent, field.name)
        return
    known = sent.DESCRIPTOR.fields_by_name
    if path not in known or path in ("name", "create_pipeline_job_request"):
        raise _wrong(f"update_mask has no path {path!r} to change")
    if path not in CHANGEABLE:
        return  # what is for output only is ignored
    here = {field.name: value for field, value in sent.ListFields()}
    there = {field.name for field, _ in new.ListFields()}
    if path not in here and path in there and path != "allow_queueing":
        raise _wrong(f"{path} cannot be unset")
    new.ClearField(path)
    if path in here and known[path].message_type:
        getattr(new, path).CopyFrom(here[path])
    elif path in here:
        setattr(new, path, here[path])


def _kept(found: Resource) -> dict[str, Any]:
    """What no user says, and no schedule of nbtools."""
    own = ("last_pause_time", "last_resume_time", "catch_up")
    return {key: found.record[key] for key in own if key in found.record}


def delete(call: Call, request: Any) -> Any:
    """Jobs that it has made stay."""
    _, found, schedule = find(call, request.name)
    executions.notice(call)  # later nobody knows whose they are
    at_work = call.store.timetable.in_state(TickState.STARTED, schedule.name)
    with call.store.write():
        Schedules(call.hands.jobs).delete(schedule.name)
        call.store.resources.remove(found.name)
        operation = operations.done(call, request.name)
    if not at_work:  # else it is the folder that a kernel works in
        shutil.rmtree(_folder(call, schedule.name).parent, ignore_errors=True)
    return operation


def pause(call: Call, request: Any) -> Any:
    _, found, schedule = find(call, request.name)
    with call.store.write():
        Schedules(call.hands.jobs).pause(schedule.name)
        _note(call, found, last_pause_time=stamp(call.now))
    return _empty()


def resume(call: Call, request: Any) -> Any:
    _, found, schedule = find(call, request.name)
    with call.store.write():
        if schedule.state is not ScheduleState.PAUSED:
            raise Refused(
                "FAILED_PRECONDITION", f"{TYPE} {request.name} is {schedule.state}, not PAUSED"
            )
        Schedules(call.hands.jobs).resume(schedule.name, request.catch_up)
        _note(call, found, last_resume_time=stamp(call.now), catch_up=request.catch_up)
    return _empty()


def _note(call: Call, found: Resource, **values: Any) -> None:
    call.store.resources.put(replace(found, record={**found.record, **values}), call.now)


def _empty() -> Any:
    from google.protobuf import empty_pb2

    return empty_pb2.Empty()


def _folder(call: Call, name: str) -> Path:
    """Where a schedule's notebook is to lie, and is executed: another one for each that it has."""
    return lifecycle.files(call.hands.folder) / COLLECTION / name / uuid4().hex[:8]


def _time(sent: Any, name: str) -> datetime | None:
    return getattr(sent, name).ToDatetime(UTC) if sent.HasField(name) else None


def _wrong(message: str) -> Refused:
    return Refused("INVALID_ARGUMENT", message)


HANDLERS: Mapping[str, Handler] = {
    "ScheduleService.CreateSchedule": create,
    "ScheduleService.GetSchedule": get,
    "ScheduleService.ListSchedules": list_,
    "ScheduleService.UpdateSchedule": update,
    "ScheduleService.DeleteSchedule": delete,
    "ScheduleService.PauseSchedule": pause,
    "ScheduleService.ResumeSchedule": resume,
}
