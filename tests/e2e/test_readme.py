"""What the README and docs/mini.md promise, done: their inner parts, with small parameters."""

import os
import re
import shutil
import subprocess
import sys
import textwrap
from dataclasses import fields
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent.parent
BIN = Path(sys.executable).parent


def test_mini_is_true(tmp_path):
    text = (ROOT / "docs/mini.md").read_text()
    assert len(text.splitlines()) <= 120
    python = "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
    (shell,) = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    environ = {**os.environ, "NBTOOLS_STORE": str(tmp_path / "store"),
               "PATH": f"{BIN}:{os.environ['PATH']}"}  # fmt: skip
    (tmp_path / "mini.py").write_text(python)
    subprocess.run([sys.executable, "mini.py"], cwd=tmp_path, env=environ, check=True)
    subprocess.run(["sh", "-e", "-c", shell], cwd=tmp_path, env=environ, check=True)
    assert (tmp_path / "results/note.txt").read_text() == "done"


def test_the_page_on_tracking_is_true(tmp_path):
    text = (ROOT / "docs/tracking.md").read_text()
    (tmp_path / "page.py").write_text(
        "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
    )
    environ = {**os.environ, "NBTOOLS_STORE": str(tmp_path / "store")}
    subprocess.run([sys.executable, "page.py"], cwd=tmp_path, env=environ, check=True)


def test_the_page_on_sweeps_is_true(tmp_path, make_notebook):
    text = (ROOT / "docs/sweeps.md").read_text()
    report, code = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    loop = report.replace("    ...\n", "    val_accuracy = 1 - lr - 1 / width / epoch\n")
    parameters = "lr: float = 1e-3\nwidth: int = 64\nepochs: int = 5"
    make_notebook("train.ipynb", f"import nbtools\n{loop}", parameters=parameters)
    code += "\nassert done.best.params == {'lr': 1e-4, 'width': 256}, done.best"
    (tmp_path / "page.py").write_text(code)
    environ = {**os.environ, "NBTOOLS_STORE": str(tmp_path / "store")}
    subprocess.run([sys.executable, "page.py"], cwd=tmp_path, env=environ, check=True)


def test_the_readme_names_commands_that_exist():
    from nbtools.cli import COMMANDS

    text = (ROOT / "README.md").read_text()
    assert set(re.findall(r"^    nbtools (\w+)", text, re.MULTILINE)) <= set(COMMANDS)
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"\bmake (\w+)", text):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE) or target == "and", target


def masked(text):
    """The lines of a summary without what differs from run to run and from machine to machine."""
    for pattern, mask in (
        (r"train-\d{8}-\d{6}-\w{8}", "JOB"),
        (r"(?m)^(  )\S*nbtools ", r"\1nbtools "),
        (r"device_used=\w+", "device_used=DEVICE"),
        (r"[▁-█]+", "BARS"),
        (r"\d+(\.\d+)?(e-?\d+)?", "N"),
    ):
        text = re.sub(pattern, mask, text)
    return text.splitlines()


def test_the_demo_ends_as_the_readme_shows(tmp_path):
    (shown,) = re.findall(r"ends like this.*?\n\n((?:    .*\n)+)", (ROOT / "README.md").read_text())
    (command,) = re.findall(r"nbtools (run templates.*)", (ROOT / "Makefile").read_text())
    shutil.copytree(ROOT / "templates", tmp_path / "templates")
    (tmp_path / ".nbtools").mkdir()
    environ = {name: value for name, value in os.environ.items() if name != "NBTOOLS_STORE"}
    done = subprocess.run(
        [BIN / "nbtools", *command.split()],
        cwd=tmp_path, env=environ, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert masked(done.stdout) == masked(textwrap.dedent(shown))


def test_the_readme_names_every_setting():
    from nbtools.settings import SURROUNDINGS, Settings

    text = (ROOT / "README.md").read_text()
    (named,) = re.findall(r"holds\s+defaults: (.*?)\.\n", text, re.DOTALL)
    assert re.findall(r"`(\w+)`", named) == [
        f.name for f in fields(Settings) if f.name not in SURROUNDINGS
    ]


def test_make_demo_runs_what_the_readme_shows():
    makefile = (ROOT / "Makefile").read_text()
    assert "nbtools run templates/train.ipynb" in makefile
    assert "python -m pytest" in makefile
    assert "make test" in (ROOT / ".ci/run").read_text()
