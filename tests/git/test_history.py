import json
import os
import shlex
import subprocess

import pytest
from click.testing import CliRunner

from nbtools.cli.git_history import rewrite_history
from nbtools.errors import RequestError
from nbtools.git.history import command, saving
from nbtools.git.repository import Repository
from tests.git.scratch import Scratch, cell, notebook


@pytest.fixture
def repo(tmp_path):
    repo = Scratch(tmp_path / "repo", driver=False)
    for i in range(6):
        outputs = [os.urandom(20_000).hex()]
        repo.write("ü.ipynb", notebook(cell(f"x = {i // 3}", "a", outputs=outputs)))
        repo.commit("other.txt", str(i).encode())
    repo.commit("broken.ipynb", b"{oops")
    repo.git("tag", "-am", "t", "t1")
    return repo


def test_what_would_be_saved(repo):
    found = saving(Repository(repo.folder))
    assert (found.commits, found.versions, found.files) == (7, 7, {"ü.ipynb", "broken.ipynb"})
    assert found.size > 240_000 > 1_000 > found.stripped_size
    assert found.disk > 100_000 > 1_000 > found.stripped_disk
    assert found.stripped_versions == 3  # two sources, and the broken one
    assert "broken JSON" in next(iter(found.unreadable.values()))
    assert repo.git("status", "--short") == ""


def test_the_command_does_it(repo, tmp_path):
    pytest.importorskip("git_filter_repo")
    subprocess.run(
        ["git", "clone", "-q", "--no-local", repo.folder, tmp_path / "clone"], check=True
    )
    subprocess.run(shlex.split(command()), cwd=tmp_path / "clone", check=True, capture_output=True)
    clone = Scratch(tmp_path / "clone", driver=False)
    after = saving(Repository(clone.folder))
    assert (after.commits, after.versions) == (7, 3)
    assert after.size == after.stripped_size == saving(Repository(repo.folder)).stripped_size
    assert (clone.folder / "broken.ipynb").read_bytes() == b"{oops"
    assert clone.git("show", "t1:other.txt") == "5"
    assert b'"outputs": []' in (clone.folder / "ü.ipynb").read_bytes()


def test_command_line(repo, monkeypatch):
    monkeypatch.chdir(repo.folder)
    with pytest.raises(RequestError, match="--dry-run"):
        CliRunner().invoke(rewrite_history, [], catch_exceptions=False)
    said = CliRunner().invoke(rewrite_history, ["--dry-run"]).output
    assert "now       7 versions of 2 notebooks in 7 commits: 24" in said
    assert "--file-info-callback" in said
    found = json.loads(CliRunner().invoke(rewrite_history, ["--dry-run", "--json"]).stdout)
    assert found["saved"]["ü.ipynb"] > 200_000
    (repo.folder / "pyproject.toml").write_text("[tool.nbtools.clean]\nmax-size = 'x'\n")
    with pytest.raises(RequestError, match=r"pyproject\.toml: \[tool\.nbtools\.clean\]"):
        saving(Repository(repo.folder))
