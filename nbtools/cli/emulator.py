"""`nbtools emulator start|stop|status|env|run`."""

from __future__ import annotations

import shlex
import signal
import sys
import threading

import click

from nbtools.cli import show
from nbtools.settings import Settings, environment

_PROJECT = click.option("--project", default="local", help="For programs that name no project.")
_LOCATION = click.option("--location", default="us-central1", help="Likewise: a real region.")
_PORT = click.option("--port", default=0, help="For HTTP. Default: the last one.")
_TRANSPORT = click.option(
    "--transport", type=click.Choice(["rest", "grpc"]), default="rest", help="How to talk to it."
)


@click.group(short_help="Serve the store as Vertex AI to Google's own SDK.")
def emulator() -> None:
    """Serve the store as Vertex AI: with `eval "$(nbtools emulator env)"` programs that use
    google-cloud-aiplatform log to the store of nbtools, offline and without a change.
    """


@emulator.command("start")
@_PROJECT
@_LOCATION
@_PORT
def start(project: str, location: str, port: int) -> None:
    """Begin to serve in the background; if that is done already, say where."""
    from nbtools.emulator import lifecycle

    found = lifecycle.start(Settings.load().store, project, location, port)
    _say(found)
    click.echo('eval "$(nbtools emulator env)" makes programs of this shell use it', err=True)


@emulator.command("stop")
def stop() -> None:
    """End what serves in the background."""
    from nbtools.emulator import lifecycle

    found = lifecycle.stop(Settings.load().store)
    click.echo(f"ended: {found.url}" if found else "no emulator runs")


@emulator.command("status")
@click.option("--json", "json_", is_flag=True, help="Print for machines.")
def status(json_: bool) -> None:
    """Say whether one runs, and where; exit code 1 if none does."""
    from nbtools.emulator import lifecycle

    store = Settings.load().store
    found = lifecycle.running(store)
    if json_:
        show.as_json({"running": found is not None, "store": str(store)}
                     | (lifecycle.record(found) if found else {}))  # fmt: skip
    elif found:
        _say(found)
    else:
        click.echo(f"no emulator runs for {store}: `nbtools emulator start` begins one")
    if found is None:
        sys.exit(1)


@emulator.command("env")
@_TRANSPORT
def env(transport: str) -> None:
    """Print what to put into a shell's environment; begins the emulator if none runs."""
    from nbtools.emulator import lifecycle

    made = lifecycle.surroundings(Settings.load().store, environment(), transport)
    for name, value in made.items():
        click.echo(f"export {name}={shlex.quote(value)}")


@emulator.command("run")
@_PROJECT
@_LOCATION
@_PORT
def run(project: str, location: str, port: int) -> None:
    """Serve until Ctrl-C or SIGTERM."""
    from nbtools.emulator import server
    from nbtools.nouns import utc_now

    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stopping.set())
    server.run(Settings.load().store, project, location, port, stopping, utc_now, _say)


def _say(found: object) -> None:
    from nbtools.emulator.lifecycle import Running

    assert isinstance(found, Running)
    click.echo(
        f"{found.url} (gRPC {found.grpc}, gs:// {found.storage}), project {found.project} in "
        f"{found.location}, process {found.pid}"
    )
