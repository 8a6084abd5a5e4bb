"""`nbtools git install` and `uninstall`."""

from __future__ import annotations

import click

from nbtools.cli import show
from nbtools.git import install as verb


@click.command(short_help="Clean notebooks on their way into git.")
@click.option("--global", "everywhere", is_flag=True, help="In every repository of yours.")
@click.option("--tracked", is_flag=True, help="Name notebooks in .gitattributes, for the team.")
@click.option(
    "--keep-local-outputs",
    is_flag=True,
    help="Remember outputs on this machine, so that checkout, stash and pull bring them back.",
)
def install(everywhere: bool, tracked: bool, keep_local_outputs: bool) -> None:
    """Clean notebooks on their way into git, and diff and merge them cell by cell.

    Writes git's configuration of this repository, for all of its worktrees, and names
    *.ipynb in .git/info/attributes. Your files keep their outputs.
    """
    scope = _scope(everywhere, tracked)
    changed = verb.install(scope, keep_local_outputs)
    click.echo(f"{'installed' if changed else 'was installed already'}, scope: {scope.name}")
    click.echo(f"  attributes  {show.short(str(scope.attributes))}")
    if tracked:
        click.echo("  commit it; each of the team runs nbtools git install --tracked once")
    click.echo("  nbtools git status    # whether it works, and what is in git already")


@click.command(short_help="Undo what install did.")
@click.option("--global", "everywhere", is_flag=True, help="The one for all repositories.")
@click.option("--tracked", is_flag=True, help="Take the line out of .gitattributes too.")
def uninstall(everywhere: bool, tracked: bool) -> None:
    """Undo what install did, and nothing else."""
    scope = _scope(everywhere, tracked)
    changed = verb.uninstall(scope)
    if tracked:
        changed |= verb.uninstall(verb.Scope.find())
    click.echo(f"{'uninstalled' if changed else 'was not installed'}, scope: {scope.name}")


def _scope(everywhere: bool, tracked: bool) -> verb.Scope:
    if everywhere and tracked:
        raise click.UsageError("--global and --tracked exclude each other")
    return verb.Scope.find(everywhere, tracked)
