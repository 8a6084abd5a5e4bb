"""Several notebooks at once, what they say, where their kernels come from."""

import json
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

pytestmark = pytest.mark.slow


def test_several_notebooks_side_by_side(call, make_notebook):
    good, bad = make_notebook("good.ipynb", "print(lr)"), make_notebook("bad.ipynb", "1 / 0")
    done = call("run", good, bad, good, "-j", "2", "-p", "lr", "0.5", "--json")
    assert done.returncode == 1
    jobs = json.loads(done.stdout)
    assert [job["state"] for job in jobs] == ["SUCCEEDED", "FAILED", "SUCCEEDED"]
    assert "ZeroDivisionError" in done.stderr
    assert len({job["name"] for job in jobs}) == 3
    assert json.loads(call("outputs", "list", jobs[0]["name"], "--json").stdout)["values"] == {
        "lr": 0.5
    }
    report = call("outputs", "open", jobs[2]["name"])  # made when it is asked for
    assert Path(report.stdout.strip()).read_text().startswith("<!DOCTYPE html>")


def test_one_wrong_notebook_begins_none(call, make_notebook):
    done = call("run", make_notebook("good.ipynb", "1"), "missing.ipynb")
    assert done.returncode == 2
    assert "no notebook at" in done.stderr
    assert json.loads(call("jobs", "list", "--json").stdout) == []


def test_logs_show_what_a_job_has_said_and_how_it_ended(call, make_notebook):
    cells = ("print('one')", "import sys\nprint('two', file=sys.stderr)\n40 + 2", "1 / 0")
    call("run", make_notebook("work.ipynb", *cells))
    logs = call("logs", "last")
    assert "[3] print('one')\none\n" in logs.stdout
    assert "42" in logs.stdout
    assert "two\n" in logs.stderr
    assert "ZeroDivisionError" in logs.stdout
    kinds = [
        json.loads(line)["kind"] for line in call("logs", "last", "--json").stdout.splitlines()
    ]
    assert kinds[-3:] == ["error", "end", "ended"]
    call("run", make_notebook("work.ipynb", *cells[:2]))  # now from the executed notebook
    logs = call("logs", "last")
    assert "[3] print('one')\none\n" in logs.stdout
    assert logs.stdout.splitlines()[-1] == "SUCCEEDED"


def test_logs_follow_until_the_end(call, make_notebook):
    cell = "import time\nfor i in range(4):\n    print('step', i, flush=True)\n    time.sleep(0.3)"
    name = call("submit", make_notebook("work.ipynb", cell)).stdout.strip()
    logs = call("logs", name, "-f")
    assert logs.returncode == 0
    assert [line for line in logs.stdout.splitlines() if line.startswith("step")] == [
        f"step {i}" for i in range(4)
    ]
    assert logs.stdout.splitlines()[-1] == "SUCCEEDED"


def test_kernels_are_warmed_listed_and_stopped(call, make_notebook):
    notebook = make_notebook("work.ipynb", "import numpy\nimport no_such_module_at_all")
    warm = json.loads(call("kernels", "warm", notebook, "--json").stdout)
    assert "numpy" in warm["preload"]
    assert "ModuleNotFoundError" in warm["refused"]["no_such_module_at_all"]
    assert warm["key"] in [z["key"] for z in json.loads(call("kernels", "list", "--json").stdout)]
    assert "1 stopped" in call("kernels", "stop", warm["key"]).stdout
    keys = [z["key"] for z in json.loads(call("kernels", "list", "--json").stdout)]
    assert warm["key"] not in keys


def test_the_job_uses_what_was_warmed(call, make_notebook):
    notebook = make_notebook(
        "work.ipynb",
        "import sys\nprint('loaded' if 'colorsys' in sys.modules else 'not')",
        "import colorsys",
    )
    call("kernels", "warm", notebook)
    call("run", notebook)
    assert "loaded\n" in call("logs", "last").stdout


def test_a_kernel_that_cannot_be_forked_is_refused(call, make_notebook):
    done = call("kernels", "warm", make_notebook("work.ipynb", "1", kernel="nothing"))
    assert done.returncode == 2
    assert "no kernel 'nothing'" in done.stderr


def zygotes(call):
    return {z["key"] for z in json.loads(call("kernels", "list", "--json").stdout)}


def test_an_installed_kernelspec_is_warm_for_nbconvert(call, make_notebook, tmp_path):
    call("kernels", "install", "--prefix", tmp_path, "--name", "mine", "--preload", "numpy")
    spec = json.loads((tmp_path / "share/jupyter/kernels/mine/kernel.json").read_text())
    assert spec["metadata"]["kernel_provisioner"]["provisioner_name"] == "nbtools-warm"
    notebook = make_notebook(
        "work.ipynb", "import os\nopen('/proc/self/cmdline').read()", kernel="mine"
    )
    command = [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", "--inplace"]
    import os

    env = {**os.environ, "JUPYTER_PATH": str(tmp_path / "share/jupyter")}
    before = zygotes(call)
    subprocess.run([*command, str(notebook)], check=True, capture_output=True, env=env)
    first = nbformat.read(notebook, as_version=4).cells[1].outputs[0].data["text/plain"]
    assert "ipykernel_launcher" in first or "zygote" in first
    deadline = time.monotonic() + 60
    while "zygote" not in first and zygotes(call) <= before:  # it is loading
        assert time.monotonic() < deadline
        time.sleep(0.1)
    subprocess.run([*command, str(notebook)], check=True, capture_output=True, env=env)
    again = nbformat.read(notebook, as_version=4).cells[1].outputs[0].data["text/plain"]
    assert "zygote" in again  # by now it is there, and the kernel is its fork


def test_sizes_and_modes_are_checked(call, make_notebook):
    notebook = make_notebook("work.ipynb", "1")
    assert "is no size" in call("run", notebook, "--memory", "much").stderr
    assert call("run", notebook, "--checkpoint", "often").returncode == 2
    assert call("run", notebook, "--threads", "-1").returncode == 2
    assert "no artifact 'nothing'" in call("run", notebook, "--input", "nothing").stderr


def test_a_command_that_a_fork_executes_is_like_any_other(call, make_notebook):
    good, bad = make_notebook("good.ipynb", "print('out')"), make_notebook("bad.ipynb", "1 / 0")
    call("run", good)  # now the zygote of runners is there
    done = call("run", good)
    assert (done.returncode, done.stdout.splitlines()[0].split()[0]) == (0, "SUCCEEDED")
    assert "cell 3 of 3" in done.stderr
    assert call("run", bad).returncode == 1
    wrong = call("run", good, "-p", "lrr", "1")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr == "nbtools: lrr: no such parameter; did you mean lr?\n"
    assert call("run", "--nonsense", good).returncode == 2
    assert call("run", good, "--help").stdout.startswith("Usage: nbtools run [OPTIONS] NOTEBOOK")
    assert json.loads(call("run", good, "--json").stdout)["state"] == "SUCCEEDED"
