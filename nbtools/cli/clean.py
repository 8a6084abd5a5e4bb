"""`nbtools clean`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import click

from nbtools.errors import RequestError
from nbtools.git.strip import FIELDS, Options

COMPAT = "nbstripout"


class CleanCommand(click.Command):
    """Hands over to another tool's command line where `--compat` asks for it."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Read the arguments as ours, or leave them to the other tool's."""
        words = [word for arg in args[:2] for word in arg.split("=", 1)]
        if words[:1] == ["--compat"]:
            if words[1:2] != [COMPAT]:
                raise click.UsageError(f"--compat knows {COMPAT}")
            from nbtools.git.compat import main

            sys.exit(main(args[1:] if "=" in args[0] else args[2:]))
        return super().make_context(info_name, args, parent, **extra)


def _flags(command: Callable[..., None]) -> Callable[..., None]:
    """An option for each field of Options."""
    for name, (kind, text) in reversed(FIELDS.items()):
        flag = "--" + name.replace("_", "-")
        if kind == "flag":
            command = click.option(flag, is_flag=True, default=None, help=text)(command)
        else:
            metavar = "SIZE" if kind == "size" else "WORDS"
            command = click.option(flag, metavar=metavar, multiple=kind == "words", help=text)(
                command
            )
    return command


@click.command(
    cls=CleanCommand, short_help="Strip outputs from notebooks, or check that they are stripped."
)
@click.argument("paths", nargs=-1, metavar="FILES|-|DIR...")
@click.option("--check", is_flag=True, help="Write nothing; exit code 1 if a file is dirty.")
@click.option("--diff", is_flag=True, help="Write nothing; show what would change.")
@_flags
@click.option(
    "--compat", metavar=COMPAT, help=f"First word: be {COMPAT}, with its arguments and its bytes."
)
def clean(
    paths: tuple[str, ...], check: bool, diff: bool, compat: str | None, **fields: Any
) -> None:
    """Strip outputs, execution counts and fleeting metadata from notebooks, in place.

    `-` cleans standard input to standard output; a folder is searched for notebooks. A
    project's defaults stand in [tool.nbtools.clean] of pyproject.toml, by the same names.
    A cell keeps its outputs when it is tagged keep_output or its metadata says
    `keep_output: true`. Exit codes: 0 done, 1 dirty (--check), 2 a file could not be read.
    """
    from nbtools.git import clean as verb

    if compat:
        raise click.UsageError(f"--compat {COMPAT} must come first")
    if not paths:
        raise click.UsageError("name files, a folder, or - for standard input")
    flags = {
        name: " ".join(value).split() if isinstance(value, tuple) else value
        for name, value in fields.items()
        if value
    }
    try:
        Options(**flags)
    except ValueError as error:
        raise RequestError(str(error)) from None
    mode = "check" if check else "diff" if diff else "write"
    if paths == ("-",):
        sys.exit(verb.stream(mode, flags))
    outcomes = verb.clean(list(verb.files(paths)), "diff" if diff else mode, flags)
    sys.exit(verb.report(outcomes, mode))
