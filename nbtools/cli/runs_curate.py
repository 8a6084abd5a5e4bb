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
@show.JSON
def tag(run: str, tags: tuple[str, ...], experiment: str, json_: bool) -> None:
    """Add tags to RUN; `nbtools runs list --tag TAG` finds it by them."""
    from nbtools import curation

    jobs = Jobs.open()
    found = find_run(jobs.store, jobs.clock(), run, experiment)
    found = curation.tag(jobs.store, found, tags, jobs.clock())
    if json_:
        show.as_json(show.record(found))
        return
    click.echo(f"{found.name}  {', '.join(found.tags)}")


@click.command("untag")
@click.argument("run")
@click.argument("tags", nargs=-1, required=True, metavar="TAG...")
@click.option("--experiment", default="", help="The experiment it belongs to.")
@show.JSON
def untag(run: str, tags: tuple[str, ...], experiment: str, json_: bool) -> None:
    """Take tags from RUN."""
    from nbtools import curation

    jobs = Jobs.open()
    found = find_run(jobs.store, jobs.clock(), run, experiment)
    found = curation.untag(jobs.store, found, tags, jobs.clock())
    if json_:
        show.as_json(show.record(found))
        return
    click.echo(f"{found.name}  {', '.join(found.tags) or 'no tags'}")


@click.command("note")
@click.argument("run")
@click.argument("text", required=False)
@click.option("--experiment", default="", help="The experiment it belongs to.")
@show.JSON
def note(run: str, text: str | None, experiment: str, json_: bool) -> None:
    """Say TEXT about RUN instead of what was said before; without TEXT, show it."""
    from nbtools import curation

    jobs = Jobs.open()
    found = find_run(jobs.store, jobs.clock(), run, experiment)
    if text is not None:
        found = curation.note(jobs.store, found, text, jobs.clock())
    if json_:
        show.as_json(show.record(found))
        return
    for line in found.notes.splitlines() or ["no note"]:
        click.echo(show.text(line))


@click.command("delete")
@click.argument("names", nargs=-1, metavar="RUN...")
@selection.options
@click.option("--jobs", "with_jobs", is_flag=True, help="Also their jobs, with their folders.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@show.JSON
def delete(
    names: tuple[str, ...],
    experiment: str,
    filter_: str,
    tags: tuple[str, ...],
    with_jobs: bool,
    yes: bool,
    json_: bool,
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
        click.echo(selection.none(filter_, tags), err=json_)
        found = []
    if found and not yes:
        for run in found:
            click.echo(f"{run.experiment}  {run.name}  {show.values(run.metrics)}", err=json_)
        what = "this run" if len(found) == 1 else f"these {len(found)} runs"
        if not click.confirm(f"Delete {what} for good?", err=json_):
            click.echo("nothing was deleted", err=json_)
            found = []
    for run in found:  # all of them before the first is gone
        curation.need_rest(all_jobs.store, run, all_jobs.clock())
    deleted = []
    for run in found:
        gone = curation.delete(all_jobs.store, run, all_jobs.clock(), jobs=with_jobs)
        deleted.append(show.record(gone))
        kept = f"; job {', '.join(gone.kept)} is kept" if gone.kept else ""
        click.echo(
            f"deleted {run.name}: {len(gone.artifacts)} artifacts, {gone.files} files{kept}",
            err=json_,
        )
    if json_:
        show.as_json(deleted)
