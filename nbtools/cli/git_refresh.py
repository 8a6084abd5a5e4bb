"""`nbtools git refresh`."""

from __future__ import annotations

from pathlib import Path

import click

from nbtools.cli import show


@click.command(short_help="Clear notebooks that only seem modified.")
@click.argument("paths", nargs=-1)
@click.option("--quiet", "-q", is_flag=True, help="Say only what went wrong.")
@show.JSON
def refresh(paths: tuple[str, ...], quiet: bool, json_: bool) -> None:
    """Clear notebooks below PATHS that git calls modified though only their outputs are new.

    Such phantoms block merge and rebase. Nothing that you wrote is staged: a notebook that is
    not equal after cleaning stays as it is.
    """
    from nbtools.git.refresh import refresh as clear
    from nbtools.git.repository import Repository

    done = clear(Repository.at(Path.cwd()), paths)
    for why in done.refused.values():
        click.echo(f"nbtools: {why}", err=True)
    if json_:
        show.as_json(show.record(done))
    elif not quiet:
        for path in done.cleared:
            click.echo(f"cleared   {path}")
        for path in done.modified:
            click.echo(f"modified  {path}")
        if not (done.cleared or done.modified or done.refused):
            click.echo("no notebook is modified, or seems so")
    if done.refused:
        raise SystemExit(1)
