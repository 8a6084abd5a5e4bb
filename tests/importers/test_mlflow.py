"""MLflow's database and its folder of files hold the same, and give the same runs."""

import math
import shutil
import sqlite3
from collections import Counter

import pytest

from nbtools.errors import RequestError
from nbtools.importers.mlflow import MLflow
from nbtools.nouns import MODEL
from tests import histories


@pytest.fixture(params=[histories.mlflow_database, histories.mlflow_files])
def folder(request, tmp_path):
    return request.param(tmp_path / "history")


def read(path):
    remarks = Counter()
    runs = list(MLflow().runs(path, remarks))
    return runs, {what: count for what, count in remarks.items() if count}


def by_name(runs):
    return {(run.name, run.state): run for run in runs}


def test_params_are_the_values_that_they_were_logged_as(folder):
    run = by_name(read(folder)[0])["Wide & deep", "COMPLETE"]
    assert run.params == {"lr": 0.001, "optimizer": "adam", "layers": 3, "amp": True, "x": "1e-3"}
    assert {type(run.params[key]) for key in ("layers", "amp")} == {int, bool}


def test_every_point_is_there_in_its_order(folder):
    series = by_name(read(folder)[0])["Wide & deep", "COMPLETE"].series
    assert [(p[0], p[2]) for p in series["loss"]] == [(n, 1 / (n + 1)) for n in range(5)]
    assert [p[2] for p in series["no step"]] == [3.0, 2.0, 1.0]
    assert series["eval/f1"][0][2] == 0.5
    infinity, nan = (p[2] for p in series["odd"])
    assert infinity == math.inf
    assert math.isnan(nan)
    assert all(1.7e9 < p[1] < 2e9 for points in series.values() for p in points)  # seconds


def test_states_and_times(folder):
    runs = by_name(read(folder)[0])
    assert set(runs) == {
        ("Wide & deep", "COMPLETE"), ("fold 1", "COMPLETE"), ("Wide & deep", "FAILED"),
        ("killed", "CANCELLED"), ("実験", "COMPLETE"), ("at work", "RUNNING"),
        ("has a model", "COMPLETE"),
    }  # fmt: skip
    done = runs["fold 1", "COMPLETE"]
    assert 0 <= (done.end_time - done.start_time).total_seconds() < 60
    assert runs["at work", "RUNNING"].end_time is None


def test_tags_notes_and_what_is_around_a_run(folder):
    runs = by_name(read(folder)[0])
    outer, inner = runs["Wide & deep", "COMPLETE"], runs["fold 1", "COMPLETE"]
    assert set(outer.tags) == {"team=vision", "baseline"}
    assert outer.notes == "the first that worked"
    assert inner.parent == outer.id
    assert inner.tags == ()
    assert outer.about["source.name"] == "tests/data/imports/make.py"
    assert "runName" not in outer.about


def test_experiments_have_their_names(folder):
    assert {run.experiment for run in read(folder)[0]} == {"Handwritten Digits", "日本語"}


def test_artifacts_are_found_although_the_folder_was_moved(folder):
    runs = by_name(read(folder)[0])
    (report,) = runs["Wide & deep", "COMPLETE"].files
    assert report.name == "reports/summary.txt"
    assert report.uri.startswith(str(folder))
    (weights,) = runs["has a model", "COMPLETE"].files
    assert (weights.name, weights.schema_title) == ("models/classifier/weights.txt", MODEL)


def test_what_is_left_is_counted(folder):
    assert read(folder)[1] == {"runs that were deleted in MLflow": 1}


def test_artifacts_that_are_gone_or_elsewhere_are_counted(tmp_path):
    folder = histories.mlflow_database(tmp_path / "history")
    shutil.rmtree(folder / "mlruns")
    db = sqlite3.connect(folder / "mlflow.db")
    db.execute("UPDATE runs SET artifact_uri = 's3://bucket/1' WHERE name = 'fold 1'")
    db.commit()
    runs, remarks = read(folder)
    assert remarks["runs whose folder of artifacts is not where MLflow says"] == 7
    assert remarks["runs whose artifacts lie elsewhere: their address is kept"] == 1
    assert by_name(runs)["fold 1", "COMPLETE"].about["artifact_uri"] == "s3://bucket/1"


def test_deleted_experiments_stay_deleted(tmp_path):
    folder = histories.mlflow_database(tmp_path / "history")
    db = sqlite3.connect(folder / "mlflow.db")
    db.execute("UPDATE experiments SET lifecycle_stage = 'deleted' WHERE name LIKE 'Hand%'")
    db.commit()
    runs, remarks = read(folder)
    assert [run.name for run in runs] == ["実験"]
    assert remarks["runs that were deleted in MLflow"] == 7


def test_other_things_in_the_database_are_named(tmp_path):
    folder = histories.mlflow_database(tmp_path / "history")
    db = sqlite3.connect(folder / "mlflow.db")
    db.execute("CREATE TABLE trace_info (request_id TEXT)")
    db.executemany("INSERT INTO trace_info VALUES (?)", [("a",), ("b",)])
    db.commit()
    assert read(folder)[1]["traces"] == 2


def test_the_database_and_its_folder_are_both_ways_to_name_it(tmp_path):
    folder = histories.mlflow_database(tmp_path / "history")
    assert {r.id for r in read(folder)[0]} == {r.id for r in read(folder / "mlflow.db")[0]}
    files = histories.mlflow_files(tmp_path / "files")
    assert {r.id for r in read(files)[0]} == {r.id for r in read(files / "mlruns")[0]}


def test_lines_and_files_that_are_damaged_are_counted(tmp_path):
    folder = histories.mlflow_files(tmp_path / "history")
    (loss,) = folder.glob("mlruns/*/*/metrics/no step")
    loss.write_text(loss.read_text() + "1795451655993 what 0\n1795451655993\n1795451655994 0.5\n")
    meta = next(p for p in folder.glob("mlruns/*/*/meta.yaml") if "fold 1" in p.read_text())
    meta.write_text("a: [")
    meta = next(p for p in folder.glob("mlruns/*/*/meta.yaml") if "killed" in p.read_text())
    meta.write_text(meta.read_text().replace("status: 5", "status: 99"))
    runs, remarks = read(folder)
    assert remarks["lines of metrics that are no points"] == 2
    assert remarks["folders of runs whose meta.yaml is missing or damaged"] == 2
    assert by_name(runs)["Wide & deep", "COMPLETE"].series["no step"][-1] == (
        0, 1795451655.994, 0.5,
    )  # fmt: skip


def test_a_database_that_is_damaged_says_so(tmp_path):
    folder = histories.mlflow_database(tmp_path / "history")
    database = folder / "mlflow.db"
    data = database.read_bytes()
    database.write_bytes(data[:4096] + b"\xff" * (len(data) - 4096))
    with pytest.raises(RequestError, match="mlflow.db cannot be read"):
        read(database)
