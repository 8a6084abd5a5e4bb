"""How a sweep looks on a terminal: the board while it is at work, the table when it has ended."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from nbtools.cli import show

if TYPE_CHECKING:
    from nbtools.conductor import Board, Notice
    from nbtools.sweeps import Sweep
    from nbtools.trials import Trial

#: trials that have ended which the board shows; all are in the table at the end.
SHOWN = 8


@contextmanager
def watching() -> Iterator[Notice]:
    """Who is told of changes: on a terminal a board, elsewhere a line for each trial's end.
    Says how to go on after Ctrl-C.
    """
    names: list[str] = []

    def told(board: Board, ended: Trial | None) -> None:
        names[:] = [board.name]
        if live:
            live.update(picture(board))
        else:
            _line(board, ended)

    live: Any = None
    try:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live

            with Live(console=Console(stderr=True), transient=True, refresh_per_second=4) as live:
                yield told
        else:
            yield told
    except KeyboardInterrupt:
        for name in names:
            click.echo(f"to go on: {show.program()} sweep resume {name}", err=True)
        raise


def _line(board: Board, ended: Trial | None) -> None:
    if ended is None:
        return
    said = [f"{board.done}/{board.design.trials}", ended.state, show.values(ended.params)]
    if ended.value is not None:
        said.append(f"{board.design.objective}={_value(ended)}")
    said.append("executed before" if ended.reused else show.seconds(ended.seconds))
    if ended.state == "FAILED" or (ended.error and ended.value is None):
        said.append(show.text(ended.error))
    elif board.best is ended:
        said.append("best so far")
    click.echo("  ".join(said), err=True)


def picture(board: Board) -> Any:
    """The board: a bar with the best so far and the time left, and the newest trials."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    design, best = board.design, board.best
    head = Table.grid(padding=(0, 2))
    left = "" if math.isnan(board.left) else f"about {show.seconds(board.left)} left"
    top = f"best {design.objective} {_value(best)} in trial {best.number}" if best else ""
    bar = ProgressBar(total=design.trials, completed=board.done, width=24)
    head.add_row(board.name, bar, f"{board.done}/{design.trials}", Text(top), left)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    names = [*design.space]
    for name in ("TRIAL", "STATE", *names, design.objective or "", ""):
        table.add_column(Text(name), no_wrap=True)
    for t in board.ended[-SHOWN:]:
        style = "bold green" if t is best else "red" if t.state == "FAILED" else "dim"
        table.add_row(*_row(t), Text(t.error if t.state == "FAILED" else ""), style=style)
    for t, job, seen in board.working.values():
        at = f"cell {job.cell} of {job.cells or '?'}  {seen.text if seen else ''}"
        table.add_row(*_row(t, str(job.state)), Text(show.text(at)))
    return Group(head, table)


def _row(t: Trial, state: str = "") -> list[Any]:
    from rich.text import Text

    cells = [str(t.number), state or t.state, *map(show.value, t.params.values()), _value(t)]
    return [Text(cell) for cell in cells]


def summary(sweep: Sweep, *, report: bool = False) -> None:
    """Print how a sweep stands, its trials, and what to do next."""
    design, found, state = sweep.design, sweep.trials, sweep.state
    ended = sum(t.done for t in found)
    click.echo(f"{show.state(state)}  {sweep.name}  {ended} of {design.trials} trials")
    best = None
    if design.objective:
        from nbtools import trials

        best = trials.best(found, design.direction)
    rows = [
        (
            t.number, t.state, *map(show.value, t.params.values()),
            *([_value(t)] if design.objective else []), show.seconds(t.seconds), t.job,
            _remark(t, best),
        )
        for t in found
    ]  # fmt: skip
    heads = ("TRIAL", "STATE", *design.space, *([design.objective] if design.objective else []),
             "TIME", "JOB", "")  # fmt: skip
    show.table(heads, rows, "no trial has begun")
    command = show.program()
    page = sweep.folder / f"{sweep.name}.html"
    if report or page.exists():
        click.echo(f"  {show.short(str(page))}")
    click.echo("Next:")
    if state in ("INTERRUPTED", "CANCELLED"):
        click.echo(f"  {command} sweep resume {sweep.name}    # what has ended is not done again")
    if state == "RUNNING":
        click.echo(f"  {command} sweep cancel {sweep.name}")
    if best:
        click.echo(f"  {command} sweep best {sweep.name}")
    click.echo(f"  {command} runs list --experiment {sweep.experiment}")


def _remark(t: Trial, best: Trial | None) -> str:
    said = ["best"] if best and t.number == best.number else []
    if t.reused:
        said.append("executed before")
    elif t.state == "PRUNED":
        said.append(f"at step {t.step}")
    elif t.error:
        said.append(t.error[:80])
    return ", ".join(said)


def _value(t: Trial) -> str:
    return "" if t.value is None else show.value(t.value)
