"""`nbtools runs list|show`; `import` is in `runs_import.py`."""

from __future__ import annotations

import click

from nbtools.cli import show
from nbtools.cli.runs_import import import_
from nbtools.jobs import Jobs
from nbtools.runs import find_run, list_runs


@click.group(short_help="List, show and import experiment runs.")
def runs() -> None:
    """List, show and import experiment runs. RUN is a name, its beginning, or `last`."""


runs.add_command(import_)


@runs.command("list")
@click.option("--experiment", default="", help="Only this experiment's.")
@click.option("--json", "json_", is_flag=True, help="Print for machines.")
def list_(experiment: str, json_: bool) -> None:
    """List runs, newest first."""
    jobs = Jobs.open()
    jobs.reconcile()
    found = list_runs(jobs.store, jobs.clock(), experiment)
    if json_:
        show.as_json([show.record(run) for run in found])
        return
    rows = [
        (r.experiment, r.name, r.state, show.when(r.create_time), show.values(r.metrics))
        for r in found
    ]
    empty = f"no runs yet: {show.program()} run NOTEBOOK"
    show.table(("EXPERIMENT", "RUN", "STATE", "BEGUN", "METRICS"), rows, empty)


@runs.command("show")
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
    click.echo(f"  params   {show.values(found.params)}")
    click.echo(f"  metrics  {show.values(found.metrics)}")
    show.series(jobs, found.experiment, found.name)
    rows = [(a.display_name, a.schema_title, show.short(a.uri)) for a in left]
    show.table(("ARTIFACT", "KIND", "PATH"), rows, "no artifacts")
