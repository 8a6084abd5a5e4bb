"""nbtools carries notebooks from the first cell to the nightly run.

A **Notebook** with its parameters filled in is another notebook: a pure function. Asking
for that notebook to be executed is a **Job**. An **Executor** runs it. What a notebook
reports while it runs is an experiment **Run** (params, metrics, time series); what it
reads and leaves behind are **Artifacts**. All of it is remembered in one **Store**, a
SQLite file that holds Vertex ML Metadata's own graph.

    job = nbtools.run("train.ipynb", {"lr": 3e-4})      # execute, wait
    job.outputs["test_accuracy"], job.outputs.report    # what came out

    nbtools.log_metrics({"test_accuracy": 0.97})        # inside the notebook
    nbtools.get_experiment_df("train")                  # every run, side by side
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from nbtools.autolog import autolog
    from nbtools.batch import run_many
    from nbtools.errors import NbtoolsError, NotebookFailed
    from nbtools.executions import start_execution
    from nbtools.experiment import Experiment
    from nbtools.experiment_run import ExperimentRun
    from nbtools.experiments import (
        end_run,
        get_experiment_df,
        init,
        log_artifact,
        log_classification_metrics,
        log_figure,
        log_metrics,
        log_model,
        log_params,
        log_table,
        log_text,
        log_time_series_metrics,
        output_path,
        report,
        start_run,
        use_artifact,
    )
    from nbtools.inputs import open_input
    from nbtools.request import Request
    from nbtools.submission import run, submit
    from nbtools.sweeps import Sweep, sweep

__version__ = "0.1.0"

#: public name -> the module it lies in; imported when first used.
_WHERE = {
    "autolog": "autolog",
    "NbtoolsError": "errors",
    "NotebookFailed": "errors",
    "Experiment": "experiment",
    "ExperimentRun": "experiment_run",
    "end_run": "experiments",
    "get_experiment_df": "experiments",
    "init": "experiments",
    "log_artifact": "experiments",
    "log_classification_metrics": "experiments",
    "log_figure": "experiments",
    "log_metrics": "experiments",
    "log_model": "experiments",
    "log_params": "experiments",
    "log_table": "experiments",
    "log_text": "experiments",
    "log_time_series_metrics": "experiments",
    "output_path": "experiments",
    "report": "experiments",
    "start_run": "experiments",
    "use_artifact": "experiments",
    "start_execution": "executions",
    "open_input": "inputs",
    "run": "submission",
    "run_many": "batch",
    "Request": "request",
    "submit": "submission",
    "Sweep": "sweeps",
    "sweep": "sweeps",
}

__all__ = [
    "Experiment",
    "ExperimentRun",
    "NbtoolsError",
    "NotebookFailed",
    "Request",
    "Sweep",
    "__version__",
    "autolog",
    "end_run",
    "get_experiment_df",
    "init",
    "log_artifact",
    "log_classification_metrics",
    "log_figure",
    "log_metrics",
    "log_model",
    "log_params",
    "log_table",
    "log_text",
    "log_time_series_metrics",
    "open_input",
    "output_path",
    "report",
    "run",
    "run_many",
    "start_execution",
    "start_run",
    "submit",
    "sweep",
    "use_artifact",
]


def load_ipython_extension(shell: InteractiveShell) -> None:
    """What `%load_ext nbtools` does: %nbrun, %nbruns, %nbtb and %nbgit are there."""
    from nbtools.lab.magics import register

    register(shell)


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name == "lineage":  # a module that is used as one: nbtools.lineage.upstream(...)
        return import_module("nbtools.lineage")
    if name not in _WHERE:
        raise AttributeError(f"module 'nbtools' has no attribute {name!r}")
    value = getattr(import_module(f"nbtools.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_WHERE})
