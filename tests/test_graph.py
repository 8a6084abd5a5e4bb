"""Walking the graph: up, down, so far and no further, and never in a circle."""

from datetime import UTC, datetime

import pytest

from nbtools.graph import LIMIT, walk
from nbtools.nouns import Artifact, Event, Execution
from nbtools.runs import open_run
from nbtools.store import Store

NOW = datetime(2024, 1, 2, tzinfo=UTC)


@pytest.fixture
def store():
    return Store(None)


def build(store, *ways):
    """`a>x` is read by, `x>b` is left by: artifacts are small letters, executions large."""
    with store.write():
        for way in ways:
            ends = way.split(">")
            for name in ends:
                kind = Execution if name.isupper() else Artifact
                if store.find(kind, name) is None:
                    store.add(kind(name=name, schema_title="t", display_name=name), NOW)
            kind = "INPUT" if ends[1].isupper() else "OUTPUT"
            artifact, execution = ends if kind == "INPUT" else ends[::-1]
            store.add_event(Event(execution=execution, artifact=artifact, type=kind), NOW)


def reached(graph):
    return "".join([a.name for a in graph.artifacts] + [e.name for e in graph.executions])


CHAIN = ("a>P", "P>b", "P>o", "b>Q", "i>Q", "Q>c", "c>R", "R>d")


@pytest.mark.parametrize(
    ("start", "options", "expected"),
    [
        ("b", {"down": False}, "abP"),
        ("b", {"up": False}, "bcdQR"),
        ("b", {}, "abcdPQR"),
        ("c", {"down": False}, "abciPQ"),
        ("c", {"down": False, "depth": 1}, "bciQ"),
        ("b", {"up": False, "depth": 1}, "bcQ"),
        ("b", {"depth": 0}, "b"),
        ("o", {}, "aoP"),
        ("Q", {"depth": 1}, "bciQ"),
        ("Q", {"down": False}, "abiPQ"),
        ("Q", {"up": False}, "cdQR"),
    ],
)
def test_a_walk(store, start, options, expected):
    build(store, *CHAIN)
    starts = ([], [start]) if start.isupper() else ([start], [])
    graph = walk(store, *starts, **options)
    assert reached(graph) == expected
    assert graph.whole
    assert graph.start == {start}
    ends = {(e.artifact, e.execution) for e in graph.events}
    assert {name for end in ends for name in end} <= set(expected)


def test_circles_end(store):
    build(store, "a>P", "P>a", "P>b", "b>Q", "Q>a")
    graph = walk(store, ["b"], [])
    assert reached(graph) == "abPQ"
    assert len(graph.events) == 5


def test_an_artifact_and_an_execution_of_one_name(store):
    for kind in (Artifact, Execution):
        store.add(kind(name="x", schema_title="t"), NOW)
    store.add_event(Event(execution="x", artifact="x", type="OUTPUT"), NOW)
    graph = walk(store, ["x"], [])
    assert (len(graph.artifacts), len(graph.executions), len(graph.events)) == (1, 1, 1)


def test_there_is_a_limit_and_it_is_told(store):
    build(store, *(f"a>X{'Y' * n}" for n in range(LIMIT + 5)))
    graph = walk(store, ["a"], [])
    assert len(graph) == LIMIT
    assert not graph.whole
    assert len(walk(store, ["a"], [], limit=3)) == 3
    assert walk(store, ["a"], [], limit=LIMIT + 6).whole


def test_a_long_chain_is_walked_and_drawn(store):
    names = ["a"]
    with store.write():
        store.add(Artifact(name="a", schema_title="t"), NOW)
        for number in range(499):
            execution, artifact = f"e{number}", f"a{number}"
            store.add(Execution(name=execution, schema_title="t"), NOW)
            store.add(Artifact(name=artifact, schema_title="t"), NOW)
            store.add_event(Event(execution=execution, artifact=names[-1], type="INPUT"), NOW)
            store.add_event(Event(execution=execution, artifact=artifact, type="OUTPUT"), NOW)
            names.append(artifact)
    graph = walk(store, [names[-1]], [], down=False)
    assert len(graph) == 999
    assert graph.svg().count("<rect") == 999
    assert len(graph.frame()) == 998


def test_a_frame_has_a_row_an_event(store):
    build(store, "a>P", "P>b")
    frame = walk(store, ["a"], []).frame()
    assert list(frame["type"]) == ["INPUT", "OUTPUT"]
    assert list(frame["artifact"]) == ["a", "b"]
    assert set(frame["execution"]) == {"P"}
    empty = walk(store, ["a"], [], depth=0).frame()
    assert (len(empty), list(empty.columns)) == (0, list(frame.columns))


def test_what_a_run_reported_comes_with_its_execution(store):
    context = open_run(store, "exp", "r", NOW, params={"lr": 0.5})
    store.add(Execution(name=context.name, schema_title="system.Run"), NOW)
    graph = walk(store, [], [context.name])
    assert graph.runs[context.name].params == {"lr": 0.5}
    assert "lr=0.5" in graph.svg()
    assert graph.json()["runs"][context.name]["params"] == {"lr": 0.5}
