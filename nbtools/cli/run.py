"""`nbtools run` and `nbtools submit`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nbtools.cli import machine
from nbtools.cli.quantity import Duration, Size
from nbtools.errors import NotebookFailed, RequestError
from nbtools.states import JobState

if TYPE_CHECKING:
    from nbtools.jobs import Jobs, SubmittedJob
    from nbtools.request import Request

VERTEX = click.option(
    "--vertex", is_flag=False, flag_value="local", default="", type=click.Choice(["", "local"]),
    help="local: Google's SDK in the notebook logs to this store, see `emulator`.",
)  # fmt: skip


def options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that both commands have, in the library's words."""
    for option in reversed(
        [
            click.option(
                "-p", "--param", "params", nargs=2, multiple=True, metavar="NAME VALUE",
                help="A parameter's value, typed as papermill does.",
            ),
            click.option(
                "-r", "--raw", nargs=2, multiple=True, metavar="NAME TEXT",
                help="A parameter's value that is text, whatever it looks like.",
            ),
            click.option(
                "-f", "--file", "files", multiple=True, metavar="YAML",
                help="A YAML file of parameters; -p comes after it.",
            ),
            click.option("--experiment", default="", help="Default: the notebook's name."),
            click.option("--run", default="", help="The run's name. Default: the job's."),
            click.option("--resume", is_flag=True, help="Continue the run of that name."),
            click.option("-o", "--output", default="", help="Deliver the executed notebook here."),
            click.option("-k", "--kernel", default="", help="Default: the notebook's own."),
            click.option("--cwd", default="", help="Default: the notebook's folder."),
            click.option("--executor", default="", help="Who runs it. Default: local."),
            click.option("--timeout", type=Duration(), default=0.0, help="Limit for the whole."),
            click.option("--cell-timeout", type=Duration(), default=0.0, help="Limit for a cell."),
            click.option("--memory", type=Size(), default=0, help="Limit for its kernel: 2GiB."),
            click.option("--cpu-time", type=Duration(), default=0.0, help="Limit of CPU: 10m."),
            click.option(
                "--secret", "secrets", multiple=True, metavar="NAME",
                help="A secret for its environment, from ours or `nbtools secret set`.",
            ),
            click.option(
                "--threads", default=0,
                help="CPU threads for its libraries. Default: the cores, shared among -j.",
            ),
            click.option(
                "--checkpoint", is_flag=False, flag_value="cells", default="",
                type=click.Choice(["", "cells", "tagged"]),
                help="Keep the state after each cell, or each tagged `checkpoint`: see resume.",
            ),
            click.option("--cache", is_flag=True, help="Use what the same job left before."),
            click.option(
                "--input", "inputs", multiple=True, metavar="ARTIFACT",
                help="What the notebook reads: recorded, and part of what --cache compares.",
            ),
            VERTEX,
            click.option(
                "--allow-unknown", is_flag=True, help="Inject names the notebook does not have."
            ),
            click.option("--json", "json_", is_flag=True, help="Print the job for machines."),
        ]
    ):  # fmt: skip
        command = option(command)
    return machine.options(command)


@click.command(short_help="Execute notebooks and wait for their end.")
@click.argument("notebooks", nargs=-1, required=True, metavar="NOTEBOOK...")
@click.option("-j", "--jobs", "parallel", default=0, help="So many at a time. Default: as fit.")
@options
def run(notebooks: tuple[str, ...], parallel: int, json_: bool, **asked: Any) -> None:
    """Execute NOTEBOOK with parameters, wait for its end, and say what came out.

    Several notebooks are executed side by side, each with the same parameters. Ctrl-C
    interrupts the kernels and keeps what was executed so far.
    """
    from nbtools.cli import show
    from nbtools.cli.progress import follow_many
    from nbtools.jobs import Jobs

    jobs = Jobs.open()
    requests = [_request(notebook, **asked) for notebook in notebooks]
    if len(requests) > 1:
        if asked["output"] and not Path(asked["output"]).is_dir():
            raise RequestError("--output must be a folder when there are several notebooks")
        ended = follow_many(requests, parallel)
        if json_:
            show.as_json([show.record(job) for job in ended])
        sys.exit(NotebookFailed.exit_code if any(job.error for job in ended) else 0)
    finish(jobs, jobs.submit(requests[0]), json_)


def finish(jobs: Jobs, job: SubmittedJob, json_: bool) -> None:
    """Follow a job to its end, say what came out, and leave with its exit code."""
    from nbtools.cli import show
    from nbtools.cli.progress import follow

    if job.state.final:
        click.echo(f"nothing executed: the same succeeded as job {job.name}", err=True)
    interrupted = False
    try:
        job = follow(jobs, job)
    except KeyboardInterrupt:
        interrupted = True
        click.echo("\ncancelling: the kernel is interrupted, what is done is kept", err=True)
        job = jobs.get(job.name)
        if not job.state.final:
            job = follow(jobs, jobs.cancel(job.name))
    if json_:
        show.as_json(show.record(job))
    else:
        show.summary(jobs, job)
    if interrupted:
        raise KeyboardInterrupt
    if job.state is not JobState.SUCCEEDED:
        sys.exit(NotebookFailed.exit_code)


@click.command(short_help="Begin to execute a notebook and return at once.")
@click.argument("notebook")
@options
def submit(notebook: str, json_: bool, **asked: Any) -> None:
    """Begin to execute NOTEBOOK and print the job's name; it goes on by itself."""
    from nbtools.cli import show
    from nbtools.jobs import Jobs

    job = Jobs.open().submit(_request(notebook, **asked))
    if json_:
        show.as_json(show.record(job))
    else:
        click.echo(job.name)


def _request(notebook: str, files: Any, params: Any, raw: Any, **asked: Any) -> Request:
    from nbtools.request import Request

    return Request(notebook=notebook, params=read_params(notebook, files, params, raw), **asked)


def read_params(notebook: str, files: tuple[str, ...], typed: Any, raw: Any) -> dict[str, Any]:
    """The values of the command line: files first, then -p, then -r."""
    from nbtools.notebook import Notebook

    known = Notebook.read(notebook)
    values: dict[str, Any] = {}
    for file in files:
        values.update(_read_file(Path(file)))
    for name, text in typed:
        values[name] = known.read_value(name, text)
    values.update(dict(raw))
    return values


def _read_file(path: Path) -> dict[str, Any]:
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RequestError(f"cannot read {path}: {error.strerror}; name a YAML file") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # dates that are none, too deep
        raise RequestError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if values is None:
        return {}
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise RequestError(f"{path} must hold names and values, as in `lr: 0.001`")
    return values
