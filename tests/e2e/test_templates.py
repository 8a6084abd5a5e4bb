"""The templates and notebooks, executed with small parameters."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch_tb_profiler.profiler.data import RunProfileData
from torch_tb_profiler.profiler.run_generator import RunGenerator

import nbtools
from nbtools import declared
from nbtools.dispatch import Dispatcher
from nbtools.jobs import Jobs
from nbtools.schedule import TickState
from nbtools.schedules import Schedules
from nbtools.settings import Settings
from nbtools.store import Store

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent.parent


TEMPLATES = ROOT / "templates"
NIGHT = ("refresh", "train", "evaluate", "compare")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """One for those that build on each other: refreshed data, a model of it, a search, a table."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBTOOLS_STORE", str(tmp_path_factory.mktemp("store")))
        yield


@pytest.fixture(scope="module")
def night(store):
    """The jobs of the nightly schedules by the schedule's name, done by a moved clock."""
    now = datetime(2026, 3, 1, 0, 59, 30, tzinfo=UTC)  # half a minute to two in Berlin
    settings = Settings.load()
    clock = [now]
    jobs = Jobs(Store(settings.store), settings, lambda: clock[0])
    schedules = Schedules(jobs)
    made = declared.apply(TEMPLATES / "nightly.yaml", schedules)
    assert {c.name: c.kind for c in made} == dict.fromkeys(NIGHT, "add")
    dispatcher = Dispatcher(jobs, 2)
    dispatcher.round(now)
    assert not schedules.history("refresh")
    clock[0] = now + timedelta(seconds=30)
    while working := dispatcher.round(clock[0]):
        jobs.wait([job for job in working if job.handle], 5.0)
    ticks = {name: schedules.history(name)[0] for name in NIGHT}
    reasons = {name: tick.reason for name, tick in ticks.items()}
    assert {t.state for t in ticks.values()} == {TickState.SUCCEEDED}, reasons
    return {name: jobs.get(tick.job) for name, tick in ticks.items()}


@pytest.fixture(scope="module")
def trained(night):
    return night["train"]


@pytest.fixture(scope="module")
def searched(store):
    few = {"trials": 2, "fixed": {"epochs": 1}, "space": {"width": [16, 24]}, "confirm": 2}
    return nbtools.run(TEMPLATES / "sweep.ipynb", few)


def texts(job):
    """What the executed notebook shows as text."""
    cells = json.loads(job.outputs.notebook.read_text())["cells"]
    shown = [o for cell in cells for o in cell.get("outputs", ())]
    return "".join("".join(o.get("text", o.get("data", {}).get("text/plain", ""))) for o in shown)


def test_the_night_hands_on_what_it_made(night):
    params = {name: job.params for name, job in night.items()}
    assert params["refresh"] == {"day": "2026-03-01"}
    assert params["train"]["data"] == str(night["refresh"].outputs["digits.csv"])
    assert params["evaluate"]["model"] == str(night["train"].outputs["model.pt"])
    assert night["compare"].outputs["runs"] == 1


def test_refreshed_data_gives_what_the_shipped_gives(trained):
    shipped = nbtools.run(TEMPLATES / "train.ipynb")
    values = trained.outputs.values
    assert values["test_accuracy"] > 0.9
    assert shipped.outputs["test_loss"] == values["test_loss"]  # same images and seed
    assert trained.outputs["model.pt"].stat().st_size > 1000
    assert "<img" in trained.outputs.report.read_text()  # the learning curve


def test_evaluate_takes_the_images_that_the_model_was_trained_on(night):
    evaluated, trained = night["evaluate"], night["train"]
    assert evaluated.outputs["accuracy"] == pytest.approx(trained.outputs["test_accuracy"])
    assert {"confusion_matrix.csv", "per_class.csv"} <= set(evaluated.outputs.files)
    came_from = nbtools.lineage.upstream(evaluated.outputs["per_class.csv"])
    assert {"model.pt", "digits.csv", "digits.csv.gz"} <= {
        Path(artifact.uri).name for artifact in came_from.artifacts
    }


def test_evaluate_refuses_images_that_have_changed(trained, tmp_path):
    checkpoint = torch.load(trained.outputs["model.pt"], weights_only=True)
    rows = Path(checkpoint["data"]).read_text().splitlines(keepends=True)
    (tmp_path / "digits.csv").write_text("".join(rows[:-1]))
    torch.save({**checkpoint, "data": str(tmp_path / "digits.csv")}, tmp_path / "model.pt")
    with pytest.raises(nbtools.NotebookFailed, match="other images than in training"):
        nbtools.run(TEMPLATES / "evaluate.ipynb", {"model": str(tmp_path / "model.pt")})


def test_evaluate_without_a_model_says_what_to_do(store_folder):
    with pytest.raises(nbtools.NotebookFailed, match="no artifact 'digits-mlp'"):
        nbtools.run(TEMPLATES / "evaluate.ipynb")


