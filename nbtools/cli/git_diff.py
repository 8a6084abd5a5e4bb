"""`nbtools git diff`, `nbtools git textconv`: what changed in notebooks, for people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

#: How a kind of line looks: what stands before it, and its colour.
LOOKS: dict[str, tuple[str, dict[str, Any]]] = {
    "file": ("", {"bold": True}),
    "cell": ("@@ ", {"fg": "cyan"}),
    "note": ("   ", {"dim": True}),
    "-": ("-", {"fg": "red"}),
    "+": ("+", {"fg": "green"}),
    " ": (" ", {}),
}
#: What a notebook must not tell a terminal to do.
CONTROLS = {code: chr(0x2400 + code) for code in range(32) if code != 9} | {127: "\u2421"}


@click.command(short_help="Show what changed in notebooks, cell by cell.")
@click.argument("revisions", nargs=-1, metavar="[REVISION...] [-- PATH...]", type=click.UNPROCESSED)
@click.option("--cached", "--staged", is_flag=True, help="What is staged, not what is changed.")
@click.option("--no-index", is_flag=True, help="Compare two files, whatever git knows of them.")
@click.option("--exit-code", is_flag=True, help="Exit with 1 when there are differences.")
@click.option(
    "--by",
    type=click.Choice(["auto", "nbdime", "nbtools"]),
    default="auto",
    help="Who compares; auto: nbdime where it is installed.",
)
@click.option("--json", "json_", is_flag=True, help="Print for machines.")
def diff(
    revisions: tuple[str, ...],
    cached: bool,
    no_index: bool,
    exit_code: bool,
    by: str,
    json_: bool,
) -> None:
    """Show what changed in notebooks: source, metadata and outputs of each cell.

    The arguments are those of `git diff`: none for what is not staged, one or two revisions,
    paths. Execution counts are left out, and what the filter strips.
    """
    from nbtools.cli import show
    from nbtools.errors import MissingDependency, RequestError
    from nbtools.git import diff as between
    from nbtools.git.repository import Repository

    if by == "nbdime" and not between.has_nbdime():
        raise MissingDependency("nbdime is not installed; pip install nbdime, or --by nbtools")
    nbdime = by == "nbdime" or (by == "auto" and between.has_nbdime())
    if no_index:
        if len(revisions) != 2:
            raise RequestError("--no-index compares two files; name both")
        found = [between.files(*revisions)]
    else:
        repository = Repository.at(Path.cwd())
        found = list(between.changes(repository, [*(["--cached"] * cached), *revisions]))
    lines = [[*between.lines(change, nbdime)] for change in found]
    if json_:
        show.as_json([
            {"path": change.path, "was": change.was, "lines": [show.record(line) for line in said]}
            for change, said in zip(found, lines, strict=True) if said
        ])  # fmt: skip
    for said in lines if not json_ else ():
        for line in said:
            sign, look = LOOKS[line.kind]
            text = f"{sign}{line.text.translate(CONTROLS)}"
            click.secho(text if line.kind in "-+ " else text.rstrip(), **look)
    if exit_code and any(lines):
        raise SystemExit(1)


@click.command(short_help="Print a notebook as text: git's diff driver.")
@click.argument("file")
def textconv(file: str) -> None:
    """Print the notebook FILE as text that can be compared line by line.

    git calls it for `git diff` and `git log -p`; `nbtools git install` says so to git.
    """
    from nbtools.git.textconv import main

    raise SystemExit(main([file]))
