"""`nbtools jobs list|show|watch|diff|retry|resume|cancel`."""

from __future__ import annotations

import click

from nbtools.cli import show
from nbtools.cli.jobs_diff import diff
from nbtools.cli.jobs_watch import watch
from nbtools.jobs import Jobs


@click.group(short_help="List, watch, compare, retry and cancel jobs.")
def jobs() -> None:
    """List, show, watch, compare, retry, resume and cancel jobs.

    JOB is a name, its beginning, or `last`.
    """


@jobs.command("list")
@click.option("--limit", default=20, help="At most so many; 0 for all.")
@click.option("--json", "json_", is_flag=True, help="Print for machines.")
def list_(limit: int, json_: bool) -> None:
    """List jobs, newest first."""
    all_jobs = Jobs.open()
    found = all_jobs.list(limit=limit or -1)
    if json_:
        show.as_json([show.record(job) for job in found])
        return
    now = all_jobs.clock()
    rows = [
        (j.name, j.state, f"{j.cell}/{j.cells}", show.seconds(j.seconds(now)), j.error[:80])
        for j in found
    ]
    empty = f"no jobs yet: {show.program()} run NOTEBOOK"
    show.table(("JOB", "STATE", "CELL", "TIME", "REASON"), rows, empty)


@jobs.command("show")
@click.argument("job")
@click.option("--json", "json_", is_flag=True, help="Print for machines.")
def show_(job: str, json_: bool) -> None:
    """Show one job: how it stands, what came out, where it lies."""
    from nbtools.successor import successors

    all_jobs = Jobs.open()
    found = all_jobs.get(job)
    if json_:
        show.as_json(show.record(found))
    else:
        show.summary(all_jobs, found)
        for later in successors(all_jobs, found.name):
            what = "executed again" if later.retry_of == found.name else "gone on with"
            click.echo(f"{what} as job {later.name}: {later.state}")


@jobs.command("resume")
@click.argument("job")
@click.option(
    "--checkpoint",
    is_flag=False,
    flag_value="cells",
    default="",
    type=click.Choice(["", "cells", "tagged"]),
    help="Default: as it was asked for before.",
)
@click.option(
    "--from",
    "from_cell",
    default="failed-cell",
    metavar="failed-cell|CELL",
    help="The first that failed or has changed since, which is the default, or an earlier one "
    "by its number or its id.",
)
@click.option("--json", "json_", is_flag=True, help="Print for machines.")
def resume_(job: str, checkpoint: str, from_cell: str, json_: bool) -> None:
    """Go on from the cell of JOB that failed, in the same run.

    With a checkpoint the state before it is taken up at once; else the cells before are
    executed again.
    """
    from nbtools.cli.run import finish
    from nbtools.resume import resume

    all_jobs = Jobs.open()
    finish(all_jobs, resume(all_jobs, job, checkpoint, from_cell), json_)


@jobs.command("retry")
@click.argument("job")
@click.option("--changed", is_flag=True, help="Take the notebook as its file is now.")
@click.option("--json", "json_", is_flag=True, help="Print for machines.")
def retry_(job: str, changed: bool, json_: bool) -> None:
    """Execute JOB again from its first cell: the same notebook, parameters and options.

    It is a job and a run of its own, and JOB stays as it is. The notebook is taken as it was
    then, also when its file is another now, or gone. A job that failed for a schedule is
    tried again for the same time.
    """
    from nbtools.cli.run import finish
    from nbtools.retry import retry

    all_jobs = Jobs.open()
    finish(all_jobs, retry(all_jobs, job, changed=changed), json_)


@jobs.command("cancel")
@click.argument("job")
@click.option("--json", "json_", is_flag=True, help="Print for machines.")
def cancel(job: str, json_: bool) -> None:
    """Interrupt a job, wait for its end, and keep what it has done."""
    all_jobs = Jobs.open()
    asked = all_jobs.cancel(job)
    for ended, _ in all_jobs.follow(asked.name):
        asked = ended
    if json_:
        show.as_json(show.record(asked))
    else:
        click.echo(f"{show.state(asked.state)}  {asked.name}  {asked.error}")


jobs.add_command(diff)
jobs.add_command(watch)
