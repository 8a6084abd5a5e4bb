"""trackio's SQLite files."""

import math
import sqlite3
from collections import Counter

import pytest

from nbtools.importers.trackio import Trackio
from tests import histories


@pytest.fixture
def folder(tmp_path):
    return histories.trackio(tmp_path)


def read(path):
    remarks = Counter()
    runs = {run.name: run for run in Trackio().runs(path, remarks)}
    return runs, {what: count for what, count in remarks.items() if count}


def change(folder, *statements):
    db = sqlite3.connect(folder / "digits.db")
    for statement in statements:
        db.execute(statement)
    db.commit()
    db.close()


def test_runs_of_a_project(folder):
    runs, remarks = read(folder)
    assert set(runs) == {"lively-fox-0", "Baseline (v2)"}
    run = runs["lively-fox-0"]
    assert run.experiment == "digits"
    assert run.state == "COMPLETE"
    assert run.params == {"lr": 0.1, "net.width": 8}
    assert [(p[0], p[2]) for p in run.series["loss"]] == [(n, 1 / (n + 1)) for n in range(4)]
    assert [p[2] for p in run.series["nested.a"]] == [0, 1, 2, 3]
    infinity, nan = (p[2] for p in run.series["odd"])
    assert infinity == math.inf
    assert math.isnan(nan)
    assert run.metrics == {"note": "text"}
    assert run.start_time is not None
    assert run.start_time <= run.end_time or run.end_time is not None
    assert remarks == {"text logged in steps: the last one is kept": 6}


def test_times_are_seconds_since_the_epoch(folder):
    run = read(folder)[0]["lively-fox-0"]
    when = run.series["loss"][0][1]
    assert abs(when - run.start_time.timestamp()) < 1.0
    assert run.start_time.utcoffset() is not None


def test_files_of_older_versions_know_a_run_by_its_name(folder):
    change(folder, "ALTER TABLE metrics RENAME run_id TO gone",
           "ALTER TABLE configs RENAME run_id TO gone")  # fmt: skip
    runs, _ = read(folder)
    assert set(runs) == {"lively-fox-0", "Baseline (v2)"}
    assert len(runs["lively-fox-0"].series["loss"]) == 4
    assert runs["lively-fox-0"].id.endswith("digits.db#lively-fox-0")


def test_images_rows_that_are_no_json_and_measurements_are_counted(folder):
    change(
        folder,
        """UPDATE metrics SET metrics = '{"i": {"_type": "trackio.image", "file_path": "x"}}'
           WHERE id = 1""",
        "UPDATE metrics SET metrics = '{' WHERE id = 2",
        "CREATE TABLE IF NOT EXISTS system_metrics (metrics TEXT)",
        """INSERT INTO system_metrics (run_id, timestamp, run_name, metrics)
           VALUES ('a', '', 'a', '{}')""",
    )
    remarks = read(folder)[1]
    assert remarks["trackio's image values"] == 1
    assert remarks["rows that are no JSON"] == 1
    assert remarks["measurements of the machine (CPU, memory)"] == 1


def test_a_run_without_steps_has_its_params(folder):
    change(folder, "DELETE FROM metrics WHERE run_name = 'lively-fox-0'")
    run = read(folder)[0]["lively-fox-0"]
    assert run.params["lr"] == 0.1
    assert run.series == {}


def test_media_are_files_of_their_run(folder):
    media = folder / "media" / "digits" / "lively-fox-0" / "0"
    media.mkdir(parents=True)
    (media / "image.png").write_bytes(b"png")
    (file,) = read(folder)[0]["lively-fox-0"].files
    assert file.name == "0/image.png"
