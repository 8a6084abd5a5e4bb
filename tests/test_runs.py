"""Runs in the store: opened once, never written into another's."""

from datetime import UTC, datetime

import pytest

from nbtools.errors import AlreadyExists, NotFound
from nbtools.nouns import EXPERIMENT, Context
from nbtools.runs import find_context, find_run, list_runs, open_run
from nbtools.store import Store

NOW = datetime(2024, 1, 2, tzinfo=UTC)


@pytest.fixture
def store():
    return Store(None)


@pytest.mark.parametrize("resume", [False, True])
def test_two_runs_of_one_id_are_kept_apart(store, resume):
    open_run(store, "a-b", "c", NOW, params={"of": "first"})
    with pytest.raises(AlreadyExists) as caught:
        open_run(store, "a", "b-c", NOW, params={"of": "second"}, resume=resume)
    assert str(caught.value) == (
        "run 'b-c' of experiment 'a' would have the id 'a-b-c', which run 'c' of experiment "
        "'a-b' has already: choose another name for the run"
    )
    (run,) = list_runs(store, NOW)
    assert (run.experiment, run.name, run.params) == ("a-b", "c", {"of": "first"})
    assert store.find(Context, "a") is None


@pytest.mark.parametrize("resume", [False, True])
def test_a_run_is_not_written_into_an_experiment(store, resume):
    open_run(store, "a-b", "c", NOW)
    before = store.get(Context, "a-b")
    with pytest.raises(AlreadyExists, match="'a-b', which an experiment has already: choose"):
        open_run(store, "a", "b", NOW, resume=resume)
    assert store.get(Context, "a-b") == before


@pytest.mark.parametrize("resume", [False, True])
def test_an_experiment_is_not_made_of_a_run(store, resume):
    open_run(store, "a", "b", NOW)
    with pytest.raises(AlreadyExists) as caught:
        open_run(store, "a-b", "c", NOW, resume=resume)
    assert str(caught.value) == (
        "there can be no experiment 'a-b', run 'b' of experiment 'a' has that id already: "
        "choose another name for the experiment"
    )
    assert store.find(Context, "a-b-c") is None
    with pytest.raises(NotFound, match="no experiment 'a-b'"):
        list_runs(store, NOW, "a-b")


def test_another_context_of_that_name_is_left_alone(store):
    store.add(Context(name="a", schema_title="system.Pipeline"), NOW)
    with pytest.raises(AlreadyExists, match="a system.Pipeline has that id already"):
        open_run(store, "a", "b", NOW)


def test_the_same_run_is_refused_and_resumed_when_asked(store):
    first = open_run(store, "a-b", "c", NOW, params={"x": 1, "y": 1})
    with pytest.raises(AlreadyExists, match=r"has a run 'c' already: .*--resume"):
        open_run(store, "a-b", "c", NOW)
    again = open_run(store, "a-b", "c", NOW, params={"y": 2}, resume=True)
    assert again.name == first.name
    assert find_run(store, NOW, "c").params == {"x": 1, "y": 2}


def test_a_run_is_found_by_both_its_names(store):
    run = open_run(store, "a-b", "c", NOW)
    assert find_context(store, "a-b", "c") == run
    assert find_context(store, "a-b", "d") is None
    assert store.get(Context, "a-b").schema_title == EXPERIMENT
