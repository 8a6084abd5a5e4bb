"""`nbtools tb`: TensorBoard on runs."""

from __future__ import annotations

import os
import select
import signal
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import click

from nbtools.nouns import utc_now
from nbtools.settings import Settings
from nbtools.store import Store

REFRESH = 5.0  #: seconds


@click.command(short_help="Open TensorBoard on runs.")
@click.argument("runs", nargs=-1)
@click.option("--experiment", default="", help="Only this experiment's runs.")
@click.option("--port", type=click.IntRange(0, 65535), help="Default: the first free from 6006 on.")
@click.option("--host", default="localhost", show_default=True, help="Where to listen.")
@click.option("--no-open", is_flag=True, help="Print the URL and open no browser.")
def tb(runs: tuple[str, ...], experiment: str, port: int | None, host: str, no_open: bool) -> None:
    """Open TensorBoard on RUNS, or on all of an experiment, until Ctrl-C.

    Runs go by their names. What they log meanwhile appears, and runs that wrote no event
    files are shown from what the store has. Behind a proxy TENSORBOARD_PROXY_URL says where
    the port is found, for example /proxy/%PORT%/.
    """
    from nbtools.board import Board, none_shown, serve, stop

    settings = Settings.load()
    with TemporaryDirectory(prefix="nbtools-tb-") as folder:
        board = Board(Store(settings.store), Path(folder), experiment, runs)
        shown = board.refresh(utc_now())
        if not shown:
            raise none_shown(experiment)
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does
        try:
            url = serve(Path(folder), port, host)
            told = _told_to_end()
            proxied = settings.tensorboard_proxy.replace("%PORT%", str(urlsplit(url).port))
            click.echo(f"TensorBoard on {len(shown)} run{'s' * (len(shown) > 1)}: {proxied or url}")
            click.echo("Ctrl-C ends it.")
            if not (no_open or proxied):
                click.launch(url)
            while not select.select([told], [], [], REFRESH)[0]:
                board.refresh(utc_now())
            click.echo("\nTensorBoard has ended.")
        except KeyboardInterrupt:  # while it was starting
            click.echo("\nTensorBoard has ended.")
        finally:
            stop()


def _told_to_end() -> int:
    """A descriptor that can be read from once SIGINT or SIGTERM has come. Their exception might
    be raised, and lost, in whatever callback is just at work.
    """
    read, write = os.pipe()
    here = os.getpid()

    def tell(number: int, _: object) -> None:
        if os.getpid() != here:  # a process that a plugin has forked
            os._exit(128 + number)
        os.write(write, b".")

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, tell)
    return read
