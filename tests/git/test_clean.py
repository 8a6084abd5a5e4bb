"""`nbtools clean`: files, folders, standard input, check, diff, the project's table."""

import json
import os
import stat
import subprocess
import sys

import pytest
from click.testing import CliRunner

from nbtools.cli import cli
from nbtools.git.strip import FIELDS, strip
from tests.git.scratch import START, cell, notebook

DIRTY = notebook(cell("print(1)", "a", outputs=["1\n"]), cell("", "b"), widgets={"x": 1})
CLEAN = strip(DIRTY)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.ipynb").write_bytes(DIRTY)
    return tmp_path


def run(*arguments, code=0, input=None):
    done = CliRunner().invoke(cli, ["clean", *arguments], input=input)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == code, (done.output, done.exit_code)
    return done


def test_in_place_and_twice_changes_nothing(folder):
    path = folder / "a.ipynb"
    path.chmod(0o640)
    assert run("a.ipynb").output == "a.ipynb: cleaned\n"
    assert path.read_bytes() == CLEAN
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    before = path.stat().st_mtime_ns
    assert run("a.ipynb").output == ""
    assert path.stat().st_mtime_ns == before
    assert [p.name for p in folder.iterdir()] == ["a.ipynb"]


def test_check_names_files_and_what_is_dirty_and_writes_nothing(folder):
    said = run("--check", "a.ipynb", code=1).output
    assert said == "a.ipynb: 1 output, 1 execution count, widget state\n"
    assert (folder / "a.ipynb").read_bytes() == DIRTY
    (folder / "a.ipynb").write_bytes(CLEAN)
    assert run("--check", ".").output == ""
    (folder / "a.ipynb").write_bytes(json.dumps(json.loads(CLEAN)).encode())
    assert run("--check", ".", code=1).output == "./a.ipynb: layout\n"
    no_id = json.loads(CLEAN)
    del no_id["cells"][0]["id"]
    no_id["cells"][0]["metadata"]["collapsed"] = True
    no_id["metadata"]["signature"] = "x"
    (folder / "a.ipynb").write_text(json.dumps(no_id))
    said = run("--check", ".", code=1).output
    assert said == "./a.ipynb: 1 missing or doubled cell id, 1 metadata key, metadata.signature\n"


def test_diff_shows_and_patch_applies(folder):
    said = run("--diff", "a.ipynb").output
    assert '-      "1\\n"' in said
    assert (folder / "a.ipynb").read_bytes() == DIRTY
    run("--diff", "--check", "a.ipynb", code=1)
    subprocess.run(["git", "apply", "-"], input=said, text=True, check=True)
    assert (folder / "a.ipynb").read_bytes() == CLEAN


def test_standard_input(folder):
    assert run("-", input=DIRTY).stdout_bytes == CLEAN
    assert "1 output" in run("--check", "-", input=DIRTY, code=1).output
    assert run("--check", "-", input=CLEAN).output == ""
    assert '-      "1\\n"' in run("--diff", "-", input=DIRTY).output
    assert "standard input:1" in run("-", input=b"{", code=2).output


