"""`nbtools run` and `nbtools submit`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from nbtools.errors import NotebookFailed, RequestError
from nbtools.nouns import Job
from nbtools.states import JobState

UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


class Duration(click.ParamType[float]):
    """Seconds, or a number with a unit: 90, 90s, 15m, 2h, 1d."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        text = str(value)
        number = text.rstrip("abcdefghijklmnopqrstuvwxyz ")
        unit = text[len(number) :].strip() or "s"
        try:
            return float(number) * UNITS[unit]
        except (ValueError, KeyError):
            self.fail(f"{text!r} is no duration: write 90, 90s, 15m, 2h or 1d", param, ctx)


def options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that both commands have, in the library's words."""
    for option in reversed(
        [
            click.argument("notebook"),
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
            click.option(
                "--allow-unknown", is_flag=True, help="Inject names the notebook does not have."
            ),
            click.option("--json", "json_", is_flag=True, help="Print the job for machines."),
        ]
    ):  # fmt: skip
        command = option(command)
    return command


@click.command(short_help="Execute a notebook and wait for its end.")
@options
def run(json_: bool, **asked: Any) -> None:
    """Execute NOTEBOOK with parameters, wait for its end, and say what came out.

    Ctrl-C interrupts its kernel and keeps what was executed so far.
    """
    from nbtools.cli import show
    from nbtools.cli.progress import follow
    from nbtools.jobs import Jobs

    jobs = Jobs.open()
    job = _submit(jobs, asked)
    interrupted = False
    try:
        job = follow(jobs, job.name)
    except KeyboardInterrupt:
        interrupted = True
        click.echo("\ncancelling: the kernel is interrupted, what is done is kept", err=True)
        job = jobs.get(job.name)
        if not job.state.final:
            jobs.cancel(job.name)
            job = follow(jobs, job.name)
    if json_:
        show.as_json(show.record(job))
    else:
        show.summary(jobs, job)
    if interrupted:
        raise KeyboardInterrupt
    if job.state is not JobState.SUCCEEDED:
        sys.exit(NotebookFailed.exit_code)


@click.command(short_help="Begin to execute a notebook and return at once.")
@options
def submit(json_: bool, **asked: Any) -> None:
    """Begin to execute NOTEBOOK and print the job's name; it goes on by itself."""
    from nbtools.cli import show
    from nbtools.jobs import Jobs

    job = _submit(Jobs.open(), asked)
    if json_:
        show.as_json(show.record(job))
    else:
        click.echo(job.name)


def _submit(jobs: Any, asked: dict[str, Any]) -> Job:
    import logging

    from nbtools.request import Request

    # What papermill warns of is either refused by `Notebook.check` or meant so.
    logging.getLogger("papermill").setLevel(logging.ERROR)
    notebook = asked.pop("notebook")
    params = read_params(notebook, asked.pop("files"), asked.pop("params"), asked.pop("raw"))
    job: Job = jobs.submit(Request(notebook=notebook, params=params, **asked))
    return job


def read_params(notebook: str, files: tuple[str, ...], typed: Any, raw: Any) -> dict[str, Any]:
    """The values of the command line: files first, then -p, then -r."""
    from nbtools.notebook import Notebook
    from nbtools.parameter import scalar

    known = {p.name: p for p in Notebook.read(notebook).parameters or ()}
    values: dict[str, Any] = {}
    for file in files:
        values.update(_read_file(Path(file)))
    for name, text in typed:
        values[name] = known[name].read(text) if name in known else scalar(text)
    values.update(dict(raw))
    return values


def _read_file(path: Path) -> dict[str, Any]:
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RequestError(f"cannot read {path}: {error.strerror}; name a YAML file") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RequestError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if values is None:
        return {}
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise RequestError(f"{path} must hold names and values, as in `lr: 0.001`")
    return values
