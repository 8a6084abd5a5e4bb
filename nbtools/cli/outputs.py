"""`nbtools outputs list|fetch|open`."""

from __future__ import annotations

import click

from nbtools.cli import show
from nbtools.errors import NotFound
from nbtools.jobs import Jobs
from nbtools.outputs import Outputs


@click.group(short_help="List, fetch and open what a job left behind.")
def outputs() -> None:
    """List, fetch and open what a job left. JOB is a name, its beginning, or `last`."""


@outputs.command("list")
@click.argument("job")
@click.option("--json", "json_", is_flag=True, help="Print for machines.")
def list_(job: str, json_: bool) -> None:
    """List a job's files and named values."""
    jobs = Jobs.open()
    found = jobs.outputs(jobs.get(job))
    if json_:
        files = {name: str(path) for name, path in found.paths.items()}
        show.as_json(
            {"files": files, "values": dict(found.values), "left_out": dict(found.left_out)}
        )
        return
    _left_out(found)
    rows = [
        (name, f"{path.stat().st_size:,} B", show.short(str(path)))
        for name, path in found.paths.items()
    ]
    show.table(("FILE", "SIZE", "PATH"), rows, "no files yet")
    click.echo()
    values = [(name, show.value(v)) for name, v in found.values.items()]
    show.table(("VALUE", ""), values, "no values: log_metrics in the notebook gives some")


@outputs.command("fetch")
@click.argument("job")
@click.argument("names", nargs=-1)
@click.option("--to", default=".", metavar="FOLDER|URI",
              help="A folder, or a URI such as gs://bucket/path. Default: here.")  # fmt: skip
@click.option("--force", is_flag=True, help="Replace files that are there already.")
@click.option("--json", "json_", is_flag=True, help="Print for machines.")
def fetch(job: str, names: tuple[str, ...], to: str, force: bool, json_: bool) -> None:
    """Copy a job's files, or those of the given NAMES, into a folder or below a URI.

    What is there already and the same is left alone, so that the same command goes on with
    what was interrupted.
    """
    jobs = Jobs.open()
    found = jobs.outputs(jobs.get(job))
    copies = found.fetch(to, names, overwrite=force)
    if json_:
        show.as_json(copies)
    else:
        for path in copies:
            click.echo(show.text(path))
    _left_out(found)


def _left_out(found: Outputs) -> None:
    for name, why in found.left_out.items():
        click.echo(f"left out: {show.text(name)}: {show.text(why)}", err=True)


@outputs.command("open")
@click.argument("job")
@click.argument("name", default="")
@show.JSON
def open_(job: str, name: str, json_: bool) -> None:
    """Open a job's report, or the output file NAME, and print where it is."""
    jobs = Jobs.open()
    found = jobs.outputs(jobs.get(job))
    path = found.paths.get(name) if name else jobs.report(jobs.get(job))
    if path is None:
        there = ", ".join(found.paths) or "nothing yet"
        raise NotFound(f"no output {name!r} to open: there is {there}")
    if json_:
        show.as_json({"path": str(path)})
    else:
        click.echo(path)
    click.launch(str(path))
