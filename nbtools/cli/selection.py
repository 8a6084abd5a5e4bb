"""Which runs a command is about: `--experiment`, `--filter` and `--tag`, the same for all."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import click

from nbtools.jobs import Jobs
from nbtools.nouns import Run
from nbtools.runs import list_runs

FILTER = "In Vertex AI's filter language, for example 'metadata._metrics.loss < 0.1'."


def options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that choose runs."""
    command = click.option("--tag", "tags", multiple=True, help="Only those with this tag.")(
        command
    )
    command = click.option("--filter", "filter_", default="", metavar="TEXT", help=FILTER)(command)
    return click.option("--experiment", default="", help="Only this experiment's.")(command)


def runs(jobs: Jobs, experiment: str, filter_: str, tags: Sequence[str]) -> list[Run]:
    """The runs that were chosen, newest first; how a filter was read is said if need be."""
    from nbtools import filters
    from nbtools.nouns import Context

    read = filters.parse(filter_, Context)
    if read.warning:
        click.echo(f"nbtools: {read.warning}", err=True)
    jobs.reconcile()
    found = list_runs(jobs.store, jobs.clock(), experiment, read)
    return [run for run in found if set(tags) <= set(run.tags)]


def none(filter_: str, tags: Sequence[str]) -> str:
    """What to say when there are none."""
    from nbtools import filters
    from nbtools.cli import show
    from nbtools.nouns import Context

    if filter_:
        return f"no run fits {filters.canonical(filter_, Context)}"
    if tags:
        return f"no run is tagged {' and '.join(tags)}"
    return f"no runs yet: {show.program()} run NOTEBOOK"
