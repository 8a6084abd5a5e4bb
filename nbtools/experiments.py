"""Experiments: what a notebook says about the run it is part of, in Vertex AI's words.

    nbtools.init(experiment="digits")            # not needed in a job: it has its run
    with nbtools.start_run("baseline"):
        nbtools.log_params({"lr": 3e-4})
        nbtools.log_time_series_metrics({"loss": 0.3}, step=1)
        nbtools.log_metrics({"accuracy": 0.97})

A logged step is one append to the run's journal (`journal.py`); nothing waits for a
database. In a job the run is opened without ceremony, and the job ends it.
"""

from __future__ import annotations

import atexit
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Any

from nbtools import lineage, loggable, registry
from nbtools.errors import RequestError, StateError, StoreError
from nbtools.journal import Journal
from nbtools.nouns import (
    FILE,
    IDENTITY,
    MODEL,
    PROCESS,
    RUN,
    Artifact,
    Context,
    Execution,
    Run,
    artifact_name,
    place,
    run_id,
    utc_now,
)
from nbtools.outputs import FILES
from nbtools.runs import find_context, list_runs, open_run
from nbtools.settings import Settings
from nbtools.states import ExecutionState
from nbtools.store import Store

if TYPE_CHECKING:
    import pandas as pd


@dataclass
class _Session:
    """What is one per process: a kernel has one user, and her threads log into one run.

    Not a contextvar: those set in one cell are lost in the next, and threads have none.
    """

    experiment: str = ""
    run: ExperimentRun | None = None
    left_job: bool = False  #: the notebook has ended the job's run by itself


_session = _Session()


class ExperimentRun:
    """The run that this process logs to. Made by `start_run`, or by being in a job."""

    def __init__(self, store: Store, context: Context, execution: str, in_job: bool) -> None:
        self._store, self._context, self._execution = store, context.name, execution
        self.experiment: str = context.metadata["_experiment"]  #: the experiment's name
        self.name: str = context.display_name  #: the run's name
        self._in_job = in_job
        if store.journals is None or store.folder is None:
            raise RequestError("a store in memory takes no journals: name a folder")
        self._folder = store.folder / ("jobs" if in_job else "runs") / execution / FILES
        try:
            self._journal = Journal(store.journals, context.name)
        except OSError as error:
            raise _cannot_log(store.journals, error) from error
        self._ended = False
        self._step = store.last_step(context.name)
        self._lock = Lock()
        #: what is known in this process: params, metrics, and the last value of each series
        self.values: dict[str, dict[str, Any]] = {
            "params": dict(context.metadata.get("_params", {})),
            "metrics": dict(context.metadata.get("_metrics", {})),
            "series": {},
        }

    def __enter__(self) -> ExperimentRun:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if not self._ended:
            self.end(ExecutionState.COMPLETE if kind is None else ExecutionState.FAILED)

    @property
    def id(self) -> str:
        """The name of its context, as Vertex AI builds it."""
        return self._context

    def __repr__(self) -> str:
        return f"ExperimentRun(experiment={self.experiment!r}, name={self.name!r})"

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log what goes in: numbers, text or bools by name."""
        values = loggable.scalars(params)
        self._append({"_params": values})
        self.values["params"].update(values)

    def log_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Log what came out: numbers or text by name; a name logged again is replaced."""
        values = loggable.scalars(metrics)
        self._append({"_metrics": values})
        self.values["metrics"].update(values)

    def log_time_series_metrics(
        self, metrics: Mapping[str, float], step: int | None = None, wall_time: float | None = None
    ) -> None:
        """Log one step of one or more time series.

        `step` is the one after the last when not given; a step logged again is replaced.
        `wall_time` is in seconds since the epoch, now when not given.
        """
        values = loggable.numbers(metrics)
        seconds = time.time() if wall_time is None else loggable.wall_time(wall_time)
        with self._lock:
            step = loggable.step(self._step + 1 if step is None else step)
            self._step = max(step, self._step)
        self._append({"series": values, "step": step, "time": seconds})
        self.values["series"].update(values)

    def log_artifact(self, path: str | Path, name: str = "", schema_title: str = FILE) -> Artifact:
        """Keep a file as an artifact of this run, and return it.

        A file that lies elsewhere than in this run's folder (`output_path`) is copied
        there first. Raises RequestError when there is no such file.
        """
        path = place(path)
        if not path.is_file():
            raise RequestError(f"no file {path} to keep as an artifact")
        if not path.is_relative_to(self._folder):
            path = Path(shutil.copy2(path, self.output_path(path.name)))
        name = name or path.name
        artifact = lineage.of_file(artifact_name(self._context, name), path, schema_title, name)
        with self._store.write():
            lineage.left(self._store, artifact, self._execution, self._context, utc_now())
        return artifact

    def use_artifact(self, name: str | Artifact) -> Artifact:
        """The newest artifact of that resource name, display name, URI or path, or the one
        given, remembered as this run's input. Warns when its file has changed since. Raises
        NotFound.
        """
        artifact = name if isinstance(name, Artifact) else lineage.find(self._store, name)
        lineage.read(self._store, artifact, self._execution, utc_now())
        return artifact

    def output_path(self, name: str) -> Path:
        """Where to write the file `name` so that it is one of this run's outputs."""
        path = (self._folder / name).resolve()
        if not path.is_relative_to(self._folder.resolve()):
            raise RequestError(f"{name!r} leads out of the run's folder: give a name below it")
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def end(self, state: str = ExecutionState.COMPLETE) -> None:
        """End the run. In a job only its logging ends: the job says how it went."""
        state = ExecutionState(state)
        if not self._in_job:
            self._append({"_state": state})
        self._ended = True
        self._journal.close()
        self._store.drain(utc_now())
        if not self._in_job:
            self._store.amend(
                Execution, self._execution, lambda e: replace(e, state=state), utc_now()
            )
        _session.left_job |= self._in_job
        if _session.run is self:
            _session.run = None

    def _append(self, entry: Mapping[str, Any]) -> None:
        if self._ended:
            raise StateError(f"run {self.name!r} has ended: resume it with start_run(resume=True)")
        try:
            self._journal.append(entry)
        except OSError as error:
            raise _cannot_log(self._journal.path, error) from error


