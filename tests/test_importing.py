"""Runs of other trackers in the store: their names, what is kept, what is counted."""

import math
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from nbtools import importing
from nbtools.errors import RequestError
from nbtools.importer import ImportedFile, ImportedRun
from nbtools.importing import import_runs
from nbtools.intake import DIGESTED, Intake
from nbtools.nouns import EXPERIMENT, MAX_RUN_ID, MODEL, RUN, Artifact, Context, Execution
from nbtools.runs import open_run
from nbtools.states import ExecutionState
from nbtools.store import Store
from tests import histories

NOW = datetime(2031, 1, 2, tzinfo=UTC)
BEGUN = datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def store():
    return Store(None)


@pytest.fixture
def take(store):
    """Take runs in, as one import, and say what became of it."""

    def taken(*runs, experiment="", tool="mlflow", now=NOW):
        intake = Intake(store, tool, experiment, now)
        for run in runs:
            intake.take(run)
        intake.nest()
        return intake

    return taken


def a_run(id_="1", **values):
    own = {"experiment": "Digits", "name": "Base", "state": ExecutionState.COMPLETE}
    return ImportedRun(id=id_, **{**own, **values})


def remarks(intake):
    return {what: count for what, count in intake.remarks.items() if count}


def names(store, experiment=""):
    return sorted(c.display_name for c in store.select(Context, RUN, parent=experiment))


def test_everything_of_a_run_is_kept(store, take):
    intake = take(
        a_run(
            params={"lr": 0.1, "name": "é"}, metrics={"score": 1.5},
            series={"loss": [(1, 10.0, 0.5), (2, 20.0, 0.25)]}, tags=("a", "b=c"), notes="mine",
            start_time=BEGUN, end_time=BEGUN + timedelta(hours=1), about={"user": "ada"},
        )
    )  # fmt: skip
    context = store.get(Context, "digits-base")
    assert context.create_time == BEGUN
    assert context.update_time == NOW
    meta = context.metadata
    assert meta["_params"] == {"lr": 0.1, "name": "é"}
    assert meta["_metrics"] == {"loss": 0.25, "score": 1.5}
    assert (meta["_state"], meta["_error"]) == ("COMPLETE", "")
    assert (meta["_tags"], meta["_notes"], meta["_source_name"]) == (["a", "b=c"], "mine", "Base")
    assert meta["_source"] == {
        "tool": "mlflow", "id": "1", "experiment": "Digits", "user": "ada",
        "start_time": "2024-01-02T03:04:05.000000Z", "end_time": "2024-01-02T04:04:05.000000Z",
    }  # fmt: skip
    assert store.points("digits-base") == {"loss": [(1, 10.0, 0.5), (2, 20.0, 0.25)]}
    experiment = store.get(Context, "digits")
    assert experiment.schema_title == EXPERIMENT
    assert experiment.metadata["_source_name"] == "Digits"
    (execution,) = store.select(Execution, context="digits-base")
    assert (execution.state, execution.create_time) == ("COMPLETE", BEGUN)
    assert (intake.new, intake.points, intake.files, remarks(intake)) == (1, 2, 0, {})


def test_runs_of_one_name_are_kept_apart_and_known_again(store, take):
    runs = [a_run("1"), a_run("2", params={"x": 2}), a_run("3", params={"x": 3})]
    first = take(*runs)
    assert first.new == 3
    assert names(store)[0] == "base"
    assert all(name.startswith("base-") for name in names(store)[1:])
    again = take(*reversed(runs))
    assert again.new == 0
    assert set(again.taken) == set(first.taken)
    by_id = {c.metadata["_source"]["id"]: c.metadata["_params"] for c in store.select(Context, RUN)}
    assert by_id == {"1": {}, "2": {"x": 2}, "3": {"x": 3}}


def test_a_run_made_here_keeps_its_name(store, take):
    open_run(store, "digits", "base", NOW, params={"own": True})
    take(a_run())
    assert store.get(Context, "digits-base").metadata["_params"] == {"own": True}
    assert len(names(store, "digits")) == 2


