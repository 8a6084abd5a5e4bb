"""docs/git.md names only commands, options and keys that there are."""

import re
from pathlib import Path

import click
import pytest

from nbtools.cli.clean import clean
from nbtools.cli.git import git
from nbtools.git.project import table
from nbtools.git.strip import FIELDS

PAGE = (Path(__file__).parents[2] / "docs" / "git.md").read_text()
BLOCKS = "".join(re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL))


@pytest.mark.parametrize("line", BLOCKS.splitlines())
def test_each_command_and_its_options_exist(line):
    program, name, *rest = line.partition("#")[0].split()
    assert program == "nbtools"
    command = clean if name == "clean" else git.get_command(click.Context(git), rest[0])
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in rest if word.startswith("--")} <= known


def test_the_table_has_every_key_and_is_read(tmp_path):
    (block,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "pyproject.toml").write_text(block)
    assert table(str(tmp_path / "pyproject.toml")).max_size == 10_000
    assert all(name in block for name in FIELDS)


def test_each_hook_exists():
    hooks = (Path(__file__).parents[2] / ".pre-commit-hooks.yaml").read_text()
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert set(re.findall(r"id: (\S+)", block)) <= set(re.findall(r"id: (\S+)", hooks))
