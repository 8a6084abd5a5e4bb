"""The hooks as users get them: the real pre-commit, from a clone."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from nbtools.git.strip import strip
from tests.git.scratch import cell, notebook

ROOT = Path(__file__).parents[2]
DIRTY = notebook(cell("print(1)", "a", outputs=["1\n"]))


def hooks():
    return {
        hook["id"]: hook for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    }


def git(*arguments, cwd):
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "core.hooksPath="]
    subprocess.run(["git", *identity, *arguments], cwd=cwd, check=True, capture_output=True)


def test_every_hook_is_there_and_all_but_one_install_nothing():
    found = hooks()
    assert set(found) == {
        f"nbtools-{n}" for n in ("clean", "check", "secrets", "conflicts", "large")
    }
    assert [name for name, hook in found.items() if hook["language"] != "script"] == [
        "nbtools-secrets"
    ]
    for hook in found.values():
        assert hook["types"] == ["jupyter"]
        if hook["language"] == "script":
            assert os.access(ROOT / hook["entry"].split()[0], os.X_OK)


def test_no_hook_stages_anything():
    for path in (ROOT / "nbtools" / "git").glob("*.py"):
        if path.stem in {"hook", "clean", "conflicts", "large", "secrets"}:
            assert '"add"' not in path.read_text()


@pytest.fixture
def user(tmp_path, monkeypatch):
    """A user's repository whose pre-commit takes our hooks from a clone, with a bare python3."""
    ours = tmp_path / "hooks"
    (ours / "nbtools").mkdir(parents=True)
    shutil.copy(ROOT / ".pre-commit-hooks.yaml", ours)
    shutil.copytree(ROOT / "nbtools" / "git", ours / "nbtools" / "git")
    shutil.copy(ROOT / "nbtools" / "errors.py", ours / "nbtools")
    git("init", "-q", cwd=ours)
    git("add", ".", cwd=ours)
    git("commit", "-qm", "x", cwd=ours)
    git("tag", "v1", cwd=ours)
    folder = tmp_path / "user"
    folder.mkdir()
    git("init", "-q", cwd=folder)
    bare = tmp_path / "bin"
    bare.mkdir()
    (bare / "python3").write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "$@"\n')
    (bare / "python3").chmod(0o755)
    monkeypatch.setenv("PATH", f"{bare}:{os.environ['PATH']}")
    monkeypatch.setenv("PRE_COMMIT_HOME", str(tmp_path / "cache"))

    def run(*names, **flags):
        entries = [{"id": name, **flags} for name in names]
        config = {"repos": [{"repo": str(ours), "rev": "v1", "hooks": entries}]}
        (folder / ".pre-commit-config.yaml").write_text(yaml.safe_dump(config))
        git("add", ".", cwd=folder)
        command = [sys.executable, "-m", "pre_commit", "run"]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True)

    run.folder = folder
    return run


def test_clean_and_check_with_the_real_pre_commit(user):
    path = user.folder / "a.ipynb"
    path.write_bytes(DIRTY)
    done = user("nbtools-check")
    assert done.returncode == 1
    assert "a.ipynb: 1 output, 1 execution count" in done.stdout
    assert path.read_bytes() == DIRTY
    assert user("nbtools-check", args=["--keep-output", "--keep-count"]).returncode == 0
    done = user("nbtools-clean")
    assert done.returncode == 1
    assert "files were modified by this hook" in done.stdout
    assert path.read_bytes() == strip(DIRTY)
    shown = subprocess.check_output(["git", "diff", "--name-only"], cwd=user.folder, text=True)
    assert shown == "a.ipynb\n"  # what it changed is for you to stage
    assert (
        user("nbtools-clean", "nbtools-check", "nbtools-conflicts", "nbtools-large").returncode == 0
    )


def test_conflicts_and_large_with_the_real_pre_commit(user):
    (user.folder / "a.ipynb").write_bytes(b"{\n<<<<<<< HEAD\n")
    done = user("nbtools-conflicts", "nbtools-clean")
    assert done.stdout.count("Failed") == 2
    assert "conflict markers" in done.stdout
    (user.folder / "a.ipynb").write_bytes(notebook(cell("x = 1\n" * 2000, "a")))
    assert user("nbtools-large", args=["--max-size", "1M"]).returncode == 0
    done = user("nbtools-large", args=["--max-size", "5K"])
    assert done.returncode == 1
    assert "a.ipynb" in done.stdout