def test_ids_of_different_trackers_are_different_runs(store, take):
    take(a_run(), tool="mlflow")
    take(a_run(), tool="wandb")
    assert len(names(store, "digits")) == 2


def test_an_id_that_another_experiments_run_would_have_is_avoided(store, take):
    open_run(store, "digits-a", "b", NOW)
    take(a_run(name="a b"))
    (name,) = names(store, "digits")
    assert name.startswith("a-b-")


def test_experiments_whose_names_become_the_same_are_kept_apart(store, take):
    take(a_run("1", experiment="A b"), a_run("2", experiment="a-b"), a_run("3", experiment="a B"))
    experiments = {c.name: len(names(store, c.name)) for c in store.select(Context, EXPERIMENT)}
    assert experiments.pop("a-b") == 2
    ((other, count),) = experiments.items()
    assert other.startswith("a-b-")
    assert count == 1
    assert take(a_run("2", experiment="a-b")).new == 0


def test_an_experiment_named_like_a_run_gets_a_token(store, take):
    open_run(store, "a", "b", NOW)
    take(a_run(experiment="a b"))
    (experiment,) = {c.metadata["_experiment"] for c in store.select(Context, RUN)} - {"a"}
    assert experiment.startswith("a-b-")


@pytest.mark.parametrize(
    "name", ["x" * 500, "日本語", "", "---", "Notebook", "a/b c.d_e", "ß" * 99]
)
def test_any_name_becomes_a_legal_one_and_is_remembered(store, take, name):
    take(a_run("1", name=name, experiment=name), a_run("2", name=name, experiment=name))
    contexts = store.select(Context, RUN)
    assert len(contexts) == 2
    for context in contexts:
        assert len(context.name) <= MAX_RUN_ID
        assert context.metadata["_source_name"] == name
        assert context.metadata["_source"]["experiment"] == name
    take(a_run("1", name=name, experiment=name))
    assert len(store.select(Context, RUN)) == 2


def test_what_was_said_here_about_a_run_stays(store, take):
    take(a_run(params={"lr": 0.1}, tags=("theirs",), notes="theirs"))

    def mine(run):
        meta = {**run.metadata, "_tags": ["theirs", "mine"], "_notes": "mine"}
        meta["_params"] = {**meta["_params"], "own": 1}
        return replace(run, metadata=meta)

    store.amend(Context, "digits-base", mine, NOW)
    take(a_run(params={"lr": 0.2}, tags=("new",), notes="theirs"))
    meta = store.get(Context, "digits-base").metadata
    assert meta["_params"] == {"lr": 0.2, "own": 1}
    assert meta["_tags"] == ["theirs", "mine", "new"]
    assert meta["_notes"] == "mine"


def test_a_run_that_went_on_is_brought_up_to_date(store, take):
    points = [(n, float(n), float(n)) for n in range(5)]
    first = take(a_run(series={"x": points[:3]}, state=ExecutionState.RUNNING))
    assert remarks(first) == {"runs that had not ended there: import again when they have": 1}
    again = take(a_run(series={"x": points}))
    assert (again.new, again.points, remarks(again)) == (0, 2, {})
    assert store.points("digits-base")["x"] == points
    assert store.get(Context, "digits-base").metadata["_metrics"] == {"x": 4.0}
    assert store.get(Execution, "digits-base").state == "COMPLETE"


def test_a_point_that_was_changed_is_changed(store, take):
    take(a_run(series={"x": [(1, 1.0, math.nan), (2, 2.0, 5.0)]}))
    again = take(a_run(series={"x": [(1, 1.0, math.nan), (2, 2.0, 6.0)]}))
    assert again.points == 1
    assert store.points("digits-base")["x"][1] == (2, 2.0, 6.0)


