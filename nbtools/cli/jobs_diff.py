"""`nbtools jobs diff`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from nbtools.cli import show
from nbtools.cli.git_diff import CONTROLS, LOOKS
from nbtools.jobs import Jobs

if TYPE_CHECKING:
    from nbtools.differences import CellDifference, Difference, JobDifference

MOST = 40  #: lines of a cell's diff that are shown


@click.command("diff")
@click.argument("a")
@click.argument("b")
@click.option("--all", "all_", is_flag=True, help="Whole diffs, however long they are.")
@click.option("--exit-code", is_flag=True, help="Exit with 1 when there are differences.")
@click.option("--html", default="", metavar="FILE", help="Write it as a page as well.")
@click.option("--json", "json_", is_flag=True, help="Print for machines.")
def diff(a: str, b: str, all_: bool, exit_code: bool, html: str, json_: bool) -> None:
    """Show what differs between jobs A and B: why their results differ, if they do.

    First what went in: parameters, edited cells, data, packages, commit, options. Then what
    came out: metrics, files, and what each cell showed; pictures by their digests. Like
    `git diff`, it ends with 0 also when there are differences, unless --exit-code is given.
    """
    from dataclasses import asdict

    from nbtools.differences import difference

    jobs = Jobs.open()
    found = difference(jobs, jobs.get(a), jobs.get(b))
    if html:
        from nbtools.cli.runs_compare import write
        from nbtools.differences_page import page

        write(html, page(found).encode(errors="xmlcharrefreplace"))
    if json_:
        show.as_json({"verdict": found.verdict, "differs": found.differs, **asdict(found)})
    else:
        _print(jobs, found, 0 if all_ else MOST)
    if exit_code and found.differs:
        sys.exit(1)


def _print(jobs: Jobs, found: JobDifference, most: int) -> None:
    now = jobs.clock()
    for sign, job in (("-", found.before), ("+", found.after)):
        took, begun = show.seconds(job.seconds(now)), show.when(job.start_time or job.create_time)
        name = click.style(f"{sign} {job.name}", **LOOKS[sign][1])
        click.echo(f"{name}  {show.state(job.state)}  {begun}  after {took}")
    click.echo(found.verdict)
    edited = [cell for cell in found.cells if cell.source]
    _rows("What went in", found.causes, [f"cell {_number(c)} edited" for c in edited])
    _rows("What came out", found.results, [])
    for title, cells, kind in (
        ("Source", edited, "source"),
        ("Outputs", [cell for cell in found.cells if cell.outputs], "outputs"),
    ):
        if cells:
            click.secho(f"\n{title}", bold=True)
        for cell in cells:
            _cell(cell, getattr(cell, kind), most)
    if found.unknown:
        click.secho("\nNot compared", bold=True)
        for why in found.unknown:
            click.echo(f"  {why}")


def _rows(title: str, found: Sequence[Difference], more: Sequence[str]) -> None:
    if not found and not more:
        return
    click.secho(f"\n{title}", bold=True)
    names = [f"{d.kind} {show.text(d.name)}" if d.kind != "state" else d.name for d in found]
    width = max(map(len, names), default=0)
    befores = [_value(d.before) for d in found]
    room = min(40, max(map(len, befores), default=0))
    for name, before, d in zip(names, befores, found, strict=True):
        was = click.style(before.ljust(room), fg="red")
        new = click.style(_value(d.after), fg="green")
        click.echo(f"  {name.ljust(width)}  {was}  →  {new}{_change(d)}")
    for line in more:
        click.echo(f"  {line}")


def _cell(cell: CellDifference, lines: Sequence[str], most: int) -> None:
    prefix, look = LOOKS["cell"]
    name = f" id={show.text(cell.id)}" if cell.id else ""
    click.secho(f"{prefix}cell {_number(cell)} [{cell.kind}]{name}", **look)
    shown = lines[:most] if most else lines
    for line in shown:
        kind = line[:1] if line[:1] in ("-", "+") else "note" if line.startswith("@@") else " "
        click.secho(line.translate(CONTROLS), **LOOKS[kind][1])
    if len(lines) > len(shown):
        click.echo(f"… {len(lines) - len(shown)} more lines: --all shows them")


def _number(cell: CellDifference) -> str:
    if not cell.before:
        return f"{cell.after}, new,"
    if not cell.after:
        return f"{cell.before}, deleted,"
    return f"{cell.after}" if cell.before == cell.after else f"{cell.before} → {cell.after}"


def _value(item: object) -> str:
    return "nothing" if item is None else show.value(item)


def _change(d: Difference) -> str:
    """By how much a number has changed."""
    numbers = [
        v for v in (d.before, d.after) if isinstance(v, int | float) and not isinstance(v, bool)
    ]
    if len(numbers) < 2 or d.kind not in ("metric", "series"):
        return ""
    by = numbers[1] - numbers[0]
    share = f", {by / abs(numbers[0]):+.2%}" if numbers[0] else ""
    return f"  ({by:+.4g}{share})"
