"""The notebooks as they are, with small parameters; and the schedules."""

import json
from pathlib import Path

import pytest

import nbtools
from nbtools.declared import read
from nbtools.notebook import Notebook

pytestmark = pytest.mark.slow
FOLDER = Path(__file__).parent.parent.parent / "arr_coc"
SMALL = {"epochs": 1, "batch_size": 16, "width": 16, "test_scenes": 40}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBTOOLS_STORE", str(tmp_path_factory.mktemp("store")))
        patch.setenv("WANDB_MODE", "offline")
        yield


@pytest.fixture(scope="module")
def sweep(store):
    return nbtools.sweep(
        FOLDER / "train.ipynb",
        {"allocator": ["adaptive", "uniform"], "seed": [1, 2]},
        params={**SMALL, "tensorboard": False},
        parallel=2,
        experiment="arr-coc",
    )


def test_train_leaves_all_that_it_promises(store):
    job = nbtools.run(FOLDER / "train.ipynb", {**SMALL, "mirror": "wandb"}, experiment="whole")
    assert job.state == "SUCCEEDED"
    assert 0 <= job.outputs["test_accuracy"] <= 1
    assert {"model.pt", "scenes.npz", "relevance.png", "learning_curve.png"} <= set(
        job.outputs.files
    )
    run = nbtools.ExperimentRun(job.run, experiment="whole")
    assert len(run.get_time_series_data_frame()["val_seen"]) == SMALL["epochs"]
    graph = nbtools.lineage.upstream(job.outputs["model.pt"])
    names = {Path(artifact.uri).name for artifact in graph.artifacts}
    assert {"digits.csv.gz", "china.jpg", "flower.jpg"} <= names

    folder = job.outputs["model.pt"].parent
    (events,) = folder.rglob("events.out.tfevents*")
    data = events.read_bytes()
    assert all(tag in data for tag in (b"custom_scalars", b"relevance", b"val_spent"))
    assert list(folder.rglob("*/tensors.tsv"))  # the tokens, for the projector
    assert list(folder.parent.rglob("offline-run-*/*.wandb"))


def test_compare_says_what_the_runs_say(sweep):
    job = nbtools.run(FOLDER / "compare.ipynb")
    assert (job.outputs["runs"], job.outputs["seeds"], job.outputs["comparisons"]) == (4, 2, 1)
    assert "<svg" in job.outputs["accuracy.svg"].read_text()
    assert "| adaptive |" in job.outputs["result.md"].read_text()


def test_compare_reads_the_results_that_are_kept(store):
    job = nbtools.run(FOLDER / "compare.ipynb", {"results": "results.csv"})
    text = (FOLDER / "README.md").read_text()
    for part in job.outputs["result.md"].read_text().split("\n\n"):
        assert part.rstrip() in text
    kept = (FOLDER / "results.csv").read_text()
    assert job.outputs["results.csv"].read_text() == kept


def test_a_search_over_budget_lr_and_weights(store):
    space = {"budget": "2:16", "lr": "1e-3:1e-2:log", "coupling": "0.0:2.0"}
    found = nbtools.sweep(
        FOLDER / "train.ipynb",
        space,
        params={**SMALL, "tensorboard": False},
        search="tpe",
        trials=2,
        objective="test_accuracy",
        direction="maximize",
        seed=1,
    )
    assert set(found.best.params) == set(space)


def test_the_schedules_are_in_order():
    declared = read(FOLDER / "nightly.yaml")
    assert len(declared) == 4
    for schedule in declared:
        known = {parameter.name for parameter in Notebook.read(schedule.notebook).parameters}
        assert set(schedule.params) <= known


def test_the_notebooks_are_stripped(call):
    done = call("clean", "--check", FOLDER)
    assert done.returncode == 0, done.stdout


def test_the_modules_are_short():
    for path in FOLDER.glob("*.py"):
        assert len(path.read_text().splitlines()) <= 150, path.name
    for path in FOLDER.glob("*.ipynb"):
        assert json.loads(path.read_text())["cells"][0]["cell_type"] == "markdown"
