"""`nbtools push`: send to mirrors what is left."""

from __future__ import annotations

import json

import click

from nbtools.cli import show
from nbtools.errors import NbtoolsError, RequestError
from nbtools.nouns import utc_now
from nbtools.runs import find_run
from nbtools.settings import Settings
from nbtools.store import Store


@click.command(short_help="Send to mirrors what could not be sent before.")
@click.argument("runs", nargs=-1)
@click.option("--mirror", default="", help="Only to this one: wandb, tensorboard, or a URI.")
@click.option("--experiment", default="", help="The experiment that RUNS belong to.")
@click.option("--option", "options", nargs=2, multiple=True, metavar="NAME VALUE",
              help="With RUNS: what the mirror is made with, as project digits.")  # fmt: skip
@click.option("--json", "json_", is_flag=True, help="Print for machines.")
def push(
    runs: tuple[str, ...],
    mirror: str,
    experiment: str,
    options: tuple[tuple[str, str], ...],
    json_: bool,
) -> None:
    """Send what mirrors could not take while runs were at work, and files to their URIs.

    With RUNS, send those to --mirror from the store, whether it has heard of them or not.
    Exit code 1 when something is left.
    """
    from nbtools.mirror import reason
    from nbtools.push import Sent, push, send_run

    store, now = Store(Settings.load().store), utc_now()
    store.drain(now)
    sent: list[Sent] = []
    if runs and not mirror:
        raise RequestError("which mirror shall hear of them? --mirror wandb, for example")
    if options and not runs:
        raise RequestError("--option goes with RUNS: what is kept knows how its mirror is made")
    for name in runs:
        run = find_run(store, now, name, experiment)
        try:
            sent.append(send_run(store, run, mirror, dict(options)))
        except NbtoolsError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a mirror raises
            what = f"{run.experiment}/{run.name}"
            sent.append(Sent(mirror=mirror, what=what, left=reason(error)))
    if not runs:
        sent += push(store, mirror)
    if json_:
        click.echo(json.dumps([show.record(one) for one in sent], indent=2))
    else:
        rows = [(s.mirror, show.short(s.what), s.count, s.left or "all sent") for s in sent]
        show.table(("MIRROR", "RUN OR FOLDER", "SENT", "LEFT"), rows, "nothing is left to send")
    if any(one.left for one in sent):
        raise SystemExit(1)
