"""The live lines of `nbtools run`: cell i of n, elapsed, the last line of output."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from nbtools.cli import show
from nbtools.jobs import Jobs, SubmittedJob

if TYPE_CHECKING:
    from nbtools.executor import Observation
    from nbtools.request import Request


def follow(jobs: Jobs, job: SubmittedJob) -> SubmittedJob:
    """Show the job's progress on standard error until it ends; returns it as it ended.

    On a terminal a bar; elsewhere a line for each cell, so that a log stays readable.
    """
    if job.state.final:  # it was there already
        return job
    return _bar(jobs, job) if sys.stderr.isatty() else _lines(jobs, job)


def _lines(jobs: Jobs, job: SubmittedJob) -> SubmittedJob:
    cell = 0
    for now, _ in jobs.follow(job.name):
        job = now
        if job.cell > cell:
            cell = job.cell
            took = show.seconds(job.seconds(jobs.clock()))
            click.echo(f"cell {cell} of {job.cells}  {took}", err=True)
    return job


def _bar(jobs: Jobs, job: SubmittedJob) -> SubmittedJob:
    with _progress() as progress:
        task = progress.add_task("", total=None, state="", cell="", line="")
        for now, seen in jobs.follow(job.name):
            job = now
            _update(progress, task, job, seen)
    return job


def follow_many(requests: list[Request], parallel: int) -> list[SubmittedJob]:
    """Execute side by side: a bar for each at work, a line for each that has ended."""
    from nbtools.batch import run_many

    if not sys.stderr.isatty():
        return run_many(requests, parallel, _tell)
    bars: dict[str, Any] = {}
    with _progress() as progress:
        whole = progress.add_task("", total=len(requests), state="all", cell="", line="")

        def notice(job: SubmittedJob, seen: Observation | None) -> None:
            if job.name not in bars:
                bars[job.name] = progress.add_task("", total=None, state="", cell="", line="")
            if job.state.final:
                progress.remove_task(bars[job.name])
                progress.advance(whole)
                progress.console.print(_ended(job), highlight=False, markup=False)
            else:
                _update(progress, bars[job.name], job, seen, job.name)

        return run_many(requests, parallel, notice)


def _tell(job: SubmittedJob, seen: Observation | None) -> None:  # noqa: ARG001
    if job.state.final:
        click.echo(_ended(job), err=True)


def _ended(job: SubmittedJob) -> str:
    took = show.seconds(job.seconds(job.end_time)) if job.end_time else ""
    return f"{job.state}  {job.name}  {took}  {job.error}".rstrip()


def _progress() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.fields[state]}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[cell]}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[line]}", markup=False),  # a notebook's output, not ours
    )
    return Progress(*columns, console=Console(stderr=True), transient=True)


def _update(
    progress: Any, task: Any, job: SubmittedJob, seen: Observation | None, name: str = ""
) -> None:
    line = f"{name} {seen.text if seen else ''}".strip()
    progress.update(
        task,
        # the cell at work is not done yet
        completed=job.cells if job.state.final else max(0, job.cell - 1),
        total=job.cells or None,
        state=job.state.lower(),
        cell=f"cell {job.cell} of {job.cells or '?'}",
        line=line[: max(10, progress.console.width - 70)],
    )
