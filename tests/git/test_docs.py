"""docs/git-merge.md names only commands and options that there are."""

import re
from pathlib import Path

import click
import pytest

from nbtools.cli.git import git

PAGE = (Path(__file__).parents[2] / "docs" / "git-merge.md").read_text()
BLOCKS = "\n".join(re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL))
LINES = [line for line in BLOCKS.splitlines() if line.strip()]


@pytest.mark.parametrize("line", LINES)
def test_each_command_and_its_options_exist(line):
    program, group, name, *arguments = line.split()
    assert (program, group) == ("nbtools", "git")
    command = git.get_command(click.Context(git), name)
    assert command, name
    known = {option for parameter in command.params for option in parameter.opts}
    assert {a for a in arguments if a.startswith("--") and a != "--"} <= known


def test_options_named_in_sentences_exist():
    known = {
        option
        for name in git.list_commands(click.Context(git))
        for parameter in git.get_command(click.Context(git), name).params
        for option in parameter.opts
    }
    assert set(re.findall(r"`(--[a-z-]+)", PAGE)) <= known | {"--max-size"}
