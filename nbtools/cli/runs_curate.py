"""`nbtools runs tag|untag|note|delete`."""

from __future__ import annotations

import click

from nbtools.cli import selection, show
from nbtools.errors import RequestError
from nbtools.jobs import Jobs
from nbtools.runs import find_run


@click.command("tag")
@click.argument("run")
@click.argument("tags", nargs=-1, required=True, metavar="TAG...")
@click.option("--experiment", default="", help="The experiment it belongs to.")
def tag(run: str, tags: tuple[str, ...], experiment: str) -> None:
    """Add tags to RUN; `nbtools runs list --tag TAG` finds it by them."""
    from nbtools import curation

    jobs = Jobs.open()
    found = find_run(jobs.store, jobs.clock(), run, experiment)
    found = curation.tag(jobs.store, found, tags, jobs.clock())
    click.echo(f"{found.name}  {', '.join(found.tags)}")


@click.command("untag")
@click.argument("run")
@click.argument("tags", nargs=-1, required=True, metavar="TAG...")
@click.option("--experiment", default="", help="The experiment it belongs to.")
def untag(run: str, tags: tuple[str, ...], experiment: str) -> None:
    """Take tags from RUN."""
    from nbtools import curation

    jobs = Jobs.open()
    found = find_run(jobs.store, jobs.clock(), run, experiment)
    found = curation.untag(jobs.store, found, tags, jobs.clock())
    click.echo(f"{found.name}  {', '.join(found.tags) or 'no tags'}")


@click.command("note")
@click.argument("run")
@click.argument("text", required=False)
@click.option("--experiment", default="", help="The experiment it belongs to.")
def note(run: str, text: str | None, experiment: str) -> None:
    """Say TEXT about RUN instead of what was said before; without TEXT, show it."""
    from nbtools import curation

    jobs = Jobs.open()
    found = find_run(jobs.store, jobs.clock(), run, experiment)
    if text is not None:
        found = curation.note(jobs.store, found, text, jobs.clock())
    for line in found.notes.splitlines() or ["no note"]:
        click.echo(show.text(line))


@click.command("delete")
@click.argument("names", nargs=-1, metavar="RUN...")
@selection.options
@click.option("--jobs", "with_jobs", is_flag=True, help="Also their jobs, with their folders.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(
    names: tuple[str, ...],
    experiment: str,
    filter_: str,
    tags: tuple[str, ...],
    with_jobs: bool,
    yes: bool,
) -> None:
    """Forget runs: params, metrics, series, own files, and what they left, as far as nothing
    else uses it. Name them, or choose them with --filter or --tag.

    Jobs keep their record and their folder (`nbtools jobs show`) unless --jobs is given. A
    run at work is refused.
    """
    from nbtools import curation

    all_jobs = Jobs.open()
    if bool(names) == bool(filter_ or tags):
        raise RequestError("name the runs to delete, or choose them with --filter or --tag")
    if names:
        all_jobs.reconcile()
        found = [find_run(all_jobs.store, all_jobs.clock(), n, experiment) for n in names]
        found = list({run.id: run for run in found}.values())
    else:
        found = selection.runs(all_jobs, experiment, filter_, tags)
    if not found:
        click.echo(selection.none(filter_, tags))
        return
    if not yes:
        for run in found:
            click.echo(f"{run.experiment}  {run.name}  {show.values(run.metrics)}")
        what = "this run" if len(found) == 1 else f"these {len(found)} runs"
        if not click.confirm(f"Delete {what} for good?"):
            click.echo("nothing was deleted")
            return
    for run in found:  # all of them before the first is gone
        curation.need_rest(all_jobs.store, run, all_jobs.clock())
    for run in found:
        gone = curation.delete(all_jobs.store, run, all_jobs.clock(), jobs=with_jobs)
        kept = f"; job {', '.join(gone.kept)} is kept" if gone.kept else ""
        click.echo(f"deleted {run.name}: {len(gone.artifacts)} artifacts, {gone.files} files{kept}")
