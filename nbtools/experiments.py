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
import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbtools import opening, registry
from nbtools.about import shell
from nbtools.errors import RequestError, StateError, StoreError
from nbtools.experiment import Experiment
from nbtools.experiment_run import ExperimentRun
from nbtools.nouns import (
    FILE,
    IDENTITY,
    Artifact,
    Context,
    Run,
    run_id,
    utc_now,
)
from nbtools.open_run import OpenRun
from nbtools.runs import find_context, need_experiment
from nbtools.settings import Settings
from nbtools.states import ExecutionState
from nbtools.store import Store

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Experiment", "ExperimentRun"]


@dataclass
class _Session:
    """What is one per process: a kernel has one user, and her threads log into one run.

    Not a contextvar: those set in one cell are lost in the next, and threads have none.
    """

    experiment: str = ""
    tags: tuple[str, ...] = ()
    strict: bool = False
    mirrors: tuple[str, ...] | None = None  #: None: the settings say
    mirror_options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    runs: list[OpenRun] = field(default_factory=list)  #: those that are open, the inner last
    left_job: bool = False  #: the notebook has ended the job's run by itself
    stores: dict[tuple[Path, int], Store] = field(default_factory=dict)  #: by folder and process
    frames: dict[tuple[Path, str], Any] = field(default_factory=dict)  #: versions and DataFrames

    def store(self, settings: Settings | None = None) -> Store:
        """The store of the settings, open already if it was used before."""
        key = (settings or Settings.load()).store, os.getpid()
        if key not in self.stores or not (key[0] / "store.sqlite").exists():
            self.stores[key] = Store(key[0])
        return self.stores[key]


_session = _Session()


def init(
    experiment: str,
    *,
    experiment_description: str = "",
    tags: Sequence[str] = (),
    mirrors: Sequence[str] | None = None,
    mirror_options: Mapping[str, Mapping[str, Any]] | None = None,
    strict: bool = False,
) -> None:
    """Say which experiment the runs of this process belong to, unless a job says so.

    `tags` are given to each of them. `mirrors` hear of each: "vertex", "tensorboard", "wandb",
    or one of your own as "module:Class"; None: those of the settings. `mirror_options` holds
    by the mirror's name what it is made with. With `strict` what cannot be written raises
    StoreError; otherwise it is said once, work goes on, and it is written as soon as that is
    possible.
    """
    run_id(experiment, "x")  # refuses a name that Vertex AI would refuse
    if isinstance(tags, str):
        raise RequestError(f"tags is a list of words: give [{tags!r}]")
    if isinstance(mirrors, str):
        raise RequestError(f"mirrors is a list of names: give [{mirrors!r}]")
    for name in mirrors or ():
        registry.mirror(name, (mirror_options or {}).get(name, {}))  # refused here, not later
    _session.experiment, _session.tags, _session.strict = experiment, tuple(tags), strict
    _session.mirrors = None if mirrors is None else tuple(mirrors)
    _session.mirror_options = mirror_options or {}
    if experiment_description:
        store, now = _session.store(), utc_now()
        with store.write():
            need_experiment(store, experiment, now)
            more = {"description": experiment_description}
            store.amend(
                Context, experiment, lambda c: replace(c, metadata={**c.metadata, **more}), now
            )


def start_run(
    run: str | None = None,
    *,
    resume: bool = False,
    nested: bool = False,
    tags: Sequence[str] = (),
    notes: str = "",
) -> OpenRun:
    """Open a run to log to; usable in a `with`, which ends it.

    In a job, without a name or with its own, this is the job's run, until `end_run`.
    Elsewhere a name is made from the time when none is given. Raises AlreadyExists when
    the experiment has a run of that name and `resume` is not set. With `resume` several
    processes may log into one run: it ends with the one that began it. `nested` begins a run
    inside the open one, which is the current one again when it ends.
    """
    outer = _session.runs[-1] if _session.runs else None
    if outer and not nested:
        raise StateError(
            f"run {outer.name!r} is still open: call end_run() first, or nest the new one "
            "with start_run(nested=True)"
        )
    mirrors = _session.mirrors
    if mirrors is None:
        mirrors = tuple(filter(None, map(str.strip, Settings.load().mirror.split(","))))
        for name in mirrors:
            registry.mirror(name, _session.mirror_options.get(name, {}))  # refused before it begins
    try:
        opened = _started(run, resume, outer)
    except StoreError as error:
        if _session.strict:
            raise
        opened = opening.elsewhere(_session.experiment, run, resume, error)
    if words := (*_session.tags, *tags):
        opened.set_tags(*words)
    if notes:
        opened.set_notes(notes)
    _session.runs.append(opened)
    opened.on_end = _forget
    if mirrors and not opened.is_guest:
        try:
            opened.mirror(mirrors, _session.mirror_options, partial(_at_exit, opened))
        except OSError as error:  # a mirror stops nobody
            warnings.warn(f"nothing is mirrored: {error}", RuntimeWarning, stacklevel=2)
    from nbtools.card import show

    show(opened)
    atexit.register(_at_exit, opened)
    return opened


def end_run(state: str = ExecutionState.COMPLETE) -> None:
    """End the current run; `state` is COMPLETE, FAILED or CANCELLED."""
    if not _session.runs:
        raise StateError("there is no run to end: start_run() opens one")
    _session.runs[-1].end(state)


def log_params(params: Mapping[str, Any]) -> None:
    """Log what goes into the current run; see OpenRun.log_params."""
    _current().log_params(params)


