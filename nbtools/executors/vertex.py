"""Runs a task on Vertex AI: a NotebookExecutionJob, which goes on whoever asked for it dies.

Nothing runs here meanwhile. Whoever looks asks Vertex AI, not more often than makes sense, and
brings home what came out when all is done. `vertex.json` in the job's folder says which
resource it is; it is written before that is asked for, so a job whose client was killed in
between is found again.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from nbtools import registry
from nbtools.cloud import Endpoint, told
from nbtools.errors import AlreadyExists, NbtoolsError, NotFound, RequestError, Unavailable
from nbtools.executor import Observation, Task
from nbtools.executors import vertex_request, vertex_results
from nbtools.executors.local import deliver
from nbtools.notebook import write_whole
from nbtools.secrets import Secrets
from nbtools.settings import Settings
from nbtools.states import JobState

KEPT, SEEN, STOP = "vertex.json", "seen.json", "stop"
#: seconds that Vertex AI may take to answer.
PATIENCE: Final = 30.0
#: a job that was asked for this long ago, and is not there, never arrived.
ARRIVAL: Final = timedelta(seconds=60)
#: seconds between two questions: a part of a job's age, within these.
OFTEN, SELDOM, PART = 0.25, 10.0, 0.05

#: the words of Vertex AI that are not ours, without JOB_STATE_.
_STATES: Final = {
    "UNSPECIFIED": JobState.PENDING,
    "QUEUED": JobState.PENDING,  # there: of ours nothing is left to be done
    "PAUSED": JobState.RUNNING,
    "UPDATING": JobState.RUNNING,
    "PARTIALLY_SUCCEEDED": JobState.SUCCEEDED,
}
_DEADLINE: Final = 4  #: google.rpc.Code


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What is remembered of a job that was asked for."""

    name: str  #: of the resource
    uri: str  #: where its results are to lie
    arrived: bool = False  #: Vertex AI has said that it has it

    @property
    def host(self) -> str:
        """Who serves it."""
        return f"{self.name.split('/')[3]}-aiplatform.googleapis.com"

    @classmethod
    def read(cls, folder: Path) -> Kept:
        """Of the job in that folder. Raises FileNotFoundError."""
        return cls(**json.loads((folder / KEPT).read_text()))


