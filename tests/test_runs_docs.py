"""docs/runs.md names only commands, options and functions that there are."""

import re
import shlex
from pathlib import Path

import click
import pytest

from nbtools import comparison, filters
from nbtools.cli.runs import runs
from nbtools.nouns import Artifact, Context, Execution

PAGE = (Path(__file__).parent.parent / "docs" / "runs.md").read_text()
BLOCKS = "\n".join(re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL))
LINES = [line for line in BLOCKS.splitlines() if line]


@pytest.mark.parametrize("line", LINES)
def test_each_command_and_its_options_exist(line):
    program, group, name, *arguments = shlex.split(line)
    assert (program, group) == ("nbtools", "runs")
    command = runs.get_command(click.Context(runs), name)
    command.make_context(name, arguments)  # raises where an option is wrong


def test_every_command_is_shown():
    elsewhere = {"import"}  # has a page of its own
    there = set(runs.list_commands(click.Context(runs))) - elsewhere
    assert {shlex.split(line)[2] for line in LINES} == there


def test_every_filter_of_the_table_is_read():
    rows = re.findall(r"^\| (`.*?) \| ", PAGE, re.MULTILINE)
    shown = [text for row in rows for text in re.findall(r"`([^`]{9,})`", row)]
    assert len(shown) == 8
    for text in shown:
        kinds = [kind for kind in (Context, Execution, Artifact) if _fits(text, kind)]
        assert kinds, text


def _fits(text, kind):
    try:
        filters.parse(text, kind)
    except filters.RequestError:
        return False
    return True


def test_the_functions_exist():
    for name in re.findall(r"\b(best|compare|group)\(", PAGE):
        assert callable(getattr(comparison, name))
