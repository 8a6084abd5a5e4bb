"""docs/jobs.md, executors.md and templates.md name only commands and options that there are."""

import re
import shlex
from pathlib import Path

import click
import pytest

from nbtools.cli import cli

DOCS = Path(__file__).parent.parent / "docs"
PAGE = "".join((DOCS / f"{name}.md").read_text() for name in ("jobs", "executors", "templates"))
BLOCKS = "\n".join(re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL))


@pytest.mark.parametrize(
    "line", [line for line in BLOCKS.splitlines() if line and "gcloud" not in line]
)
def test_each_command_and_its_options_exist(line):
    program, *words = shlex.split(line, comments=True)
    assert program == "nbtools"
    command = cli
    while isinstance(command, click.Group):
        command = command.get_command(click.Context(command), words.pop(0))
    command.make_context(line, words)  # raises where an option is wrong
