"""`nbtools runs`: its commands are imported when they are called."""

from __future__ import annotations

import click

from nbtools.cli import Commands

#: command -> (where it lies, what it does)
RUNS = {
    "list": ("runs_list:list_", "List runs, newest first."),
    "show": ("runs_list:show_", "Show one run: params, metrics, series, artifacts."),
    "compare": ("runs_compare:compare", "Show what differs between runs."),
    "report": ("runs_compare:report", "Write runs, curves and params as one HTML page."),
    "export": ("runs_compare:export", "Write the table of runs as CSV, Parquet or JSON."),
    "import": ("runs_import:import_", "Bring the runs of another tracker here."),
    "tag": ("runs_curate:tag", "Add tags to a run."),
    "untag": ("runs_curate:untag", "Take tags from a run."),
    "note": ("runs_curate:note", "Say something about a run."),
    "delete": ("runs_curate:delete", "Forget runs, and what only they had."),
}


class RunCommands(Commands):
    """The commands about runs."""

    table = RUNS


@click.group(cls=RunCommands, short_help="List, compare, export, tag and delete experiment runs.")
def runs() -> None:
    """List, show, compare, export, tag and delete experiment runs. RUN is a name, its
    beginning, or `last`.
    """
