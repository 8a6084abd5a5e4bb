"""The command line: thin twins of the verbs, the same words.

Commands are imported when called. `nbtools --help` reads this table and imports none.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from io import TextIOWrapper
from typing import NoReturn

import click

from nbtools import __version__
from nbtools.errors import NbtoolsError
from nbtools.registry import own_process
from nbtools.settings import Settings

#: command -> (where it lies, what it does)
COMMANDS = {
    "run": ("run:run", "Execute notebooks and wait for their end."),
    "submit": ("run:submit", "Begin to execute a notebook and return at once."),
    "sweep": ("sweep:sweep", "Search a space of parameters with many trials."),
    "new": ("templates:new", "Begin a notebook from a template."),
    "templates": ("templates:templates", "List the templates to begin a notebook from."),
    "params": ("params:params", "Show a notebook's parameters."),
    "jobs": ("jobs:jobs", "List, watch, compare, retry and cancel jobs."),
    "logs": ("logs:logs", "Show what a job has said, cell by cell."),
    "outputs": ("outputs:outputs", "List, fetch and open what a job left behind."),
    "prune": ("prune:prune", "Remove old jobs that nothing refers to."),
    "schedule": ("schedule:schedule", "Execute notebooks by the clock, or after each other."),
    "secret": ("secret:secret", "Keep secrets for notebooks, outside of every store."),
    "service": ("service:service", "Run, install and look at what executes schedules."),
    "runs": ("runs:runs", "List, compare, export, tag and delete experiment runs."),
    "lab": ("lab:lab", "Open JupyterLab, its job screens on this store."),
    "tb": ("tb:tb", "Open TensorBoard on runs."),
    "emulator": ("emulator:emulator", "Serve the store as Vertex AI to Google's own SDK."),
    "workbench": ("workbench:workbench", "Create, share, migrate and set up Workbench instances."),
    "push": ("push:push", "Send runs to Vertex AI, and to mirrors what is left."),
    "pull": ("pull:pull", "Bring an experiment from Vertex AI."),
    "lineage": ("lineage:group", "Show what something came from, and what came from it."),
    "store": ("store:group", "Check, back up and repair the store."),
    "kernels": ("kernels:kernels", "List, warm up and stop the processes that fork kernels."),
    "clean": ("clean:clean", "Strip outputs from notebooks, or check that they are stripped."),
    "git": ("git:git", "Keep notebooks clean in git: filter, merge, diff, checks."),
    "doctor": ("doctor:doctor", "Say what is installed, where the store is, what is wrong."),
}


class Commands(click.Group):
    """A group whose commands are imported when they are called."""

    table = COMMANDS

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in self.table:
            return None
        module, _, name = self.table[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(f"nbtools.cli.{module}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self.table.items()])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="nbtools")
def cli() -> None:
    """Execute notebooks with parameters, track what they report, fetch what they leave.

    Exit codes: 0 succeeded, 1 the notebook failed, 2 the request was wrong, 130 interrupted.
    """


def _leave(code: int) -> NoReturn:
    """End at once: what is written is written, and taking the interpreter apart in order
    would cost a sixth of the time of a short command.
    """
    with suppress(BrokenPipeError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def main(leave: Callable[[int], NoReturn] = _leave) -> None:
    """The `nbtools` command; `leave` ends it with its exit code."""
    own_process()
    warnings.showwarning = _warned
    for stream in (sys.stdout, sys.stderr):  # a name that is no UTF-8 must not end a list
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = cli.main(prog_name="nbtools", standalone_mode=False, color=_color())
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except NbtoolsError as error:
        click.echo(f"nbtools: {error}", err=True)
        code = error.exit_code
    except ModuleNotFoundError as error:
        missing = str(error.name).partition(".")[0]
        click.echo(
            f"nbtools: this needs {missing}: `nbtools doctor` says what to install", err=True
        )
        code = NbtoolsError.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("nbtools: interrupted", err=True)
        code = 130
    except BrokenPipeError:  # the reader of our output has gone, as in `| head`
        code = 0
    except SystemExit as leaving:
        code = leaving.code
    leave(code if isinstance(code, int) else 0)


def _warned(message: Warning | str, *_: object, **__: object) -> None:
    """As one sentence: where in our code it was said helps nobody."""
    click.echo(f"nbtools: {message}", err=True)


def _color() -> bool | None:
    try:
        return False if Settings.load().no_color else None
    except NbtoolsError:  # said by the command that needs them, and no matter to --help
        return None
