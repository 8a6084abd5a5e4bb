"""Edges and subgraphs, through the SDK's own client."""

import pytest
from google.api_core import exceptions
from google.cloud.aiplatform_v1 import types

from nbtools import lineage


@pytest.fixture
def graph(clients):
    """raw -> clean -> data -> train -> model; `train` and `model` are in `run`."""
    client, store = clients.metadata, clients.store

    def artifact(name):
        made = types.Artifact(schema_title="system.Dataset", display_name=name)
        client.create_artifact(parent=store, artifact=made, artifact_id=name)

    def execution(name, reads, leaves):
        made = types.Execution(schema_title="system.Run", display_name=name)
        made = client.create_execution(parent=store, execution=made, execution_id=name)
        events = [event(clients, reads, types.Event.Type.INPUT)]
        events += [event(clients, leaves, types.Event.Type.OUTPUT)]
        client.add_execution_events(execution=made.name, events=events)
        return made.name

    for name in ("raw", "data", "model"):
        artifact(name)
    execution("clean", "raw", "data")
    train = execution("train", "data", "model")
    context = types.Context(schema_title="system.Dataset", display_name="run")
    run = client.create_context(parent=store, context=context, context_id="run")
    client.add_context_artifacts_and_executions(
        context=run.name, artifacts=[f"{store}/artifacts/model"], executions=[train]
    )
    return clients


def event(clients, artifact, type_):
    return types.Event(artifact=f"{clients.store}/artifacts/{artifact}", type_=type_)


def nodes(found):
    return sorted(n.display_name for n in [*found.artifacts, *found.executions])


def test_an_execution_has_its_inputs_and_outputs(graph):
    name = f"{graph.store}/executions/train"
    found = graph.metadata.query_execution_inputs_and_outputs(execution=name)
    assert nodes(found) == ["data", "model", "train"]
    kinds = {e.artifact.rpartition("/")[2]: e.type_.name for e in found.events}
    assert kinds == {"data": "INPUT", "model": "OUTPUT"}
    assert all(e.execution == name and e.event_time for e in found.events)


def test_a_context_has_what_is_in_it(graph):
    name = f"{graph.store}/contexts/run"
    found = graph.metadata.query_context_lineage_subgraph(context=name)
    assert nodes(found) == ["model", "train"]
    assert [e.type_.name for e in found.events] == ["OUTPUT"]


@pytest.mark.parametrize(
    ("hops", "there"),
    [
        (0, ["clean", "data", "model", "raw", "train"]),
        (1, ["model", "train"]),
        (2, ["data", "model", "train"]),
        (3, ["clean", "data", "model", "train"]),
        (9, ["clean", "data", "model", "raw", "train"]),
    ],
)
def test_an_artifact_has_all_that_it_is_joined_with(graph, hops, there):
    asked = {"artifact": f"{graph.store}/artifacts/model", "max_hops": hops}
    assert nodes(graph.metadata.query_artifact_lineage_subgraph(request=asked)) == there


def test_a_filter_leaves_artifacts_out_and_what_is_behind_them(graph):
    asked = {"artifact": f"{graph.store}/artifacts/model", "filter": 'display_name != "data"'}
    found = graph.metadata.query_artifact_lineage_subgraph(request=asked)
    assert nodes(found) == ["model", "train"]
    with pytest.raises(exceptions.BadRequest):
        graph.metadata.query_artifact_lineage_subgraph(request={**asked, "max_hops": -1})


def test_nbtools_walks_the_same_graph(graph):
    found = lineage.upstream("model")
    assert [a.name for a in found.artifacts] == ["data", "model", "raw"]
    assert [e.name for e in found.executions] == ["clean", "train"]


def test_a_second_event_between_two_is_skipped(graph):
    name = f"{graph.store}/executions/train"
    events = [event(graph, "model", types.Event.Type.INPUT)] * 2
    graph.metadata.add_execution_events(execution=name, events=events)
    found = graph.metadata.query_execution_inputs_and_outputs(execution=name)
    assert len(found.events) == 2


def test_events_have_labels_a_type_and_both_ends(graph):
    client, name = graph.metadata, f"{graph.store}/executions/train"
    labelled = event(graph, "raw", types.Event.Type.INPUT)
    labelled.labels["why"] = "check"
    client.add_execution_events(execution=name, events=[labelled])
    found = client.query_execution_inputs_and_outputs(execution=name).events
    assert [dict(e.labels) for e in found if e.labels] == [{"why": "check"}]
    for wrong, error in (
        (event(graph, "none", types.Event.Type.INPUT), exceptions.NotFound),
        (event(graph, "raw", types.Event.Type.TYPE_UNSPECIFIED), exceptions.BadRequest),
    ):
        with pytest.raises(error):
            client.add_execution_events(execution=name, events=[wrong])


def test_part_of_a_request_that_fails_is_not_done(graph):
    client, name = graph.metadata, f"{graph.store}/executions/clean"
    both = [
        event(graph, "model", types.Event.Type.INPUT),
        event(graph, "none", types.Event.Type.INPUT),
    ]
    with pytest.raises(exceptions.NotFound):
        client.add_execution_events(execution=name, events=both)
    assert len(client.query_execution_inputs_and_outputs(execution=name).events) == 2


def context(clients, name):
    made = types.Context(schema_title="system.Dataset", display_name=name)
    return clients.metadata.create_context(parent=clients.store, context=made, context_id=name).name


def test_children_have_parents_and_may_leave_them(clients):
    client = clients.metadata
    outer, inner, other = (context(clients, name) for name in ("outer", "inner", "other"))
    client.add_context_children(context=outer, child_contexts=[inner, inner])
    client.add_context_children(context=other, child_contexts=[inner])
    assert list(client.get_context(name=inner).parent_contexts) == [other, outer]
    client.remove_context_children(context=other, child_contexts=[inner])
    client.remove_context_children(context=other, child_contexts=[inner])  # skipped
    assert list(client.get_context(name=inner).parent_contexts) == [outer]
    listed = {c.name: list(c.parent_contexts) for c in client.list_contexts(parent=clients.store)}
    assert listed == {outer: [], other: [], inner: [outer]}


def test_nothing_is_below_itself_or_has_eleven_parents(clients):
    client = clients.metadata
    a, b, c = (context(clients, name) for name in "abc")
    client.add_context_children(context=a, child_contexts=[b])
    client.add_context_children(context=b, child_contexts=[c])
    for parent, child in ((a, a), (c, a), (b, a)):
        with pytest.raises(exceptions.BadRequest, match="cycle"):
            client.add_context_children(context=parent, child_contexts=[child])
    for number in range(9):
        parent = context(clients, f"p{number}")
        client.add_context_children(context=parent, child_contexts=[c])
    with pytest.raises(exceptions.BadRequest, match="at most 10 parents"):
        client.add_context_children(context=a, child_contexts=[c])
    assert len(client.get_context(name=c).parent_contexts) == 10


def test_a_graph_that_is_too_large_is_refused(clients, emulator):
    store, client = emulator.store, clients.metadata
    from nbtools.nouns import Artifact, Event, Execution, utc_now

    now = utc_now()
    with store.write():
        store.add(Execution(name="all", schema_title="system.Run"), now)
        for number in range(1001):
            store.add(Artifact(name=f"a{number}", schema_title="system.Dataset"), now)
            store.add_event(Event(execution="all", artifact=f"a{number}", type="OUTPUT"), now)
    with pytest.raises(exceptions.BadRequest, match="more than 1000"):
        client.query_execution_inputs_and_outputs(execution=f"{clients.store}/executions/all")
