"""The command, as its user calls it: a real process, real kernels."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
NBTOOLS = Path(sys.executable).with_name("nbtools")


def cell_of_only_job(call):
    """The cell that it is at, None before there is one; it must not have ended."""
    jobs = json.loads(call("jobs", "list", "--json").stdout)
    assert all(job["state"] in ("QUEUED", "PENDING", "RUNNING") for job in jobs), jobs
    return jobs[0]["cell"] if jobs else None


def only_job(call):
    (job,) = json.loads(call("jobs", "list", "--json").stdout)
    return job


def test_run_shows_what_came_out_and_what_is_next(call, make_notebook):
    notebook = make_notebook(
        "work.ipynb",
        "import nbtools\nfor s in range(3): nbtools.log_time_series_metrics({'loss': 1 / (s + 1)})",
        "nbtools.log_metrics({'score': lr * 2})",
    )
    done = call("run", notebook, "-p", "lr", "3e-4")
    assert done.returncode == 0, done.stderr
    assert "SUCCEEDED" in done.stdout
    assert "lr=0.0003" in done.stdout
    assert "score=0.0006" in done.stdout
    assert "(3 steps)" in done.stdout
    assert "work.html" in done.stdout
    assert "Next:" in done.stdout
    shown = call("runs", "show", "last")
    assert "loss" in shown.stdout
    assert "COMPLETE" in shown.stdout
    values = json.loads(call("outputs", "list", "last", "--json").stdout)["values"]
    assert values == {"lr": 0.0003, "score": 0.0006}


def test_a_failing_cell_ends_with_its_number_and_its_last_line(call, make_notebook):
    notebook = make_notebook("work.ipynb", "x = 1", "raise ValueError('no such luck')", "x = 2")
    done = call("run", notebook)
    assert done.returncode == 1
    reason = "cell 4 of 5 (In [4]): ValueError: no such luck"
    assert reason in done.stdout
    job = only_job(call)
    assert (job["state"], job["error"]) == ("FAILED", reason)
    files = json.loads(call("outputs", "list", "last", "--json").stdout)["files"]
    assert set(files) == {"work.partial.ipynb", "work.html"}
    assert "no such luck" in Path(files["work.html"]).read_text()
    assert "no such luck" in Path(files["work.partial.ipynb"]).read_text()
    (run,) = json.loads(call("runs", "list", "--json").stdout)
    assert (run["state"], run["error"]) == ("FAILED", reason)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["-p", "learningrate", "3"], "learningrate: no such parameter; did you mean lr?"),
        (["-p", "lr", "high"], "lr: 'high' does not fit float (learning rate)"),
        (["-k", "nope"], "no kernel 'nope' here, there is python3; choose with --kernel"),
        (["-o", "/no/such/folder/out.ipynb"], "name a file in a folder that can be written"),
        (["-o", "/proc/out.ipynb"], "name a file in a folder that can be written"),
        (["-f", "missing.yaml"], "name a YAML file"),
        (["--cwd", "/no/such"], "name one with --cwd"),
        (["--experiment", "My Exp"], "for example 'my-exp'"),
        (["--timeout", "soon"], "is no duration"),
        (["--executor", "moon"], "no executor 'moon': there is local"),
    ],
)
def test_a_wrong_request_is_one_sentence_and_leaves_nothing(call, make_notebook, args, says):
    done = call("run", make_notebook("work.ipynb", "x = 1"), *args)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads(call("jobs", "list", "--json").stdout) == []
    assert json.loads(call("runs", "list", "--json").stdout) == []


def test_parameters_from_a_file_and_text_that_looks_like_a_number(call, make_notebook, tmp_path):
    notebook = make_notebook(
        "work.ipynb", "assert (lr, name) == (0.0003, '3.10')", parameters="lr = 0.1\nname = 'x'"
    )
    (tmp_path / "params.yaml").write_text("lr: 3e-4\nname: y\n")
    done = call("run", notebook, "-f", "params.yaml", "-p", "name", "3.10")
    assert done.returncode == 0, done.stdout


def test_the_same_run_twice_is_refused_and_resumed_when_asked(call, make_notebook):
    notebook = make_notebook("work.ipynb", "import nbtools\nnbtools.log_metrics({'m': lr})")
    assert call("run", notebook, "--run", "a", "-p", "lr", "1").returncode == 0
    again = call("run", notebook, "--run", "a", "-p", "lr", "2")
    assert again.returncode == 2
    assert "has a run 'a' already" in again.stderr
    assert call("run", notebook, "--run", "a", "-p", "lr", "2", "--resume").returncode == 0
    (run,) = json.loads(call("runs", "list", "--json").stdout)
    assert (run["state"], run["metrics"]) == ("COMPLETE", {"m": 2.0})


def wait_for(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s: {condition}")


def test_ctrl_c_interrupts_the_kernel_and_keeps_what_was_done(call, make_notebook, tmp_path):
    notebook = make_notebook("work.ipynb", "print('one done')", "import time\ntime.sleep(600)")
    process = subprocess.Popen(
        [NBTOOLS, "run", notebook], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    wait_for(lambda: cell_of_only_job(call) == 4)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"CANCELLED" in out
    job = only_job(call)
    assert job["state"] == "CANCELLED"
    assert "cell 4 of 4" in job["error"]
    partial = Path(job["folder"]) / "work.partial.ipynb"
    assert "one done" in partial.read_text()
    assert not (Path(job["folder"]) / "work.ipynb").exists()


def test_cancel_from_another_terminal(call, make_notebook):
    notebook = make_notebook("work.ipynb", "import time\ntime.sleep(600)")
    name = call("submit", notebook).stdout.strip()
    wait_for(lambda: only_job(call)["cell"] == 3)
    done = call("jobs", "cancel", name)
    assert done.returncode == 0
    assert "CANCELLED" in done.stdout
    assert call("jobs", "cancel", name).returncode == 2


def runner_of(folder):
    return json.loads((Path(folder) / "lock").read_text())["pid"]


def test_a_job_whose_process_was_killed_is_found_by_the_next_command(call, make_notebook):
    notebook = make_notebook("work.ipynb", "import time\ntime.sleep(600)")
    call("submit", notebook)
    folder = wait_for(lambda: (job := only_job(call))["cell"] == 3 and job["folder"])
    os.kill(runner_of(folder), signal.SIGKILL)
    wait_for(lambda: only_job(call)["state"] == "FAILED")
    assert "its process died in cell 3 of 3" in only_job(call)["error"]
    (run,) = json.loads(call("runs", "list", "--json").stdout)
    assert run["state"] == "FAILED"


@pytest.mark.parametrize(
    ("limit", "where"),
    # A slow machine may need all the time of the whole before it is there.
    [
        ("--timeout", r"(in cell [1-3] of 3|before its first cell)"),
        ("--cell-timeout", "in cell 3 of 3"),
    ],
)
def test_a_notebook_that_never_ends_is_stopped(call, make_notebook, limit, where):
    done = call("run", make_notebook("work.ipynb", "while True: pass"), limit, "3s")
    assert done.returncode == 1
    assert re.search(
        f"timed out {where}: it took longer than the 3 s that {limit} allows", done.stdout
    )


def test_a_full_disk_is_said_and_damages_nothing(call, make_notebook, tmp_path):
    """The store is on a file system of 3 MB of its own, in a mount namespace of its own."""
    notebook = make_notebook("work.ipynb", "print('x' * 20_000_000)")
    small = tmp_path / "small"
    small.mkdir()
    script = (
        f"mount -t tmpfs -o size=3m tmpfs {small} && export NBTOOLS_STORE={small}/store\n"
        f"{NBTOOLS} run {notebook}; echo code $?; rm {small}/store/jobs/*/*.ipynb\n"
        f"{NBTOOLS} jobs list --json; {NBTOOLS} doctor | grep sound"
    )
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "code 1" in done.stdout, done.stdout + done.stderr
    assert "No space left on device" in done.stdout
    assert '"state": "FAILED"' in done.stdout
    assert "store is sound" in done.stdout


def test_fetch_copies_and_does_not_overwrite(call, make_notebook, tmp_path):
    notebook = make_notebook(
        "work.ipynb", "import nbtools\nnbtools.output_path('sub/note.txt').write_text('hi')"
    )
    assert call("run", notebook, "-o", tmp_path / "out.ipynb").returncode == 0
    assert (tmp_path / "out.ipynb").exists()
    assert call("outputs", "fetch", "last", "--to", "got").returncode == 0
    assert (tmp_path / "got/sub/note.txt").read_text() == "hi"
    assert call("outputs", "fetch", "last", "--to", "got").returncode == 0  # all is there already
    (tmp_path / "got/sub/note.txt").write_text("mine")
    again = call("outputs", "fetch", "last", "sub/note.txt", "--to", "got")
    assert again.returncode == 2
    assert "--force" in again.stderr
    assert (tmp_path / "got/sub/note.txt").read_text() == "mine"


def test_fetch_takes_uris_and_leaves_out_what_leads_elsewhere(call, make_notebook, tmp_path):
    (tmp_path / "secret").write_text("secret")
    notebook = make_notebook(
        "work.ipynb",
        "import nbtools, os\nnbtools.output_path('note.txt').write_text('hi')\n"
        f"os.symlink({str(tmp_path / 'secret')!r}, nbtools.output_path('.') / 'link')",
    )
    assert call("run", notebook).returncode == 0
    done = call("outputs", "fetch", "last", "--to", f"file://{tmp_path}/got", "--json")
    assert done.returncode == 0, done.stderr
    assert "left out: link: it is a link that leads out of the job's folder" in done.stderr
    assert f"{tmp_path}/got/note.txt" in json.loads(done.stdout)
    assert sorted(p.name for p in (tmp_path / "got").iterdir()) == [
        "note.txt", "work.html", "work.ipynb",
    ]  # fmt: skip
    missing = call("outputs", "fetch", "last", "--to", "s3://bucket/path")
    assert missing.returncode == 2
    assert "pip install s3fs" in missing.stderr


def test_paths_that_a_notebook_s_metadata_record_are_not_gone_by(call, make_notebook, tmp_path):
    notebook = make_notebook("work.ipynb", "print('hi')")
    data = json.loads(notebook.read_text())
    for name in ("papermill", "nbtools"):
        keys = ("input_path", "output_path", "job", "run", "folder", "store")
        data["metadata"][name] = dict.fromkeys(keys, f"{tmp_path}/{name}/../planted")
    notebook.write_text(json.dumps(data))
    before = {p.name for p in tmp_path.iterdir()}
    assert call("run", notebook).returncode == 0
    assert call("outputs", "fetch", "last", "--to", "got").returncode == 0
    assert {p.name for p in tmp_path.iterdir()} == before | {"store", "got"}
    assert {p.name for p in (tmp_path / "got").iterdir()} == {"work.ipynb", "work.html"}


def test_params_and_doctor(call, make_notebook):
    notebook = make_notebook("work.ipynb")
    (param,) = json.loads(call("params", notebook, "--json").stdout)
    assert param == {"name": "lr", "type": "float", "default": "0.001", "help": "learning rate"}
    done = call("doctor", "--json")
    found = {finding["what"]: finding for finding in json.loads(done.stdout)}
    assert found["store is sound"]["found"] == "yes"
    assert done.returncode == 0


def test_colours_only_where_they_are_wanted(call, make_notebook):
    assert "\x1b[" not in call("run", make_notebook("work.ipynb", "1")).stdout
