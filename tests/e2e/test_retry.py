"""Executing a job again, and going on from a cell that is named."""

import json
import subprocess
from dataclasses import replace

import nbformat
import pytest

import nbtools
from nbtools import removal, successor
from nbtools.errors import NotebookFailed, NotFound, RequestError, StateError
from nbtools.jobs import Jobs
from nbtools.nouns import Execution
from nbtools.request import plan
from nbtools.states import JobState
from nbtools.store import Store

pytestmark = pytest.mark.slow
NEEDS_FLAG = "import pathlib\nassert pathlib.Path('flag').exists(), 'no flag'"


@pytest.fixture
def failed(store_folder, make_notebook):
    """A job that failed for want of a file, and what it was asked for."""

    def fail(*cells, **options):
        notebook = make_notebook(
            "work.ipynb", *(cells or ("print(lr)", NEEDS_FLAG, "print('end')"))
        )
        with pytest.raises(NotebookFailed) as caught:
            nbtools.run(notebook, {"lr": 0.25}, **options)
        return caught.value.job

    return fail


def texts(job):
    cells = nbformat.read(job.outputs.notebook, as_version=4).cells
    return [o.text for c in cells if c.cell_type == "code" for o in c.outputs if "text" in o]


def test_a_retry_is_a_job_of_its_own_that_knows_which_it_repeats(failed, tmp_path, call):
    old = failed(experiment="e", timeout=50, memory=1 << 30, output=tmp_path / "out.ipynb")
    (tmp_path / "flag").touch()
    new = old.retry().wait()
    assert new.state is JobState.SUCCEEDED, new.error
    assert (new.retry_of, new.params, new.experiment) == (old.name, {"lr": 0.25}, "e")
    assert new.name != old.name
    assert new.run != old.run
    assert texts(new) == ["0.25\n", "end\n"]
    assert (tmp_path / "out.ipynb").exists()
    task = json.loads((tmp_path / "store/jobs" / new.name / "task.json").read_text())
    assert (task["timeout"], task["memory"]) == (50, 1 << 30)
    was = old.refresh()
    assert (was.state, was.error) == (JobState.FAILED, old.error)
    assert "no flag" in old.outputs.notebook.read_text()
    assert f"executes job {old.name} again" in call("jobs", "show", new.name).stdout
    assert f"executed again as job {new.name}: SUCCEEDED" in call("jobs", "show", old.name).stdout


def test_the_text_of_then_is_executed_though_the_notebook_was_changed_or_removed(
    failed, tmp_path, make_notebook, store_folder
):
    old = failed()
    (tmp_path / "flag").touch()
    notebook = make_notebook("work.ipynb", "print('another')")
    new = old.retry().wait()
    assert texts(new) == ["0.25\n", "end\n"]
    assert new.note == f"the notebook as it was in job {old.name}: work.ipynb has changed since"
    notebook.unlink()
    third = new.retry().wait()
    assert texts(third) == ["0.25\n", "end\n"]
    assert third.note.endswith("work.ipynb is gone since")
    with pytest.raises(RequestError, match="without --changed it is executed as it was"):
        old.retry(changed=True)
    store = Store(store_folder)
    sources = {
        e.artifact for job in (old, new, third) for e in store.events(execution=job.name)
        if e.type == "INPUT"
    }  # fmt: skip
    assert len(sources) == 1  # lineage says that all three executed the same
    make_notebook("work.ipynb", "print('another')")
    assert texts(old.retry(changed=True).wait()) == ["another\n"]


def test_what_git_says_of_the_file_now_is_not_said_of_what_was_executed_then(
    failed, tmp_path, make_notebook, store_folder
):
    def git(*words):
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *who, *words], cwd=tmp_path, check=True, capture_output=True)

    git("init", "-q")
    old = failed()
    make_notebook("work.ipynb", "print('another')")
    git("add", "work.ipynb")
    git("commit", "-qm", "one")
    (tmp_path / "flag").touch()
    new = old.retry().wait()
    store = Store(store_folder)
    (source,) = (e.artifact for e in store.events(execution=new.name) if e.type == "INPUT")
    (same,) = (e.artifact for e in store.events(execution=old.name) if e.type == "INPUT")
    assert source == same
    assert "commit" not in nbtools.lineage.look_up(store, source).metadata


def test_a_run_with_a_name_is_numbered_and_declared_inputs_are_read_again(
    failed, tmp_path, store_folder
):
    data = tmp_path / "data.csv"
    data.write_text("1\n")
    old = failed(run="mine", experiment="e", inputs=(str(data),))
    second = old.retry().wait()
    third = second.retry().wait()
    assert [second.run, third.run] == ["mine-2", "mine-3"]
    assert third.retry_of == second.name
    store = Store(store_folder)
    read = {e.artifact for e in store.events(execution=third.name) if e.type == "INPUT"}
    assert {e.artifact for e in store.events(execution=old.name) if e.type == "INPUT"} == read
    assert len(read) == 2


