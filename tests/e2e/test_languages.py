"""A kernel that is not Python's: executed as any other, and never forked."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import papermill
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from nbtools.errors import RequestError
from nbtools.kernels.zygotes import Zygotes
from nbtools.notebook import Notebook
from nbtools.prepare import prepare
from nbtools.settings import Settings

pytest.importorskip("bash_kernel")
pytestmark = pytest.mark.slow
NBTOOLS = Path(sys.executable).with_name("nbtools")


@pytest.fixture
def make(tmp_path, monkeypatch, store_folder):
    """Makes a notebook in bash."""
    spec = tmp_path / "jupyter/kernels/bash"
    spec.mkdir(parents=True)
    content = {
        "argv": [sys.executable, "-m", "bash_kernel", "-f", "{connection_file}"],
        "display_name": "Bash",
        "language": "bash",
        "env": {"PS1": "$"},
    }
    (spec / "kernel.json").write_text(json.dumps(content))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"), prepend=os.pathsep)

    def make(*cells):
        parameters = new_code_cell("name=world\ncount=1", metadata={"tags": ["parameters"]})
        nb = new_notebook(cells=[parameters, *map(new_code_cell, cells)])
        nb.metadata["kernelspec"] = {"name": "bash", "display_name": "Bash", "language": "bash"}
        nbformat.write(nb, tmp_path / "work.ipynb")
        return tmp_path / "work.ipynb"

    return make


def test_nbtools_run(make, tmp_path):
    path = make('echo "hello $name $count"', 'printf "%s" "$NBTOOLS"', "ps -o ppid= -p $PPID")
    command = [NBTOOLS, "run", path, "-p", "name", "it's me", "-p", "count", "3", "-o", "out.ipynb"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    *_, hello, identity, parent = nbformat.read(tmp_path / "out.ipynb", 4).cells
    assert hello.outputs[0].text == "hello it's me 3\n"
    assert json.loads(identity.outputs[0].text)["experiment"] == "work"
    assert not {int(parent.outputs[0].text)} & {
        standing.pid for standing in Zygotes(Settings.load().runtime).list()
    }


def test_a_cell_that_fails(make, tmp_path):
    path = make("echo begun", "false", "echo never")
    done = subprocess.run([NBTOOLS, "run", path], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert "cell 4 of 5" in done.stdout


def test_a_value_that_the_language_has_not_is_refused(make):
    with pytest.raises(RequestError, match="work.ipynb cannot take parameters: dict"):
        prepare(Notebook.read(make("echo")), {"name": {"a": 1}}, {}, "bash")


@pytest.mark.parametrize("engine", [None, "nbtools"])
def test_the_engine_of_papermill(make, tmp_path, engine):
    path = make('echo "hello $name $count"', "echo $$")
    made = papermill.execute_notebook(
        path, None, {"name": "x y", "count": 2}, engine, progress_bar=False
    )
    assert made.cells[2].outputs[0].text == "hello x y 2\n"
    assert made.metadata.language_info.name == "bash"
    shell = int(made.cells[3].outputs[0].text)
    psutil.wait_procs([psutil.Process(shell)] if psutil.pid_exists(shell) else [], timeout=30)
    assert not psutil.pid_exists(shell), "what a kernel has started ends with it"


def test_an_interrupt_ends_a_cell_that_takes_too_long(make):
    with pytest.raises(Exception, match="timed out|timeout"):
        papermill.execute_notebook(
            make("sleep 600"), None, None, "nbtools", execution_timeout=1, progress_bar=False
        )
