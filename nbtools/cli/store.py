"""`nbtools store check|backup|repair`."""

from __future__ import annotations

import sys

import click

from nbtools import care
from nbtools.cli import show
from nbtools.doctor import Finding
from nbtools.nouns import place, utc_now
from nbtools.repair import repair as repair_store
from nbtools.settings import Settings


@click.group("store", short_help="Check, back up and repair the store.")
def group() -> None:
    """Check, back up and repair the store: the file that remembers runs, jobs and lineage."""


@group.command("check")
@click.option("--json", "json_", is_flag=True, help="Print for machines.")
def check(json_: bool) -> None:
    """Say whether the store is sound; change nothing. Exit code 1 when it is not."""
    found = care.check(Settings.load().store)
    if json_:
        show.as_json([show.record(c) for c in found])
    else:
        show.findings([Finding(c.what, show.text(c.found), c.mend) for c in found])
    sys.exit(1 if any(c.mend for c in found) else 0)


@group.command("backup")
@click.argument("file")
@click.option("--force", is_flag=True, help="Replace the file if it is there already.")
@show.JSON
def backup(file: str, force: bool, json_: bool) -> None:
    """Copy the store into FILE, while it may be in use.

    All that was logged until now is in it; the files that jobs left are not. To go back to
    it, put it in the place of store.sqlite.
    """
    target = place(file)
    size = care.backup(Settings.load().store, target, utc_now(), overwrite=force)
    if json_:
        show.as_json({"file": str(target), "bytes": size})
    else:
        click.echo(f"{target}  {size:,} bytes")


@group.command("repair")
@click.option("--force", is_flag=True, help="Even if nothing is wrong with it.")
@click.option("--json", "json_", is_flag=True, help="Print for machines.")
def repair(force: bool, json_: bool) -> None:
    """Save what can be read of a damaged store into a new one.

    The damaged file is kept aside, and nothing is deleted. Nobody may use the store
    meanwhile.
    """
    folder = Settings.load().store
    if not force and not any(c.mend for c in care.check(folder)):
        if json_:
            show.as_json(None)
        else:
            click.echo("the store is sound: nothing to repair")
        return
    done = repair_store(folder, utc_now())
    if json_:
        show.as_json(show.record(done))
        return
    counts = (done.rows, done.mended, done.lost, done.orphans)
    rows = [(table, *(count.get(table, 0) for count in counts)) for table in done.rows]
    show.table(("TABLE", "SAVED", "MENDED", "LOST", "ORPHANS"), rows, "there were no tables")
    click.echo(f"the damaged file is kept as {show.short(str(done.aside))}")
    if done.notes:
        click.echo(f"each row that was not saved whole is in {show.short(str(done.notes))}")
