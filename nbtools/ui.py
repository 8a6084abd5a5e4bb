"""Views for a notebook: a run as it grows, runs side by side, forms, jobs, lineage.

    nbtools.ui.run()                       # the current run, live, while its cell is at work
    nbtools.ui.compare("digits")           # every run: table, curves, params against a metric
    nbtools.ui.params("train.ipynb")       # a form with Run and Schedule
    nbtools.ui.jobs()                      # jobs and schedules as they change
    nbtools.ui.lineage("model.pt")         # what it came from, what came of it
    nbtools.ui.logger()                    # log a value, a file or a note by hand

Each shows itself and returns its view. What stays in a saved notebook is a picture and a
table. Needs anywidget: pip install 'nbtools-workflow[ui]'.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nbtools.registry import need

if TYPE_CHECKING:
    from nbtools.nouns import Artifact
    from nbtools.widgets.compare import CompareView
    from nbtools.widgets.jobs import JobsView
    from nbtools.widgets.lineage import LineageView
    from nbtools.widgets.logger import LoggerView
    from nbtools.widgets.params import ParamsView
    from nbtools.widgets.run import RunView


def run(run: str = "", experiment: str = "") -> RunView:
    """Show a run live: by default the current one, else by its name, or `last`.

    It may be a run of any kernel or job of the same store. Raises NotFound, StateError when
    none is named and none is open.
    """
    need("anywidget")
    from nbtools.widgets.run import RunView

    return RunView.of(run, experiment).show()


def compare(experiment: str = "", filter: str = "") -> CompareView:
    """Show the runs of an experiment, or of all, that a filter holds for, side by side.

    `.selected` of what is returned is a DataFrame of the runs that are selected. Raises
    NotFound, or RequestError when the filter is wrong.
    """
    need("anywidget")
    from nbtools.widgets.compare import CompareView

    return CompareView(experiment, filter).show()


def params(notebook: str | Path) -> ParamsView:
    """Show a form of a notebook's parameters that executes or schedules it.

    Raises RequestError when there is no such notebook, or its language cannot be read.
    """
    need("anywidget")
    from nbtools.widgets.params import ParamsView

    return ParamsView(notebook).show()


def jobs() -> JobsView:
    """Show the jobs at work, those that have ended lately, and the schedules, as they change."""
    need("anywidget")
    from nbtools.widgets.jobs import JobsView

    return JobsView().show()


def lineage(artifact: str | Artifact, depth: int | None = None) -> LineageView:
    """Show what an artifact, a job or a run came from, and what came of it.

    `depth` counts executions on the way, None: all. Raises NotFound.
    """
    need("anywidget")
    from nbtools.widgets.lineage import LineageView

    return LineageView(artifact, depth).show()


def logger() -> LoggerView:
    """Show a form that logs a param, a metric, a file or a note into the current run."""
    need("anywidget")
    from nbtools.widgets.logger import LoggerView

    return LoggerView().show()
