"""Schedules of Vertex AI: a NotebookExecutionJob whenever a cron expression is due there."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

from nbtools import registry
from nbtools.clock import Standing
from nbtools.cloud import Endpoint, Place, told
from nbtools.errors import AlreadyExists, NotFound, RequestError
from nbtools.executor import Task
from nbtools.executors import vertex_request, vertex_results
from nbtools.notebook import write_whole
from nbtools.schedule import Schedule, ScheduleState, Tick, TickState
from nbtools.settings import Settings

#: seconds that Vertex AI may take to answer.
PATIENCE: Final = 30.0
_REQUEST: Final = "create_notebook_execution_job_request"
_ENDS: Final = {
    "SUCCEEDED": TickState.SUCCEEDED, "PARTIALLY_SUCCEEDED": TickState.SUCCEEDED,
    "FAILED": TickState.FAILED, "EXPIRED": TickState.FAILED, "CANCELLED": TickState.CANCELLED,
}  # fmt: skip


class VertexClock:
    """The schedules of one region."""

    lacks: Mapping[str, str] = {
        "after": "schedules of Vertex AI come after no others: give a cron expression, or leave "
        "--executor vertex",
        "max_age": "Vertex AI has no --max-age: it misses no times",
        "retries": "Vertex AI has no --retries: have the notebook try again, or leave it to "
        "`nbtools service`",
        "priority": "Vertex AI has no --priority: every run has a machine of its own",
        "notify": "Vertex AI has no --notify: make an alert of its logs in Cloud Monitoring",
    }

    def __init__(self) -> None:
        self._clients: dict[str, Any] = {}  #: by name of the class

    def put(self, schedule: Schedule, task: Task, prepared: str) -> str:
        settings = Settings.load()
        where = vertex_request.place(settings)
        fields = _fields(schedule, task, prepared, where, settings)
        handle = schedule.handle or self._left(where, schedule, _label(schedule, settings))
        try:
            if not handle:
                request = {"parent": where.parent, "schedule": fields}
                return str(self._call(where, "create_schedule", request).name)
            paths = [*fields, *(["allow_queueing"] if not fields["allow_queueing"] else [])]
            mask = {"paths": sorted(set(paths))}
            request = {"schedule": {**fields, "name": handle}, "update_mask": mask}
            return str(self._call(where, "update_schedule", request).name)
        except (
            ValueError,
            KeyError,
        ) as error:  # Google's classes take no such value: a GPU that is none
            raise RequestError(f"Vertex AI knows no such machine: {error}") from None

    def look(self, handle: str) -> Standing:
        found = self._call(_place(handle), "get_schedule", {"name": handle})
        word = found.state.name
        state = ScheduleState(word) if word in ScheduleState.__members__ else ScheduleState.PAUSED
        return Standing(
            state=state,
            next_run_time=_time(found.next_run_time),
            started_run_count=found.started_run_count,
        )

    def pause(self, handle: str) -> None:
        self._call(_place(handle), "pause_schedule", {"name": handle})

    def resume(self, handle: str, catch_up: bool) -> None:
        request = {"name": handle, "catch_up": catch_up}
        self._call(_place(handle), "resume_schedule", request)

    def delete(self, handle: str) -> None:
        try:
            self._call(_place(handle), "delete_schedule", {"name": handle})
        except NotFound:
            return

    def history(self, handle: str, limit: int) -> list[Tick]:
        where, id_ = _place(handle), handle.rpartition("/")[2]
        request = {
            "parent": where.parent, "filter": f'schedule="{id_}"', "order_by": "create_time desc"
        }  # fmt: skip
        found = self._call(where, "list_notebook_execution_jobs", request)
        with told(where.vertex):  # the pages that follow
            return [_tick(job, id_) for job in islice(found, None if limit < 0 else limit)]

    # -- inside -----------------------------------------------------------------------

    def _left(self, where: Place, schedule: Schedule, label: str) -> str:
        """A schedule of ours that is there and that nobody has written down; "" or its handle."""
        request = {"parent": where.parent, "filter": f'display_name="{schedule.name}"'}
        found = self._call(where, "list_schedules", request)
        with told(where.vertex):
            for one in found:
                asked = getattr(one, _REQUEST).notebook_execution_job
                if asked.labels.get(vertex_request.LABEL) == label:
                    return str(one.name)
                raise AlreadyExists(
                    f"Vertex AI has a schedule {schedule.name!r} that is not of this store, "
                    f"{one.name}: choose another name"
                )
        return ""

    def _call(self, where: Place, rpc: str, request: Any) -> Any:
        """Raises NotFound, StateError, Unavailable, RequestError."""
        noun = "Notebook" if "notebook" in rpc else "Schedule"
        module = registry.need("google.cloud.aiplatform_v1")
        endpoint = Endpoint.of(Settings.load())
        with told(endpoint.where(where.vertex)):
            if noun not in self._clients:
                kind = getattr(module, f"{noun}ServiceClient")
                self._clients[noun] = endpoint.client(kind, where.vertex)
            return getattr(self._clients[noun], rpc)(request, retry=None, timeout=PATIENCE)


def _fields(
    schedule: Schedule, task: Task, prepared: str, where: Place, settings: Settings
) -> dict[str, Any]:
    """The Schedule, as Google's classes take it."""
    source: dict[str, Any] = {"direct_notebook_source": {"content": prepared.encode()}}
    if len(prepared.encode()) > vertex_request.DIRECT:
        uri = vertex_request.staged(f"schedules/{schedule.name}", task.stem, settings)
        beside = settings.store / f".{schedule.name}.ipynb"
        write_whole(beside, prepared)
        try:
            vertex_results.send(beside, uri)
        finally:
            beside.unlink()
        source = {"gcs_notebook_source": {"uri": uri}}
    uri = vertex_request.sink(task.output, settings)
    job = vertex_request.fields(task, uri, where, source, schedule.name)
    job["labels"] = {vertex_request.LABEL: _label(schedule, settings)}
    made: dict[str, Any] = {
        "display_name": schedule.name,
        "cron": schedule.cron,
        "max_concurrent_run_count": schedule.max_concurrent_run_count,
        "allow_queueing": schedule.allow_queueing,
        _REQUEST: {"parent": where.parent, "notebook_execution_job": job},
    }
    for name in ("start_time", "end_time", "max_run_count"):
        if value := getattr(schedule, name):
            made[name] = value
    return made


def _label(schedule: Schedule, settings: Settings) -> str:
    """The same for the same schedule of the same store: whose it is, when nobody knows."""
    return vertex_request.token(schedule.name, settings.store)


def _place(handle: str) -> Place:
    parts = handle.split("/")
    return Place(parts[1], parts[3])


def _tick(job: Any, schedule: str) -> Tick:
    word = job.job_state.name.removeprefix("JOB_STATE_")
    return Tick(
        schedule=schedule,
        time=_time(job.create_time) or datetime.min.replace(tzinfo=UTC),
        state=_ENDS.get(word, TickState.STARTED),
        job=job.name.rpartition("/")[2],
        reason=" ".join(job.status.message.split()),
        update_time=_time(job.update_time),
    )


def _time(value: Any) -> datetime | None:
    return value.replace(tzinfo=UTC) if value else None
