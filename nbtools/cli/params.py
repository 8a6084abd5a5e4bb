"""`nbtools params`."""

from __future__ import annotations

import click

from nbtools.cli import show
from nbtools.errors import RequestError
from nbtools.notebook import Notebook


@click.command(short_help="Show a notebook's parameters.")
@click.argument("notebook")
@click.option("--json", "json_", is_flag=True, help="Print for machines.")
def params(notebook: str, json_: bool) -> None:
    """Show the names, types, defaults and help of NOTEBOOK's parameters."""
    read = Notebook.read(notebook)
    if read.parameters is None:
        raise RequestError(
            f"{notebook} is written in {read.language}: its parameters can be set, not listed"
        )
    if json_:
        show.as_json(
            [
                {"name": p.name, "type": p.type, "default": p.source, "help": p.help}
                for p in read.parameters
            ]
        )
        return
    rows = [(p.name, p.type or "any", p.source, p.help) for p in read.parameters]
    hint = "no parameters: give the cell that holds them the tag `parameters`"
    show.table(("NAME", "TYPE", "DEFAULT", "HELP"), rows, hint)
