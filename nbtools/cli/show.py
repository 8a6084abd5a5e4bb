"""How things look on a terminal: tables, values, sparklines, a finished job's summary."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import click

from nbtools.doctor import Finding
from nbtools.jobs import Jobs
from nbtools.nouns import Artifact, Job, run_id
from nbtools.summaries import SYSTEM

COLOURS = {"SUCCEEDED": "green", "COMPLETE": "green", "FAILED": "red", "CANCELLED": "yellow"}
LONGEST = 80  #: characters of a value
BARS = "▁▂▃▄▅▆▇█"


#: the option of every command that has something to show.
JSON = click.option("--json", "json_", is_flag=True, help="Print for machines.")


def as_json(value: object) -> None:
    """Print `value` for machines."""
    click.echo(dumps(value))


def dumps(value: object) -> str:
    """`value` for machines. JSON has no NaN and no infinity: they are strings, as in Vertex
    AI's JSON.
    """
    try:
        return json.dumps(value, indent=2, default=str, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), indent=2, default=str, allow_nan=False)


def _finite(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def table(heads: Sequence[str], rows: Iterable[Sequence[object]], empty: str) -> None:
    """Print rows in columns; `empty` says what to do when there are none."""
    texts = [[text(str(item)) for item in row] for row in rows]
    if not texts:
        click.echo(empty)
        return
    widths = [max(len(row[i]) for row in [list(heads), *texts]) for i in range(len(heads))]
    click.secho(_columns(heads, widths), bold=True)
    for row in texts:
        click.echo(_columns(row, widths))


def _columns(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [
        click.style(text.ljust(width), fg=COLOURS[text]) if text in COLOURS else text.ljust(width)
        for text, width in zip(row, widths, strict=True)
    ]
    return "  ".join(cells).rstrip()


def findings(found: Sequence[Finding]) -> None:
    """Print what was looked at, and under what is wrong, what mends it."""
    width = max(len(f.what) for f in found)
    for f in found:
        mark = click.style("!!", fg="red") if f.mend else click.style("ok", fg="green")
        click.echo(f"{mark}  {f.what.ljust(width)}  {f.found}")
        if f.mend:
            click.echo(f"    {' ' * width}  {f.mend}")


def state(text: str) -> str:
    """A state in its colour."""
    return click.style(text, fg=COLOURS.get(text), bold=True)


def text(said: str) -> str:
    """What a notebook said, on one line: what would move the cursor or colour is spelled out."""
    if said.isprintable():
        return said
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in said)


def value(item: object) -> str:
    """A param or a metric, short."""
    if isinstance(item, float):
        return f"{item:.5g}"
    said = text(str(item))
    return said if len(said) <= LONGEST else f"{said[: LONGEST - 3]}..."


def cell(item: object) -> str:
    """What stands in a table's cell; nothing for what is not there."""
    if item is None:
        return ""
    return when(item) if isinstance(item, datetime) else value(item)


def values(named: Mapping[str, object]) -> str:
    """Params or metrics in one line."""
    return "  ".join(f"{text(k)}={value(v)}" for k, v in named.items()) or "none"


def seconds(duration: float) -> str:
    """A duration, short: 4.2 s, 3 min 20 s, 2 h 5 min."""
    if duration < 60:
        return f"{duration:.1f} s"
    minutes, rest = divmod(round(duration), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def when(time: datetime | None) -> str:
    """A time in the reader's zone."""
    return f"{time.astimezone():%Y-%m-%d %H:%M:%S}" if time else ""


def sparkline(numbers: Sequence[float], width: int = 40) -> str:
    """A line of bars; at most `width`, each the mean of its stretch. NaN is a blank."""
    count = min(width, len(numbers))
    edges = [round(i * len(numbers) / count) for i in range(count + 1)] if count else [0]
    means = [sum(part) / len(part) for a, b in pairwise(edges) for part in [numbers[a:b]]]
    finite = [m for m in means if math.isfinite(m)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 0.0)
    span = (high - low) or 1.0
    return "".join(
        BARS[round((m - low) / span * (len(BARS) - 1))] if math.isfinite(m) else " " for m in means
    )


def series(jobs: Jobs, experiment: str, run: str) -> None:
    """Print each time series of a run as a sparkline with its first and last value; those
    of the machine, which are no results, are left out.
    """
    points_of = jobs.store.points(run_id(experiment, run))
    found = {key: points for key, points in points_of.items() if not key.startswith(SYSTEM)}
    width = max(map(len, found), default=0)
    for key, points in found.items():
        numbers = [point[2] for point in points]
        ends = f"{value(numbers[0])} → {value(numbers[-1])}"
        click.echo(
            f"  {text(key).ljust(width)}  {sparkline(numbers)}  {ends}  ({len(points)} steps)"
        )


def artifacts(jobs: Jobs, experiment: str, run: str) -> list[Artifact]:
    """What a run left behind, oldest first."""
    return jobs.store.select(Artifact, context=run_id(experiment, run))[::-1]


def summary(jobs: Jobs, job: Job) -> None:
    """Print how a job ended, what came out and where it lies, and what to do next."""
    from nbtools.nouns import Context, Run

    jobs.store.drain(jobs.clock())
    context = jobs.store.find(Context, run_id(job.experiment, job.run))
    took = seconds(job.seconds(jobs.clock()))
    click.echo(f"{state(job.state)}  {job.name}  after {took}")
    if job.error:
        click.secho(text(job.error), fg="red")
    if job.note:
        click.echo(f"  {job.note}")
    if job.retry_of:
        click.echo(f"  executes job {job.retry_of} again")
    if context is None:
        click.echo(f"  its run {job.run} was deleted")
    else:
        run = Run.of(context)
        click.echo(f"  params   {values(run.params)}")
        click.echo(f"  metrics  {values(run.metrics)}")
    series(jobs, job.experiment, job.run)
    left = artifacts(jobs, job.experiment, job.run)
    width = max((len(a.display_name) for a in left), default=0)
    for artifact in left:
        click.echo(f"  {text(artifact.display_name).ljust(width)}  {short(artifact.uri)}")
    if job.state.final:
        command, notebook = program(), short(job.notebook)
        click.echo("Next:")
        if job.error:
            click.echo(f"  {command} jobs resume {job.name}    # from where it stopped")
            click.echo(f"  {command} jobs retry {job.name}    # from its first cell")
        click.echo(f"  {command} outputs open {job.name}")
        click.echo(f"  {command} runs list --experiment {job.experiment}")
        click.echo(f"  {command} params {notebook}    # what to change with -p NAME VALUE")


def short(path: str) -> str:
    """A path as seen from here, when it is below."""
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path


def program() -> str:
    """How this command was called, so that what is shown can be pasted."""
    called = sys.argv[0]
    return short(str(Path(called).absolute())) if "/" in called else "nbtools"


def record(noun: Any) -> dict[str, Any]:
    """A record as JSON takes it."""
    from dataclasses import asdict

    return asdict(noun)
