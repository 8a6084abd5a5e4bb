"""`nbtools push`: send to mirrors what is left, and runs to Vertex AI."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from nbtools.cli import show
from nbtools.errors import NbtoolsError, RequestError
from nbtools.jobs import Jobs
from nbtools.nouns import utc_now
from nbtools.runs import find_run, list_runs
from nbtools.settings import Settings
from nbtools.store import Store

if TYPE_CHECKING:
    from nbtools.push import Sent

WATCH = 5.0  #: seconds between two looks at a folder


@click.command(short_help="Send runs to Vertex AI, and to mirrors what is left.")
@click.argument("runs", nargs=-1)
@click.option("--to", default="", metavar="vertex://PROJECT/LOCATION",
              help="Send runs there, all of them or RUNS.")  # fmt: skip
@click.option("--mirror", default="", help="Only to this one: vertex, wandb, tensorboard, a URI.")
@click.option("--experiment", default="", help="The experiment that RUNS belong to.")
@click.option("--option", "options", nargs=2, multiple=True, metavar="NAME VALUE",
              help="With RUNS: what the mirror is made with, as project digits.")  # fmt: skip
@click.option("--force", is_flag=True, help="Overwrite what others have changed there.")
@click.option("--status", is_flag=True, help="Show what waits, and send nothing.")
@click.option("--logdir", default="", metavar="FOLDER",
              help="Send TensorBoard's event files there to --to, as --experiment.")  # fmt: skip
@click.option("--watch", is_flag=True, help="With --logdir: go on until Ctrl-C.")
@click.option("--json", "json_", is_flag=True, help="Print for machines.")
def push(
    runs: tuple[str, ...],
    to: str,
    mirror: str,
    experiment: str,
    options: tuple[tuple[str, str], ...],
    force: bool,
    status: bool,
    logdir: str,
    watch: bool,
    json_: bool,
) -> None:
    """Send what mirrors could not take while runs were at work, files to their URIs, and runs
    that have been on Vertex AI and have changed since.

    With --to, send runs to Vertex AI: all of them, those of --experiment, or RUNS. With RUNS
    and --mirror, send those to that mirror from the store, whether it has heard of them or
    not. What is on Vertex AI already is left; what others have changed there is reported, and
    not overwritten. Exit code 1 when something is left.
    """
    settings, now = Settings.load(), utc_now()
    store = Store(settings.store)
    store.drain(now)
    if options and not runs:
        raise RequestError("--option goes with RUNS: what is kept knows how its mirror is made")
    if watch and not logdir:
        raise RequestError("--watch goes with --logdir, the folder to watch")
    if status:
        found = list(_waiting(store, settings))
    elif logdir:
        found = _logdir(settings, logdir, to, experiment, watch)
    elif to or (mirror == "vertex" and runs) or (runs and not mirror and settings.project):
        found = list(_to_vertex(store, settings, runs, to, experiment, force, dict(options)))
    elif runs:
        found = _told(store, runs, mirror, experiment, dict(options))
    else:
        Jobs(store, settings).reconcile()  # who looks writes down how they ended
        found = list(_left(store, settings, mirror))
    if json_:
        click.echo(json.dumps([show.record(one) for one in found], indent=2))
    else:
        for note in dict.fromkeys(note for one in found for note in one.notes):
            click.echo(f"note: {note}", err=True)
        rows = [(s.mirror, show.short(s.what), s.count, s.left or "all sent") for s in found]
        show.table(("MIRROR", "RUN OR FOLDER", "SENT", "LEFT"), rows, "nothing is left to send")
    if any(one.left for one in found) and not status:
        raise SystemExit(1)


def _waiting(store: Store, settings: Settings) -> Iterator[Sent]:
    from nbtools import exchange
    from nbtools.push import waiting

    yield from waiting(store)
    yield from exchange.waiting(store, settings, utc_now())


def _left(store: Store, settings: Settings, mirror: str) -> Iterator[Sent]:
    from nbtools.push import push

    yield from push(store, mirror)
    if mirror in ("", "vertex"):
        from nbtools import exchange

        yield from exchange.push_changed(store, settings, utc_now())


def _to_vertex(
    store: Store,
    settings: Settings,
    runs: tuple[str, ...],
    to: str,
    experiment: str,
    force: bool,
    options: dict[str, str],
) -> Iterator[Sent]:
    from nbtools import exchange

    now = utc_now()
    way = exchange.Way(
        options.pop("staging_bucket", settings.staging_bucket),
        options.pop("tensorboard", ""),
        force,
    )
    service = exchange.connect(settings, to or options.pop("to", ""))
    if options:
        raise RequestError(f"{', '.join(options)}: Vertex AI takes staging_bucket and tensorboard")
    found = [find_run(store, now, name, experiment) for name in runs]
    found = found or list_runs(store, now, experiment)[::-1]
    yield from exchange.push_runs(store, service, way, [run.id for run in found], now)


def _told(
    store: Store, runs: tuple[str, ...], mirror: str, experiment: str, options: dict[str, str]
) -> list[Sent]:
    from nbtools.mirror import reason
    from nbtools.push import Sent, send_run

    if not mirror:
        raise RequestError(
            "which mirror shall hear of them? --mirror wandb, or --to vertex://PROJECT/us-central1"
        )
    sent: list[Sent] = []
    for name in runs:
        run = find_run(store, utc_now(), name, experiment)
        try:
            sent.append(send_run(store, run, mirror, options))
        except NbtoolsError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a mirror raises
            what = f"{run.experiment}/{run.name}"
            sent.append(Sent(mirror=mirror, what=what, left=reason(error)))
    return sent


def _logdir(settings: Settings, logdir: str, to: str, experiment: str, watch: bool) -> list[Sent]:
    from nbtools import exchange
    from nbtools.push import Sent
    from nbtools.vertex.logdir import Logdir

    service = exchange.connect(settings, to)
    logs = Logdir(service, logdir, experiment)
    count = logs.send()
    try:
        while watch:
            time.sleep(WATCH)
            count += logs.send()
    except KeyboardInterrupt:
        count += logs.send()
    where = exchange.uri(service.place)
    return [Sent(mirror=where, what=logdir, count=count, notes=tuple(logs.remarks))]
