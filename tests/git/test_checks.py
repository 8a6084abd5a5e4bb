"""The checks behind the hooks `nbtools-conflicts` and `nbtools-large`."""

import os
import subprocess
import sys

import pytest

from nbtools.git import large
from nbtools.git.conflicts import conflicts, main
from nbtools.git.merge import merge
from tests.git.scratch import START, cell, cells, notebook

BASE = notebook(*cells(a="x", b="y"))


def hook(name, *arguments, cwd):
    return subprocess.run(
        [sys.executable, "-I", "-S", str(START), "hook", name, *arguments],
        capture_output=True, text=True, check=False, cwd=cwd,
    )  # fmt: skip


def test_conflicts_of_every_make():
    ours, theirs = (notebook(*cells(a="x", b=b)) for b in ("1", "2"))
    merged = merge(BASE, ours, theirs).data
    assert conflicts(merged, "n") == ["n:13: cell 2 marks a conflict that is not resolved"]
    text = BASE.replace(b' "cells"', b'<<<<<<< HEAD\n "cells"')
    assert conflicts(text, "n")[0].startswith("n:2: holds git's conflict markers")
    inside = notebook(*cells(a="<<<<<<< local\n1\n=======\n2\n>>>>>>> remote"))
    assert conflicts(inside, "n") == ["n:3: cell 1 holds conflict markers"]
    nbdime = notebook(cell('<span style="color:red">**<<<<<<< local**</span>', "a", "markdown"))
    assert conflicts(nbdime, "n") == ["n:3: cell 1 holds conflict markers"]
    clash = merge(*(notebook(k=k) for k in (1, 2, 3))).data
    assert conflicts(clash, "n") == ["n:3: cell 1 marks a conflict that is not resolved"]


@pytest.mark.parametrize(
    "data",
    [BASE, b"", b" \n", notebook(*cells(a="title\n=======", b="print('<<<<<<< x')")),
     notebook(*cells(a="<<<<<<< only one end"))],
)  # fmt: skip
def test_no_conflict(data):
    assert conflicts(data, "n") == []


def test_conflicts_as_a_hook(tmp_path):
    (tmp_path / "a b.ipynb").write_bytes(BASE)
    (tmp_path / "c.ipynb").write_bytes(b"{\n>>>>>>> theirs\n}")
    done = hook("conflicts", "a b.ipynb", "c.ipynb", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == (
        "c.ipynb:2: holds git's conflict markers; run `nbtools git fix c.ipynb`\n"
    )
    assert hook("conflicts", "a b.ipynb", cwd=tmp_path).returncode == 0
    assert main([str(tmp_path / "nope")]) == 1


def picture(size):
    part = cell("![](attachment:i.png)", "p", "markdown")
    return {**part, "attachments": {"i.png": {"image/png": os.urandom(size // 2).hex()}}}


def test_size_is_that_after_cleaning(tmp_path):
    (tmp_path / "run.ipynb").write_bytes(notebook(cell("x", "a", outputs=["o" * 900_000])))
    (tmp_path / "big.ipynb").write_bytes(notebook(*cells(a="x"), picture(600_000)))
    done = hook("large", "run.ipynb", "big.ipynb", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(
        "big.ipynb:13: 600 KB after cleaning, more than 500 KB; the largest part is cell 2's "
        "attachments with 600 KB;"
    )
    assert done.stderr.count("\n") == 1
    assert hook("large", "--max-size", "1M", "big.ipynb", cwd=tmp_path).returncode == 0
    assert hook("large", "--max-size=1K", "big.ipynb", cwd=tmp_path).returncode == 1
    assert hook("large", "--max-size", "much", "big.ipynb", cwd=tmp_path).returncode == 2


def test_a_project_that_keeps_outputs_counts_them(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[tool.nbtools.clean]\nkeep-output = true\n")
    (tmp_path / "run.ipynb").write_bytes(notebook(cell("x", "a", outputs=["o" * 900_000])))
    done = hook("large", "run.ipynb", cwd=tmp_path)
    assert "cell 1's outputs" in done.stderr


def test_what_cannot_be_cleaned_is_named(tmp_path, capsys):
    (tmp_path / "n.ipynb").write_bytes(b"{\n,")
    assert large.main([str(tmp_path / "n.ipynb"), str(tmp_path / "nope.ipynb")]) == 1
    said = capsys.readouterr().err
    assert "n.ipynb:2:1: broken JSON" in said
    assert "nope.ipynb: No such file" in said
