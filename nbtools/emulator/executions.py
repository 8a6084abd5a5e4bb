"""NotebookService: notebook execution jobs. Each is a job of nbtools, by our own engine.

The resource is what was asked for, and the name of the job; how that stands the job says.
What executes is no part of a transaction, so these see to theirs themselves.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from nbtools.emulator import buckets, names, operations, paging, selection, specs, wire
from nbtools.emulator.call import Call, Handler, Refused
from nbtools.emulator.hands import Hands
from nbtools.errors import AlreadyExists, RequestError
from nbtools.executor import Task
from nbtools.notebook import Notebook
from nbtools.nouns import Execution, Job, Run, default_experiment, run_id, slug
from nbtools.request import Plan, Request, plan
from nbtools.resources import Resource
from nbtools.runs import find_context
from nbtools.states import ExecutionState, JobState
from nbtools.store import Store

TYPE: Final = "NotebookExecutionJob"
COLLECTION: Final = "notebookExecutionJobs"
#: what a job of a schedule becomes when it is deleted: else it would be found again.
DELETED: Final = "DeletedNotebookExecutionJob"
#: experiment of the jobs whose notebooks log to a run that they bring with them.
EXPERIMENT: Final = "notebook-execution-jobs"
#: seconds that a job may take whose user says nothing else: a day.
TIMEOUT: Final = 86_400.0
FULL: Final = 2  #: NOTEBOOK_EXECUTION_JOB_VIEW_FULL
#: a job's end as a google.rpc.Status: the number of its word.
CODES: Final = {JobState.SUCCEEDED: 0, JobState.CANCELLED: 1, JobState.FAILED: 2,
                JobState.EXPIRED: 4}  # fmt: skip
FIELDS: Final = {
    "notebook_execution_job": selection.Field(selection.id_of, ("=", "!="), is_id=True),
    "display_name": selection.Field(lambda m: m.display_name, ("=", "!=", "=~", "!~")),
    "schedule": selection.Field(
        lambda m: m.schedule_resource_name.rpartition("/")[2],
        ("=", "!=", "=~", "!~"),
        is_id=True,
    ),
}
ORDERS: Final = ("display_name", "create_time", "update_time")


def create(call: Call, request: Any) -> Any:
    (location,) = names.ids(request.parent)
    sent = request.notebook_execution_job
    specs.check_job(call, sent)
    asked = request.notebook_execution_job_id
    id_ = names.new_id(asked, TYPE) if asked else str(uuid4().int % 10**18)
    name, content = source(call, sent)
    with call.hands.alone:
        if (old := call.store.resources.find(f"{COLLECTION}/{id_}")) and _job(call, old):
            raise Refused("ALREADY_EXISTS", f"{TYPE} {location}/{old.name} already exists.")
        job = _free(call, [*[id_][: bool(asked)], f"{slug(sent.display_name or name, 40)}-{id_}"])
        folder = call.hands.folder / "jobs" / job
        made: Plan | None = None
        try:
            made = _planned(call, sent, id_, job, lay(folder / "source", name, content))
            with call.store.write():
                if old:  # its job was pruned
                    call.store.resources.remove(old.name)
                call.hands.jobs.remember(made, ())
                new = Resource(
                    name=f"{COLLECTION}/{id_}",
                    type=TYPE,
                    display_name=sent.display_name,
                    record=record(call, sent, job),
                )
                answer = shown(call, call.store.resources.add(new, call.now), location)
                progress = call.new("CreateNotebookExecutionJobOperationMetadata")
                operation = operations.done(call, answer.name, answer, progress)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    call.hands.hand_over(made.task)
    return operation


def source(call: Call, sent: Any) -> tuple[str, bytes]:
    """The file name of a job's notebook, and what is in it. Raises Refused, RequestError."""
    kind = sent.WhichOneof("notebook_source")
    if kind == "direct_notebook_source":
        return "content.ipynb", sent.direct_notebook_source.content
    if kind == "gcs_notebook_source":
        uri, generation = sent.gcs_notebook_source.uri, sent.gcs_notebook_source.generation
        content = buckets.read(call.hands.folder, uri)
        now = str(buckets.path(call.hands.folder, uri).stat().st_mtime_ns)
        if generation and generation != now:
            raise Refused(
                "NOT_FOUND", f"{uri} has no generation {generation} any more: it has {now}"
            )
        return uri.rpartition("/")[2], content
    if kind == "dataform_repository_source":
        raise Refused(
            "UNIMPLEMENTED",
            "the emulator has no Dataform repositories: send the notebook as "
            "direct_notebook_source, or as gcs_notebook_source",
        )
    raise Refused("INVALID_ARGUMENT", "a NotebookExecutionJob needs a notebook_source")


