"""`nbtools git rewrite-history`."""

from __future__ import annotations

from pathlib import Path

import click

from nbtools.errors import RequestError


@click.command(short_help="Say what stripping history would save.")
@click.option("--dry-run", is_flag=True, help="Say what would be saved, and the command.")
@click.option("--json", "json_", is_flag=True, help="Print for machines.")
def rewrite_history(dry_run: bool, json_: bool) -> None:
    """Say what stripping every notebook in history would save, and the exact command to do it.

    It strips in memory and changes nothing. The command it prints is git-filter-repo's; it
    gives every commit a new name, so it is yours to run, in a fresh clone.
    """
    from nbtools.git.history import command, saving
    from nbtools.git.repository import Repository

    if not dry_run:
        raise RequestError(
            "history is not rewritten by nbtools; --dry-run says what it would save, and the "
            "command that does it"
        )
    found = saving(Repository.at(Path.cwd()))
    if json_:
        from nbtools.cli import show

        keys = ["commits", "versions", "size", "disk"]
        keys += ["stripped_versions", "stripped_size", "stripped_disk", "unreadable"]
        values = {key: getattr(found, key) for key in keys}
        by_file = dict(found.by_file.most_common())
        show.as_json({**values, "saved": by_file, "command": command()})
        return
    click.echo(
        f"now       {found.versions} versions of {len(found.files)} notebooks in {found.commits} "
        f"commits: {_size(found.size)}, {_size(found.disk)} in .git"
    )
    click.echo(
        f"stripped  {found.stripped_versions} versions: {_size(found.stripped_size)}, at most "
        f"about {_size(found.stripped_disk)} in .git"
    )
    for path, saved in found.by_file.most_common(5):
        if saved > 0:
            click.echo(f"  {_size(saved):>9}  {path}")
    for name, why in found.unreadable.items():
        click.echo(f"nbtools: {name} would stay as it is: {why}", err=True)
    if found.stripped_size >= found.size:
        click.echo("nothing to save: the notebooks in history are stripped")
        return
    click.echo("Next, in a fresh clone (every commit gets a new name; all must clone anew):")
    click.echo("  pip install git-filter-repo    # 2.47 or newer")
    click.echo(f"  {command()}")


def _size(number: int) -> str:
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("KB", 10**3)):
        if abs(number) >= factor:
            return f"{number / factor:.1f} {unit}"
    return f"{number} B"
