"""`nbtools runs compare|export|report`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from nbtools.cli import selection, show
from nbtools.errors import RequestError
from nbtools.jobs import Jobs
from nbtools.runs import find_run

WIDEST = 40  #: characters of a value beside others


@click.command("compare")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option("--experiment", default="", help="The experiment they belong to.")
@click.option("--all", "all_", is_flag=True, help="Also what is the same in all.")
@click.option("--json", "json_", is_flag=True, help="Print for machines.")
def compare(runs: tuple[str, ...], experiment: str, all_: bool, json_: bool) -> None:
    """Show what differs between runs: params, metrics, the last values of series, and what
    they were executed with.
    """
    from nbtools import columns, comparison

    jobs = Jobs.open()
    jobs.reconcile()
    now = jobs.clock()
    found = [find_run(jobs.store, now, name, experiment) for name in runs]
    ends = columns.ends(jobs.store, experiment)
    everything = comparison.differences(found, ends, all=True)
    table = everything if all_ else comparison.differences(found, ends)
    heads = comparison.labels(found)
    if json_:
        show.as_json({name: dict(zip(heads, row, strict=True)) for name, row in table.items()})
        return
    rows = [[name, *(_cut(show.cell(value)) for value in row)] for name, row in table.items()]
    show.table(["", *heads], rows, "nothing differs")
    if rest := len(everything) - len(table):
        click.echo(f"{rest} the same: --all shows them")


@click.command("export")
@selection.options
@click.option(
    "--format",
    "format_",
    type=click.Choice(["csv", "parquet", "json"]),
    help="Default: as -o ends, else csv.",
)
@click.option("-o", "--output", default="-", metavar="FILE", help="Default: - for standard output.")
@click.option("--series", is_flag=True, help="JSON only: with every point of every series.")
def export(
    experiment: str,
    filter_: str,
    tags: tuple[str, ...],
    format_: str | None,
    output: str,
    series: bool,
) -> None:
    """Write the table of runs, a row each: experiment_name, run_name, run_type, state,
    param.*, metric.*, time_series_metric.* (the last value).
    """
    from nbtools import export as exporting

    ending = Path(output).suffix.lower().removeprefix(".")
    format_ = format_ or (ending if ending in exporting.FORMATS else "csv")
    if series and format_ != "json":
        raise RequestError("--series goes with --format json: a table has no place for points")
    jobs = Jobs.open()
    found = selection.runs(jobs, experiment, filter_, tags)
    data = exporting.export(jobs.store, found, format_, experiment, series=series)
    if output == "-":
        sys.stdout.buffer.write(data)
        return
    write(output, data)
    click.echo(f"{len(found)} runs in {show.short(str(Path(output).absolute()))}")


@click.command("report")
@selection.options
@click.option(
    "-o", "--output", required=True, metavar="FILE", help="The page, for example report.html."
)
@click.option(
    "--metric", default="", help="What params are drawn against. Default: the first metric."
)
@click.option("--title", default="", help="The page's heading.")
@show.JSON
def report(
    experiment: str,
    filter_: str,
    tags: tuple[str, ...],
    output: str,
    metric: str,
    title: str,
    json_: bool,
) -> None:
    """Write one HTML page that opens without a network: the table of runs, learning curves,
    params against a metric, and which params matter for it.
    """
    from nbtools import runs_page

    jobs = Jobs.open()
    found = selection.runs(jobs, experiment, filter_, tags)
    if not found:
        raise RequestError(selection.none(filter_, tags))
    page = runs_page.page(
        jobs.store, found, jobs.clock(), experiment=experiment, metric=metric, title=title
    )
    write(output, page.encode(errors="xmlcharrefreplace"))
    if json_:
        show.as_json({"file": str(Path(output).absolute()), "runs": len(found)})
        return
    click.echo(f"{len(found)} runs in {show.short(str(Path(output).absolute()))}")


def _cut(text: str) -> str:
    """As much of a value as leaves room for the others; a command or a cell may be long."""
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 3]}..."


def write(output: str, data: bytes) -> None:
    """Write a file. Raises RequestError."""
    from nbtools.nouns import place

    try:
        place(output).write_bytes(data)
    except OSError as error:
        raise RequestError(
            f"cannot write {output}: {error.strerror}; name a file in a folder that can be written"
        ) from None
