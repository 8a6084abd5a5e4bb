"""`nbtools pull`: an experiment from Vertex AI."""

from __future__ import annotations

import json
from pathlib import Path

import click

from nbtools.nouns import utc_now
from nbtools.settings import Settings
from nbtools.store import Store


@click.command(short_help="Bring an experiment from Vertex AI.")
@click.argument("experiment")
@click.option("--from", "from_", default="", metavar="vertex://PROJECT/LOCATION",
              help="Where it is; default: project and location of the settings.")  # fmt: skip
@click.option("--files", metavar="FOLDER", help="Fetch the runs' files into FOLDER too.")
@click.option("--force", is_flag=True, help="Take theirs where both sides have changed something.")
@click.option("--json", "json_", is_flag=True, help="Print for machines.")
def pull(experiment: str, from_: str, files: str | None, force: bool, json_: bool) -> None:
    """Bring the runs of EXPERIMENT from Vertex AI into the store, with their params, metrics,
    time series, artifacts, executions and lineage.

    Again it brings what is new. What both sides have changed is reported, and stays as it is
    here. Exit code 1 when there is such a conflict.
    """
    from nbtools import exchange

    settings, now = Settings.load(), utc_now()
    store = Store(settings.store)
    store.drain(now)
    service = exchange.connect(settings, from_)
    way = exchange.Way(settings.staging_bucket, force=force)
    pulled = exchange.pull(store, service, way, experiment, now)
    fetched = exchange.fetch(store, pulled.artifacts, Path(files)) if files else ()
    paths = [str(path) for path in fetched]
    if json_:
        told = {
            "experiment": experiment,
            "runs": pulled.runs,
            "new": pulled.new,
            "changed": pulled.changed,
            "points": pulled.points,
            "conflicts": pulled.conflicts,
            "remarks": pulled.remarks,
            "files": paths,
        }
        click.echo(json.dumps(told, indent=2))
    else:
        runs = f"{len(pulled.runs)} run{'s' * (len(pulled.runs) != 1)}"
        click.echo(
            f"{experiment}: {runs}, {pulled.new} new records, {pulled.changed} changed, "
            f"{pulled.points} new points"
        )
        for path in paths:
            click.echo(path)
        for remark in pulled.remarks:
            click.echo(f"note: {remark}", err=True)
        for conflict in pulled.conflicts:
            click.echo(f"conflict: {conflict}", err=True)
    if pulled.conflicts:
        raise SystemExit(1)
