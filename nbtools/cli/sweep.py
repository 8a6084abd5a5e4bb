"""`nbtools sweep NOTEBOOK NAME=SPACE...` and what can be asked of a sweep afterwards."""

from __future__ import annotations

import sys
from typing import Any

import click

from nbtools.cli import machine, show
from nbtools.cli.quantity import Duration, Size
from nbtools.cli.run import VERTEX
from nbtools.errors import NotebookFailed, RequestError

DIRECTION = click.Choice(["", "maximize", "minimize"])


class SweepCommands(click.Group):
    """A group whose unknown first word is a notebook: `run` may be left out."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in {*self.commands, "-h", "--help"}:
            args = ["run", *args]
        return super().parse_args(ctx, args)


@click.group(cls=SweepCommands, short_help="Search a space of parameters with many trials.")
def sweep() -> None:
    """Execute a notebook once for each point of a space of parameters.

    nbtools sweep NOTEBOOK lr=1e-4,3e-4,1e-3 width=32:256:log -j 2

    NAME is a sweep's name, its beginning, or `last`.
    """


@sweep.command()
@click.argument("notebook")
@click.argument("space", nargs=-1, metavar="PARAMETER=SPACE...")
@click.option("-j", "--jobs", "parallel", default=0, help="So many at a time. Default: as fit.")
@click.option("--experiment", default="", help="Default: the notebook's name.")
@click.option("--name", default="", help="The sweep's name. Default: the notebook's, numbered.")
@click.option(
    "--search", default="", type=click.Choice(["", "grid", "random", "tpe"]),
    help="Default: grid, or random when --trials says how many.",
)  # fmt: skip
@click.option("--trials", default=0, help="How many; a grid has as many as points.")
@click.option("--objective", default="", help="The metric that says how well a trial did.")
@click.option("--direction", default="", type=DIRECTION, help="What to do with it.")
@click.option("--seed", default=0, help="The same draws again. Default: others each time.")
@click.option("--prune/--no-prune", default=True, help="Whether nbtools.report may end a trial.")
@click.option("--min-trials", default=5, show_default=True, help="Completed before any is pruned.")
@click.option("--min-steps", default=0, help="No trial is pruned until after this step.")
@click.option("--rerun", is_flag=True, help="Execute also what was executed before.")
@click.option(
    "-p", "--param", "params", nargs=2, multiple=True, metavar="NAME VALUE",
    help="A parameter that is the same for all.",
)  # fmt: skip
@click.option("-r", "--raw", nargs=2, multiple=True, metavar="NAME TEXT", help="The same, text.")
@click.option("-f", "--file", "files", multiple=True, metavar="YAML", help="A file of them.")
@click.option("-k", "--kernel", default="", help="Default: the notebook's own.")
@click.option("--cwd", default="", help="Default: the notebook's folder.")
@click.option("--executor", default="", help="Who runs it. Default: local.")
@click.option("--timeout", type=Duration(), default=0.0, help="Limit for a trial.")
@click.option("--cell-timeout", type=Duration(), default=0.0, help="Limit for a cell.")
@click.option("--memory", type=Size(), default=0, help="Limit for a trial's kernel: 2GiB.")
@click.option("--cpu-time", type=Duration(), default=0.0, help="Limit of CPU for a trial: 10m.")
@click.option("--secret", "secrets", multiple=True, metavar="NAME", help="For its environment.")
@click.option("--threads", default=0, help="CPU threads. Default: the cores, shared among -j.")
@VERTEX
@click.option("--input", "inputs", multiple=True, metavar="ARTIFACT", help="What it reads.")
@machine.options
@click.option("--allow-unknown", is_flag=True, help="Take names the notebook does not have.")
@click.option("--json", "json_", is_flag=True, help="Print the sweep for machines.")
def run(
    notebook: str, space: tuple[str, ...], files: Any, params: Any, raw: Any, json_: bool,
    **asked: Any,
) -> None:  # fmt: skip
    """Search a space (the word `run` may be left out).

    SPACE is a list of choices `a,b,c`, a range `LOW:HIGH` with both its ends (whole numbers
    when both are), `LOW:HIGH:log` spread by ratio, or `LOW:HIGH:STEP`. A grid takes every
    combination; of a `log` range each number doubled, or tenfold where it is not of whole
    numbers. Exit code 1 when no trial was completed.
    """
    from nbtools.cli.run import read_params
    from nbtools.cli.sweep_board import watching
    from nbtools.sweeps import sweep as begin

    fixed = read_params(notebook, files, params, raw)
    with watching() as notice:
        done = begin(notebook, _space(space), params=fixed, notice=notice, **asked)
    _finish(done, json_)


@sweep.command("list")
@click.option("--json", "json_", is_flag=True, help="Print for machines.")
def list_(json_: bool) -> None:
    """List sweeps, newest first."""
    from nbtools.sweeps import Sweep

    found = [(s, s.design, s.trials) for s in Sweep.list()]
    rows = [
        (s.name, s.state, s.experiment, d.search, f"{sum(t.done for t in trials)}/{d.trials}")
        for s, d, trials in found
    ]
    if json_:
        keys = ("name", "state", "experiment", "search", "trials")
        show.as_json([dict(zip(keys, row, strict=True)) for row in rows])
        return
    empty = f"no sweeps yet: {show.program()} sweep NOTEBOOK lr=1e-4,1e-3"
    show.table(("SWEEP", "STATE", "EXPERIMENT", "SEARCH", "TRIALS"), rows, empty)


@sweep.command()
@click.argument("name", default="last")
@click.option("--json", "json_", is_flag=True, help="Print for machines.")
def status(name: str, json_: bool) -> None:
    """Show how a sweep stands, trial by trial."""
    from nbtools.cli.sweep_board import summary
    from nbtools.sweeps import Sweep

    found = Sweep(name)
    if json_:
        show.as_json(_record(found))
    else:
        summary(found)


@sweep.command()
@click.argument("name", default="last")
@click.option("-j", "--jobs", "parallel", default=0, help="So many at a time. Default: as before.")
@click.option("--changed", is_flag=True, help="Though the notebook has changed since.")
@click.option("--json", "json_", is_flag=True, help="Print the sweep for machines.")
def resume(name: str, parallel: int, changed: bool, json_: bool) -> None:
    """Go on with a sweep that was interrupted or cancelled.

    What has ended is not done again, what is still at work is waited for.
    """
    from nbtools.cli.sweep_board import watching
    from nbtools.sweeps import Sweep

    found = Sweep(name)
    with watching() as notice:
        found.resume(parallel=parallel, changed=changed, notice=notice)
    _finish(found, json_)


@sweep.command()
@click.argument("name", default="last")
@show.JSON
def cancel(name: str, json_: bool) -> None:
    """Stop a sweep and its trials at work; `resume` goes on with it."""
    from nbtools.sweeps import Sweep

    found = Sweep(name).cancel()
    if json_:
        show.as_json({"sweep": found.name, "state": found.state})
    else:
        click.echo(f"sweep {found.name} is cancelled")


@sweep.command()
@click.argument("name", default="last")
@click.option("--objective", default="", help="Another metric than the sweep's own.")
@click.option("--direction", default="", type=DIRECTION, help="What is good of that.")
@click.option("--json", "json_", is_flag=True, help="Print for machines.")
def best(name: str, objective: str, direction: str, json_: bool) -> None:
    """Show the best trial of a sweep, and how to execute it again."""
    from nbtools.sweeps import Sweep

    found = Sweep(name)
    trial = found.best_by(objective, direction)
    if json_:
        show.as_json(show.record(trial))
        return
    measure = objective or found.design.objective
    click.echo(f"{measure} = {show.value(trial.value)}  in trial {trial.number} of {found.name}")
    click.echo(f"  params  {show.values(trial.params)}")
    click.echo(f"  run     {trial.run}  of experiment {trial.experiment}")
    click.echo(f"  job     {trial.job}")
    click.echo("Next:")
    click.echo(f"  {show.program()} outputs list {trial.job}")


def _space(words: tuple[str, ...]) -> dict[str, str]:
    """What is varied, as it was written. Raises RequestError."""
    space: dict[str, str] = {}
    for word in words:
        name, equals, spec = word.partition("=")
        if not (name and equals):
            raise RequestError(f"{word!r} is no space: write PARAMETER=1,2,3")
        if name in space:
            raise RequestError(f"{name}: varied twice; write {name}={space[name]},{spec}")
        space[name] = spec
    return space


def _record(found: Any) -> dict[str, Any]:
    design, trials = found.design, found.trials
    return {
        "name": found.name,
        "state": found.state,
        "experiment": found.experiment,
        "objective": design.objective,
        "direction": design.direction,
        "trials": design.trials,
        "ended": [show.record(t) for t in trials if t.ended],
        "working": [show.record(t) for t in trials if not t.ended],
        "report": str(found.folder / f"{found.name}.html"),
    }


def _finish(done: Any, json_: bool) -> None:
    """Say what came out, and leave with the exit code."""
    from nbtools.cli.sweep_board import summary

    if json_:
        show.as_json(_record(done))
    else:
        summary(done, report=True)
    if not any(t.state in ("COMPLETE", "PRUNED") for t in done.trials):
        sys.exit(NotebookFailed.exit_code)