class VertexExecutor:
    """A machine of Vertex AI's for each job."""

    lacks: Mapping[str, str] = {
        "memory": "Vertex AI has no --memory: choose a --machine that has so much",
        "cpu_time": "Vertex AI has no --cpu-time: say --timeout, the time of the whole",
        "threads": "Vertex AI has no --threads: libraries use the cores of the --machine",
        "cell_timeout": "Vertex AI has no --cell-timeout: say --timeout, the time of the whole",
        "checkpoint": "on Vertex AI no kernel is left to go on from: leave out --checkpoint",
        "secrets": "secrets stay here: let the notebook ask Secret Manager, as the account it has",
        "cwd": "there are no folders of yours on Vertex AI: leave out --cwd, and read from gs://",
        "vertex": "on Vertex AI Google's SDK talks to Vertex AI: leave out --vertex",
        "env": "Vertex AI takes no environment: put it into a --runtime-template",
    }
    differs: Mapping[str, str] = {
        "kernels": "which kernels its machines have Vertex AI does not tell",
        "progress": "Vertex AI does not tell how far a notebook is",
        "partial": "a job that is cancelled is deleted there, with what it has done",
        "store": "a notebook on Vertex AI cannot reach this store: its run comes home with it",
    }
    takes = frozenset({
        "type", "gpu", "disk", "network", "subnet", "service_account", "execution_user",
        "runtime_template",
    })  # fmt: skip

    def __init__(self, stopwatch: Callable[[], float] = time.monotonic) -> None:
        """`stopwatch` says seconds."""
        self._stopwatch = stopwatch
        self._clients: dict[str, Any] = {}  #: by host
        self._asked: dict[str, tuple[float, float]] = {}  #: handle -> first and last question
        self._warned: set[str] = set()

    def accept(self, task: Task) -> Task:
        settings = Settings.load()
        vertex_request.place(settings)
        files = f"{vertex_request.results(task, settings)}/{vertex_results.FILES}"
        vertex_request.check(task.machine)
        return replace(task, files=files, warm=False, preload=())  # these are of kernels here

    def check(self, kernel: str) -> str:
        return kernel or "python3"

    def start(self, task: Task, secrets: Secrets) -> str:
        assert not secrets  # they are refused long before
        settings = Settings.load()
        where = vertex_request.place(settings)
        uri, id_ = vertex_request.sink(task.output, settings), vertex_request.id_of(task)
        name = f"{where.parent}/notebookExecutionJobs/{id_}"
        kept = Kept(name=name, uri=vertex_request.results(task, settings))
        if (task.folder / KEPT).exists():
            raise AlreadyExists(f"job {task.job} was started before")
        with suppress(NotFound):
            self._get(kept)  # also says that there is a way there, before anything is begun
            raise AlreadyExists(f"job {task.job} was started before: it is {kept.name}")
        source = _source(task, settings)
        task.kept.write_text(task.dumps())
        try:
            with (task.folder / KEPT).open("x") as file:
                file.write(json.dumps(asdict(kept)))
        except FileExistsError:
            raise AlreadyExists(f"job {task.job} was started before") from None
        try:
            self._create(kept, where.parent, vertex_request.fields(task, uri, where, source), id_)
        except AlreadyExists:
            raise AlreadyExists(f"job {task.job} was started before: it is {kept.name}") from None
        except Unavailable:  # it may have arrived: whoever looks finds out
            return str(task.folder)
        except NbtoolsError:
            (task.folder / KEPT).unlink()
            raise
        _keep(task.folder, replace(kept, arrived=True))
        return str(task.folder)

    def begun(self, folder: Path) -> str:
        return str(folder) if (folder / KEPT).exists() else ""

    def poll(self, handle: str, now: datetime) -> Observation:
        folder = Path(handle)
        try:
            kept, task = Kept.read(folder), Task.loads((folder / "task.json").read_text())
        except FileNotFoundError:
            error = f"its folder {folder} is gone"
            return Observation(state=JobState.FAILED, error=error, end_time=now)
        seen = _seen(folder)
        if seen.state.final or not self._due(handle):
            return seen
        try:
            seen = self._look(kept, task, seen, now)
        except Unavailable as error:  # how it stands nobody knows: so it stays
            self._warn("look", f"job {task.job} is as it was when last seen: {error}")
            return replace(seen, text=str(error))
        except RequestError as error:  # no right to look is no reason to call it failed
            self._warn("look", f"job {task.job} cannot be looked at: {error}")
            return replace(seen, text=str(error))
        write_whole(folder / SEEN, seen.dumps())
        return seen

    def wait(self, handles: Sequence[str], seconds: float) -> None:
        del handles  # Vertex AI calls nobody
        time.sleep(seconds)

    def stop(self, handle: str) -> None:
        folder = Path(handle)
        (folder / STOP).touch()
        self._asked.pop(handle, None)
        if _seen(folder).state.final:
            return
        try:
            self._delete(Kept.read(folder))
        except NotFound:
            return
        except RequestError as error:  # asked for again by whoever looks next
            self._warn("stop", f"job {folder.name} cannot be cancelled now: {error}")

    # -- inside -----------------------------------------------------------------------

    def _look(self, kept: Kept, task: Task, seen: Observation, now: datetime) -> Observation:
        stopping = (task.folder / STOP).exists()
        try:
            found = self._get(kept)
        except NotFound:
            return _gone(kept, task, seen, stopping, now)
        if not kept.arrived:
            _keep(task.folder, replace(kept, arrived=True))
        word = found.job_state.name.removeprefix("JOB_STATE_")
        state = _STATES.get(word) or JobState(word)
        if stopping and not state.final:
            with suppress(NotFound):
                self._delete(kept)
            return replace(seen, state=JobState.CANCELLING)
        seen = replace(seen, state=state, start_time=_utc(found.create_time))
        return self._ended(kept, task, seen, found) if state.final else seen

    def _ended(self, kept: Kept, task: Task, seen: Observation, found: Any) -> Observation:
        """Bring home what has come out; the last observation says how it went."""
        well = seen.state is JobState.SUCCEEDED
        said = " ".join(found.status.message.split())
        seen = replace(seen, end_time=_utc(found.update_time))
        try:
            brought = vertex_results.bring(task, kept.uri, well)
        except Unavailable:
            raise
        except RequestError as error:
            if not well:
                why = (
                    said or f"it is {seen.state} on Vertex AI, which does not say why: {kept.name}"
                )
                return replace(seen, error="" if seen.state is JobState.CANCELLED else why)
            error_ = f"executed on Vertex AI, but what came out cannot be fetched: {error}"
            return replace(seen, state=JobState.FAILED, error=error_)
        seen = replace(seen, cell=brought.cell, cells=brought.cells, text=brought.text)
        if well:
            error_ = "" if "://" in task.output else deliver(task, task.executed)
            return replace(seen, error=error_, state=JobState.FAILED if error_ else seen.state)
        # An interrupt is what ends a notebook that took too long, and not why it was ended.
        stopped = "KeyboardInterrupt" in brought.error
        late = seen.state is JobState.EXPIRED or found.status.code == _DEADLINE
        why = f"timed out: it took longer than the {_limit(task):g} s that --timeout allows"
        shown = "" if stopped or late else brought.error
        return replace(seen, error=shown or said or (why if late else f"see {kept.name}"))

    def _due(self, handle: str) -> bool:
        """Whether to ask again, which is then done."""
        now = self._stopwatch()
        first, last = self._asked.get(handle, (now, -SELDOM))
        if now - last < min(SELDOM, max(OFTEN, PART * (now - first))):
            return False
        self._asked[handle] = first, now
        return True

    def _warn(self, what: str, why: str) -> None:
        """Once for each kind of trouble."""
        if what not in self._warned:
            self._warned.add(what)
            warnings.warn(why, RuntimeWarning, stacklevel=3)

    def _client(self, host: str) -> Any:
        if host not in self._clients:
            kind = registry.need("google.cloud.aiplatform_v1").NotebookServiceClient
            self._clients[host] = Endpoint.of(Settings.load()).client(kind, host)
        return self._clients[host]

    def _call(self, kept: Kept, rpc: str, request: Any) -> Any:
        """Raises NotFound, AlreadyExists, Unavailable, RequestError."""
        with told(Endpoint.of(Settings.load()).where(kept.host)):
            # No retries of Google's: they take minutes, and whoever looks next is one.
            return getattr(self._client(kept.host), rpc)(request, retry=None, timeout=PATIENCE)

    def _get(self, kept: Kept) -> Any:
        return self._call(kept, "get_notebook_execution_job", {"name": kept.name})

    def _delete(self, kept: Kept) -> None:
        self._call(kept, "delete_notebook_execution_job", {"name": kept.name})

    def _create(self, kept: Kept, parent: str, fields: dict[str, Any], id_: str) -> None:
        request = {
            "parent": parent, "notebook_execution_job": fields, "notebook_execution_job_id": id_
        }  # fmt: skip
        try:
            self._call(kept, "create_notebook_execution_job", request)
        except (
            ValueError,
            KeyError,
        ) as error:  # Google's classes take no such value: a GPU that is none
            raise RequestError(f"Vertex AI knows no such machine: {error}") from None


