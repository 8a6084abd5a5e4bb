"""A run that is there, to look at: what was logged, what it left behind, what it was made of."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nbtools import registry
from nbtools.nouns import CLASSIFICATION, JOB, RUN, Artifact, Context, Execution, Run, utc_now
from nbtools.runs import find_run, list_runs
from nbtools.settings import Settings
from nbtools.states import ExecutionState
from nbtools.store import Store
from nbtools.summaries import SYSTEM

if TYPE_CHECKING:
    import pandas as pd


class ExperimentRun:
    """A run of an experiment, as the store knows it at the moment of asking."""

    def __init__(self, run_name: str, experiment: str = "") -> None:
        """The run of that name, or an unmistakable beginning of it, or `last`.

        Raises NotFound, or RequestError when several would fit.
        """
        store = Store(Settings.load().store)
        found = find_run(store, utc_now(), run_name, experiment)
        self._be(store, store.get(Context, found.id))

    def _be(self, store: Store, context: Context) -> None:
        self._store, self._context = store, context.name
        self.experiment: str = context.metadata["_experiment"]  #: the experiment's name
        self.name: str = context.display_name  #: the run's name

    @classmethod
    def list(cls, experiment: str = "") -> builtins.list[ExperimentRun]:
        """The runs of an experiment, or all, newest first. Raises NotFound."""
        store = Store(Settings.load().store)
        return [_of(store, run.id) for run in list_runs(store, utc_now(), experiment)]

    def __repr__(self) -> str:
        return f"ExperimentRun(experiment={self.experiment!r}, name={self.name!r})"

    @property
    def id(self) -> str:
        """The name of its context, as Vertex AI builds it."""
        return self._context

    @property
    def state(self) -> ExecutionState:
        """RUNNING, COMPLETE, FAILED or CANCELLED."""
        return Run.of(self._now()).state

    @property
    def tags(self) -> builtins.list[str]:
        """Words that it was given."""
        return [*self._now().metadata.get("_tags", [])]

    @property
    def notes(self) -> str:
        """Text that it was given."""
        return str(self._now().metadata.get("_notes", ""))

    @property
    def about(self) -> Mapping[str, Any]:
        """The commit, the command, the host, … that it was made of; see about.py."""
        return dict(self._now().metadata.get("_about", {}))

    @property
    def parent(self) -> ExperimentRun | None:
        """The run that it was begun in."""
        name = self._now().metadata.get("_parent", "")
        return ExperimentRun(name, self.experiment) if name else None

    @property
    def children(self) -> builtins.list[ExperimentRun]:
        """The runs that were begun in it, newest first."""
        self._now()
        found = self._store.select(Context, RUN, parent=self._context)
        return [_of(self._store, context.name) for context in found]

    def get_params(self) -> dict[str, Any]:
        """What went in, by name."""
        return dict(self._now().metadata.get("_params", {}))

    def get_metrics(self) -> dict[str, Any]:
        """What came out, by name."""
        return dict(self._now().metadata.get("_metrics", {}))

    def get_time_series_data_frame(self, system: bool = False) -> pd.DataFrame:
        """A row a step: `step`, `wall_time` (of the last value logged at it), and a column a
        metric, NaN where none was logged. `system`: what the machine did, instead.
        """
        pandas = registry.need("pandas")
        self._now()
        rows: dict[int, dict[str, float]] = {}
        found = self._store.points(self._context).items()
        points = {key: series for key, series in found if key.startswith(SYSTEM) == system}
        for key, series in points.items():
            for step, wall_time, value in series:
                row = rows.setdefault(step, {"step": step, "wall_time": wall_time})
                row["wall_time"] = max(row["wall_time"], wall_time)
                row[key] = value
        columns = ["step", "wall_time", *points]
        frame: pd.DataFrame = pandas.DataFrame([rows[s] for s in sorted(rows)], columns=columns)
        return frame

    def get_artifacts(self) -> builtins.list[Artifact]:
        """What it has left behind, newest first."""
        return self._store.select(Artifact, context=self._context)

    def get_classification_metrics(self) -> builtins.list[dict[str, Any]]:
        """What `log_classification_metrics` was told: confusion matrices and ROC curves."""
        found = self._store.select(Artifact, CLASSIFICATION, context=self._context)
        return [{"display_name": a.display_name, **a.metadata} for a in found]

    def get_executions(self) -> builtins.list[Execution]:
        """What was carried out for it: its job, or its process, and what it started."""
        return self._store.select(Execution, context=self._context)

    def get_logs(self) -> str:
        """What the cells of its job have printed; "" for a run that no job started."""
        from nbtools.watch import watch

        jobs = self._store.select(Execution, JOB, context=self._context)
        events = [event for job in jobs for event in watch(job.name, follow=False)]
        return "".join(event.text for event in events if event.kind == "text")

    def _now(self) -> Context:
        self._store.drain(utc_now())
        return self._store.get(Context, self._context)


def _of(store: Store, context: str) -> ExperimentRun:
    run = ExperimentRun.__new__(ExperimentRun)
    run._be(store, store.get(Context, context))
    return run