def test_a_value_without_a_history_is_a_metric_and_no_series(store, take):
    intake = take(a_run(series={"score": [(0, 1.0, 0.5)], "late": [(9, 1.0, 0.25)]}))
    assert store.points("digits-base") == {"late": [(9, 1.0, 0.25)]}
    assert store.get(Context, "digits-base").metadata["_metrics"] == {"score": 0.5, "late": 0.25}
    assert intake.points == 1
    take(a_run(series={"score": [(0, 1.0, 0.5), (1, 2.0, 0.75)]}))  # it was the first of several
    assert len(store.points("digits-base")["score"]) == 2


def test_points_logged_without_steps_are_numbered_and_counted(store, take):
    intake = take(a_run(series={"x": [(0, 1.0, 3.0), (0, 2.0, 2.0), (0, 3.0, 1.0)]}))
    assert store.points("digits-base")["x"] == [(0, 1.0, 3.0), (1, 2.0, 2.0), (2, 3.0, 1.0)]
    assert remarks(intake) == {
        "series logged without steps: their points are numbered from 0": 1
    }  # fmt: skip


def test_of_a_step_logged_again_the_last_is_kept_and_the_others_counted(store, take):
    intake = take(a_run(series={"x": [(2, 1.0, 3.0), (1, 2.0, 2.0), (2, 3.0, 1.0)]}))
    assert store.points("digits-base")["x"] == [(1, 2.0, 2.0), (2, 3.0, 1.0)]
    assert remarks(intake) == {"points at a step that was logged again: the last one is kept": 1}
    assert store.get(Context, "digits-base").metadata["_metrics"] == {"x": 1.0}


def test_steps_and_times_that_no_store_holds_are_counted(store, take):
    intake = take(a_run(series={"x": [(1, math.nan, 3.0), (2**63, 2.0, 2.0), (2, math.inf, 1.0)]}))
    assert store.points("digits-base")["x"] == [(1, 0.0, 3.0), (2, 0.0, 1.0)]
    assert remarks(intake) == {
        "points whose step has more than 64 bits": 1,
        "points whose wall time is no number: it is 0 now": 2,
    }


def test_nameless_values_are_counted(store, take):
    intake = take(a_run(params={"": 1, "a": 2}, series={"": [(1, 0.0, 0.0), (2, 0.0, 0.0)]}))
    meta = store.get(Context, "digits-base").metadata
    assert meta["_params"] == {"a": 2}
    assert meta["_metrics"] == {}
    assert remarks(intake) == {"params or metrics without a name": 2}


def test_a_nested_run_knows_the_one_around_it_whichever_came_first(store, take):
    take(a_run("2", name="inner", parent="1"), a_run("1", name="Outer"))
    assert store.get(Context, "digits-inner").metadata["_parent"] == "outer"
    assert "_parent" not in store.get(Context, "digits-outer").metadata
    take(a_run("3", name="second", parent="1"))  # imported later, by itself
    assert store.get(Context, "digits-second").metadata["_parent"] == "outer"


def test_a_parent_in_another_experiment_is_counted(take):
    intake = take(a_run("1", name="inner", parent="9"))
    assert remarks(intake) == {"runs nested in one that is not in their experiment": 1}


def test_files_stay_where_they_are(store, take, tmp_path):
    (tmp_path / "weights.pt").write_bytes(b"abc")
    run = a_run(
        files=(
            ImportedFile(name="m/w.pt", uri=str(tmp_path / "weights.pt"), schema_title=MODEL),
            ImportedFile(name="far", uri="s3://bucket/far"),
            ImportedFile(name="gone", uri=str(tmp_path / "gone")),
        )
    )
    intake = take(run)
    assert remarks(intake) == {"files that cannot be read": 1}
    found = {a.display_name: a for a in store.select(Artifact, context="digits-base")}
    assert set(found) == {"m/w.pt", "far"}
    assert found["m/w.pt"].schema_title == MODEL
    assert found["m/w.pt"].path.read_bytes() == b"abc"
    assert found["far"].uri == "s3://bucket/far"
    assert [e.type for e in store.events(execution="digits-base")] == ["OUTPUT"] * 2
    (tmp_path / "weights.pt").write_bytes(b"abcd")
    assert take(run).files == 0
    assert store.get(Artifact, found["m/w.pt"].name).metadata["bytes"] == 4


