"""Setup with a real repository, a real git, and a server that is a machine's metadata."""

import json
import shlex
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from nbtools.errors import RequestError
from nbtools.settings import Settings
from nbtools.workbench import setup


def git(folder, *words):
    done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home of its own: kernels and git's configuration go there."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(folder / "jupyter"))
    for name in ("NBTOOLS_STORE", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    git(folder, "config", "--global", "user.name", "A")
    git(folder, "config", "--global", "user.email", "a@example.com")
    return folder


@pytest.fixture
def repository(tmp_path):
    origin = tmp_path / "vision.git"
    origin.mkdir()
    git(origin, "init", "--quiet", "--initial-branch", "main")
    (origin / ".pre-commit-config.yaml").write_text("repos: []\n")
    node = new_notebook(cells=[new_code_cell("1 + 1")])
    nbformat.write(node, origin / "a.ipynb")
    git(origin, "add", ".")
    git(origin, "commit", "--quiet", "-m", "begin")
    return origin


def run(call, repository, *more):
    """As its user would: a process, in the home folder."""
    return call("workbench", "setup", str(repository), "--json", *more)


@pytest.fixture
def call(tmp_path):
    import sys

    def call(*words):
        command = [str(Path(sys.executable).with_name("nbtools")), *words]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)

    return call


def test_a_clone_is_ready_for_work_and_doing_it_again_changes_nothing(
    call, repository, tmp_path, home
):
    done = run(call, repository, "--folder", "work")
    assert (done.returncode, done.stderr) == (0, "")
    assert [s["what"] for s in json.loads(done.stdout)] == [
        "repository", "filter", "hooks", "kernels", "store",
    ]  # fmt: skip
    work = tmp_path / "work"
    # the filter: an output stays here and does not get into git
    node = nbformat.read(work / "a.ipynb", 4)
    node.cells[0].outputs = [new_output("stream", text="secret output")]
    nbformat.write(node, work / "a.ipynb")
    (work / "b.txt").write_text("x")
    git(work, "add", ".")
    assert "secret output" not in git(work, "show", ":a.ipynb")
    # the hooks
    assert "pre-commit" in (work / ".git" / "hooks" / "pre-commit").read_text()
    # the kernels
    (kernel,) = (home / "jupyter" / "kernels").glob("*/kernel.json")
    assert "nbtools-warm" in kernel.read_text()
    # the store, which git does not see
    assert (work / ".nbtools").is_dir()
    (work / ".nbtools" / "x").write_text("x")
    assert "nbtools" not in git(work, "status", "--porcelain", "--untracked-files=all")
    assert Settings.load(work, {"HOME": str(home)}).store == work / ".nbtools"

    before = {path: path.read_bytes() for path in work.rglob("*") if path.is_file()}
    again = run(call, repository, "--folder", "work")
    assert again.returncode == 0
    assert "left as they are" in json.loads(again.stdout)[0]["found"]
    after = {path: path.read_bytes() for path in work.rglob("*") if path.is_file()}
    assert after == before  # also what the user has changed since


def test_without_hooks_there_are_none_and_a_branch_can_be_named(call, repository, tmp_path):
    git(repository, "checkout", "--quiet", "-b", "plain")
    git(repository, "rm", "--quiet", ".pre-commit-config.yaml")
    git(repository, "commit", "--quiet", "-m", "plain")
    git(repository, "checkout", "--quiet", "main")
    done = run(call, repository, "--branch", "plain")
    assert done.returncode == 0
    assert json.loads(done.stdout)[2]["found"] == "no .pre-commit-config.yaml in the repository"
    assert git(tmp_path / "vision", "branch", "--show-current").strip() == "plain"


