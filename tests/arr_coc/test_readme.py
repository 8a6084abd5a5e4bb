"""The README's commands are ones that there are, of parameters that there are."""

import re
import shlex
from pathlib import Path

import click
import pytest

import arr_coc
from nbtools.cli import cli
from nbtools.notebook import Notebook

FOLDER = Path(arr_coc.__file__).parent
TEXT = (FOLDER / "README.md").read_text().replace("\\\n", " ")
COMMANDS = re.findall(r"^    (nbtools .*)$", TEXT, re.MULTILINE)


def test_there_are_commands():
    assert len(COMMANDS) > 8


@pytest.mark.parametrize("line", COMMANDS)
def test_each_command_and_its_parameters_exist(line):
    words = shlex.split(line, comments=True)[1:]
    if words[0] == "sweep":
        words.insert(1, "run")  # which may be left out
    command = cli
    while isinstance(command, click.Group):
        command = command.get_command(click.Context(command), words.pop(0))
    params = command.make_context(line, list(words)).params  # raises where an option is wrong
    if (FOLDER.parent / words[0]).suffix == ".ipynb":
        known = {p.name for p in Notebook.read(FOLDER.parent / words[0]).parameters}
        spaces = [word.split("=")[0] for word in words[1:] if re.match(r"\w+=", word)]
        given = [words[i + 1] for i, word in enumerate(words) if word == "-p"]
        assert {*spaces, *given} <= known
    assert params


def test_every_file_that_it_names_is_there():
    for name in re.findall(r"\]\(([\w.]+)\)", TEXT):
        assert (FOLDER / name).is_file(), name
