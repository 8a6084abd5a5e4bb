"""`nbtools runs`, as its user calls it."""

import csv
import io
import json
import re
import subprocess
import sys

import pandas
import pytest

SCRIPT = """
import nbtools
nbtools.init("digits")
for name, lr, loss in (("base", 0.1, 0.5), ("wide", 0.01, 0.2), ("nan", 0.01, float("nan"))):
    with nbtools.start_run(name) as run:
        run.log_params({"lr": lr, "opt": "adam"})
        run.log_metrics({"loss": loss})
        run.log_time_series_metrics({"acc": 1 - loss}, step=1)
        with open(nbtools.output_path("note.txt"), "w") as file:
            file.write(name)
nbtools.init("other")
with nbtools.start_run("alone") as run:
    run.log_metrics({"loss": 0.9})
"""


@pytest.fixture
def runs(call, tmp_path):
    subprocess.run([sys.executable, "-c", SCRIPT], check=True, cwd=tmp_path)

    def runs(*args, code=0, **options):
        done = call("runs", *args, **options)
        assert done.returncode == code, done.stderr or done.stdout
        return done

    return runs


def names(done):
    return [run["name"] for run in json.loads(done.stdout)]


def test_a_filter_chooses_runs(runs):
    text = 'metadata._metrics.loss < 0.6 AND display_name = "*e"'
    assert names(runs("list", "--filter", text, "--json")) == ["wide", "base"]
    text = 'metadata._metrics.loss > 0.3 AND metadata._params.lr = 0.1 OR display_name = "alone"'
    done = runs("list", "--filter", text, "--json")
    assert names(done) == ["alone", "base"]
    assert done.stderr.startswith("nbtools: OR binds tighter than AND: this filter is read as ")
    done = runs("list", "--filter", "metadata.x > 1")
    assert done.stdout == "no run fits metadata.x.number_value > 1\n"


def test_a_wrong_filter_is_one_sentence_with_its_place(runs):
    done = runs("list", "--filter", "loss > 1", code=2)
    assert done.stderr.startswith("nbtools: filter 'loss > 1', character 1: expected one of name,")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_runs_are_sorted_rising_and_falling(runs):
    assert names(runs("list", "--sort", "metric.loss", "--json")) == [
        "wide", "base", "alone", "nan",
    ]  # fmt: skip
    assert names(runs("list", "--sort", "-metric.loss", "--json", "--limit", "2")) == [
        "alone", "base",
    ]  # fmt: skip
    assert names(
        runs("list", "--experiment", "digits", "--sort", "-time_series_metric.acc", "--json")
    ) == ["wide", "base", "nan"]
    done = runs("list", "--sort", "metric.los", code=2)
    assert done.stderr == (
        "nbtools: no run here has a column 'metric.los': did you mean metric.loss?\n"
    )


def test_columns_are_chosen(runs):
    done = runs("list", "--columns", "run_name, param.lr,time_series_metric.acc")
    assert done.stdout.splitlines() == [
        "run_name  param.lr  time_series_metric.acc",
        "alone",
        "nan       0.01      nan",
        "wide      0.01      0.8",
        "base      0.1       0.5",
    ]
    rows = json.loads(runs("list", "--columns", "run_name,param.lr", "--json").stdout)
    assert rows[0] == {"run_name": "alone"}
    assert rows[-1] == {"run_name": "base", "param.lr": 0.1}


def test_runs_are_tagged_noted_and_found_again(runs):
    assert runs("tag", "base", "good", "v1").stdout == "base  good, v1\n"
    assert runs("untag", "base", "v1").stdout == "base  good\n"
    assert runs("note", "base", "seems fine\nreally").stdout == "seems fine\nreally\n"
    assert runs("note", "base").stdout == "seems fine\nreally\n"
    assert runs("note", "wide").stdout == "no note\n"
    assert names(runs("list", "--tag", "good", "--json")) == ["base"]
    assert runs("list", "--tag", "x").stdout == "no run is tagged x\n"
    assert "TAGS" in runs("list").stdout
    shown = runs("show", "base").stdout
    assert "  tags     good\n  note     seems fine\n  note     really\n" in shown
    assert json.loads(runs("show", "base", "--json").stdout)["tags"] == ["good"]
    assert "use at most 64 letters" in runs("tag", "base", "two words", code=2).stderr


def test_differences_are_shown(runs):
    done = runs("compare", "base", "wide", "--experiment", "digits")
    assert done.stdout.splitlines() == [
        "                        base  wide",
        "param.lr                0.1   0.01",
        "metric.loss             0.5   0.2",
        "time_series_metric.acc  0.5   0.8",
        *done.stdout.splitlines()[4:],
    ]
    assert done.stdout.splitlines()[-1].endswith(" the same: --all shows them")
    everything = runs("compare", "base", "wide", "--all").stdout
    assert re.search(r"^param\.opt +adam +adam$", everything, re.MULTILINE)
    assert re.search(r"^about\.python ", everything, re.MULTILINE)
    assert max(map(len, everything.splitlines())) < 120
    found = json.loads(runs("compare", "base", "wide", "--json").stdout)
    assert found["param.lr"] == {"base": 0.1, "wide": 0.01}
    assert "no run 'x'" in runs("compare", "base", "x", code=2).stderr


