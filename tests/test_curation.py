"""Tags, notes, and runs that are deleted with what was only theirs."""

import sqlite3
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

import nbtools
from nbtools import curation, experiments, lineage, removal
from nbtools.errors import NotFound, RequestError, StateError
from nbtools.nouns import JOB, Artifact, Context, Event, Execution, Run
from nbtools.rows import ENDS
from nbtools.runs import close_run, find_run, list_runs, open_run
from nbtools.states import ExecutionState
from nbtools.store import Store

NOW = datetime(2024, 1, 2, tzinfo=UTC)

LOGS = """
import nbtools
nbtools.init("e")
with nbtools.start_run("{0}") as run:
    run.log_params({{"lr": 0.1}})
    run.log_time_series_metrics({{"loss": 1.0}}, step=1)
    with open("model.pt", "w") as file:
        file.write("weights of {0}")
    run.log_artifact("model.pt", "model-{0}")
    with open(nbtools.output_path("plot.txt"), "w") as file:
        file.write("plot")
"""


@pytest.fixture
def store(store_folder):
    return Store(store_folder)


@pytest.fixture
def logged(store, tmp_path):
    """A run that a process of its own has logged, with two files of which one is an artifact."""

    def logged(name):
        code = LOGS.format(name)
        subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
        return find_run(store, NOW, name)

    return logged


