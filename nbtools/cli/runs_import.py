"""`nbtools runs import`."""

from __future__ import annotations

import time

import click

from nbtools import importing, registry
from nbtools.cli import show


@click.command("import", short_help="Bring the runs of another tracker here.")
@click.argument("path", type=click.Path())
@click.option("--experiment", default="", help="Put all runs into this one; else each keeps its.")
@click.option("--from", "tool", type=click.Choice(list(registry.IMPORTERS)),
              help="Whose history it is; guessed when not given.")  # fmt: skip
@click.option("--json", "json_", is_flag=True, help="Print for machines.")
def import_(path: str, experiment: str, tool: str | None, json_: bool) -> None:
    """Bring the runs that another tracker keeps at PATH into the store.

    PATH is MLflow's `mlflow.db` or `mlruns`, a `wandb` folder, a folder of TensorBoard's event
    files, or a trackio database, and is only read. Importing again is the same runs, brought
    up to date. What cannot be taken is counted and named.
    """
    if not tool:
        tool = importing.guess(path)
        if not json_:
            click.echo(f"{path} holds runs of {registry.importer(tool).title}")
    begun = time.perf_counter()
    done = importing.import_runs(path, experiment=experiment, tool=tool)
    took = time.perf_counter() - begun
    if json_:
        show.as_json({**show.record(done), "seconds": round(took, 3)})
        return
    known = len(done.runs) - done.new
    click.echo(
        f"{_some(done.new, 'run')}, {_some(done.points, 'point')} and {_some(done.files, 'file')} "
        f"imported in {took:.2f} s" + (f"; {_some(known, 'run')} known before" if known else "")
    )
    for name, count in sorted(done.experiments.items()):
        click.echo(f"  {name}  {_some(count, 'run')}")
    if done.remarks:
        click.echo("not taken, or not as it was:")
        for text, count in sorted(done.remarks.items()):
            click.echo(f"  {count:>8,}  {show.text(text)}")
    for name in sorted(done.experiments)[:1]:
        click.echo(f"Next:\n  {show.program()} runs list --experiment {name}")


def _some(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
