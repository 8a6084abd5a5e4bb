"""`nbtools runs import`, as its user calls it."""

import json

from tests import histories


def test_the_tracker_is_guessed_aloud_and_all_is_counted(call, tmp_path):
    histories.mlflow_database(tmp_path / "history")
    done = call("runs", "import", str(tmp_path / "history"))
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0].endswith("history holds runs of MLflow")
    assert lines[1].startswith("7 runs, 10 points and 2 files imported in ")
    assert "  handwritten-digits  6 runs" in lines
    assert "not taken, or not as it was:" in lines
    assert any(line.split(None, 1) == ["1", "runs that were deleted in MLflow"] for line in lines)
    listed = json.loads(call("runs", "list", "--json", "--experiment", "handwritten-digits").stdout)
    assert {run["state"] for run in listed} == {"COMPLETE", "FAILED", "CANCELLED", "RUNNING"}
    shown = call("runs", "show", "wide-deep", "--experiment", "handwritten-digits").stdout
    assert "accuracy=0.97" in shown
    assert "reports/summary.txt" in shown


def test_again_says_that_they_are_known(call, tmp_path):
    histories.trackio(tmp_path / "history")
    call("runs", "import", str(tmp_path / "history"))
    done = call("runs", "import", str(tmp_path / "history"))
    assert "0 runs, 0 points and 0 files imported in " in done.stdout
    assert "2 runs known before" in done.stdout


def test_for_machines_and_into_one_experiment(call, tmp_path):
    histories.trackio(tmp_path / "history")
    done = call("runs", "import", str(tmp_path / "history"), "--json", "--experiment", "moved",
                "--from", "trackio")  # fmt: skip
    found = json.loads(done.stdout)
    assert found["tool"] == "trackio"
    assert found["new"] == 2
    assert found["experiments"] == {"moved": 2}
    assert found["remarks"] == {"text logged in steps: the last one is kept": 6}


def test_nothing_to_import_is_an_error(call, tmp_path):
    done = call("runs", "import", str(tmp_path))
    assert done.returncode == 2
    assert done.stderr.startswith("nbtools: no runs of mlflow, wandb, trackio, tensorboard at ")
    assert len(done.stderr.splitlines()) == 1
    assert call("runs", "import", str(tmp_path), "--from", "clearml").returncode == 2