def test_refresh_drops_what_is_not_in_order_and_fails_when_little_is_left(store, tmp_path):
    good = ",".join(["1"] * 64)
    rows = [
        f"{good},3",
        f"{good},3",
        f"{good},4",
        f"{good},11",
        f"{good[:-1]}17,5",
        f"{good[:-1]},5",
    ]
    (tmp_path / "2026-03-01.csv").write_text("\n".join(rows) + "\n")
    given = {"source": str(tmp_path / "{day}.csv"), "day": "2026-03-01"}
    job = nbtools.run(TEMPLATES / "data_refresh.ipynb", {**given, "min_images": 2})
    values = job.outputs.values
    assert (values["rows_read"], values["images"]) == (6, 2)
    for reason in ("duplicate", "no_digit", "out_of_range", "incomplete"):
        assert values[f"dropped_{reason}"] == 1
    with pytest.raises(nbtools.NotebookFailed, match="2 good images of 6: at least 3 are needed"):
        nbtools.run(TEMPLATES / "data_refresh.ipynb", {**given, "min_images": 3})


def test_a_search_shows_its_trials_and_confirms_the_best(searched):
    values = searched.outputs.values
    assert (values["trials"], values["failed"]) == (2, 0)
    assert 0 < values["confirmed_min"] <= values["confirmed"] <= 1
    assert values["best_width"] in (16, 24)
    assert searched.outputs["trials.csv"].read_text().count("COMPLETE") == 2
    report = searched.outputs.report.read_text()
    assert "<svg" in report  # the sweep's own pictures
    assert "<img" in report  # objective against each parameter


def test_compare_puts_seeds_together_and_says_what_may_be_chance(searched):
    width = searched.outputs["best_width"]
    job = nbtools.run(TEMPLATES / "compare.ipynb", {
        "by": ["width"], "query": "`param.epochs` == 1", "metric": "val_accuracy"
    })  # fmt: skip
    values = job.outputs.values
    assert (values["runs"], values["groups"]) == (4, 2)
    groups = pd.read_csv(job.outputs["groups.csv"]).set_index("width")
    assert groups.loc[width, "n"] == 3  # the best of the search, and two more seeds
    assert groups.loc[width, "low"] <= groups.loc[width, "mean"] <= groups.loc[width, "high"]
    assert "seeds in common: 1; only two or more" in job.outputs["verdict.txt"].read_text()
    assert "4 of " in texts(job)


def test_compare_without_runs_says_so(searched):
    with pytest.raises(nbtools.NotebookFailed, match="has 'f1'; they have .*test_accuracy"):
        nbtools.run(TEMPLATES / "compare.ipynb", {"metric": "f1"})


def test_a_profile_has_a_trace_that_the_plugin_shows(store):
    few = {"steps": 2, "active": 2, "width": 16, "batch_size": 8}
    job = nbtools.run(TEMPLATES / "profile.ipynb", few)
    values = job.outputs.values
    assert values["step_ms"] > 0
    assert values["profiled_peak_cpu_mb"] > 0
    operators = set(pd.read_csv(job.outputs["operators.csv"])["operator"])
    assert {"aten::addmm", "forward", "backward"} <= operators
    (trace,) = (path for name, path in job.outputs.files.items() if "trace.json" in name)
    # As TensorBoard's plugin reads and shows it.
    read = RunProfileData.parse("worker", 1, str(trace), None)
    shown = RunGenerator("worker", 1, read).generate_run_profile()
    assert "CPU Exec" in json.dumps(shown.overview)
    assert "aten::addmm" in json.dumps(shown.operation_table_by_name)
    assert shown.memory_snapshot is not None


def test_a_report_opens_without_a_network(store_folder, make_notebook):
    job = nbtools.run(make_notebook("work.ipynb", "print('hello')"))
    page = job.outputs.report.read_text()
    assert "hello" in page
    assert 'src="http' not in page
    assert "@import" not in page


def test_quickstart(store_folder):
    job = nbtools.run(ROOT / "notebooks/01_quickstart.ipynb", {"epochs": 1})
    assert job.state == "SUCCEEDED"


def test_tracking(store):
    job = nbtools.run(ROOT / "notebooks/02_tracking.ipynb", {"steps": 20})
    assert "the truth is 2" in texts(job)
    runs = nbtools.get_experiment_df("tracking").set_index("run_name")
    assert set(runs["state"]) == {"COMPLETE"}
    assert runs.loc["bold", "metric.loss"] < runs.loc["careful", "metric.loss"]
    assert runs.loc["guess", "metric.guess"] == pytest.approx(2, abs=0.5)


def test_the_kernel_of_this_environment_has_nbtools(store_folder, make_notebook):
    job = nbtools.run(
        make_notebook("work.ipynb", "import nbtools, torch, sys\nprint(sys.executable)")
    )
    assert job.kernel == "python3"
    import sys

    text = json.dumps(json.loads(job.outputs.notebook.read_text()))
    assert sys.executable in text
