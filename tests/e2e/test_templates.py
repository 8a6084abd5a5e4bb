"""The templates and notebooks, executed with small parameters."""

import json
from pathlib import Path

import pytest

import nbtools

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent.parent


def test_train_then_evaluate(store_folder):
    small = {"epochs": 3, "width": 32}
    first = nbtools.run(ROOT / "templates/train.ipynb", small)
    again = nbtools.run(ROOT / "templates/train.ipynb", small)
    values = first.outputs.values
    assert values["test_accuracy"] > 0.8
    assert again.outputs["test_loss"] == values["test_loss"]  # same seed, same numbers
    assert first.outputs["model.pt"].stat().st_size > 1000
    assert "<img" in first.outputs.report.read_text()  # the learning curve

    evaluated = nbtools.run(ROOT / "templates/evaluate.ipynb")
    assert evaluated.outputs["accuracy"] == pytest.approx(again.outputs["test_accuracy"])
    assert {"confusion_matrix.csv", "per_class.csv"} <= set(evaluated.outputs.files)


def test_evaluate_without_a_model_says_what_to_do(store_folder):
    with pytest.raises(nbtools.NotebookFailed, match="no artifact 'digits-mlp'"):
        nbtools.run(ROOT / "templates/evaluate.ipynb")


def test_a_report_opens_without_a_network(store_folder, make_notebook):
    job = nbtools.run(make_notebook("work.ipynb", "print('hello')"))
    page = job.outputs.report.read_text()
    assert "hello" in page
    assert 'src="http' not in page
    assert "@import" not in page


def test_quickstart(store_folder):
    job = nbtools.run(ROOT / "notebooks/quickstart.ipynb", {"epochs": 1})
    assert job.state == "SUCCEEDED"


def test_the_kernel_of_this_environment_has_nbtools(store_folder, make_notebook):
    job = nbtools.run(
        make_notebook("work.ipynb", "import nbtools, torch, sys\nprint(sys.executable)")
    )
    assert job.kernel == "python3"
    import sys

    text = json.dumps(json.loads(job.outputs.notebook.read_text()))
    assert sys.executable in text
