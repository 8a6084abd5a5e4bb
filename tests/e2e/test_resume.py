"""Going on with a job that stopped: with its state, or by executing again what led to it."""

import json

import nbformat
import pytest

import nbtools
from nbtools.batch import run_many
from nbtools.errors import NotebookFailed, StateError
from nbtools.request import Request
from nbtools.states import JobState
from nbtools.store import Store

pytestmark = pytest.mark.slow

CELLS = (
    "import random\nx = random.random()\nprint('first', x)",
    "y = x\nprint('second')",
    "import pathlib\nassert pathlib.Path('flag').exists(), 'no flag'",
    "print(y == x, NBTOOLS['job'])\ny",
)


@pytest.fixture
def stopped(store_folder, make_notebook):
    """A job that failed in its third cell of work, and what it was asked for."""

    def stop(**options):
        notebook = make_notebook("work.ipynb", *CELLS)
        with pytest.raises(NotebookFailed) as caught:
            nbtools.run(notebook, **options)
        return caught.value.job

    return stop


def texts(job):
    cells = nbformat.read(job.outputs.notebook, as_version=4).cells
    return [o.text for c in cells if c.cell_type == "code" for o in c.outputs if "text" in o]


def test_a_checkpoint_is_gone_on_from_in_the_very_state(stopped, tmp_path):
    old = stopped(checkpoint="cells")
    failed = old.resume()  # the flag is still missing: it may be gone on from again
    failed = failed.wait()
    assert failed.state is JobState.FAILED
    (tmp_path / "flag").touch()
    new = failed.resume().wait()
    assert new.state is JobState.SUCCEEDED, new.error
    assert new.note == f"goes on from job {failed.name} after cell 4, in the state it had there"
    assert texts(new)[0] == texts(old)[0]  # the same random number: it was not drawn again
    assert texts(new)[-1] == f"True {new.name}\n"
    cells = nbformat.read(new.outputs.notebook, as_version=4).cells
    assert {c.metadata.papermill.status for c in cells} == {"completed"}
    assert [c.execution_count for c in cells] == [1, 2, 3, 4, 5, 6]
    assert (new.experiment, new.run) == (old.experiment, old.run)
    with pytest.raises(StateError, match="nothing to go on with"):
        new.resume()


def test_a_run_is_logged_to_on_from_a_checkpoint(make_notebook, tmp_path, store_folder):
    notebook = make_notebook(
        "work.ipynb",
        "import nbtools, pathlib\nnbtools.log_time_series_metrics({'x': 1.0}, step=1)",
        "assert pathlib.Path('flag').exists()",
        "nbtools.log_time_series_metrics({'x': 2.0}, step=2)\n"
        "nbtools.log_metrics({'done': 1})\nnbtools.output_path('note.txt').write_text('new')",
    )
    with pytest.raises(NotebookFailed) as caught:
        nbtools.run(notebook, checkpoint="cells")
    (tmp_path / "flag").touch()
    new = caught.value.job.resume().wait()
    assert new.state is JobState.SUCCEEDED, new.error
    assert "in the state it had there" in new.note
    assert new.outputs["note.txt"].read_text() == "new"
    assert new.outputs["done"] == 1
    store = Store(store_folder)
    assert [p[2] for p in store.points(f"{new.experiment}-{new.run}")["x"]] == [1.0, 2.0]


def test_only_tagged_cells_keep_their_state(stopped, tmp_path, make_notebook):
    old = stopped(checkpoint="tagged")
    (tmp_path / "flag").touch()
    assert "no checkpoint" in old.resume().wait().note


def test_without_a_checkpoint_the_cells_before_are_executed_again(stopped, tmp_path):
    old = stopped()
    (tmp_path / "flag").touch()
    new = old.resume().wait()
    assert new.state is JobState.SUCCEEDED, new.error
    assert new.note.endswith("cells 1 to 4 are executed again, for there is no checkpoint of them")
    assert texts(new)[0] != texts(old)[0]


def test_a_changed_cell_is_where_it_goes_on(stopped, tmp_path, make_notebook):
    old = stopped(checkpoint="cells")
    (tmp_path / "flag").touch()
    make_notebook("work.ipynb", CELLS[0], "y = x + 1\nprint('changed')", *CELLS[2:])
    new = old.resume().wait()
    assert new.state is JobState.SUCCEEDED, new.error
    assert "after cell 3" in new.note
    assert texts(new)[0] == texts(old)[0]
    assert "changed\n" in texts(new)
    assert texts(new)[-1].startswith("False ")


def test_threads_of_the_notebook_forbid_a_checkpoint_and_the_log_says_so(
    store_folder, make_notebook
):
    thread = (
        "import threading, time\n"
        "threading.Thread(target=time.sleep, args=(60,), daemon=True, name='mine').start()"
    )
    notebook = make_notebook("work.ipynb", thread, "1 / 0")
    with pytest.raises(NotebookFailed) as caught:
        nbtools.run(notebook, checkpoint="cells")
    transcript = caught.value.job.folder + "/transcript.jsonl"
    with open(transcript) as file:
        notes = [e["note"] for line in file if "note" in (e := json.loads(line))]
    (note,) = notes
    assert note.startswith("no checkpoint after cell 3: threads are at work")
    assert "mine" in note


def test_a_job_at_work_cannot_be_gone_on_with(store_folder, make_notebook):
    job = nbtools.submit(make_notebook("work.ipynb", "import time\ntime.sleep(60)"))
    with pytest.raises(StateError, match="wait for its end, or cancel it"):
        job.resume()
    job.cancel().wait()


def test_the_cache_gives_what_the_same_job_left(store_folder, make_notebook, tmp_path):
    notebook = make_notebook("work.ipynb", "print(lr)")
    data = tmp_path / "data.csv"
    data.write_text("1,2\n")
    options = {"inputs": (str(data),), "cache": True}
    first = nbtools.run(notebook, {"lr": 0.1}, **options)
    assert nbtools.run(notebook, {"lr": 0.1}, **options).name == first.name
    assert nbtools.run(notebook, {"lr": 0.1}, inputs=(str(data),)).name != first.name
    assert nbtools.run(notebook, {"lr": 0.2}, **options).name != first.name
    data.write_text("3,4\n")
    assert nbtools.run(notebook, {"lr": 0.1}, **options).name != first.name
    make_notebook("work.ipynb", "print(lr + 1)")
    assert nbtools.run(notebook, {"lr": 0.1}, **options).name != first.name


def test_side_by_side_gives_what_one_after_the_other_gives(store_folder, make_notebook):
    good = make_notebook("good.ipynb", "import os\nprint(lr * 2, os.environ['OMP_NUM_THREADS'])")
    bad = make_notebook("bad.ipynb", "raise ValueError(lr)")
    requests = [
        Request(notebook=bad if lr == 3 else good, params={"lr": float(lr)}, threads=1)
        for lr in range(6)
    ]
    serial, parallel = run_many(requests, 1), run_many(requests, 3)
    assert [j.state for j in parallel] == [j.state for j in serial]
    assert [j.params for j in parallel] == [r.params for r in requests]
    assert [texts(j) for j in parallel if not j.error] == [texts(j) for j in serial if not j.error]
    assert parallel[3].error.endswith("ValueError: 3.0")


def test_one_wrong_request_begins_nothing(store_folder, make_notebook):
    notebook = make_notebook("work.ipynb", "1")
    with pytest.raises(nbtools.NbtoolsError, match="no such parameter"):
        run_many(
            [Request(notebook=notebook, params={}), Request(notebook=notebook, params={"x": 1})]
        )
    assert not (store_folder / "jobs").exists()