def test_a_large_file_is_not_read(store, take, tmp_path):
    with (tmp_path / "large").open("wb") as file:
        file.truncate(DIGESTED + 1)
    take(a_run(files=(ImportedFile(name="large", uri=str(tmp_path / "large")),)))
    (artifact,) = store.select(Artifact)
    assert artifact.metadata["bytes"] == DIGESTED + 1
    assert "sha256" not in artifact.metadata


def test_a_run_is_written_as_a_whole(store, take):
    with pytest.raises(RequestError, match="JSON"):
        take(a_run(series={"x": [(1, 0.0, 0.0), (2, 0.0, 0.0)]}, about={"odd": {1, 2}}))
    assert store.select(Context) == []


KILLED = """
import os, sys
from datetime import UTC, datetime
from pathlib import Path
from nbtools.importer import ImportedRun
from nbtools.intake import Intake
from nbtools.states import ExecutionState
from nbtools.store import Store

class Deadly(dict):
    def items(self):
        os.kill(os.getpid(), 9)

intake = Intake(Store(Path(sys.argv[1])), "mlflow", "", datetime(2031, 1, 2, tzinfo=UTC))
for number in range(4):
    intake.take(ImportedRun(
        id=str(number), experiment="Digits", name=f"r{number}", state=ExecutionState.COMPLETE,
        series=Deadly() if number == 3 else {"x": [(1, 0.0, 1.0), (2, 0.0, 2.0)]},
    ))
"""


def test_an_import_that_was_killed_is_continued(tmp_path):
    command = [sys.executable, "-c", KILLED, str(tmp_path / "store")]
    assert subprocess.run(command, check=False).returncode == -9
    store = Store(tmp_path / "store")
    assert names(store) == ["r0", "r1", "r2"]  # of the fourth there is nothing
    intake = Intake(store, "mlflow", "", NOW)
    for number in range(4):
        points = [(1, 0.0, 1.0), (2, 0.0, 2.0)]
        intake.take(a_run(str(number), name=f"r{number}", series={"x": points}))
    assert (intake.new, intake.points) == (1, 2)
    assert names(store) == ["r0", "r1", "r2", "r3"]
    assert store.check() == ""


def test_what_is_not_there_or_no_history_is_told(tmp_path, store):
    with pytest.raises(RequestError, match="there is nothing at .*name a file or a folder"):
        import_runs(tmp_path / "nope", store=store)
    with pytest.raises(RequestError, match="no runs of mlflow, wandb, trackio, tensorboard at"):
        import_runs(tmp_path, store=store)
    with pytest.raises(RequestError, match="no runs of wandb at .*leave --from out"):
        import_runs(histories.trackio(tmp_path / "t"), tool="wandb", store=store)
    with pytest.raises(RequestError, match="no importer 'clearml'"):
        import_runs(tmp_path, tool="clearml", store=store)
    with pytest.raises(RequestError, match="small letters"):
        import_runs(tmp_path, experiment="Not Legal", store=store)


def test_several_histories_in_one_place_have_to_be_told_apart(tmp_path, store):
    histories.trackio(tmp_path / "both")
    histories.restore(
        histories.DATA / "mlflow-sqlite" / "mlflow.db.sql", tmp_path / "both" / "mlflow.db"
    )
    with pytest.raises(RequestError, match="holds runs of mlflow and trackio: say --from mlflow"):
        importing.guess(tmp_path / "both")
    assert import_runs(tmp_path / "both", tool="trackio", store=store).tool == "trackio"


def test_event_files_among_another_trackers_are_not_taken_for_the_history(tmp_path):
    folder = histories.mlflow_files(tmp_path / "history")
    histories.tensorboard(folder / "mlruns")
    assert importing.guess(folder) == "mlflow"
