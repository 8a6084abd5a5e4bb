"""What Vertex AI's services keep besides the graph."""

from datetime import UTC, datetime, timedelta

import pytest

from nbtools.errors import AlreadyExists, NotFound
from nbtools.nouns import RUN, Artifact, Context
from nbtools.removal import remove
from nbtools.resources import Resource
from nbtools.store import Store

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


@pytest.fixture
def add(store):
    def add(name, parent="", **values):
        return store.resources.add(Resource(name=name, type="Thing", parent=parent, **values), NOW)

    return add


def test_a_resource_is_found_as_it_was_put(store, add):
    made = add("a/1", display_name="One", record={"n": 1, "x": float("inf")})
    assert store.resources.find("a/1") == made
    assert (made.id, made.etag, made.create_time) == ("1", 1, NOW)
    changed = store.resources.put(made, NOW + timedelta(seconds=1))
    assert (changed.etag, changed.create_time) == (2, NOW)
    assert store.resources.get("a/1") == changed
    with pytest.raises(AlreadyExists):
        add("a/1")
    with pytest.raises(NotFound):
        add("b/1", parent="b")


def test_what_is_in_a_resource_goes_with_it(store, add):
    add("a"), add("a/b", "a"), add("a/b/c", "a/b"), add("a0", "")
    store.resources.write_tensors("a/b/c", [(1, 2.0, b"x"), (0, 1.0, b"yy"), (1, 3.0, b"zzz")])
    assert store.resources.tensors("a/b/c") == [(0, 1.0, b"yy"), (1, 3.0, b"zzz")]
    assert store.resources.size("a") == 5
    assert [r.name for r in store.resources.below("a", "Thing")] == ["a/b", "a/b/c"]
    store.resources.remove("a")
    assert [r.name for r in store.resources.select("Thing")] == ["a0"]
    assert store.resources.tensors("a/b/c") == []


def test_a_context_takes_its_resources_along(store, add):
    store.add(Context(name="run", schema_title=RUN), NOW)
    store.add_points("run", "loss", [(0, 1.0, 0.5), (7, 2.0, 0.25)])
    assert store.resources.unseen(RUN) == [("run", "loss")]
    assert store.resources.end("run", "loss") == (7, 2.0)
    assert store.resources.end("run", "none") is None
    add("a", context="run"), add("a/b", "a")
    assert [r.name for r in store.resources.select("Thing", context="run")] == ["a"]
    assert store.resources.size("") == 0
    remove(store, Context, "run")
    assert store.resources.select("Thing") == []


def test_what_is_unseen_is_found_among_thousands_at_once(store):
    """Each series by each would be a hundred million rows: the test's time limit ends that."""
    with store.write():
        for run in range(1000):
            name = f"e-r{run}"
            store.add(Context(name=name, schema_title=RUN), NOW)
            new = Resource(name=f"b/{run}", type="TensorboardRun", context=name)
            store.resources.add(new, NOW)
            for key in range(10):
                sql = "INSERT INTO series VALUES (?, ?, 1, 0.5)"
                store._execute(sql, name, f"k{key}")
                new = Resource(
                    name=f"b/{run}/{key}", type="TensorboardTimeSeries", parent=f"b/{run}",
                    display_name=f"k{key}",
                )  # fmt: skip
                store.resources.add(new, NOW)
    store.resources.remove("b/500/5")
    assert store.resources.unseen(RUN) == [("e-r500", "k5")]
    assert store.resources.counts() == (10_000, 10_999)


def test_series_are_forgotten_one_or_all(store):
    store.add(Context(name="run", schema_title="x"), NOW)
    for key in "abc":
        store.add_points("run", key, [(0, 1.0, 0.5)])
    store.resources.forget_series("run", "b")
    assert list(store.points("run")) == ["a", "c"]
    store.resources.forget_series("run")
    assert store.points("run") == {}


def test_the_newest_of_a_type_stay(store):
    for number in range(5):
        new = Resource(name=f"o/{number}", type="Operation")
        store.resources.add(new, NOW + timedelta(seconds=number))
    store.resources.trim("Operation", 2)
    assert [r.name for r in store.resources.select("Operation")] == ["o/3", "o/4"]


def test_records_keep_labels_descriptions_and_versions(store):
    made = Artifact(
        name="a", schema_title="x", labels={"k": "v"}, description="what", schema_version="1.0.0"
    )
    store.add(made, NOW)
    found = store.get(Artifact, "a")
    assert (found.labels, found.description) == ({"k": "v"}, "what")
    assert found.schema_version == "1.0.0"