def test_a_retry_of_what_went_on_from_a_checkpoint_executes_all_of_it(failed, tmp_path):
    old = failed("print('begin')", NEEDS_FLAG, "print('end')", checkpoint="cells")
    (tmp_path / "flag").touch()
    resumed = old.resume().wait()
    assert "in the state it had there" in resumed.note
    (tmp_path / "work.ipynb").unlink()
    again = resumed.retry().wait()
    assert texts(again) == ["begin\n", "end\n"]
    cells = nbformat.read(again.outputs.notebook, as_version=4).cells
    assert [c.execution_count for c in cells] == [1, 2, 3, 4, 5]


def test_a_retry_is_refused_while_the_job_is_at_work_and_when_its_files_are_gone(
    store_folder, make_notebook, tmp_path
):
    notebook = make_notebook("work.ipynb", "import time\ntime.sleep(60)")
    job = nbtools.submit(notebook)
    with pytest.raises(StateError, match="wait for its end, or cancel it"):
        job.retry()
    job = job.cancel().wait()
    make_notebook("work.ipynb", "1")
    (store_folder / "jobs" / job.name / "prepared.ipynb").unlink()
    with pytest.raises(StateError, match="execute it as it is now with --changed"):
        job.retry()
    (store_folder / "jobs" / job.name / "task.json").unlink()
    with pytest.raises(StateError, match="execute its notebook anew with `nbtools run"):
        job.retry()
    assert len(Jobs.open().list()) == 1


def test_a_trial_that_is_executed_again_is_an_attempt_of_its_sweep(store_folder, make_notebook):
    notebook = make_notebook("work.ipynb", "assert lr < 0.5")
    sweep = nbtools.sweep(notebook, {"lr": [0.1, 0.9]}, parallel=2)
    bad = sweep.trials[1]
    again = Jobs.open().get(bad.job).retry().wait()
    assert again.state is JobState.FAILED
    second = sweep.trials[1]
    assert (second.job, second.attempt, second.params) == (again.name, 2, {"lr": 0.9})


def test_going_on_from_a_named_cell(failed, tmp_path):
    cells = ("import random\nx = random.random()\nprint(x)", "y = 1\nprint('second')", NEEDS_FLAG)
    old = failed(*cells, checkpoint="cells")
    (tmp_path / "flag").touch()
    new = old.resume(from_cell=4).wait()  # parameters, injected, first: then `second` again
    assert new.state is JobState.SUCCEEDED, new.error
    assert "after cell 3, in the state it had there" in new.note
    assert new.resume_of == old.name
    assert texts(new)[0] == texts(old)[0]
    by_id = json.loads((tmp_path / "store/jobs" / new.name / "prepared.ipynb").read_text())["cells"]
    with pytest.raises(StateError, match="nothing to go on with, unless you name a cell"):
        new.resume()
    third = new.resume(from_cell=by_id[3]["id"]).wait()  # all were executed: from any of them
    assert third.state is JobState.SUCCEEDED
    assert "cells 1 to 3 are executed again" in third.note


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("0", "has no cell '0' to go on from: give a number from 1 to 5"),
        ("6", "has no cell '6'"),
        ("-1", "has no cell '-1'"),
        ("failed", "the id of a cell, or failed-cell"),
        ("", "has no cell ''"),
        ("5", "cannot go on from cell 5: cell 4, before it, was not executed to its end"),
    ],
)
def test_a_cell_that_makes_no_sense_is_refused_in_one_sentence(failed, call, cell, says):
    old = failed()
    done = call("jobs", "resume", old.name, "--from", cell)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert len(Jobs.open().list()) == 1


def test_the_commands(failed, call, tmp_path):
    old = failed()
    again = call("jobs", "retry", old.name, "--json")
    assert again.returncode == 1  # it failed once more
    assert json.loads(again.stdout)["retry_of"] == old.name
    (tmp_path / "flag").touch()
    done = call("jobs", "resume", old.name, "--from", "failed-cell", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["resume_of"] == old.name
    assert call("jobs", "retry", "nope").returncode == 2
    for ended, says in ((again, "executes {} again"), (done, "goes on from {}")):
        name = json.loads(ended.stdout)["name"]
        assert f"{name}  {says.format(old.name)}" in call("lineage", "show", name).stdout


def test_a_job_that_is_removed_in_that_moment_is_not_executed_again(failed):
    """What the new job's transaction sees is what counts, not what was read before it."""
    old, jobs = failed(), Jobs.open()
    request = successor.asked(jobs, old, None, run="another")
    made = plan(request, jobs.settings, jobs.clock())
    made = replace(made, job=replace(made.job, retry_of=old.name))
    removal.remove(jobs.store, Execution, old.name)
    with pytest.raises(NotFound):
        successor.begin(jobs, made, None)
    assert jobs.store.find(Execution, made.job.name) is None
