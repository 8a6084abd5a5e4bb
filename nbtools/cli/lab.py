"""`nbtools lab`: JupyterLab with its job screens on nbtools."""

from __future__ import annotations

import os
import sys

import click

from nbtools.registry import need
from nbtools.settings import environment


@click.command(
    short_help="Open JupyterLab, its job screens on this store.",
    context_settings={"ignore_unknown_options": True, "help_option_names": ["-h", "--help"]},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def lab(arguments: tuple[str, ...]) -> None:
    """Open JupyterLab so that its job screens ("Create Job", Notebook Jobs) run on nbtools.

    ARGUMENTS go to `jupyter lab`: a folder, --no-browser, --port 8890. Schedules fire for as
    long as it is open, where no `nbtools service` runs.
    """
    need("jupyterlab")
    need("jupyter_scheduler")
    from nbtools.lab import card, configured

    command = [sys.executable, "-m", "jupyterlab", card(), *arguments]
    sys.stdout.flush()
    os.execve(command[0], command, configured(environment()))  # noqa: S606 - it takes our place