def log_metrics(metrics: Mapping[str, Any]) -> None:
    """Log what came out of the current run; see OpenRun.log_metrics."""
    _current().log_metrics(metrics)


def log_time_series_metrics(
    metrics: Mapping[str, float], step: int | None = None, wall_time: float | None = None
) -> None:
    """Log one step of the current run; see OpenRun.log_time_series_metrics."""
    _current().log_time_series_metrics(metrics, step, wall_time)


def report(step: int, value: float) -> None:
    """Log how well the run does at `step`: as the sweep's objective, or as `objective`.

    In a trial of a sweep that others leave behind it ends the notebook here: the job has
    SUCCEEDED, and its run is marked pruned. That is a SystemExit, as from `sys.exit(0)`, so
    `finally` and `with` are heeded. Anywhere else it returns.
    """
    from nbtools import pruning

    _current()
    pruning.report(_session.runs[0], step, value)


def log_classification_metrics(
    *,
    labels: Sequence[str] | None = None,
    matrix: Sequence[Sequence[int]] | None = None,
    fpr: Sequence[float] | None = None,
    tpr: Sequence[float] | None = None,
    threshold: Sequence[float] | None = None,
    display_name: str = "",
) -> Artifact:
    """Log a confusion matrix or a ROC curve; see OpenRun.log_classification_metrics."""
    return _current().log_classification_metrics(
        labels=labels, matrix=matrix, fpr=fpr, tpr=tpr, threshold=threshold,
        display_name=display_name,
    )  # fmt: skip


def log_artifact(path: str | Path, name: str = "", schema_title: str = FILE) -> Artifact:
    """Keep a file as an artifact of the current run; see OpenRun.log_artifact."""
    return _current().log_artifact(path, name, schema_title)


def log_model(model: Any, name: str = "") -> Artifact:
    """Keep a file, or an object, as a model of the current run; see OpenRun.log_model."""
    return _current().log_model(model, name)


def log_table(name: str, table: Any) -> Artifact:
    """Keep a table as CSV; see OpenRun.log_table."""
    return _current().log_table(name, table)


def log_figure(name: str, figure: Any) -> Artifact:
    """Keep a picture; see OpenRun.log_figure."""
    return _current().log_figure(name, figure)


def log_text(name: str, text: str) -> Artifact:
    """Keep text as a file; see OpenRun.log_text."""
    return _current().log_text(name, text)


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
    from nbtools.frame import frame

    store = _session.store()
    store.drain(utc_now())
    if experiment:
        Experiment(experiment)
    key = (store.folder or Path(), experiment)
    version = store.version
    known = _session.frames.get(key)
    if known is None or known[0] != version:
        known = _session.frames[key] = (version, frame(store.table(experiment)))
    made: pd.DataFrame = known[1].copy()
    return made


def current_run() -> OpenRun | None:
    """The open run, in a job the job's own, which is opened now; None when there is none."""
    if not _session.runs and (_session.left_job or not _identity(_session.store())):
        return None
    return _current()


def _current() -> OpenRun:
    """The open run; in a job the job's own is opened now."""
    if _session.runs and _session.runs[-1].was_forked:
        _leave_what_another_job_began()
    if not _session.runs:
        if _session.left_job or not _identity(_session.store()):
            raise StateError("there is no run to log to: call nbtools.start_run() first")
        start_run()
    return _session.runs[-1]


def _leave_what_another_job_began() -> None:
    """In a kernel that goes on from another's state, the runs of that one's job are not ours."""
    job = _identity(_session.store()).get("job")
    if job:
        _session.runs = [run for run in _session.runs if run.of_job in ("", job)]


def _identity(store: Store) -> dict[str, str]:
    """Who this kernel is, if a job's notebook runs in it: the injected value.

    A notebook that a job left, executed again by hand, is nobody: its run has ended.
    """
    ipython = shell()
    found = ipython.user_ns.get(IDENTITY) if ipython else None
    if not isinstance(found, Mapping):
        return {}
    if "run" not in found:  # of a schedule that another's clock fires: each time is a run
        return {"experiment": found["experiment"]}
    context = find_context(store, found["experiment"], found["run"])
    ended = context is not None and Run.of(context).state is not ExecutionState.RUNNING
    return {} if ended else dict(found)


def _started(run: str | None, resume: bool, outer: OpenRun | None) -> OpenRun:
    settings = Settings.load()
    store = _session.store(settings)
    store.drain(utc_now())
    job = _identity(store)
    if outer is None and job and "run" not in job and not _session.experiment:
        return opening.away(store, job["experiment"], run, resume, _session.strict)
    own = outer is None and "run" in job and run in (None, job["run"])
    if own and (not _session.left_job or (run and resume)):
        return opening.in_job(store, job, _session.strict)
    experiment = _session.experiment or job.get("experiment") or settings.experiment
    if outer:
        experiment = outer.experiment
    parent = outer.name if outer else ""
    return opening.begin(store, experiment or "default", run, resume, _session.strict, parent)


def _forget(run: OpenRun, in_job: bool) -> None:
    """A run has ended."""
    _session.left_job |= in_job
    if run in _session.runs:
        _session.runs.remove(run)


def _at_exit(run: OpenRun) -> None:
    """End a run that was left open when its process ends: FAILED if by an exception."""
    if run.is_open:
        failed = shell() is None and getattr(sys, "last_value", None) is not None
        run.end(ExecutionState.FAILED if failed else ExecutionState.COMPLETE)
