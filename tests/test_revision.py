"""Where in git a notebook stands: asked of a real git, and read later."""

import os
import subprocess
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from nbtools import revision
from nbtools.revision import Revision


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    git(folder, "config", "user.email", "a@example.org")
    git(folder, "config", "user.name", "A")
    return folder


def git(folder, *arguments):
    done = subprocess.run(
        ["git", *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def commit(folder, name, text="1"):
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    git(folder, "add", name)
    git(folder, "commit", "-q", "-m", "x")
    return git(folder, "rev-parse", "HEAD")


def asked(file, folder):
    answer = Path(tempfile.mkdtemp(dir=folder))  # what was answered once holds
    revision.ask(file, answer)
    deadline = time.monotonic() + 20
    while (answer / revision.ANSWER).exists() and time.monotonic() < deadline:
        if (answer / revision.ANSWER).stat().st_size:
            break
        time.sleep(0.01)
    return revision.read(answer)


def test_a_committed_file_is_at_its_commit(repository, tmp_path):
    head = commit(repository, "sub/a.ipynb")
    commit_of = asked(repository / "sub/a.ipynb", tmp_path)
    assert commit_of == Revision(head, "main", dirty=False)


def test_a_changed_and_a_staged_file_are_dirty_and_another_does_not_matter(repository, tmp_path):
    commit(repository, "b.ipynb")
    head = commit(repository, "a.ipynb")
    (repository / "b.ipynb").write_text("2")
    assert asked(repository / "a.ipynb", tmp_path) == Revision(head, "main", dirty=False)
    (repository / "a.ipynb").write_text("2")
    assert asked(repository / "a.ipynb", tmp_path) == Revision(head, "main", dirty=True)
    git(repository, "add", "a.ipynb")
    assert asked(repository / "a.ipynb", tmp_path) == Revision(head, "main", dirty=True)


def test_an_answer_that_is_there_holds(repository, tmp_path):
    """A job that executes an old notebook again has what git said of that."""
    commit(repository, "a.ipynb")
    (tmp_path / revision.ANSWER).write_text("# branch.oid abc\n# branch.head old\n")
    revision.ask(repository / "a.ipynb", tmp_path)
    assert revision.read(tmp_path) == Revision("abc", "old", dirty=False)


@pytest.mark.parametrize("ignored", [False, True])
def test_a_file_that_is_in_no_commit_is_dirty(repository, tmp_path, ignored):
    head = commit(repository, ".gitignore", "new.ipynb\n" if ignored else "other\n")
    (repository / "new.ipynb").write_text("1")
    assert asked(repository / "new.ipynb", tmp_path) == Revision(head, "main", dirty=True)


def test_a_commit_on_no_branch_and_a_linked_work_tree(repository, tmp_path):
    head = commit(repository, "a.ipynb")
    git(repository, "checkout", "-q", "--detach")
    assert asked(repository / "a.ipynb", tmp_path) == Revision(head, "", dirty=False)
    git(repository, "worktree", "add", "-q", "-b", "side", str(tmp_path / "tree"))
    assert asked(tmp_path / "tree/a.ipynb", tmp_path) == Revision(head, "side", dirty=False)


def test_a_name_that_git_would_take_for_a_pattern(repository, tmp_path):
    head = commit(repository, "a[1].ipynb")
    commit(repository, "a1.ipynb")
    (repository / "a1.ipynb").write_text("2")
    found = asked(repository / "a[1].ipynb", tmp_path)
    assert (found.commit != head, found.dirty) == (True, False)


def test_a_hook_of_another_repository_does_not_lead_astray(repository, tmp_path, monkeypatch):
    head = commit(repository, "a.ipynb")
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git/index"))
    assert asked(repository / "a.ipynb", tmp_path) == Revision(head, "main", dirty=False)


def test_outside_a_repository_and_without_git_nothing_is_asked(repository, tmp_path, monkeypatch):
    answer = tmp_path / "answer"
    answer.mkdir()
    (tmp_path / "a.ipynb").write_text("1")
    revision.ask(tmp_path / "a.ipynb", answer)
    assert list(answer.iterdir()) == []
    commit(repository, "a.ipynb")
    monkeypatch.setenv("PATH", str(tmp_path))
    revision.ask(repository / "a.ipynb", answer)
    assert revision.read(answer) is None


def test_a_repository_without_a_commit_says_nothing(repository, tmp_path):
    (repository / "a.ipynb").write_text("1")
    assert asked(repository / "a.ipynb", tmp_path) is None


def test_an_answer_that_never_came_is_none(tmp_path):
    (tmp_path / revision.ANSWER).write_bytes(b"")
    assert revision.read(tmp_path) is None
    assert revision.read(tmp_path / "nowhere") is None


def children():
    """The processes of this one, those that wait to be waited for among them."""
    return {process.pid for process in psutil.Process().children()}


def test_git_leaves_no_zombie_and_no_lock(repository, tmp_path):
    commit(repository, "a.ipynb")
    before, others = set(os.listdir(repository / ".git")), children()
    asked(repository / "a.ipynb", tmp_path)
    deadline = time.monotonic() + 10
    while children() - others and time.monotonic() < deadline:
        time.sleep(0.01)
    assert children() <= others
    assert set(os.listdir(repository / ".git")) == before
