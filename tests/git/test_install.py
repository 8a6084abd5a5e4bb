"""`nbtools git install`, `uninstall` and `status` in real repositories."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from nbtools.cli import cli
from nbtools.errors import NbtoolsError
from nbtools.git import install as verb
from nbtools.git.strip import strip
from tests.git.scratch import Scratch, cell, notebook

DIRTY = notebook(cell("print(1)", "a", outputs=["1\n"]))


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home" / ".config"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def repo(tmp_path, monkeypatch):
    made = Scratch(tmp_path / "r", driver=False)
    monkeypatch.chdir(made.folder)
    return made


def run(*arguments, code=0):
    done = CliRunner().invoke(cli, ["git", *arguments])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == code, done.output
    return done.output


def findings(code=0):
    return {
        f["what"]: (f["found"], f["mend"]) for f in json.loads(run("status", "--json", code=code))
    }


def config(folder):
    return (folder / ".git" / "config").read_text()


def test_install_cleans_and_uninstall_leaves_no_trace(repo):
    before = config(repo.folder)
    attributes = repo.folder / ".git/info/attributes"
    assert "installed" in run("install")
    assert "already" in run("install")
    assert attributes.read_text() == verb.LINE + "\n"
    repo.commit("a.ipynb", DIRTY)
    assert repo.run("show", ":a.ipynb").stdout == strip(DIRTY)
    assert findings()["in git"] == ("1 notebooks, all clean", "")
    run("uninstall")
    assert "was not" in run("uninstall")
    assert config(repo.folder) == before
    assert not attributes.exists()


def test_others_lines_and_settings_stay(repo):
    repo.git("config", "filter.lfs.clean", "git-lfs")
    repo.attributes("*.bin filter=lfs\n# mine")
    run("install")
    run("uninstall")
    assert (repo.folder / ".git/info/attributes").read_text() == "*.bin filter=lfs\n# mine\n"
    assert "lfs" in config(repo.folder)


def test_required_process_clean_and_smudge_are_set(repo):
    run("install")
    values = {key: repo.git("config", key).strip() for key in verb.settings()}
    assert values["filter.nbtools.required"] == "true"
    assert values["filter.nbtools.process"].endswith("process")
    assert not any("include" in line for line in config(repo.folder).splitlines())


def test_tracked_writes_gitattributes_for_the_team(repo):
    run("install", "--tracked")
    assert (repo.folder / ".gitattributes").read_text() == verb.LINE + "\n"
    assert not (repo.folder / ".git/info/attributes").exists()
    repo.commit("a.ipynb", DIRTY)
    assert repo.run("show", ":a.ipynb").stdout == strip(DIRTY)
    run("uninstall", "--tracked")
    assert not (repo.folder / ".gitattributes").exists()


def test_global_serves_every_repository(repo, home, tmp_path):
    run("install", "--global")
    assert (home / ".config/git/attributes").read_text() == verb.LINE + "\n"
    other = Scratch(tmp_path / "other", driver=False)
    other.commit("a.ipynb", DIRTY)
    assert other.run("show", ":a.ipynb").stdout == strip(DIRTY)
    assert "global" in findings()["filter"][0]
    run("uninstall", "--global")
    assert not (home / ".config/git/attributes").exists()


def test_in_a_linked_worktree(repo, tmp_path, monkeypatch):
    repo.commit("x.txt", b"x")
    repo.git("worktree", "add", "-q", "-b", "side", str(tmp_path / "side"))
    monkeypatch.chdir(tmp_path / "side")
    run("install")
    (tmp_path / "side" / "a.ipynb").write_bytes(DIRTY)
    subprocess.run(["git", "add", "."], check=True)
    assert subprocess.check_output(["git", "show", ":a.ipynb"]) == strip(DIRTY)
    assert findings()["worktrees"][0].startswith("2")


def test_status_says_that_nothing_is_installed(repo):
    assert findings(code=1)["filter"] == ("not installed", "nbtools git install")


def test_status_says_that_the_interpreter_moved(repo):
    run("install")
    command = repo.git("config", "filter.nbtools.process").strip()
    repo.git("config", "filter.nbtools.process", command.replace(sys.executable, "/gone/python"))
    found = findings(code=1)
    assert found["filter.process"] == ("interpreter moved: no /gone/python", "nbtools git install")
    run("install")
    assert "filter.process" not in findings()


def test_status_says_that_the_filter_fails(repo):
    run("install")
    repo.git("config", "filter.nbtools.clean", "sh -c 'echo no luck >&2; exit 3'")
    assert findings(code=1)["filter fails"] == ("no luck", "nbtools git install")
    repo.git("config", "filter.nbtools.required", "false")
    assert "filter.required" in findings(code=1)


def test_status_names_dirty_blobs_and_what_mends_them(repo):
    repo.commit("sub.txt", b"")
    (repo.folder / "d").mkdir()
    repo.commit("d/a b.ipynb", DIRTY)
    # A file as old as the index would be filtered again by any command: older it must be.
    os.utime(repo.write("bad.ipynb", b"{"), (1, 1))
    repo.git("add", ".")
    repo.git("commit", "-qm", "bad")
    run("install")
    listed = json.loads(run("status", "--json", code=1))
    dirty, broken = [f for f in listed if f["what"] == "in git"]
    assert dirty["found"] == "1 of 2 notebooks are not clean: d/a b.ipynb"
    assert broken["found"].startswith("bad.ipynb:1")
    repo.git("rm", "-qf", "bad.ipynb")
    mend = dirty["mend"].replace("git commit", "git commit -qm x")
    subprocess.run(["sh", "-c", mend], check=True)
    assert findings()["in git"][0].endswith("all clean")


def test_status_says_which_attributes_override(repo):
    run("install")
    repo.commit("big.ipynb", DIRTY)
    # info/attributes wins over every .gitattributes, so this is a line in the same file.
    repo.attributes(verb.LINE + "\nbig.ipynb filter=lfs")
    found, mend = findings(code=1)["attributes"]
    assert found == "overridden: filter=lfs for big.ipynb"
    assert "git check-attr -a big.ipynb" in mend
    repo.attributes("")
    assert findings(code=1)["attributes"][0].startswith("no filter, merge is set")


def test_status_says_that_the_projects_table_is_wrong(repo):
    run("install")
    repo.commit("a.ipynb", DIRTY)
    repo.write("pyproject.toml", b"[tool.nbtools.clean]\nsize = 3\n")
    assert "no option 'size'" in findings(code=1)["pyproject"][0]


def test_outside_of_a_repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(NbtoolsError, match="run this inside a git repository"):
        verb.Scope.find()
    monkeypatch.setenv("PATH", "")
    with pytest.raises(NbtoolsError, match="git is not on PATH"):
        verb.Scope.find()


def test_flags_that_exclude_each_other(repo):
    assert (
        "exclude each other"
        in CliRunner().invoke(cli, ["git", "install", "--global", "--tracked"]).output
    )


def test_an_unwritable_attributes_file_is_said(repo):
    if os.geteuid() == 0:
        pytest.skip("root may write everything")
    info = repo.folder / ".git/info"
    info.mkdir(exist_ok=True)
    info.chmod(0o500)
    with pytest.raises(NbtoolsError, match="check its permissions"):
        verb.install(verb.Scope.find())


def test_a_path_with_spaces_and_quotes(repo, tmp_path):
    for name in ("a b", "it's"):
        command = verb.settings(python=str(tmp_path / name / "python"))["filter.nbtools.process"]
        said = subprocess.check_output(["sh", "-c", f"printf '%s\\n' {command}"], text=True)
        assert said.splitlines()[0] == str(tmp_path / name / "python")
    assert Path(verb.START).exists()