def everything(store):
    """All rows of all tables but those that only say how others look."""
    tables = [r[0] for r in store._execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return {
        table: [tuple(row) for row in store._execute(f"SELECT * FROM {table}")]
        for table in tables
        if table != "shapes"
    }


def test_tags_are_added_once_and_taken(store):
    run = Run.of(open_run(store, "e", "r", NOW))
    run = curation.tag(store, run, ["a", "b"], NOW)
    run = curation.tag(store, run, ["c", "a"], NOW)
    assert run.tags == find_run(store, NOW, "r").tags == ("a", "b", "c")
    assert curation.untag(store, run, ["b", "a"], NOW).tags == ("c",)
    with pytest.raises(RequestError, match="run 'r' has no tag 'b': it has c"):
        curation.untag(store, find_run(store, NOW, "r"), ["b"], NOW)


@pytest.mark.parametrize("tag", ["", "two words", "a,b", "x" * 65, "new\nline"])
def test_a_tag_that_cannot_be_typed_is_refused(store, tag):
    run = Run.of(open_run(store, "e", "r", NOW))
    with pytest.raises(RequestError, match="use at most 64 letters"):
        curation.tag(store, run, ["fine", tag], NOW)
    assert find_run(store, NOW, "r").tags == ()


def test_a_note_is_replaced(store):
    run = Run.of(open_run(store, "e", "r", NOW))
    assert curation.note(store, run, " first \n", NOW).notes == "first"
    assert curation.note(store, run, "second", NOW).notes == "second"
    assert curation.note(store, run, "", NOW).notes == ""
    with pytest.raises(RequestError, match="at most 10000 characters, this has 10001"):
        curation.note(store, run, "x" * 10_001, NOW)


def test_tags_and_notes_do_not_touch_what_is_logged_meanwhile(store, monkeypatch):
    monkeypatch.setattr(experiments, "_session", experiments._Session())
    nbtools.init("e")
    with nbtools.start_run("r") as open_:
        open_.log_params({"a": 1})
        run = find_run(store, NOW, "r")
        curation.tag(store, run, ["x"], NOW)
        open_.log_params({"b": 2})
        curation.note(store, run, "n", NOW)
        open_.log_metrics({"m": 3})
    run = find_run(store, NOW, "r")
    assert (run.params, run.metrics, run.tags, run.notes) == (
        {"a": 1, "b": 2}, {"m": 3}, ("x",), "n",
    )  # fmt: skip


def test_a_deleted_run_leaves_nothing_behind(store, logged, store_folder):
    logged("stays")
    before = everything(store)
    run = logged("goes")
    assert everything(store) != before
    gone = curation.delete(store, run, NOW)
    assert everything(store) == before
    assert (len(gone.artifacts), gone.files, gone.kept) == (1, 2, ())
    assert [path.name for path in (store_folder / "runs").iterdir()] == ["e-stays"]
    assert list((store_folder / "journals").iterdir()) == []
    assert store._execute("PRAGMA foreign_key_check") == []
    with pytest.raises(NotFound):
        find_run(store, NOW, "goes")
    assert logged("goes").params == {"lr": 0.1}


def test_what_another_run_used_stays_with_its_file(store, logged):
    run = logged("goes")
    (model,) = store.select(Artifact, context=run.id)
    other = open_run(store, "e", "user", NOW)
    store.add(Execution(name="x", schema_title="system.Run"), NOW)
    store.associate(other.name, execution="x")
    lineage.read(store, model, "x", NOW)
    gone = curation.delete(store, run, NOW)
    assert (gone.artifacts, gone.files) == ((), 1)
    assert store.get(Artifact, model.name).path.read_text() == "weights of goes"
    assert [event.execution for event in store.events(artifact=model.name)] == ["x"]


def test_files_elsewhere_are_never_removed(store, tmp_path):
    data = tmp_path / "data.csv"
    data.write_text("1,2")
    run = Run.of(open_run(store, "e", "r", NOW))
    store.add(Execution(name=run.id, schema_title="system.Run"), NOW)
    store.associate(run.id, execution=run.id)
    lineage.read(store, lineage.of_file("d", data, "system.Dataset"), run.id, NOW)
    assert store.folder is not None
    (store.folder / "runs").mkdir()
    (store.folder / "runs" / run.id).symlink_to(tmp_path, target_is_directory=True)
    close_run(store, run.id, ExecutionState.COMPLETE, "", NOW)
    curation.delete(store, run, NOW)
    assert data.read_text() == "1,2"


def job_with_run(store, state="COMPLETE"):
    run = Run.of(open_run(store, "e", "r", NOW, job="j"))
    store.add(Execution(name="j", schema_title=JOB, state=state), NOW)
    store.associate(run.id, execution="j")
    folder = store.folder / "jobs" / "j"
    folder.mkdir(parents=True)
    (folder / "work.ipynb").write_text("{}")
    output = Artifact(name="j-notebook", schema_title="n", uri=str(folder / "work.ipynb"))
    lineage.left(store, output, "j", run.id, NOW)
    return run, folder


def test_a_job_keeps_its_record_and_its_folder(store):
    run, folder = job_with_run(store)
    gone = curation.delete(store, run, NOW)
    assert (gone.kept, gone.artifacts, gone.files) == (("j",), (), 0)
    assert store.get(Execution, "j")
    assert store.get(Artifact, "j-notebook").path.exists()
    assert list_runs(store, NOW) == []
    assert folder.is_dir()


def test_a_job_goes_too_when_asked(store):
    run, folder = job_with_run(store)
    gone = curation.delete(store, run, NOW, jobs=True)
    assert (gone.kept, gone.artifacts, gone.files) == ((), ("j-notebook",), 1)
    assert store.find(Execution, "j") is None
    assert not folder.exists()


@pytest.mark.parametrize("state", ["NEW", "RUNNING"])
def test_the_run_of_a_job_at_work_is_refused(store, state):
    run, folder = job_with_run(store, state)
    with pytest.raises(StateError, match="run 'r' is still at work in job j: wait, or cancel it"):
        curation.delete(store, run, NOW, jobs=True)
    assert find_run(store, NOW, "r")
    assert folder.is_dir()


def test_a_run_that_is_logging_is_refused_until_it_ends(store, monkeypatch):
    monkeypatch.setattr(experiments, "_session", experiments._Session())
    nbtools.init("e")
    with nbtools.start_run("r") as open_:
        run = find_run(store, NOW, "r")
        with pytest.raises(StateError, match="end its process, then delete it"):
            curation.delete(store, run, NOW)
        open_.log_params({"still": 1})
    assert find_run(store, NOW, "r").params == {"still": 1}
    curation.delete(store, run, NOW)
    assert list_runs(store, NOW) == []


def test_a_run_that_nobody_logs_can_be_deleted_whatever_its_state_says(store):
    run = Run.of(open_run(store, "e", "r", NOW))
    assert run.state is ExecutionState.RUNNING
    curation.delete(store, run, NOW)
    assert list_runs(store, NOW) == []


def test_all_that_refers_to_a_record_is_known(store):
    found = {
        (other, column)
        for table in ("contexts", "executions", "artifacts")
        for other, column in removal.references(store, table)
    }
    assert {(edge, column) for edge in ENDS for column in _columns(store, edge)} <= found


def _columns(store, table):
    kept = ("type", "time", "labels")
    rows = store._execute(f"PRAGMA table_info({table})")
    return [row["name"] for row in rows if row["name"] not in kept]


def test_a_removal_that_fails_changes_nothing(store):
    run, _ = job_with_run(store)
    before = everything(store)
    store._execute("CREATE TRIGGER no BEFORE DELETE ON contexts BEGIN SELECT raise(FAIL, 'x'); END")
    with pytest.raises(sqlite3.IntegrityError):
        curation.delete(store, run, NOW)
    store._execute("DROP TRIGGER no")
    assert everything(store) == before


def test_an_execution_of_two_runs_stays_with_the_other(store):
    run, _ = job_with_run(store)
    other = open_run(store, "e", "other", NOW)
    store.associate(other.name, execution="j")
    curation.delete(store, run, NOW, jobs=True)
    assert [e.name for e in store.select(Execution, context=other.name)] == ["j"]


def test_an_event_twice_and_a_foreign_artifact_are_no_matter(store):
    run, _ = job_with_run(store)
    store.add(Artifact(name="both", schema_title="n"), NOW)
    for type_ in ("INPUT", "OUTPUT"):
        store.add_event(Event(execution="j", artifact="both", type=type_), NOW)
    gone = curation.delete(store, run, NOW, jobs=True)
    assert set(gone.artifacts) == {"both", "j-notebook"}


def test_a_parent_that_was_deleted_leaves_its_children(store):
    outer = Run.of(open_run(store, "e", "outer", NOW))
    inner = open_run(store, "e", "inner", NOW)
    store.amend(Context, inner.name,
                lambda c: replace(c, metadata={**c.metadata, "_parent": "outer"}), NOW)  # fmt: skip
    store.add_child(outer.id, inner.name)
    curation.delete(store, outer, NOW)
    assert find_run(store, NOW, "inner").parent == "outer"


def test_a_folder_with_the_store_beside_it_is_left_alone(store, tmp_path):
    assert Path(store.folder) != tmp_path
    run, _ = job_with_run(store)
    (tmp_path / "mine.txt").write_text("x")
    curation.delete(store, run, NOW, jobs=True)
    assert (tmp_path / "mine.txt").exists()
    assert (store.folder / "store.sqlite").exists()
