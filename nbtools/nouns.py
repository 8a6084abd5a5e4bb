"""The records: what nbtools talks about, as frozen dataclasses, and how they are named.

`Context`, `Execution`, `Artifact` and `Event` are ML Metadata's own graph, which is
what the store holds. `Job` and `Run` are readings of it: a job is an execution, a run
is a context, an experiment is the run's parent context.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nbtools.errors import RequestError
from nbtools.states import AS_EXECUTION, ExecutionState, JobState

EXPERIMENT = "system.Experiment"
RUN = "system.ExperimentRun"
JOB = "system.ContainerExecution"
SWEEP = "nbtools.Sweep"
PROCESS = "system.Run"  #: the execution of a run that no job started
MODEL = "system.Model"
DATASET = "system.Dataset"
FILE = "system.Artifact"
CLASSIFICATION = "google.ClassificationMetrics"
TABLE = "nbtools.Table"
FIGURE = "nbtools.Figure"
TEXT = "nbtools.Text"
NOTEBOOK = "nbtools.Notebook"
REPORT = "nbtools.Report"

#: the name under which a run's identity is injected into a notebook.
IDENTITY = "NBTOOLS"

#: Vertex AI's limit on the id of a run's context, `{experiment}-{run}`.
MAX_RUN_ID = 121


@dataclass(frozen=True, kw_only=True)
class Context:
    """An experiment or a run."""

    name: str  #: the id, unique among contexts
    schema_title: str  #: `system.Experiment`, `system.ExperimentRun`, …
    display_name: str = ""  #: what people call it
    metadata: Mapping[str, Any] = field(default_factory=dict)  #: JSON object
    create_time: datetime | None = None  #: UTC; set by the store
    update_time: datetime | None = None  #: UTC; set by the store
    etag: int = 0  #: grows by one with each change
    labels: Mapping[str, str] = field(default_factory=dict)  #: what it is sorted by in the cloud
    description: str = ""  #: what people say about it
    schema_version: str = ""  #: of the schema of its metadata; empty: nbtools has made it


@dataclass(frozen=True, kw_only=True)
class Execution:
    """Something that was carried out: a job, or the process of a run."""

    name: str  #: the id, unique among executions
    schema_title: str  #: `system.ContainerExecution` for a job
    display_name: str = ""  #: what people call it
    state: str = ExecutionState.NEW  #: ML Metadata's word
    metadata: Mapping[str, Any] = field(default_factory=dict)  #: JSON object
    create_time: datetime | None = None  #: UTC; set by the store
    update_time: datetime | None = None  #: UTC; set by the store
    etag: int = 0  #: grows by one with each change
    labels: Mapping[str, str] = field(default_factory=dict)  #: what it is sorted by in the cloud
    description: str = ""  #: what people say about it
    schema_version: str = ""  #: of the schema of its metadata; empty: nbtools has made it


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A file that an execution read or left behind."""

    name: str  #: the id, unique among artifacts
    schema_title: str  #: `system.Model`, `system.Dataset`, `nbtools.Notebook`, …
    display_name: str = ""  #: what people call it
    uri: str = ""  #: where it lies: an absolute path, or a URI
    state: str = "LIVE"  #: PENDING or LIVE
    metadata: Mapping[str, Any] = field(default_factory=dict)  #: JSON object: size, sha256, …
    create_time: datetime | None = None  #: UTC; set by the store
    update_time: datetime | None = None  #: UTC; set by the store
    etag: int = 0  #: grows by one with each change
    labels: Mapping[str, str] = field(default_factory=dict)  #: what it is sorted by in the cloud
    description: str = ""  #: what people say about it
    schema_version: str = ""  #: of the schema of its metadata; empty: nbtools has made it

    @property
    def path(self) -> Path:
        """The local file of this artifact."""
        return Path(self.uri.removeprefix("file://"))


@dataclass(frozen=True, kw_only=True)
class Event:
    """An execution read (INPUT) or left behind (OUTPUT) an artifact."""

    execution: str  #: name of the execution
    artifact: str  #: name of the artifact
    type: str  #: INPUT or OUTPUT
    time: datetime | None = None  #: UTC; set by the store
    labels: Mapping[str, str] = field(default_factory=dict)  #: what it is sorted by in the cloud


