"""A lineage graph as OpenLineage run events, which other catalogues read.

The words are those of the specification, version 2-0-2: a run is one execution, a job what
it was an execution of, a dataset an artifact.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePath
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import NAMESPACE_URL, uuid5

from nbtools.graph import Graph
from nbtools.nouns import NOTEBOOK, Artifact, Execution, Job, stamp

_SPEC: Final = "https://openlineage.io/spec"
SCHEMA: Final = f"{_SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent"
PRODUCER: Final = "urn:nbtools"
#: an execution's state -> the event that ends its run.
ENDS: Final = {
    "COMPLETE": "COMPLETE",
    "CACHED": "COMPLETE",
    "FAILED": "FAIL",
    "CANCELLED": "ABORT",
}


def run_events(graph: Graph) -> list[dict[str, Any]]:
    """The events of all executions, oldest first."""
    artifacts = {a.name: a for a in graph.artifacts}
    ends: dict[tuple[str, str], list[Artifact]] = {}
    for event in graph.events:
        ends.setdefault((event.execution, event.type), []).append(artifacts[event.artifact])
    events = []
    for execution in graph.executions:
        inputs = ends.get((execution.name, "INPUT"), [])
        outputs = ends.get((execution.name, "OUTPUT"), [])
        begun = _event(execution, "START", stamp(execution.create_time), inputs, [])
        events.append(begun)
        if end := ENDS.get(execution.state):
            when = execution.metadata.get("end_time") or stamp(execution.update_time)
            events.append(_event(execution, end, str(when), inputs, outputs))
    return sorted(events, key=lambda event: (event["eventTime"], event["run"]["runId"]))


def _event(
    execution: Execution,
    kind: str,
    when: str | None,
    inputs: Iterable[Artifact],
    outputs: Iterable[Artifact],
) -> dict[str, Any]:
    inputs = list(inputs)
    return {
        "eventType": kind,
        "eventTime": when,
        "producer": PRODUCER,
        "schemaURL": SCHEMA,
        "run": {
            "runId": str(uuid5(NAMESPACE_URL, f"{PRODUCER}:{execution.name}")),
            "facets": _of_run(execution) if kind == "FAIL" else {},
        },
        "job": {
            "namespace": str(execution.metadata.get("experiment") or "nbtools"),
            "name": execution.display_name or execution.name,
            "facets": _of_job(execution, inputs),
        },
        "inputs": [_dataset(a) for a in inputs],
        "outputs": [_dataset(a) for a in outputs],
    }


def _of_run(execution: Execution) -> dict[str, Any]:
    said = str(execution.metadata.get("error") or "it failed and did not say why")
    facet = _facet("1-0-1", "ErrorMessageRunFacet", message=said, programmingLanguage="PYTHON")
    return {"errorMessage": facet}


def _of_job(execution: Execution, inputs: Iterable[Artifact]) -> dict[str, Any]:
    kind = "NOTEBOOK" if Job.is_in(execution) else "COMMAND"
    facets = {
        "jobType": _facet(
            "2-0-4", "JobTypeJobFacet", processingType="BATCH", integration="NBTOOLS", jobType=kind
        )
    }
    for source in inputs:
        if source.schema_title == NOTEBOOK and source.metadata.get("commit"):
            facets["sourceCodeLocation"] = _facet(
                "1-1-0",
                "SourceCodeLocationJobFacet",
                type="git",
                url=PurePath(source.uri).as_uri(),
                version=source.metadata["commit"],
            )
    return facets


def _dataset(artifact: Artifact) -> dict[str, Any]:
    """An artifact, named by OpenLineage's rules: where it lies, and its path there."""
    parts = urlsplit(artifact.uri)
    if parts.scheme and parts.scheme != "file":
        namespace = f"{parts.scheme}://{parts.netloc}"
        name = parts.path.lstrip("/")
    else:
        namespace, name = "file", artifact.uri.removeprefix("file://")
    version = artifact.metadata.get("sha256") or artifact.metadata.get("version")
    facets = {}
    if version:
        facets["version"] = _facet(
            "1-0-1", "DatasetVersionDatasetFacet", datasetVersion=str(version)
        )
    return {"namespace": namespace, "name": name or artifact.name, "facets": facets}


def _facet(since: str, name: str, **fields: str) -> dict[str, str]:
    schema = f"{_SPEC}/facets/{since}/{name}.json#/$defs/{name}"
    return {"_producer": PRODUCER, "_schemaURL": schema, **fields}