def _limit(task: Task) -> float:
    return task.timeout or vertex_request.LONGEST


def _utc(time: datetime) -> datetime:
    """Without the nanoseconds that Google's have."""
    return datetime.fromtimestamp(time.timestamp(), UTC)


def _source(task: Task, settings: Settings) -> dict[str, Any]:
    content = task.prepared.read_bytes()
    if len(content) <= vertex_request.DIRECT:
        return {"direct_notebook_source": {"content": content}}
    uri = vertex_request.staged(task.job, task.stem, settings)
    vertex_results.send(task.prepared, uri)
    return {"gcs_notebook_source": {"uri": uri}}


def _gone(kept: Kept, task: Task, seen: Observation, stopping: bool, now: datetime) -> Observation:
    """There is no such job on Vertex AI."""
    if stopping:
        return replace(seen, state=JobState.CANCELLED, error="cancelled", end_time=now)
    if kept.arrived:
        why = f"it is gone from Vertex AI: somebody has deleted {kept.name}; run it again"
        return replace(seen, state=JobState.FAILED, error=why, end_time=now)
    asked = datetime.fromtimestamp((task.folder / KEPT).stat().st_mtime, now.tzinfo)
    if now - asked < ARRIVAL:
        return seen
    why = "it never arrived on Vertex AI: whoever submitted it was cut off; run it again"
    return replace(seen, state=JobState.FAILED, error=why, end_time=now)


def _keep(folder: Path, kept: Kept) -> None:
    write_whole(folder / KEPT, json.dumps(asdict(kept)))


def _seen(folder: Path) -> Observation:
    try:
        return Observation.loads((folder / SEEN).read_bytes())
    except FileNotFoundError:
        return Observation(state=JobState.PENDING)
