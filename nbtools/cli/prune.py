"""`nbtools prune`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import click

from nbtools.cli import show
from nbtools.cli.quantity import Duration

if TYPE_CHECKING:
    from nbtools.disposal import Going, Prospect

SHOWN = 20  #: jobs that are listed one by one


@click.command(short_help="Remove old jobs that nothing refers to.")
@click.option("--keep", type=Duration(), default=None, help="Keep what is younger: 30d.")
@click.option("--keep-last", default=0, metavar="N",
              help="Keep the newest N of each schedule, or else of each notebook.")  # fmt: skip
@click.option("--models", is_flag=True, help="Also jobs that have left a model.")
@click.option("--experiment", default="", help="Only jobs of this experiment.")
@click.option("--notebook", default="", help="Only jobs of this notebook.")
@click.option("--schedule", default="", help="Only jobs of this schedule.")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "json_", is_flag=True, help="Print for machines.")
def prune(
    keep: float | None, keep_last: int, models: bool, experiment: str, notebook: str,
    schedule: str, dry_run: bool, yes: bool, json_: bool,
) -> None:  # fmt: skip
    """Remove jobs that have ended, with their folders, when neither --keep nor --keep-last
    keeps them. Without either, `keep` and `keep_last` of the settings hold.

    A job stays while anything refers to it: a job that goes on from it, who has read what
    it left, a schedule that may still ask for it, a sweep that is not complete, a model, a
    run that is tagged or has a note. Runs stay, with all that they have logged but the
    files: `nbtools runs delete` removes those. Histories of schedules, notices, and folders
    that no job belongs to go by the same age.
    """
    from dataclasses import replace
    from datetime import timedelta

    from nbtools import disposal
    from nbtools.jobs import Jobs
    from nbtools.retention import Rules

    jobs = Jobs.open()
    rules = Rules(keep=None if keep is None else timedelta(seconds=keep), keep_last=keep_last)
    if keep is None and not keep_last:
        rules = Rules.of(jobs.settings) or rules
    rules = replace(
        rules, models=models, experiment=experiment, notebook=notebook, schedule=schedule
    )
    now = jobs.clock()
    found = disposal.prospect(jobs, rules, now)
    if not json_:
        _print(found, dry_run)
    if not (dry_run or found.nothing):
        if not yes:
            click.confirm("Remove them for good?", abort=True, err=True)
        found = disposal.prune(jobs, rules, now, found)
        click.echo(f"removed {_what(found)}: {found.bytes:,} bytes", err=json_)
    elif not dry_run:
        disposal.prune(jobs, rules, now, found)  # what a killed one may have left
    if json_:
        record = {**show.record(found), "bytes": found.bytes, "dry_run": dry_run}
        show.as_json(record)


def _print(found: Prospect, dry_run: bool) -> None:
    going: list[Going] = [*found.jobs, *found.orphans]
    rows = [
        (g.name, show.when(g.end_time), f"{g.bytes:,} B", show.short(g.notebook) or "no job's")
        for g in going[:SHOWN]
    ]
    show.table(("JOB", "ENDED", "SIZE", "NOTEBOOK"), rows, "no job goes")
    if len(going) > SHOWN:
        click.echo(f"and {len(going) - SHOWN} more: --json lists all")
    for why, count in Counter(found.staying.values()).most_common(SHOWN):
        first = next(name for name, reason in found.staying.items() if reason == why)
        many = first if count == 1 else f"{count} jobs"
        click.echo(f"kept: {many}: {show.text(why)}")
    if found.kept:
        click.echo(f"kept: {found.kept} jobs: young, among the newest, or at work")
    if dry_run:
        click.echo(f"would remove {_what(found)}: {found.bytes:,} bytes; nothing was removed")


def _what(found: Prospect) -> str:
    parts = ((len(found.jobs), "jobs"), (len(found.orphans), "folders that no job belongs to"),
             (found.ticks, "times of schedules"), (found.notices, "notices"))  # fmt: skip
    return ", ".join(f"{count} {what}" for count, what in parts if count) or "nothing"