def lay(folder: Path, name: str, content: bytes) -> Path:
    """Write a notebook into a folder that is made, in which it is to be executed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    except OSError as error:
        raise RequestError(f"cannot write {folder / name}: {error.strerror}") from None
    return folder / name


def output(call: Call, sent: Any, id_: str, notebook: str) -> str:
    """The file of the object that the executed notebook becomes."""
    if not sent.gcs_output_uri:
        return ""
    uri = f"{sent.gcs_output_uri.rstrip('/')}/{id_}/{notebook}"
    return str(buckets.path(call.hands.folder, uri))


def environment(call: Call, sent: Any) -> dict[str, str]:
    """What its runtime template wants in the kernel's environment."""
    if not sent.notebook_runtime_template_resource_name:
        return {}
    template = specs.template(call, sent.notebook_runtime_template_resource_name)
    said = template.record.get("software_config", {}).get("env", [])
    return {one["name"]: one.get("value", "") for one in said}


def timeout(sent: Any) -> float:
    """Seconds that a job may take."""
    return float(sent.execution_timeout.ToNanoseconds() / 1e9) or TIMEOUT


def record(call: Call, sent: Any, job: str) -> dict[str, Any]:
    """What there is to keep of a job as it was asked for; its notebook lies with the job."""
    kept = type(sent)()
    kept.CopyFrom(sent)
    for name in ("job_state", "status", "schedule_resource_name"):
        kept.ClearField(name)
    if kept.WhichOneof("notebook_source") == "direct_notebook_source":
        kept.direct_notebook_source.ClearField("content")
    if template := kept.notebook_runtime_template_resource_name:
        spec = specs.template(call, template).record.get("encryption_spec", {})
        if not kept.HasField("encryption_spec") and spec:
            kept.encryption_spec.kms_key_name = spec["kms_key_name"]
    return {**wire.record(kept), "job": job}


def _planned(call: Call, sent: Any, id_: str, job: str, path: Path) -> Plan:
    notebook = Notebook.read(path)
    brought = _brings_a_run(call, notebook)
    target = output(call, sent, id_, path.name)
    try:
        Path(target).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:  # an object of that name, say
        raise RequestError(f"cannot write to {sent.gcs_output_uri}: {error.strerror}") from None
    request = Request(
        notebook=path,
        params={},
        job=job,
        experiment=EXPERIMENT if brought else default_experiment(sent.display_name or path.name),
        output=target,
        deliver_partial=True,
        keep_injected=True,
        kernel=sent.kernel_name,
        executor="local",
        timeout=timeout(sent),
        env=environment(call, sent),
        vertex="local",
    )
    made = plan(request, call.hands.jobs.settings, call.now, notebook)
    if not brought:
        return made
    spec = {"display_name": made.job.kernel, **notebook.data["metadata"].get("kernelspec", {})}
    spec["name"] = made.job.kernel
    data = {**notebook.data, "metadata": {**notebook.data["metadata"], "kernelspec": spec}}
    return replace(made, prepared=json.dumps(data))


def _brings_a_run(call: Call, notebook: Notebook) -> bool:
    """Whether the notebook was prepared by nbtools, for a run that has not ended: then it logs
    to that one, whoever's it is.
    """
    said = notebook.identity
    experiment, run = str(said.get("experiment", "")), str(said.get("run", ""))
    try:
        run_id(experiment, run)
    except RequestError:
        return False
    found = find_context(call.store, experiment, run)
    return found is None or Run.of(found).state is ExecutionState.RUNNING


def _free(call: Call, wanted: list[str]) -> str:
    """The first name that no job has."""
    folder = call.hands.folder / "jobs"
    for name in [*wanted, f"{wanted[-1]}-{uuid4().hex[:8]}"]:
        if call.store.find(Execution, name) is None and not (folder / name).exists():
            return name
    raise Refused("ALREADY_EXISTS", f"there are jobs called {', '.join(wanted)}")