def init(experiment: str) -> None:
    """Say which experiment the runs of this process belong to, unless a job says so."""
    run_id(experiment, "x")  # refuses a name that Vertex AI would refuse
    _session.experiment = experiment


def start_run(run: str | None = None, *, resume: bool = False) -> ExperimentRun:
    """Open a run to log to; usable in a `with`, which ends it.

    In a job, without a name or with its own, this is the job's run, until `end_run`.
    Elsewhere a name is made from the time when none is given. Raises AlreadyExists when
    the experiment has a run of that name and `resume` is not set.
    """
    if _session.run is not None:
        raise StateError(f"run {_session.run.name!r} is still open: call end_run() first")
    settings = Settings.load()
    store = Store(settings.store)
    store.drain(utc_now())
    job = _identity(store)
    own = job and run in (None, job["run"])
    if own and (not _session.left_job or (run and resume)):
        opened = _open_in_job(store, job)
    else:
        experiment = _session.experiment or job.get("experiment") or settings.experiment
        opened = _open(store, experiment or "default", run, resume)
    _session.run = opened
    from nbtools.card import show

    show(opened)
    atexit.register(_at_exit, opened)
    return opened


def end_run(state: str = ExecutionState.COMPLETE) -> None:
    """End the current run; `state` is COMPLETE, FAILED or CANCELLED."""
    if _session.run is None:
        raise StateError("there is no run to end: start_run() opens one")
    _session.run.end(state)


def log_params(params: Mapping[str, Any]) -> None:
    """Log what goes into the current run; see ExperimentRun.log_params."""
    _current().log_params(params)


def log_metrics(metrics: Mapping[str, Any]) -> None:
    """Log what came out of the current run; see ExperimentRun.log_metrics."""
    _current().log_metrics(metrics)


def log_time_series_metrics(
    metrics: Mapping[str, float], step: int | None = None, wall_time: float | None = None
) -> None:
    """Log one step of the current run; see ExperimentRun.log_time_series_metrics."""
    _current().log_time_series_metrics(metrics, step, wall_time)


def log_artifact(path: str | Path, name: str = "", schema_title: str = FILE) -> Artifact:
    """Keep a file as an artifact of the current run; see ExperimentRun.log_artifact."""
    return _current().log_artifact(path, name, schema_title)


