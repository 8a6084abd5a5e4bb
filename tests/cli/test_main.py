"""The command in surroundings that are broken."""

import subprocess
import sys
from pathlib import Path

import pytest

NBTOOLS = Path(sys.executable).with_name("nbtools")


@pytest.fixture
def call(store_folder, tmp_path):
    def call(*args, **options):
        options = {"cwd": tmp_path, **options}
        return subprocess.run([NBTOOLS, *args], capture_output=True, text=True, **options)

    return call


def test_help_is_there_when_the_settings_are_broken(call, tmp_path):
    (tmp_path / "pyproject.toml").write_text("[tool.nbtools]\nno = 1\n")
    assert call("--help").returncode == 0
    done = call("jobs", "list")
    assert done.returncode == 2
    assert done.stderr.startswith("nbtools: ")
    assert "has no setting 'no'" in done.stderr


def test_a_folder_that_is_gone_is_one_sentence(call, tmp_path):
    (tmp_path / "gone").mkdir()
    done = subprocess.run(
        ["sh", "-c", f"cd gone; rmdir ../gone; {NBTOOLS} jobs list"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == "nbtools: the current folder is gone: change to one that exists\n"


def test_a_name_that_is_no_utf8_ends_no_list(call, tmp_path):
    script = "import nbtools\nwith nbtools.start_run('r') as r: r.log_params({'a': '\\udcff'})"
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path)
    for args in (["runs", "show", "r"], ["runs", "show", "r", "--json"], ["runs", "list"]):
        done = call(*args)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_that_has_not_our_letters_ends_no_list(call, tmp_path, encoding):
    script = (
        "import nbtools\nwith nbtools.start_run('r') as r:\n"
        "    r.log_metrics({'\\u2713': 1}); r.log_time_series_metrics({'x': 1})"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path)
    environ = {"PYTHONIOENCODING": encoding, "NBTOOLS_STORE": str(tmp_path / "store")}
    done = call("runs", "show", "r", env=environ)
    assert (done.returncode, done.stderr) == (0, "")
    assert ("\\u2713=1" if encoding == "latin-1" else "=1") in done.stdout


def test_a_package_that_is_missing_is_one_sentence(store_folder, make_notebook):
    notebook = make_notebook("work.ipynb")
    script = (
        "import sys; sys.modules['papermill'] = None\n"
        f"sys.argv = ['nbtools', 'run', {str(notebook)!r}]\n"
        "from nbtools.cli import main\nmain()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == ("nbtools: this needs papermill: `nbtools doctor` says what to install\n")