def test_the_table_is_exported(runs, tmp_path):
    rows = list(csv.DictReader(io.StringIO(runs("export").stdout)))
    assert [row["run_name"] for row in rows] == ["alone", "nan", "wide", "base"]
    assert [row["metric.loss"] for row in rows] == ["0.9", "NaN", "0.2", "0.5"]
    done = runs("export", "-o", "runs.parquet", "--experiment", "digits")
    assert done.stdout == "3 runs in runs.parquet\n"
    frame = pandas.read_parquet(tmp_path / "runs.parquet")
    assert frame["param.lr"].tolist() == [0.01, 0.01, 0.1]
    text = runs("export", "--format", "json", "--series", "--filter", 'display_name="base"').stdout
    (only,) = json.loads(text)
    assert [point[::2] for point in only["series"]["acc"]] == [[1, 0.5]]
    assert "--series goes with --format json" in runs("export", "--series", code=2).stderr
    done = runs("export", "-o", "no/such/file.csv", code=2)
    assert "name a file in a folder that can be written" in done.stderr


def test_a_report_is_written(runs, tmp_path):
    done = runs("report", "--experiment", "digits", "-o", "report.html", "--metric", "loss")
    assert done.stdout == "3 runs in report.html\n"
    text = (tmp_path / "report.html").read_text()
    assert "<h1>Experiment digits</h1>" in text
    assert "Params against loss" in text
    assert "no run fits" in runs("report", "-o", "x.html", "--filter", 'name="x"', code=2).stderr


def test_a_run_is_deleted_when_its_user_says_so(runs, store_folder):
    done = runs("delete", "base", input="n\n")
    assert done.stdout.endswith("nothing was deleted\n")
    assert "Delete this run for good?" in done.stdout
    assert (store_folder / "runs" / "digits-base").is_dir()
    done = runs("delete", "base", input="y\n")
    assert "deleted base: 0 artifacts, " in done.stdout
    assert not (store_folder / "runs" / "digits-base").exists()
    assert names(runs("list", "--json")) == ["alone", "nan", "wide"]
    assert runs("delete", "base", "--yes", code=2).stderr.startswith("nbtools: no run 'base'")


def test_runs_are_deleted_by_a_filter_and_never_all_by_accident(runs):
    assert "name the runs to delete" in runs("delete", "--yes", code=2).stderr
    assert "name the runs" in runs("delete", "--experiment", "digits", "--yes", code=2).stderr
    text = "NOT metadata._metrics.loss < 0.6"
    done = runs("delete", "--experiment", "digits", "--filter", text, "--yes")
    assert done.stdout.startswith("deleted nan: ")
    assert names(runs("list", "--json")) == ["alone", "wide", "base"]
    assert runs("delete", "--filter", 'name="x"', "--yes").stdout.startswith("no run fits")


def test_without_an_answer_nothing_is_deleted(runs):
    runs("delete", "base", code=130, stdin=subprocess.DEVNULL)
    assert "base" in names(runs("list", "--json"))


def test_a_run_at_work_is_refused_before_any_is_deleted(runs, store_folder, tmp_path):
    script = (
        "import nbtools, sys\nnbtools.init('digits')\n"
        "with nbtools.start_run('busy'):\n    print('open', flush=True)\n    sys.stdin.read()\n"
    )
    worker = subprocess.Popen(
        [sys.executable, "-c", script], cwd=tmp_path, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert worker.stdout.readline() == "open\n"
        done = runs("delete", "base", "busy", "--yes", code=2)
        assert "run 'busy' is still at work: end its process" in done.stderr
        assert {"base", "busy"} <= set(names(runs("list", "--json")))
    finally:
        worker.communicate("")
    assert runs("delete", "busy", "--yes").stdout.startswith("deleted busy")


@pytest.mark.slow
def test_a_job_is_still_told_of_when_its_run_was_deleted(call, make_notebook):
    notebook = make_notebook("work.ipynb", "import nbtools; nbtools.log_metrics({'m': lr})")
    assert call("run", notebook, "--cache").returncode == 0
    (job,) = json.loads(call("jobs", "list", "--json").stdout)
    assert call("run", notebook, "--cache").returncode == 0
    assert len(json.loads(call("jobs", "list", "--json").stdout)) == 1
    done = call("runs", "delete", "last", "--yes")
    assert done.stdout == f"deleted {job['run']}: 0 artifacts, 0 files; job {job['name']} is kept\n"
    shown = call("jobs", "show", "last")
    assert f"its run {job['run']} was deleted" in shown.stdout, shown.stderr
    assert call("jobs", "show", "last", "--json").returncode == 0
    files = json.loads(call("outputs", "list", "last", "--json").stdout)["files"]
    assert "work.ipynb" in files
    assert call("logs", "last").returncode == 0
    assert call("run", notebook, "--cache").returncode == 0  # without its values it is no hit
    assert len(json.loads(call("jobs", "list", "--json").stdout)) == 2
    done = call("runs", "delete", "last", "--jobs", "--yes")
    assert "2 artifacts" in done.stdout
    assert [j["name"] for j in json.loads(call("jobs", "list", "--json").stdout)] == [job["name"]]
