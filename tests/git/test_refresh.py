import json
import os

import pytest

from nbtools.git.refresh import refresh
from nbtools.git.repository import GitFailed, Repository
from tests.git.scratch import START, Scratch, cell, notebook

NAMES = ["a.ipynb", "s/ü b.ipynb", '"q.ipynb', "new\nline.ipynb"]


@pytest.fixture
def repo(tmp_path):
    import sys

    repo = Scratch(tmp_path / "repo")
    (repo.folder / "s").mkdir()
    repo.git("config", "filter.nbtools.process", f'"{sys.executable}" -I -S "{START}" process')
    repo.git("config", "filter.nbtools.required", "true")
    repo.attributes("*.ipynb filter=nbtools merge=nbtools")
    for name in NAMES:
        repo.write(name, notebook(cell("x", "a", outputs=["1"])))
    repo.commit("other.txt", b"1")
    return repo


def later(path):
    """A time that git cannot take for the one it noted."""
    stat = path.stat()
    os.utime(path, (stat.st_atime + 5, stat.st_mtime + 5))


def rerun(repo, name, source="x"):
    path = repo.write(name, notebook(cell(source, "a", outputs=["a longer output\n"] * 3)))
    later(path)
    return path


def status(repo):
    return repo.git("status", "--short", "-z").split("\0")[:-1]


def test_phantoms_are_cleared_and_changes_stay(repo):
    for name in NAMES[1:]:
        rerun(repo, name)
    rerun(repo, "a.ipynb", "changed")
    repo.write("other.txt", b"22")
    staged = repo.git("ls-files", "-s")
    assert len(status(repo)) == 5
    done = refresh(Repository(repo.folder / "s"))
    assert sorted(done.cleared) == sorted(NAMES[1:])
    assert done.modified == ["a.ipynb"]
    assert status(repo) == [" M a.ipynb", " M other.txt"]
    assert repo.git("ls-files", "-s") == staged
    assert b"longer" in (repo.folder / NAMES[1]).read_bytes()


def test_a_phantom_no_longer_blocks_a_merge(repo):
    repo.git("checkout", "-qb", "theirs")
    repo.commit("a.ipynb", notebook(cell("y", "a")))
    repo.git("checkout", "-q", "main")
    rerun(repo, "a.ipynb")
    assert repo.run("merge", "theirs").returncode != 0
    assert refresh(Repository(repo.folder)).cleared == ["a.ipynb"]
    repo.git("merge", "-q", "theirs")
    assert json.loads((repo.folder / "a.ipynb").read_bytes())["cells"][0]["source"] == ["y"]


def test_below_paths_only(repo):
    rerun(repo, "a.ipynb")
    rerun(repo, NAMES[1])
    assert refresh(Repository(repo.folder), ["s"]).cleared == [NAMES[1]]
    assert status(repo) == [" M a.ipynb"]


def test_what_cannot_be_cleaned_is_named_and_stays(repo):
    later(repo.write("a.ipynb", b'{"cells": [,'))
    rerun(repo, NAMES[1])
    done = refresh(Repository(repo.folder))
    assert done.cleared == [NAMES[1]]
    assert done.refused["a.ipynb"].startswith("a.ipynb:1:12: broken JSON")
    assert (repo.folder / "a.ipynb").read_bytes() == b'{"cells": [,'


def test_staged_modes_and_conflicts_stay(repo):
    path = rerun(repo, "a.ipynb")
    path.chmod(0o755)
    assert refresh(Repository(repo.folder)).modified == ["a.ipynb"]
    path.chmod(0o644)
    rerun(repo, "a.ipynb", "staged")
    repo.git("add", "a.ipynb")
    rerun(repo, "a.ipynb", "staged")
    refresh(Repository(repo.folder))
    assert status(repo) == ["M  a.ipynb"]


def test_outside_of_a_repository(tmp_path):
    with pytest.raises(GitFailed, match="not a git repository"):
        Repository.at(tmp_path)
    with pytest.raises(GitFailed, match="nope"):
        Repository.at(tmp_path / "nope" / "x.ipynb")
