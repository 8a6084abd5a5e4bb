"""`nbtools runs list|show`."""

from __future__ import annotations

import click

from nbtools.cli import selection, show
from nbtools.jobs import Jobs
from nbtools.nouns import Run
from nbtools.runs import find_run


@click.command("list")
@selection.options
@click.option(
    "--sort", default="", metavar="COLUMN", help="Rising: metric.loss; falling: -metric.loss."
)
@click.option(
    "--columns", default="", metavar="A,B", help="For example run_name,param.lr,metric.loss."
)
@click.option("--limit", default=0, help="At most so many; 0 for all.")
@click.option("--json", "json_", is_flag=True, help="Print for machines.")
def list_(
    experiment: str,
    filter_: str,
    tags: tuple[str, ...],
    sort: str,
    columns: str,
    limit: int,
    json_: bool,
) -> None:
    """List runs, newest first.

    Columns are experiment_name, run_name, run_type, state, param.*, metric.*,
    time_series_metric.* (the last value), begun, changed, job, tags, notes, parent, error.
    """
    jobs = Jobs.open()
    found = selection.runs(jobs, experiment, filter_, tags)
    named = [name.strip() for name in columns.split(",") if name.strip()]
    ends: dict[str, dict[str, float]] = {}
    if sort or named:
        from nbtools import columns as tabular

        ends = tabular.ends(jobs.store, experiment)
        found = tabular.ordered(found, ends, sort) if sort else found
    found = found[: limit or None]
    empty = selection.none(filter_, tags)
    if named:
        chosen = tabular.chosen(found, ends, named)
        if json_:
            show.as_json(chosen)
        else:
            cells = [[show.cell(one.get(name)) for name in named] for one in chosen]
            show.table(named, cells, empty)
    elif json_:
        show.as_json([show.record(run) for run in found])
    else:
        _table(found, empty)


def _table(found: list[Run], empty: str) -> None:
    tagged = any(run.tags for run in found)
    rows = [
        (r.experiment, r.name, r.state, show.when(r.create_time), show.values(r.metrics))
        + ((", ".join(r.tags),) if tagged else ())
        for r in found
    ]
    heads = ("EXPERIMENT", "RUN", "STATE", "BEGUN", "METRICS", *(("TAGS",) if tagged else ()))
    show.table(heads, rows, empty)


@click.command("show")
@click.argument("run")
@click.option("--experiment", default="", help="The experiment it belongs to.")
@click.option("--json", "json_", is_flag=True, help="Print for machines.")
def show_(run: str, experiment: str, json_: bool) -> None:
    """Show one run: params, metrics, time series, artifacts."""
    jobs = Jobs.open()
    jobs.reconcile()
    found = find_run(jobs.store, jobs.clock(), run, experiment)
    left = show.artifacts(jobs, found.experiment, found.name)
    if json_:
        series = {k: [list(p) for p in v] for k, v in jobs.store.points(found.id).items()}
        artifacts = [show.record(artifact) for artifact in left]
        show.as_json({**show.record(found), "series": series, "artifacts": artifacts})
        return
    click.echo(f"{show.state(found.state)}  {found.name}  of experiment {found.experiment}")
    if found.error:
        click.secho(show.text(found.error), fg="red")
    click.echo(f"  begun    {show.when(found.create_time)}  job {found.job or 'none'}")
    if found.parent:
        click.echo(f"  part of  {found.parent}")
    if found.tags:
        click.echo(f"  tags     {', '.join(found.tags)}")
    for line in found.notes.splitlines():
        click.echo(f"  note     {show.text(line)}")
    if git := found.about.get("git"):
        changed = " and what was changed since" if git.get("dirty") else ""
        click.echo(f"  commit   {git.get('commit', '')[:12]}{changed}")
    click.echo(f"  params   {show.values(found.params)}")
    click.echo(f"  metrics  {show.values(found.metrics)}")
    show.series(jobs, found.experiment, found.name)
    rows = [(a.display_name or a.name, a.schema_title, show.short(a.uri)) for a in left]
    show.table(("ARTIFACT", "KIND", "PATH"), rows, "no artifacts")
