"""The mirror of Vertex AI: the same run in Vertex AI Experiments, while it is at work.

Points go to the managed TensorBoard as they come, params and metrics to the run's context.
What is joined to the run (jobs, artifacts, lineage) goes there from the store when it ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nbtools.cloud import Endpoint, Place
from nbtools.mirror import KeyedPoint, MirroredRun
from nbtools.mirrors.managed import ManagedMirror
from nbtools.nouns import Artifact, Context, artifact_name, utc_now
from nbtools.settings import Settings
from nbtools.states import ExecutionState
from nbtools.store import Store
from nbtools.summaries import SYSTEM
from nbtools.vertex.calls import Calls
from nbtools.vertex.ledger import Ledger
from nbtools.vertex.outbound import Outbound, Pushed
from nbtools.vertex.records import Conflict
from nbtools.vertex.service import Service

#: attempts at a call: what fails then is told again later, by another mirror.
ATTEMPTS = 3


class VertexMirror:
    """A run in the project and location of `to`, vertex://PROJECT/LOCATION, or of the settings.

    `staging_bucket` is the URI that files go below, the settings' one when it is not given;
    `tensorboard` the resource name of the board of an experiment that has none.
    """

    def __init__(self, to: str = "", staging_bucket: str = "", tensorboard: str = "") -> None:
        settings = Settings.load()
        self._place = Place.of(settings, to)
        self._place.parent  # noqa: B018 - refuses what is no place
        self._endpoint = Endpoint.of(settings)
        self._staging = staging_bucket or settings.staging_bucket
        self._tensorboard = tensorboard
        self._changed: dict[str, dict[str, Any]] = {}
        self._artifacts: list[Artifact] = []
        self._series: ManagedMirror | None = None

    def start(self, run: MirroredRun) -> None:
        self._run, self._store = run, Store(run.store)
        service = Service(self._place, self._endpoint, Calls(attempts=ATTEMPTS))
        ledger = Ledger(self._store, self._place, utc_now())
        self._out = Outbound(
            self._store, service, ledger, staging=self._staging, tensorboard=self._tensorboard
        )
        self._open()

    def params(self, values: Mapping[str, Any]) -> None:
        self._changed.setdefault("_params", {}).update(values)

    def metrics(self, values: Mapping[str, Any]) -> None:
        self._changed.setdefault("_metrics", {}).update(values)

    def points(self, points: Sequence[KeyedPoint]) -> None:
        shown = [point for point in points if not point[0].startswith(SYSTEM)]
        if not shown:
            return
        if self._series is None:
            self._series = ManagedMirror(self._out.board(self._context()))
            self._series.resume(self._out.board_run(self._context()))
        self._series.points(shown)

    def artifact(self, path: Path, name: str, schema_title: str) -> None:
        self._artifacts.append(_left(self._store, self._run.id, path, name, schema_title))

    def flush(self) -> bool:
        if self._series is not None:
            self._series.flush()
        if self._changed:
            self._open()
        pushed = Pushed()
        while self._artifacts:
            self._out.artifact(self._run.id, self._artifacts[0], pushed)
            del self._artifacts[0]
        _check(pushed)
        return True

    def end(self, state: str) -> str:
        self.flush()
        if self._series is not None:  # so that none of it has to be read back
            self._out.told(self._run.id, self._series.told)
        context = self._store.get(Context, self._run.id)
        here = context.metadata["_state"]
        open_ = here == ExecutionState.RUNNING
        _check(self._out.run(self._run.id, {"_state": state} if state and open_ else {}))
        return str(here) if open_ else ""

    def close(self) -> None:
        if self._series is not None:
            self._series.flush()
        self._store.close()

    def _context(self) -> Context:
        """The run's context, with what is newer in the journal than in the store."""
        context = self._store.get(Context, self._run.id)
        meta = dict(context.metadata)
        for key, values in self._changed.items():
            meta[key] = {**meta.get(key, {}), **values}
        return replace(context, metadata=meta)

    def _open(self) -> None:
        pushed = Pushed()
        self._out.open(self._context(), pushed)
        _check(pushed)


def _left(store: Store, run: str, path: Path, name: str, schema_title: str) -> Artifact:
    """The artifact that a run has left, as the store has it, or as the journal says."""
    id_ = artifact_name(run, name)
    made = Artifact(name=id_, schema_title=schema_title, display_name=name, uri=str(path))
    return store.find(Artifact, id_) or made


def _check(pushed: Pushed) -> None:
    if pushed.conflicts:
        raise Conflict("; ".join(pushed.conflicts))