def test_a_folder_is_searched_but_not_its_hidden_ones(folder):
    for name in ("sub/b.ipynb", ".ipynb_checkpoints/c.ipynb", "venv/lib/d.ipynb", "sub/x.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(DIRTY)
    (folder / "venv/pyvenv.cfg").touch()
    assert run(".").output == "./a.ipynb: cleaned\n./sub/b.ipynb: cleaned\n"


def test_a_bad_file_is_named_with_its_line_and_the_others_are_done(folder):
    (folder / "bad.ipynb").write_bytes(DIRTY[:-20])
    done = run("bad.ipynb", "a.ipynb", "missing.ipynb", code=2)
    assert "nbtools: bad.ipynb:" in done.stderr
    assert "broken JSON" in done.stderr
    assert "missing.ipynb: No such file" in done.stderr
    assert (folder / "bad.ipynb").read_bytes() == DIRTY[:-20]
    assert (folder / "a.ipynb").read_bytes() == CLEAN


def test_flags_go_over_the_projects_table(folder):
    (folder / "pyproject.toml").write_text(
        '[tool.nbtools.clean]\nkeep_output = true\nmax_size = "1K"\n'
    )
    run("a.ipynb")
    nb = json.loads((folder / "a.ipynb").read_bytes())
    assert nb["cells"][0]["outputs"]
    assert len(nb["cells"]) == 2
    run("--drop-empty-cells", "--drop-output-types", "stream", "a.ipynb")
    nb = json.loads((folder / "a.ipynb").read_bytes())
    assert [c["outputs"] for c in nb["cells"]] == [[]]
    (folder / "pyproject.toml").write_text("[tool.nbtools.clean]\nkeep_output = 1\n")
    assert "pyproject.toml: [tool.nbtools.clean]: keep_output = 1" in run("a.ipynb", code=2).stderr


def test_every_option_is_a_flag_and_a_key():
    said = CliRunner().invoke(cli, ["clean", "--help"]).output
    assert all("--" + name.replace("_", "-") in said for name in FIELDS)


def test_links_and_read_only_files(folder):
    (folder / "link.ipynb").symlink_to("a.ipynb")
    run("link.ipynb")
    assert (folder / "link.ipynb").is_symlink()
    assert (folder / "a.ipynb").read_bytes() == CLEAN
    (folder / "a.ipynb").write_bytes(DIRTY)
    if os.geteuid():
        (folder / "a.ipynb").chmod(0o400)
        assert "is read-only" in run("a.ipynb", code=2).stderr


def test_many_files_in_two_processes(folder):
    for number in range(150):
        (folder / f"n{number:03}.ipynb").write_bytes(DIRTY if number % 2 else CLEAN)
    (folder / "n149.ipynb").write_bytes(b"[]")
    done = run(".", code=2)
    assert done.stdout.splitlines()[:2] == ["./a.ipynb: cleaned", "./n001.ipynb: cleaned"]
    assert len(done.stdout.splitlines()) == 1 + 74
    assert "n149.ipynb:1" in done.stderr
    assert all((folder / f"n{n:03}.ipynb").read_bytes() == CLEAN for n in range(149))


def test_nothing_named():
    assert "name files" in run(code=2).output
    assert "--compat knows nbstripout" in run("--compat", "other", code=2).output
    assert "must come first" in run("x.ipynb", "--compat", "nbstripout", code=2).output


def test_compat_is_another_command_line(folder):
    done = run("--compat", "nbstripout", "--dry-run", "a.ipynb")
    assert done.output == "Dry run: would have stripped a.ipynb\n"
    run("--compat=nbstripout", "a.ipynb")
    assert json.loads((folder / "a.ipynb").read_bytes())["cells"][0]["id"] == "0"


def hook(*arguments, cwd):
    command = [sys.executable, str(START), "hook", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True)


def test_hooks(folder):
    done = hook("check", "a.ipynb", cwd=folder)
    assert (done.returncode, done.stdout[:19]) == (1, "a.ipynb: 1 output, ")
    assert hook("check", "--keep-output", "--keep-count", "--keep-metadata-keys=metadata.widgets",
                "a.ipynb", cwd=folder).stdout == ""  # fmt: skip
    done = hook("clean", "a.ipynb", cwd=folder)
    assert (done.returncode, done.stdout) == (1, "a.ipynb: cleaned\n")
    assert hook("clean", "a.ipynb", cwd=folder).returncode == 0
    assert "no flag '--keep'" in hook("clean", "--keep", "a.ipynb", cwd=folder).stderr
    assert "write 500" in hook("clean", "--max-size", "x", "a.ipynb", cwd=folder).stderr
    assert "no hook" in hook("other", cwd=folder).stderr
    (folder / "a.ipynb").write_bytes(b"{")
    assert hook("clean", "a.ipynb", cwd=folder).returncode == 2
