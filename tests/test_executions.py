"""Steps of one's own in the graph."""

import pytest

import nbtools
from nbtools import experiments, lineage
from nbtools.errors import NotFound, RequestError
from nbtools.nouns import JOB, Artifact, Execution
from nbtools.store import Store


@pytest.fixture(autouse=True)
def fresh_session(store_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(experiments, "_session", experiments._Session())
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def store(store_folder):
    return Store(store_folder)


def only(store):
    (execution,) = store.select(Execution)
    return execution


def ends(store, type):
    events = store.events(execution=only(store).name)
    return {store.get(Artifact, e.artifact).display_name for e in events if e.type == type}


def test_a_step_reads_and_leaves(store, tmp_path):
    (tmp_path / "raw.csv").write_text("1")
    kept = lineage.artifact("gs://b/table")
    with nbtools.start_execution(
        "clean", inputs=["raw.csv", kept, "gs://b/other"], outputs=["clean.csv"],
        metadata={"by": "me"},
    ) as step:  # fmt: skip
        assert only(store).state == "RUNNING"
        (tmp_path / "clean.csv").write_text("2")
        (tmp_path / "extra.csv").write_text("3")
        step.assign_output_artifacts(["extra.csv"])
    assert only(store).state == "COMPLETE"
    assert only(store).metadata["by"] == "me"
    assert ends(store, "INPUT") == {"raw.csv", "table", "other"}
    assert ends(store, "OUTPUT") == {"clean.csv", "extra.csv"}
    assert [a.display_name for a in lineage.upstream("clean.csv", 1).artifacts] != []


def test_a_step_that_fails_says_why_and_keeps_what_it_left(store, tmp_path):
    with (
        pytest.raises(ZeroDivisionError),
        nbtools.start_execution("clean", outputs=["a", "never"]),
    ):
        (tmp_path / "a").write_text("1")
        raise ZeroDivisionError("by zero")
    assert only(store).state == "FAILED"
    assert only(store).metadata["error"] == "ZeroDivisionError: by zero"
    assert ends(store, "OUTPUT") == {"a"}


def test_an_output_that_was_not_left_fails_the_step(store):
    with (
        pytest.raises(NotFound, match=r"no file .*never, which execution clean-.* was to leave"),
        nbtools.start_execution("clean", outputs=["never"]),
    ):
        pass
    assert only(store).state == "FAILED"


def test_an_input_that_is_not_there_begins_nothing(store):
    with pytest.raises(NotFound, match="no artifact 'none.csv'"):
        nbtools.start_execution("clean", inputs=["none.csv"])
    assert store.select(Execution) == []


def test_a_step_does_not_pass_for_a_job(store):
    with pytest.raises(RequestError, match="is what jobs are: name another schema"):
        nbtools.start_execution("clean", schema_title=JOB)


def test_a_step_in_a_run_is_part_of_it(store, tmp_path):
    with nbtools.start_run("r") as run, nbtools.start_execution("clean", outputs=["a"]) as step:
        (tmp_path / "a").write_text("1")
    assert step.name in {e.name for e in store.select(Execution, context=run.id)}
    assert [a.display_name for a in store.select(Artifact, context=run.id)] == ["a"]


def test_an_output_is_what_lies_there_now_whatever_was_called_so(store, tmp_path):
    (tmp_path / "a").write_text("old")
    old = lineage.artifact("a")
    with nbtools.start_execution("clean", inputs=["a"], outputs=["a"]):
        (tmp_path / "a").write_text("new")
    events = {e.type: e.artifact for e in store.events(execution=only(store).name)}
    assert events["INPUT"] == old.name != events["OUTPUT"]
