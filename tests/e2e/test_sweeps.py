"""Sweeps as their user has them: the command and the library, real kernels, real kills."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import nbtools
from nbtools.errors import RequestError, StateError

pytestmark = pytest.mark.slow
NBTOOLS = Path(sys.executable).with_name("nbtools")
PARAMETERS = "lr: float = 1e-3  # learning rate\nwidth: int = 64\npause: float = 0.0"
WORK = """
import time, nbtools
if lr == 13:
    raise ValueError("no luck")
for step in range(1, 4):
    time.sleep(pause)
    nbtools.report(step, lr * step)
nbtools.log_metrics({"score": lr * 3, "width_seen": width})
"""
WAIT = "import pathlib, time\nwhile not pathlib.Path('go').exists(): time.sleep(0.1)"


@pytest.fixture
def notebook(make_notebook):
    return make_notebook("work.ipynb", WORK, "done = True", parameters=PARAMETERS)


@pytest.fixture
def waiting_notebook(make_notebook):
    """Goes on when there is a file `go` beside it."""
    return make_notebook("work.ipynb", WAIT, WORK, parameters=PARAMETERS)


def trials(call, name="last"):
    found = json.loads(call("sweep", "status", name, "--json").stdout)
    return found, {t["number"]: t for t in found["ended"] + found["working"]}


def jobs_of(call):
    return json.loads(call("jobs", "list", "--limit", "0", "--json").stdout)


MAXIMIZE = ["--objective", "score", "--direction", "maximize"]


def test_a_grid_from_the_command_line(call, notebook, tmp_path):
    done = call("sweep", notebook, "lr=1,2,13", "width=32:64:log", "-j", 2,
                "--experiment", "exp", *MAXIMIZE)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "COMPLETE  work-sweep-1  6 of 6 trials" in done.stdout
    assert [line[:3] for line in done.stderr.splitlines()] == [f"{n}/6" for n in range(1, 7)]
    found, by = trials(call)
    assert (found["state"], found["experiment"]) == ("COMPLETE", "exp")
    assert [(t["params"]["lr"], t["params"]["width"], t["state"], t["value"])
            for _, t in sorted(by.items())] == [
        (1.0, 32, "COMPLETE", 3.0), (1.0, 64, "COMPLETE", 3.0), (2.0, 32, "COMPLETE", 6.0),
        (2.0, 64, "COMPLETE", 6.0), (13.0, 32, "FAILED", None), (13.0, 64, "FAILED", None),
    ]  # fmt: skip
    assert "ValueError: no luck" in by[5]["error"]
    runs = json.loads(call("runs", "list", "--experiment", "exp", "--json").stdout)
    assert sorted(run["name"] for run in runs) == [f"work-sweep-1-{n}" for n in range(1, 7)]
    best = call("sweep", "best").stdout
    assert "score = 6  in trial 3 of work-sweep-1" in best
    assert "lr=2  width=32" in best
    other = call("sweep", "best", "--objective", "width_seen", "--direction", "maximize", "--json")
    assert json.loads(other.stdout)["number"] == 2
    page = Path(found["report"]).read_text()
    assert page.count("<svg") == 2
    assert "no luck" in page
    assert "src=" not in page
    assert "href=" not in page
    listed = json.loads(call("sweep", "list", "--json").stdout)
    assert [(s["name"], s["trials"]) for s in listed] == [("work-sweep-1", "6/6")]


def test_the_library_returns_the_sweep(store_folder, notebook):
    done = nbtools.sweep(
        notebook, {"lr": "0.5:3.0"}, params={"width": 7}, search="random", trials=4, seed=3,
        objective="score", direction="minimize", parallel=2, experiment="exp", name="mine",
    )  # fmt: skip
    frame = done.get_data_frame()
    assert list(frame.columns) == [
        "trial", "state", "score", "seconds", "param.lr", "run_name", "job", "error",
    ]  # fmt: skip
    assert frame["trial"].tolist() == [1, 2, 3, 4]
    assert frame["param.lr"].is_unique
    assert frame["score"].tolist() == (frame["param.lr"] * 3).tolist()
    assert done.best.value == frame["score"].min()
    shown = done._repr_html_()  # as the last line of a cell
    assert shown.count("<svg") == 2
    assert all(f"<td>{run}</td>" in shown for run in frame["run_name"])
    assert (done.state, done.name, repr(nbtools.Sweep())) == ("COMPLETE", "mine", "Sweep('mine')")
    assert set(nbtools.get_experiment_df("exp")["param.width"]) == {7}
    for again in (done.resume, done.cancel):
        with pytest.raises(StateError, match="is complete"):
            again()
    twice = nbtools.sweep(notebook, {"lr": "0.5:3.0"}, params={"width": 7}, trials=4, seed=3,
                          experiment="exp", rerun=True)  # fmt: skip
    assert twice.get_data_frame()["param.lr"].tolist() == frame["param.lr"].tolist()
    with pytest.raises(RequestError, match="has no objective: say --objective"):
        _ = twice.best


def test_what_was_executed_before_is_not_executed_again_unless_asked(call, notebook):
    assert call("run", notebook, "-p", "lr", 2, "-p", "width", 8).returncode == 0
    first = call("sweep", notebook, "lr=1,2", "width=8", *MAXIMIZE)
    assert "best, executed before" in first.stdout
    assert len(jobs_of(call)) == 2
    assert call("sweep", notebook, "lr=2,1,2", "width=8", *MAXIMIZE).returncode == 0
    assert len(jobs_of(call)) == 2
    _, by = trials(call)
    assert [t["reused"] for t in by.values()] == [True, True]
    assert [t["value"] for _, t in sorted(by.items())] == [6.0, 3.0]
    assert call("sweep", notebook, "lr=1,2", "width=8", *MAXIMIZE, "--rerun").returncode == 0
    assert len(jobs_of(call)) == 4


def test_a_trial_that_others_leave_behind_is_pruned(call, notebook):
    done = call("sweep", notebook, "lr=3,2,1,4", "-j", 1, *MAXIMIZE, "--min-trials", 2)
    assert done.returncode == 0
    _, by = trials(call)
    assert [by[n]["state"] for n in (1, 2, 3, 4)] == ["COMPLETE", "COMPLETE", "PRUNED", "COMPLETE"]
    assert (by[3]["step"], by[3]["value"]) == (1, 1.0)
    assert by[3]["error"] == "score = 1 is worse than 2.5, the median of 2 trials at this step"
    job = json.loads(call("jobs", "show", by[3]["job"], "--json").stdout)
    assert (job["state"], job["error"]) == ("SUCCEEDED", "")
    assert "pruned at step 1: score = 1 is worse" in call("logs", by[3]["job"]).stdout
    left = call("sweep", notebook, "lr=3,2,1,4", "-j", 1, *MAXIMIZE, "--min-trials", 2,
                "--no-prune")  # fmt: skip
    assert left.returncode == 0
    _, by = trials(call)
    assert {t["state"] for t in by.values()} == {"COMPLETE"}
    assert [by[n]["reused"] for n in (1, 2, 3, 4)] == [True, True, False, True]


def test_tpe_searches_and_its_pruner_ends_trials(call, notebook):
    done = call("sweep", notebook, "lr=0.1:10.0:log", "width=8:64", "--search", "tpe", "--trials",
                8, "--seed", 1, "-j", 2, *MAXIMIZE, "--min-trials", 2)  # fmt: skip
    assert done.returncode == 0, done.stderr
    _, by = trials(call)
    assert sorted(by) == list(range(1, 9))
    assert {t["state"] for t in by.values()} == {"COMPLETE", "PRUNED"}
    assert max(t["params"]["lr"] for t in by.values()) == trials_best(call)["params"]["lr"]
    pruned = next(t for t in by.values() if t["state"] == "PRUNED")
    assert "Optuna" in call("logs", pruned["job"]).stdout
    assert "Warning" not in call("logs", pruned["job"]).stdout


def trials_best(call):
    return json.loads(call("sweep", "best", "--json").stdout)


def test_every_trial_failed_is_exit_code_1(call, notebook):
    done = call("sweep", notebook, "lr=13", *MAXIMIZE)
    assert done.returncode == 1
    assert (
        "no completed trial of work-sweep-1 has reported score yet" in call("sweep", "best").stderr
    )


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ([], "there is nothing to vary"),
        (["lr"], "'lr' is no space: write PARAMETER=1,2,3"),
        (["lr=1", "lr=2"], "lr: varied twice; write lr=1,2"),
        (["lrr=1"], "did you mean lr?"),
        (["lr=1", "-p", "lr", "2"], "lr: varied and fixed at the same time"),
        (["lr=1", "-p", "widht", "2"], "did you mean width?"),
        (["lr=0.1:1.0"], "has no end of values"),
        (["lr=1", "--search", "random"], "say how many --trials"),
        (["lr=1", "--search", "grid", "--trials", "3"], "a grid has as many trials as points"),
        (["lr=1", "--search", "tpe", "--trials", "3"], "tpe learns from an objective"),
        (["lr=1", "--objective", "score"], "say whether to --direction maximize or minimize score"),
        (["lr=1", "--direction", "minimize"], "--objective NAME of a metric"),
        (["lr=1", "--objective", "scor", "--direction", "minimize"], "did you mean score?"),
        (["lr=1", "--name", "My_Sweep"], "for example 'my-sweep'"),
        (["lr=1", "--experiment", "My Exp"], "for example 'my-exp'"),
        (["lr=1", "-k", "nope"], "no kernel 'nope' here"),
        (["lr=1", "-j", "-2"], "parallel is -2: it must not be negative"),
        (["lr=1", "--input", "no-such"], "no artifact 'no-such'"),
    ],
)
def test_a_wrong_sweep_is_one_sentence_and_leaves_nothing(call, notebook, args, says):
    done = call("sweep", notebook, *args)
    assert done.returncode == 2
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert json.loads(call("sweep", "list", "--json").stdout) == []
    assert jobs_of(call) == []


def test_a_name_that_is_taken_and_one_that_is_not_there(call, notebook):
    assert call("sweep", notebook, "lr=1", "--name", "mine").returncode == 0
    again = call("sweep", notebook, "lr=1", "--name", "mine")
    assert "the name 'mine' is taken: choose another, or `nbtools sweep resume" in again.stderr
    of_a_run = call("sweep", notebook, "lr=1", "--name", "work")
    assert of_a_run.stderr == "nbtools: the name 'work' is taken: choose another\n"
    assert call("sweep", notebook, "lr=1:2", "--trials", 9, "--experiment", "other").returncode == 0
    found, by = trials(call)
    assert (found["name"], found["trials"], sorted(by)) == ("work-sweep-1", 2, [1, 2])
    assert (
        "no sweep 'other': `nbtools sweep list` shows them" in call("sweep", "best", "other").stderr
    )


def command(store, *args):
    """The command, begun and not waited for."""
    return subprocess.Popen(
        [str(NBTOOLS), "sweep", *map(str, args)], env={**os.environ, "NBTOOLS_STORE": str(store)},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.1)
    return found


SEARCHES = {
    "grid": ["lr=1,2,3,4,5,6"],
    "random": ["lr=1.0:9.0", "--trials", 6],
    "tpe": ["lr=1.0:9.0", "--search", "tpe", "--trials", 6],
}


@pytest.mark.parametrize("search", SEARCHES)
def test_killed_again_and_again_it_loses_no_trial_and_doubles_none(
    call, notebook, store_folder, search
):
    chance = random.Random(search)
    args = [*SEARCHES[search], "-j", 2, "-p", "pause", 0.1, "--no-prune", *MAXIMIZE]
    process = command(store_folder, notebook, *args)
    until(lambda: call("sweep", "status").returncode == 0)
    finished = {}
    for _ in range(4):
        time.sleep(chance.uniform(0.3, 2.0))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        found, by = trials(call)
        assert found["state"] in ("INTERRUPTED", "COMPLETE")
        for number, job in finished.items():
            assert by[number]["job"] == job  # what had ended is as it was
        finished = {n: t["job"] for n, t in by.items() if t["state"] == "COMPLETE"}
        process = command(store_folder, "resume")
    process.communicate()
    call("sweep", "resume")  # where the last was killed
    found, by = trials(call)
    assert found["state"] == "COMPLETE"
    assert sorted(by) == [1, 2, 3, 4, 5, 6]
    assert {t["state"] for t in by.values()} == {"COMPLETE"}
    assert all(t["value"] == t["params"]["lr"] * 3 for t in by.values())
    succeeded = [job for job in jobs_of(call) if job["state"] == "SUCCEEDED"]
    assert len(succeeded) == 6
    assert all(by[number]["job"] == job for number, job in finished.items())


def test_ctrl_c_cancels_what_is_at_work_and_says_how_to_go_on(call, waiting_notebook, store_folder):
    process = command(store_folder, waiting_notebook, "lr=1,2,3", "-j", 1, *MAXIMIZE)
    until(lambda: any(job["cell"] == 3 for job in jobs_of(call)))
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "sweep resume work-sweep-1" in said
    found, by = trials(call)
    assert (found["state"], by[1]["state"]) == ("INTERRUPTED", "CANCELLED")
    assert [job["state"] for job in jobs_of(call)] == ["CANCELLED"]


def test_cancel_reaches_the_sweep_of_another_process_and_resume_goes_on(
    call, waiting_notebook, store_folder, tmp_path
):
    process = command(store_folder, waiting_notebook, "lr=1,2,3", "-j", 2, *MAXIMIZE)
    until(lambda: call("sweep", "status").returncode == 0 and jobs_of(call))
    busy = call("sweep", "resume")
    assert busy.returncode == 2
    assert "is being carried out already" in busy.stderr
    assert call("sweep", "cancel").stdout == "sweep work-sweep-1 is cancelled\n"
    process.communicate(timeout=60)
    found, by = trials(call)
    assert found["state"] == "CANCELLED"
    assert 3 not in by
    assert {job["state"] for job in jobs_of(call)} == {"CANCELLED"}
    (tmp_path / "go").touch()
    assert call("sweep", "resume").returncode == 0
    found, by = trials(call)
    assert found["state"] == "COMPLETE"
    assert {t["state"] for t in by.values()} == {"COMPLETE"}
    assert sorted(by) == [1, 2, 3]


def test_what_was_killed_with_its_sweep_is_done_again(
    call, waiting_notebook, store_folder, tmp_path
):
    """As when the machine goes down: nothing is left at work."""
    process = command(store_folder, waiting_notebook, "lr=1,2", "-j", 1, *MAXIMIZE)
    until(lambda: any(job["cell"] == 3 for job in jobs_of(call)))
    process.kill()
    process.wait()
    (job,) = jobs_of(call)
    runner = json.loads((Path(job["folder"]) / "lock").read_text())["pid"]
    os.kill(runner, signal.SIGKILL)
    until(lambda: jobs_of(call)[0]["state"] == "FAILED")
    assert "its process died" in trials(call)[1][1]["error"]
    (tmp_path / "go").touch()
    assert call("sweep", "resume").returncode == 0
    found, by = trials(call)
    assert found["state"] == "COMPLETE"
    assert [(by[n]["state"], by[n]["attempt"]) for n in (1, 2)] == [
        ("COMPLETE", 2),
        ("COMPLETE", 1),
    ]


def test_a_notebook_that_has_changed_is_not_gone_on_with_unasked(
    call, waiting_notebook, make_notebook, store_folder, tmp_path
):
    process = command(store_folder, waiting_notebook, "lr=1,2", "-j", 1, *MAXIMIZE)
    until(lambda: call("sweep", "status").returncode == 0 and jobs_of(call))
    process.kill()
    process.wait()
    make_notebook("work.ipynb", WORK, "done = False", parameters=PARAMETERS)
    (tmp_path / "go").touch()
    refused = call("sweep", "resume")
    assert refused.returncode == 2
    assert "work.ipynb has changed since sweep work-sweep-1 began" in refused.stderr
    assert call("sweep", "resume", "--changed").returncode == 0
    assert trials(call)[0]["state"] == "COMPLETE"
