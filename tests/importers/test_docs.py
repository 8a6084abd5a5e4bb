"""docs/import.md says what is true."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from nbtools import registry
from nbtools.cli.runs_import import import_

PAGE = (Path(__file__).parents[2] / "docs" / "import.md").read_text()


@pytest.mark.parametrize("line", re.findall(r"^    (nbtools .*)", PAGE, re.MULTILINE))
def test_each_command_can_be_called(line):
    words = line.partition("#")[0].split()
    assert words[:3] == ["nbtools", "runs", "import"]
    context = import_.make_context("import", words[3:])
    assert isinstance(context, click.Context)


def test_each_tracker_is_in_the_table():
    (head,) = re.findall(r"^\| \| (.*) \|$", PAGE, re.MULTILINE)
    titles = [registry.importer(tool).title for tool in registry.IMPORTERS]
    assert sorted(cell.split(" 2")[0] for cell in head.split(" | ")) == sorted(titles)


def test_the_python_is_true(wandb_history, store_folder, tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    shutil.copytree(wandb_history / "wandb", tmp_path / "wandb", symlinks=True)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "digits-continued" in done.stdout
    assert store_folder.exists()