def test_what_is_in_the_way_is_left_alone(call, repository, tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    (work / "thesis.txt").write_text("mine")
    done = run(call, repository, "--folder", "work")
    assert done.returncode == 2
    assert "is in the way: name another --folder" in done.stderr
    git(tmp_path, "clone", "--quiet", str(repository), "other")
    done = run(call, tmp_path / "elsewhere.git", "--folder", "other")
    assert done.returncode == 2
    assert f"is a clone of {repository}" in done.stderr
    assert [p.name for p in work.iterdir()] == ["thesis.txt"]


def test_what_is_no_repository_is_gits_own_sentence(call, tmp_path):
    done = run(call, tmp_path / "none.git")
    assert done.returncode == 2
    assert done.stderr.startswith(f"nbtools: git clone {tmp_path / 'none.git'}: ")
    assert not (tmp_path / "none").exists()
    done = run(call, "--", "--upload-pack=touch pwned")
    assert done.returncode == 2
    assert not (tmp_path / "pwned").exists()


def test_a_store_that_is_said_elsewhere_stays_there(call, repository, tmp_path, monkeypatch):
    monkeypatch.setenv("NBTOOLS_STORE", str(tmp_path / "mine"))
    done = run(call, repository)
    assert "NBTOOLS_STORE says so" in json.loads(done.stdout)[4]["found"]
    assert not (tmp_path / "vision" / ".nbtools").exists()


class Machine(BaseHTTPRequestHandler):
    """Metadata, as a machine of Google's has it."""

    known = {  # noqa: RUF012
        "project/project-id": "lab",
        "instance/zone": "projects/1234/zones/us-central1-a",
        "instance/name": "desk",
        "instance/attributes/idle-timeout-seconds": "10800",
    }

    def do_GET(self):
        found = self.known.get(self.path.removeprefix("/computeMetadata/v1/"))
        google = self.headers.get("Metadata-Flavor") == "Google"
        self.send_response(200 if found and google else 404)
        self.end_headers()
        self.wfile.write((found or "").encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def machine(monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Machine)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("GCE_METADATA_HOST", f"127.0.0.1:{server.server_address[1]}")
    yield
    server.shutdown()
    server.server_close()


def test_idle_shutdown_that_is_right_needs_nobody(call, repository, machine):
    done = run(call, repository, "--idle-shutdown", "3h")
    assert done.returncode == 0
    assert json.loads(done.stdout)[5] == {"what": "idle shutdown", "found": "is 3h", "mend": ""}


def test_idle_shutdown_that_cannot_be_set_is_left_with_its_command(
    call, repository, machine, monkeypatch
):
    monkeypatch.setenv("NBTOOLS_VERTEX", "http://127.0.0.1:1")  # nobody is there
    done = run(call, repository, "--idle-shutdown", "90m")
    assert done.returncode == 1
    assert json.loads(done.stdout)[5]["mend"] == (
        "nbtools workbench instances update desk --idle-shutdown 90m "
        "--project lab --location us-central1-a"
    )


def test_elsewhere_than_on_a_machine_of_googles_it_is_said(call, repository, monkeypatch):
    monkeypatch.setenv("GCE_METADATA_HOST", "127.0.0.1:1")
    done = run(call, repository, "--idle-shutdown", "90m")
    assert done.returncode == 1
    assert "no machine of Google's" in json.loads(done.stdout)[5]["found"]


def test_a_wrong_duration_is_said_before_anything_is_done(call, repository, tmp_path):
    done = run(call, repository, "--idle-shutdown", "soon")
    assert (done.returncode, "is no duration" in done.stderr) == (2, True)
    assert not (tmp_path / "vision").exists()


def test_the_script_does_the_same_as_its_user(call, tmp_path):
    done = call("workbench", "setup", "https://example.com/it's.git", "--script",
                "--idle-shutdown", "3h")  # fmt: skip
    script = tmp_path / "setup.sh"
    script.write_text(done.stdout)
    # What `su` would be given, given to something that writes it down.
    fake = tmp_path / "bin" / "su"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/asked\n')
    fake.chmod(0o755)
    subprocess.run(["sh", script], env={"PATH": f"{fake.parent}:/usr/bin:/bin"}, check=True)
    dash, user, c, inner = (tmp_path / "asked").read_text().splitlines()
    assert (dash, user, c) == ("-", "jupyter", "-c")
    assert inner.endswith(
        """nbtools workbench setup 'https://example.com/it'"'"'s.git' """
        """--folder 'it'"'"'s' --idle-shutdown 3h"""
    )


def test_the_script_takes_the_other_words_too():
    made = setup.script("https://x.org/vision.git", folder="work/v", branch="next", idle="off")
    words = shlex.split(shlex.split(made.splitlines()[-1])[-1])
    assert words[words.index("setup") :] == [
        "setup", "https://x.org/vision.git", "--folder", "work/v", "--branch", "next",
        "--idle-shutdown", "off",
    ]  # fmt: skip
    with pytest.raises(RequestError, match="is no duration"):
        setup.script("https://x.org/vision.git", idle="soon")


def test_names_are_those_that_git_would_give():
    for url in ("https://x.org/a/vision.git", "git@x.org:vision", "/srv/vision/", "vision.git"):
        assert setup.folder_of(url, "").name == "vision"
    with pytest.raises(RequestError, match="names no repository"):
        setup.folder_of("..", "")