def _job(call: Call, found: Resource) -> Job | None:
    """The job of a resource as it stands now; None when it was pruned."""
    name = str(found.record["job"])
    if call.store.find(Execution, name) is None:
        return None
    return call.hands.jobs.look(name)[0]


def take_up(store: Store, hands: Hands) -> None:
    """Have jobs begun that an emulator has remembered before it was killed, and no more."""
    for resource in store.resources.select(TYPE):
        found = store.find(Execution, str(resource.record["job"]))
        job = Job.of(found) if found else None
        if job and not (job.schedule or job.state.final or job.handle):
            hands.hand_over(Task.loads((Path(job.folder) / "task.json").read_text()))


def notice(call: Call) -> None:
    """Make resources of the jobs that schedules have begun: a service does, not the emulator."""
    resources = call.store.resources
    for schedule, job in resources.unlisted():
        execution = call.store.get(Execution, job)
        request = resources.get(schedule).record["create_notebook_execution_job_request"]
        said = request["notebook_execution_job"]
        new = Resource(
            name=f"{COLLECTION}/{job}",
            type=TYPE,
            display_name=said.get("display_name", ""),
            record={**said, "job": job},
            create_time=execution.create_time,
        )
        with suppress(AlreadyExists):  # by another thread, in this moment
            resources.add(new, call.now)


def find(call: Call, name: str) -> tuple[str, Resource]:
    """The location, and the resource of that full name. Raises Refused."""
    location, id_ = names.ids(name, COLLECTION)
    notice(call)
    found = call.store.resources.find(f"{COLLECTION}/{id_}")
    if found is None or found.type != TYPE or _job(call, found) is None:
        raise Refused("NOT_FOUND", f"{TYPE} {name} is not found.")
    return location, found


def shown(call: Call, found: Resource, location: str, view: int = 0) -> Any:
    """A resource as its message; NotFound when its job is gone."""
    kept = {k: v for k, v in found.record.items() if k != "job"}
    made = wire.message(call, replace(found, record=kept), location)
    execution = call.store.get(Execution, str(found.record["job"]))
    job = Job.of(execution)
    states = made.DESCRIPTOR.fields_by_name["job_state"].enum_type.values_by_name
    made.job_state = states[f"JOB_STATE_{job.state}"].number
    made.update_time.FromDatetime(execution.update_time)
    if job.schedule:
        made.schedule_resource_name = f"{location}/schedules/{job.schedule}"
    if job.state.final:
        made.status.code, made.status.message = CODES[job.state], job.error
        made.status.SetInParent()
    direct = made.WhichOneof("notebook_source") == "direct_notebook_source"
    if direct and view == FULL and Path(job.notebook).exists():
        made.direct_notebook_source.content = Path(job.notebook).read_bytes()
    elif direct:
        made.ClearField("direct_notebook_source")
    return made


def get(call: Call, request: Any) -> Any:
    location, found = find(call, request.name)
    return shown(call, found, location, request.view)


def list_(call: Call, request: Any) -> Any:
    (location,) = names.ids(request.parent)
    notice(call)
    page = paging.page(request, call.now, default=100, most=1000)
    there = [r for r in page.old(call.store.resources.select(TYPE)) if _job(call, r)]
    made = [shown(call, resource, location, request.view) for resource in there]
    found = selection.matching(made, request.filter, request.order_by, FIELDS, ORDERS)
    here, token = page.cut(found)
    return call.new(
        "ListNotebookExecutionJobsResponse", notebook_execution_jobs=here, next_page_token=token
    )


def delete(call: Call, request: Any) -> Any:
    """Also cancels what is at work; the job of nbtools stays, with what it has left."""
    _, found = find(call, request.name)
    job = _job(call, found)
    if job and not job.state.final:
        call.hands.jobs.cancel(job.name)
    with call.store.write():
        if job and job.schedule:
            call.store.resources.put(replace(found, type=DELETED), call.now)
        else:
            call.store.resources.remove(found.name)
        return operations.done(call, request.name)


HANDLERS: Mapping[str, Handler] = {
    "NotebookService.CreateNotebookExecutionJob": create,
    "NotebookService.GetNotebookExecutionJob": get,
    "NotebookService.ListNotebookExecutionJobs": list_,
    "NotebookService.DeleteNotebookExecutionJob": delete,
}
