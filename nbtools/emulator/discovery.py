"""Runs that nbtools itself has logged, shown as the SDK would have written them.

A run with time series has a tensorboard's run behind it, and an artifact that says so: both
are made when somebody looks. Its params, metrics and edges are the SDK's already.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any, Final

from nbtools.emulator import tensorboards
from nbtools.emulator.call import Call
from nbtools.nouns import EXPERIMENT, RUN, Artifact, Context
from nbtools.resources import Resource

ARTIFACT: Final = "google.VertexTensorboardRun"
BOARD: Final = "tensorboards/1"


def show(call: Call, location: str) -> None:
    """Make what is missing. `location` is the one that the artifacts are to name."""
    with call.store.write():
        for context, key in call.store.resources.unseen(RUN):
            if (run := _run(call, context, location)) is None:
                continue
            number = int.from_bytes(hashlib.sha256(f"{context} {key}".encode()).digest()[:7])
            record = {"display_name": key, "value_type": "SCALAR", "plugin_name": "scalars"}
            name = f"{run.name}/timeSeries/{number}"
            _need(call, Resource(
                name=name, type=tensorboards.SERIES.type, parent=run.name, display_name=key,
                record=record,
            ))  # fmt: skip


def _run(call: Call, name: str, location: str) -> Resource | None:
    """The tensorboard's run that a run's scalars are in; None for a run of no experiment."""
    for known in call.store.resources.select(tensorboards.RUN_.type, context=name):
        return known
    context = call.store.get(Context, name)
    if not (experiment := context.metadata.get("_experiment")):
        return None
    board = _board(call)
    within = _need(call, Resource(
        name=f"{board.name}/experiments/{experiment}", type=tensorboards.EXPERIMENT.type,
        parent=board.name, display_name=experiment,
        record={
            "display_name": experiment,
            "labels": {"vertex_tensorboard_experiment_source": "vertex_experiment"},
        },
    ))  # fmt: skip
    id_, number = context.display_name, 1
    while call.store.resources.find(f"{within.name}/runs/{id_}"):  # of somebody's own
        number += 1
        id_ = f"{context.display_name}-{number}"
    made = _need(call, Resource(
        name=f"{within.name}/runs/{id_}", type=tensorboards.RUN_.type, parent=within.name,
        context=name, display_name=id_, record={"display_name": id_},
    ))  # fmt: skip
    _link(call, context, f"{location}/{made.name}", f"{location}/{board.name}")
    return made


def _board(call: Call) -> Resource:
    """The default board; made if there is none."""
    boards = call.store.resources.select(tensorboards.BOARD.type)
    for board in boards:
        if board.record.get("is_default"):
            return board
    record = {"display_name": "nbtools", "is_default": True}
    new = Resource(name=BOARD, type=tensorboards.BOARD.type, display_name="nbtools", record=record)
    return _need(call, new)


def _link(call: Call, context: Context, run: str, board: str) -> None:
    region = run.split("/")[3]
    artifact = Artifact(
        name=f"{context.name}-tb-run",
        schema_title=ARTIFACT,
        uri=f"https://{region}-aiplatform.googleapis.com/v1/{run}",
        metadata={"resourceName": run, "vertex_experiment_tracking": True},
    )
    if call.store.find(Artifact, artifact.name) is None:
        call.store.add(artifact, call.now)
        call.store.associate(context.name, artifact=artifact.name)
    experiment = call.store.find(Context, context.metadata["_experiment"])
    if experiment and experiment.schema_title == EXPERIMENT:
        call.store.amend(Context, experiment.name, lambda c: _backed(c, board), call.now)


def _backed(experiment: Context, board: str) -> Context:
    known: dict[str, Any] = {"backing_tensorboard_resource": board, "experiment_deleted": False}
    return replace(experiment, metadata={**known, **experiment.metadata})


def _need(call: Call, resource: Resource) -> Resource:
    found = call.store.resources.find(resource.name)
    return found or call.store.resources.add(resource, call.now)
