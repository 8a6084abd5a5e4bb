"""`nbtools git merge`, `nbtools git fix`: three versions of a notebook become one."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from nbtools.git import driver


@click.command(short_help="Merge three versions of a notebook: git's merge driver.")
@click.argument("files", nargs=-1, required=True, metavar="BASE OURS THEIRS [SIZE [PATH]]")
def merge(files: tuple[str, ...]) -> None:
    """Merge the changes from BASE to THEIRS into the file OURS.

    git calls it as `nbtools git merge %O %A %B %L %P`; `nbtools git install` says so to git.
    Cells are matched by id, then by source, and merged line by line. What conflicts stands in
    OURS twice, between marker cells, and the exit code is 1.
    """
    raise SystemExit(driver.main(files))


@click.command(short_help="Mend a notebook that a merge left with conflict markers.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--again", is_flag=True, help="Merge anew, also where FILE was edited since.")
def fix(file: Path, again: bool) -> None:
    """Merge FILE anew, cell by cell, from the three versions in git's index.

    Only where the index has none are the versions read from the markers in FILE. What FILE
    held before stays in git's store. The exit code is 1 while there is something to decide.
    """
    from nbtools.git.fix import fix as mend

    done = mend(file, again)
    driver.report(str(file), done.merged)
    add = f"git add {shlex.quote(str(file))}"
    if done.previous:
        click.echo(f"{file}: what it held before: git cat-file -p {done.previous}")
    if left := len(done.merged.conflicts):
        click.echo(
            f"{file}: {left} conflict{'s' * (left > 1)} to decide: open it, choose between the "
            f"marker cells, delete them, then {add}"
        )
        raise SystemExit(1)
    click.echo(f"{file}: merged, nothing left to decide; now {add}")
