"""`nbtools jobs watch`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nbtools.cli import show
from nbtools.errors import NotebookFailed
from nbtools.jobs import Jobs
from nbtools.states import JobState

if TYPE_CHECKING:
    from nbtools.monitor import Monitor, Sight

#: columns of a terminal from which there is room for the notebook's name besides the job's.
WIDE = 110


@click.command("watch")
@click.argument("names", nargs=-1, metavar="[JOB]...")
@click.option("--json", "json_", is_flag=True, help="An object a line, one for each change.")
def watch(names: tuple[str, ...], json_: bool) -> None:
    """Watch jobs at work, and those that have ended lately, until Ctrl-C.

    With names, only these, until they have ended; the exit code is 1 when one did not
    succeed. On a terminal it is a table, elsewhere a line for each change.
    """
    from nbtools.monitor import Monitor

    jobs = Jobs.open()
    monitor = Monitor(jobs, names)
    if json_ or not sys.stdout.isatty():
        for changed in monitor.changes():
            for sight in changed:
                click.echo(json.dumps(sight.record()) if json_ else _line(jobs, sight))
            sys.stdout.flush()
    else:
        _table(monitor, bool(names))
    if names and any(s.job.state is not JobState.SUCCEEDED for s in monitor.look()):
        sys.exit(NotebookFailed.exit_code)


def _line(jobs: Jobs, sight: Sight) -> str:
    job = sight.job
    said = show.text(job.error or sight.text)[: show.LONGEST]
    took = show.seconds(sight.seconds)
    clock = f"{jobs.clock().astimezone():%H:%M:%S}"
    return f"{clock}  {job.state}  {job.name}  {_cell(sight)}  {took}  {said}".rstrip()


def _cell(sight: Sight) -> str:
    return f"cell {sight.job.cell}/{sight.job.cells or '?'}"


def _table(monitor: Monitor, ends: bool) -> None:
    """Draw it anew at each look; the clock goes on when nothing else does."""
    from rich.console import Console
    from rich.live import Live

    from nbtools.monitor import PAUSE

    console = Console()
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            sights = monitor.look()
            live.update(_drawn(sights, console), refresh=True)
            if ends and all(s.job.state.final for s in sights):
                return
            time.sleep(PAUSE)


def _drawn(sights: Sequence[Sight], console: Any) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, expand=True, header_style="bold")
    wide = console.width >= WIDE
    for name in ("STATE", "JOB", *["NOTEBOOK"] * wide, "CELL", "TIME"):
        table.add_column(name, no_wrap=True)
    table.add_column("SAYS", no_wrap=True, overflow="ellipsis", ratio=1)
    room = max(3, console.height - 3)
    for sight in sights[:room]:
        job = sight.job
        notebook = Text(show.text(Path(job.notebook).name))
        table.add_row(
            Text(job.state.ljust(10), style=show.COLOURS.get(job.state, "")),
            Text(job.name),
            *[notebook] * wide,
            f"{job.cell}/{job.cells or '?'}",
            show.seconds(sight.seconds),
            Text(show.text(job.error or sight.text)),
            style="dim" if job.state.final else "",
        )
    rest = len(sights) - room
    working = sum(not s.job.state.final for s in sights)
    table.caption = f"{working} at work" + (f", {rest} more not shown" if rest > 0 else "")
    table.caption_justify = "left"
    return table
