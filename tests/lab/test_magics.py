"""`%load_ext nbtools` in a real session."""

import os
import re
import subprocess
import sys

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

pytestmark = pytest.mark.slow


@pytest.fixture
def session(tmp_path, store_folder, monkeypatch):
    """Executes cells in one kernel after %load_ext; gives the outputs of each."""
    monkeypatch.chdir(tmp_path)

    def run(*cells, raises=False):
        cells = ["%load_ext nbtools", *cells]
        node = new_notebook(cells=[new_code_cell(c) for c in cells])
        client = NotebookClient(node, timeout=120, kernel_name="python3", allow_errors=raises)
        client.execute(cwd=str(tmp_path))
        return [said(cell) for cell in node.cells[1:]]

    return run


def said(cell):
    parts = []
    for output in cell.outputs:
        data = output.get("data", {})
        parts.append(
            output.get("text", "") or data.get("text/html", "") or data.get("text/plain", "")
        )
        parts.append(output.get("evalue", ""))
    return "".join(parts)


def test_a_notebook_is_executed_and_its_runs_are_a_table(session, make_notebook):
    make_notebook("work.ipynb", "import nbtools\nnbtools.log_metrics({'twice': lr * 2})")
    job, runs, begun = session(
        "job = %nbrun work.ipynb lr=0.25\nprint(job.state, job.params['lr'])",
        "runs = %nbruns work\nprint(len(runs), runs['metric.twice'][0])",
        "job = %nbrun work.ipynb --background\nprint(job.state.final, job.wait().state)",
    )
    assert job == "SUCCEEDED 0.25\n"
    assert runs == "1 0.5\n"
    assert begun == "False SUCCEEDED\n"


def test_what_is_asked_for_wrongly_is_one_sentence(session, make_notebook):
    make_notebook("work.ipynb", "1")
    found = session(
        "%nbrun work.ipynb rate=1", "%nbrun", "%nbruns a b", "%nbgit", "%nbtb --experiment",
        raises=True,
    )  # fmt: skip
    wanted = ["rate: no such parameter", "usage: %nbrun", "usage: %nbruns", "usage: %nbgit",
              "usage: %nbtb"]  # fmt: skip
    for said_, sentence in zip(found, wanted, strict=True):
        assert sentence in said_
        assert "Traceback" not in said_


def test_tensorboard_is_shown_through_the_proxy(session, make_notebook, monkeypatch):
    monkeypatch.setenv("TENSORBOARD_PROXY_URL", "/proxy/%PORT%/")
    log = "for step in range(3):\n    nbtools.log_time_series_metrics({'loss': 1 / (step + 1)})"
    make_notebook("work.ipynb", f"import nbtools\n{log}")
    ask = (
        "import re, urllib.request\n"
        "port = re.search(r'/proxy/(\\d+)/', frame.src)[1]\n"
        "print(frame.src, urllib.request.urlopen(f'http://localhost:{port}/data/runs').read())"
    )
    _, answer, again = session(
        "job = %nbrun work.ipynb", f"frame = %nbtb\n{ask}",
        "other = %nbtb\nprint(other.src == frame.src)",
    )  # fmt: skip
    assert re.search(r"^/proxy/\d+/ b'\[\"work-", answer, re.MULTILINE), answer
    assert again == "True\n"


def git(folder, *arguments):
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def test_git_state_says_what_a_commit_would_hold(session, tmp_path, make_notebook, monkeypatch):
    path = make_notebook("work.ipynb", "1")
    git(tmp_path, "init", "-q", "-b", "trunk")
    git(tmp_path, "add", "work.ipynb")
    git(tmp_path, "commit", "-qm", "first")
    node = nbformat.read(path, as_version=4)
    node.cells[-1].outputs = [nbformat.v4.new_output("stream", text="x" * 1000)]
    nbformat.write(node, path)
    monkeypatch.setenv("JPY_SESSION_NAME", str(path))
    [bare] = session("%nbgit")
    assert "work.ipynb: changed since the last commit; on trunk" in bare
    assert re.search(r"last commit: [0-9a-f]{7,} first", bare)
    assert "would be committed with its outputs" in bare
    assert "nbtools git install" in bare
    nbtools = os.path.join(os.path.dirname(sys.executable), "nbtools")
    subprocess.run([nbtools, "git", "install"], cwd=tmp_path, check=True, capture_output=True)
    [clean] = session("%nbgit work.ipynb")
    assert "would be committed without its outputs" in clean
    assert "your file keeps them" in clean


def test_loading_imports_nothing_heavy():
    code = "import nbtools, sys; nbtools.load_ipython_extension; print('IPython' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