@dataclass(frozen=True, kw_only=True)
class Job:
    """A request to execute one notebook, and what became of it."""

    name: str  #: the id, `{notebook}-{date}-{time}-{token}`
    notebook: str  #: absolute path of the source notebook
    experiment: str  #: the experiment its run belongs to
    run: str  #: the name of its run in that experiment
    params: Mapping[str, Any] = field(default_factory=dict)  #: the values asked for
    executor: str = "local"  #: who runs it
    kernel: str = ""  #: kernelspec name
    folder: str = ""  #: where its files lie
    output: str = ""  #: where the executed notebook was asked for, if anywhere
    handle: str = ""  #: what the executor knows it by
    state: JobState = JobState.QUEUED
    cell: int = 0  #: the last cell begun, from 1
    cells: int = 0  #: how many cells there are
    error: str = ""  #: one sentence: why it did not succeed
    note: str = ""  #: one sentence: what is worth knowing of how it was executed
    schedule: str = ""  #: the schedule that has made it, if one has
    fingerprint: str = ""  #: the same where notebook, parameters, environment and inputs are
    retry_of: str = ""  #: the job that it executes again, if it does
    resume_of: str = ""  #: the job that it goes on from, if it does
    create_time: datetime | None = None  #: UTC
    start_time: datetime | None = None  #: UTC; when its kernel was asked for
    end_time: datetime | None = None  #: UTC
    used_time: datetime | None = None  #: UTC; when its outputs were last taken as another's

    @staticmethod
    def is_in(execution: Execution) -> bool:
        """Whether an execution is a job: others have container executions too, of a version."""
        return execution.schema_title == JOB and not execution.schema_version

    @classmethod
    def of(cls, execution: Execution) -> Job:
        """Read an execution as the job it is."""
        known = {f.name for f in fields(Job)}
        values = {k: v for k, v in execution.metadata.items() if k in known}
        for key in ("start_time", "end_time", "used_time"):
            values[key] = moment(values.get(key))
        values["state"] = JobState(values["state"])
        return cls(name=execution.name, create_time=execution.create_time, **values)

    def execution(self) -> Execution:
        """The job as the execution that the store keeps."""
        values = asdict(self)
        for key in ("name", "create_time"):
            del values[key]
        for key in ("start_time", "end_time", "used_time"):
            values[key] = stamp(values[key])
        return Execution(
            name=self.name,
            schema_title=JOB,
            display_name=Path(self.notebook).stem,
            state=AS_EXECUTION[self.state],
            metadata=values,
        )

    def seconds(self, now: datetime) -> float:
        """How long it has been, or was, at work."""
        begin = self.start_time or self.create_time or now
        return max(0.0, ((self.end_time or now) - begin).total_seconds())


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one execution reported: params, metrics, and its state."""

    experiment: str  #: the experiment it belongs to
    name: str  #: unique in the experiment
    state: ExecutionState  #: RUNNING until it ends
    params: Mapping[str, Any]  #: what went in
    metrics: Mapping[str, Any]  #: what came out: the last value of each
    job: str = ""  #: the job that opened it, if any
    error: str = ""  #: why it ended early, if it did
    tags: tuple[str, ...] = ()  #: what people call it by, in the order they were given
    notes: str = ""  #: what people say about it
    parent: str = ""  #: the run of the same experiment that it is a part of, if any
    about: Mapping[str, Any] = field(default_factory=dict)  #: what it was executed with
    create_time: datetime | None = None  #: UTC
    update_time: datetime | None = None  #: UTC

    @classmethod
    def of(cls, context: Context) -> Run:
        """Read a context as the run it is."""
        meta = context.metadata
        return cls(
            experiment=meta["_experiment"],
            name=context.display_name,
            state=ExecutionState(meta["_state"]),
            params=meta.get("_params", {}),
            metrics=meta.get("_metrics", {}),
            job=meta.get("_job", ""),
            error=meta.get("_error", ""),
            tags=tuple(meta.get("_tags", ())),
            notes=meta.get("_notes", ""),
            parent=meta.get("_parent", ""),
            about=meta.get("_about", {}),
            create_time=context.create_time,
            update_time=context.update_time,
        )

    @property
    def id(self) -> str:
        """The name of its context, as Vertex AI builds it."""
        return run_id(self.experiment, self.name)


_ID = re.compile(r"[a-z0-9][a-z0-9-]*\Z")
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")


def run_id(experiment: str, run: str) -> str:
    """The context id of a run; refuses names that Vertex AI would refuse."""
    for what, name in (("experiment", experiment), ("run", run)):
        if not _ID.match(name):
            raise RequestError(
                f"{what} name {name!r}: use small letters, digits and hyphens, "
                f"for example {slug(name)!r}"
            )
    if len(experiment) + len(run) + 1 > MAX_RUN_ID:
        raise RequestError(
            f"experiment {experiment!r} and run {run!r} are too long together: "
            f"use at most {MAX_RUN_ID - 1} characters for both"
        )
    return f"{experiment}-{run}"


def slug(text: str, limit: int = 60) -> str:
    """`text` as a name that Vertex AI takes: small letters, digits, hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:limit].strip("-") or "notebook"


def job_name(notebook: str | Path, now: datetime, token: str) -> str:
    """A new job's name: readable, sorted by time within a notebook, unique by `token`."""
    return f"{slug(Path(notebook).stem, 40)}-{now:%Y%m%d-%H%M%S}-{token}"


def default_experiment(notebook: str | Path) -> str:
    """The experiment of a notebook whose user names none; leaves room for the run's name."""
    return slug(Path(notebook).stem, 40)


def default_run(experiment: str, job: str) -> str:
    """The run of a job whose user names none: the job's name, of which the end is unique.

    Beside a long experiment the beginning is left out, but never the time and the token.
    """
    room = max(MAX_RUN_ID - 1 - len(experiment), len("20240131-235959-abcdef01"))
    return job[-room:].lstrip("-")


def artifact_name(context: str, name: str) -> str:
    """The id of the artifact `name` of a run: readable, and unlike that of any other run's.

    Joined by a hyphen alone, `b-c` of run `a` would be `c` of run `a-b`.
    """
    import hashlib  # here: most commands need none

    token = hashlib.sha256(f"{context} {name}".encode(errors="surrogatepass")).hexdigest()[:8]
    return f"{slug(context, 70)}-{slug(name, 40)}-{token}"


def place(path: str | Path) -> Path:
    """The absolute path that a person means; the `~` of nobody is a name like any other."""
    return Path(os.path.expanduser(path)).absolute()  # noqa: PTH111 - Path's raises for nobody


def local(uri: str) -> Path | None:
    """The path that a URI or path names, None when it is elsewhere than on this machine."""
    if uri.startswith("file://"):
        return Path(uri.removeprefix("file://"))
    return None if _SCHEME.match(uri) or not uri else place(uri)


def stamp(when: datetime | None) -> str | None:
    """A time as the store writes it: RFC 3339 in UTC, sortable as text."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ") if when else None


def moment(text: str | None) -> datetime | None:
    """The time that `stamp` wrote."""
    return datetime.fromisoformat(text) if text else None


def utc_now() -> datetime:
    """The time. Only entry points ask; everything below is told."""
    return datetime.now(UTC)
