"""The live line of `nbtools run`: cell i of n, elapsed, the last line of output."""

from __future__ import annotations

import sys

import click

from nbtools.cli import show
from nbtools.jobs import Jobs, SubmittedJob


def follow(jobs: Jobs, name: str) -> SubmittedJob:
    """Show the job's progress on standard error until it ends; returns it as it ended.

    On a terminal a bar; elsewhere a line for each cell, so that a log stays readable.
    """
    return _bar(jobs, name) if sys.stderr.isatty() else _lines(jobs, name)


def _lines(jobs: Jobs, name: str) -> SubmittedJob:
    cell = 0
    for job, _ in jobs.follow(name):
        if job.cell > cell:
            cell = job.cell
            took = show.seconds(job.seconds(jobs.clock()))
            click.echo(f"cell {cell} of {job.cells}  {took}", err=True)
    return jobs.get(name)


def _bar(jobs: Jobs, name: str) -> SubmittedJob:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.fields[state]}"),
        BarColumn(bar_width=24),
        TextColumn("cell {task.fields[cell]} of {task.fields[cells]}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[line]}", markup=False),  # a notebook's output, not ours
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None, state="", cell=0, cells="?", line="")
        for job, seen in jobs.follow(name):
            progress.update(
                task,
                # the cell at work is not done yet
                completed=job.cells if job.state.final else max(0, job.cell - 1),
                total=job.cells or None,
                state=job.state.lower(),
                cell=job.cell,
                cells=job.cells or "?",
                line=seen.text[: max(10, progress.console.width - 70)],
            )
    return jobs.get(name)
