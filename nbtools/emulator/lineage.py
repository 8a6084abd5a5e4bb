"""MetadataService: what joins contexts, executions and artifacts, and the way along it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from nbtools import contents, filters, removal
from nbtools.emulator import metadata, names, records
from nbtools.emulator.call import Call, Handler, Refused
from nbtools.nouns import EXPERIMENT, RUN, Artifact, Context, Event, Execution

MOST_PARENTS: Final = 10  #: of a context
MOST_NODES: Final = 1_000  #: artifacts, executions or events of an answer


def add_children(call: Call, request: Any) -> Any:
    parent = records.find(call, Context, request.context)
    for name in request.child_contexts:
        child = records.find(call, Context, name)
        if child.name == parent.name or parent.name in _below(call, child.name):
            raise Refused("INVALID_ARGUMENT", f"{name} would be below itself: that is a cycle")
        call.store.add_child(parent.name, child.name)
        if len(contents.pairs(call.store, "children", "child", [child.name])) > MOST_PARENTS:
            raise Refused("INVALID_ARGUMENT", f"a context has at most {MOST_PARENTS} parents")
        if parent.schema_title == EXPERIMENT and child.schema_title == RUN:
            _adopt(call, parent.name, child)
    return call.new("AddContextChildrenResponse")


def _adopt(call: Call, experiment: str, run: Context) -> None:
    """A run's metadata says which experiment's it is."""
    if f"{experiment}-{run.display_name}" == run.name:
        own = {"_experiment": experiment}
        call.store.amend(
            Context, run.name, lambda c: replace(c, metadata={**c.metadata, **own}), call.now
        )


def _below(call: Call, name: str) -> set[str]:
    """All children of a context, and theirs."""
    found, level = set[str](), {name}
    while level:
        pairs = contents.pairs(call.store, "children", "parent", level)
        level = {child for _, child in pairs} - found
        found |= level
    return found


def remove_children(call: Call, request: Any) -> Any:
    parent = records.find(call, Context, request.context)
    for name in request.child_contexts:
        removal.part(call.store, parent.name, records.find(call, Context, name).name)
    return call.new("RemoveContextChildrenResponse")


def add_artifacts_and_executions(call: Call, request: Any) -> Any:
    context = records.find(call, Context, request.context).name
    for name in request.artifacts:
        call.store.associate(context, artifact=records.find(call, Artifact, name).name)
    for name in request.executions:
        call.store.associate(context, execution=records.find(call, Execution, name).name)
    return call.new("AddContextArtifactsAndExecutionsResponse")


def add_events(call: Call, request: Any) -> Any:
    execution = records.find(call, Execution, request.execution).name
    known = {event.artifact for event in call.store.events(execution=execution)}
    for sent in request.events:
        artifact = records.find(call, Artifact, sent.artifact).name
        if sent.type_ not in (1, 2):
            raise Refused("INVALID_ARGUMENT", "the type of an event is INPUT or OUTPUT")
        if artifact in known:
            continue  # as Vertex AI does: the first event of the two stays
        known.add(artifact)
        event = Event(
            execution=execution,
            artifact=artifact,
            type="INPUT" if sent.type_ == 1 else "OUTPUT",
            labels=records.labels(sent.labels),
        )
        call.store.add_event(event, call.now)
    return call.new("AddExecutionEventsResponse")


# -- subgraphs ---------------------------------------------------------------------------


def of_execution(call: Call, request: Any) -> Any:
    store, _ = names.in_store(request.execution, "executions")
    execution = records.find(call, Execution, request.execution)
    events = call.store.events(execution=execution.name)
    return _subgraph(call, store, [event.artifact for event in events], [execution.name], events)


def of_context(call: Call, request: Any) -> Any:
    store, id_ = names.in_store(request.context, "contexts")
    records.find(call, Context, request.context)
    artifacts = [a for _, a in contents.pairs(call.store, "context_artifacts", "context", [id_])]
    executions = [e for _, e in contents.pairs(call.store, "context_executions", "context", [id_])]
    within = set(artifacts)
    events = [e for e in _events(call, "execution", executions) if e.artifact in within]
    return _subgraph(call, store, artifacts, executions, events)


def of_artifact(call: Call, request: Any) -> Any:
    """A hop is an event: from an artifact to an execution, or back."""
    store, _ = names.in_store(request.artifact, "artifacts")
    if request.max_hops < 0:
        raise Refused("INVALID_ARGUMENT", "max_hops is 0, for the whole graph, or more")
    start = records.find(call, Artifact, request.artifact).name
    fits = None
    if request.filter:
        wanted = filters.parse(request.filter, Artifact)
        fits = {a.name for a in call.store.select(Artifact, filter=wanted)} | {start}
    artifacts, executions, events = {start: None}, dict[str, None](), dict[Any, Event]()
    level, column, hops = [start], "artifact", 0
    while level and (not request.max_hops or hops < request.max_hops):
        met = [e for e in _events(call, column, level) if fits is None or e.artifact in fits]
        events.update(((e.execution, e.artifact, e.type), e) for e in met)
        column = "execution" if column == "artifact" else "artifact"
        seen = executions if column == "execution" else artifacts
        level = [n for n in dict.fromkeys(getattr(e, column) for e in met) if n not in seen]
        seen.update(dict.fromkeys(level))
        hops += 1
        if max(len(artifacts), len(executions), len(events)) > MOST_NODES:
            break
    return _subgraph(call, store, artifacts, executions, list(events.values()))


def _events(call: Call, column: str, of: Iterable[str]) -> list[Event]:
    of = list(of)
    return [e for type_ in ("INPUT", "OUTPUT") for e in
            contents.events(call.store, column, of, type_)]  # fmt: skip


def _subgraph(
    call: Call,
    store: str,
    artifacts: Iterable[str],
    executions: Iterable[str],
    events: list[Event],
) -> Any:
    found_artifacts = list(contents.records(call.store, Artifact, artifacts).values())
    found_executions = list(contents.records(call.store, Execution, executions).values())
    if max(len(found_artifacts), len(found_executions), len(events)) > MOST_NODES:
        raise Refused(
            "FAILED_PRECONDITION",
            f"the graph has more than {MOST_NODES} nodes of a kind, or events",
        )
    return call.new(
        "LineageSubgraph",
        artifacts=metadata.shown(call, found_artifacts, store),
        executions=metadata.shown(call, found_executions, store),
        events=[records.event(call, event, store) for event in events],
    )


HANDLERS: Mapping[str, Handler] = {
    "MetadataService.AddContextChildren": add_children,
    "MetadataService.RemoveContextChildren": remove_children,
    "MetadataService.AddContextArtifactsAndExecutions": add_artifacts_and_executions,
    "MetadataService.AddExecutionEvents": add_events,
    "MetadataService.QueryExecutionInputsAndOutputs": of_execution,
    "MetadataService.QueryContextLineageSubgraph": of_context,
    "MetadataService.QueryArtifactLineageSubgraph": of_artifact,
}