def log_model(path: str | Path, name: str = "") -> Artifact:
    """Keep a file as a model (`system.Model`) of the current run."""
    return _current().log_artifact(path, name, MODEL)


def use_artifact(name: str | Artifact) -> Artifact:
    """The newest artifact of that name, remembered as the current run's input."""
    return _current().use_artifact(name)


def output_path(name: str) -> Path:
    """Where to write the file `name` so that it is one of the current run's outputs."""
    return _current().output_path(name)


def get_experiment_df(experiment: str = "") -> pd.DataFrame:
    """A row a run, newest first; all experiments when none is named.

    Columns as `aiplatform.get_experiment_df` lays them out: experiment_name, run_name,
    run_type, state, then `param.*`, `metric.*` and `time_series_metric.*` (the value at
    the last step). Raises NotFound when there is no such experiment.
    """
    pandas = registry.need("pandas")
    store = Store(Settings.load().store)
    rows = []
    for run in list_runs(store, utc_now(), experiment):
        series = store.points(run.id)
        rows.append(
            {
                "experiment_name": run.experiment,
                "run_name": run.name,
                "run_type": RUN,
                "state": str(run.state),
                **{f"param.{k}": v for k, v in run.params.items()},
                **{f"metric.{k}": v for k, v in run.metrics.items()},
                **{f"time_series_metric.{k}": points[-1][2] for k, points in series.items()},
            }
        )
    frame: pd.DataFrame = pandas.DataFrame(rows)
    return frame


def current_run() -> ExperimentRun | None:
    """The open run, in a job the job's own, which is opened now; None when there is none."""
    if _session.run is None and (_session.left_job or not _identity(Store(Settings.load().store))):
        return None
    return _current()


def _current() -> ExperimentRun:
    """The open run; in a job the job's own is opened now."""
    if _session.run is None:
        store = Store(Settings.load().store)
        if _session.left_job or not _identity(store):
            raise StateError("there is no run to log to: call nbtools.start_run() first")
        start_run()
    assert _session.run is not None
    return _session.run


def _identity(store: Store) -> dict[str, str]:
    """Who this kernel is, if a job's notebook runs in it: the injected value.

    A notebook that a job left, executed again by hand, is nobody: its run has ended.
    """
    ipython = _ipython()
    found = ipython.user_ns.get(IDENTITY) if ipython else None
    if not isinstance(found, Mapping):
        return {}
    context = find_context(store, found["experiment"], found["run"])
    ended = context is not None and Run.of(context).state is not ExecutionState.RUNNING
    return {} if ended else dict(found)


def _ipython() -> Any:
    """The shell of this process if it is a notebook's; never imports IPython."""
    module = sys.modules.get("IPython")
    return module.get_ipython() if module else None


def _open_in_job(store: Store, job: Mapping[str, str]) -> ExperimentRun:
    context = find_context(store, job["experiment"], job["run"])
    if context is None:  # executed where our store is not: its card brings the run home
        return _open(store, job["experiment"], job["run"], resume=True)
    return ExperimentRun(store, context, job["job"], in_job=True)


def _open(store: Store, experiment: str, run: str | None, resume: bool) -> ExperimentRun:
    now = utc_now()
    with store.write():
        context = open_run(store, experiment, run or f"run-{now:%Y%m%d-%H%M%S-%f}", now,
                           resume=resume)  # fmt: skip
        process = Execution(name=context.name, schema_title=PROCESS, state=ExecutionState.RUNNING)
        store.put(process, now)
        store.associate(context.name, execution=process.name)
        # Inside: a run that cannot be logged to is not left behind as one that is at work.
        return ExperimentRun(store, context, process.name, in_job=False)


def _at_exit(run: ExperimentRun) -> None:
    """End a run that was left open when its process ends: FAILED if by an exception."""
    if not run._ended:
        failed = _ipython() is None and getattr(sys, "last_value", None) is not None
        run.end(ExecutionState.FAILED if failed else ExecutionState.COMPLETE)


def _cannot_log(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"cannot log to {path}: {error.strerror}; free some space, or set NBTOOLS_STORE to "
        "another folder"
    )
