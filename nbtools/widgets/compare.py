"""Runs side by side: their table, their curves, and params against a metric."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from nbtools import columns, comparison, frame, registry
from nbtools.errors import RequestError
from nbtools.figures import curves, parallel, scatter
from nbtools.figures.markup import Markup
from nbtools.nouns import Run, utc_now
from nbtools.runs import list_runs
from nbtools.runs_page import MOST_AXES, colour
from nbtools.settings import Settings
from nbtools.store import Store
from nbtools.summaries import METRIC, PARAM, SERIES
from nbtools.widgets import still
from nbtools.widgets.question import NUMBER, TEXT, TEXTS
from nbtools.widgets.telling import curve, told
from nbtools.widgets.view import Reply, View, script, style

if TYPE_CHECKING:
    import pandas as pd

#: points of all curves of a chart together, and of one.
ALL_POINTS, POINTS = 40_000, 1_000
#: runs whose curves are drawn at most, and whose curves stay in the picture.
MOST_CURVES, PICTURED = 200, 12


class CompareView(View):
    """The runs of an experiment, or of all."""

    _esm, _css = script("plot", "compare"), style()
    ASKED: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "filter": {"text": TEXT},
        "curves": {"key": TEXT, "runs": TEXTS, "low": NUMBER, "high": NUMBER},
        "parallel": {"metric": TEXT},
        "scatter": {"param": TEXT, "metric": TEXT},
        "best": {"metric": TEXT, "direction": TEXT},
        "differences": {"runs": TEXTS},
        "select": {"runs": TEXTS},
    }

    def __init__(self, experiment: str = "", filter: str = "") -> None:
        """Raises NotFound, or RequestError when the filter is wrong."""
        super().__init__()
        self._store = Store(Settings.load().store)
        self.experiment, self.filter = experiment, filter
        self._runs: dict[str, Run] = {}
        self._selected: list[str] = []

    @property
    def selected(self) -> pd.DataFrame:
        """The runs that are selected on the page, as `get_experiment_df` lays them out."""
        registry.need("pandas")
        whole = frame.frame(self._store.table(self.experiment))
        chosen = [self._runs[name] for name in self._selected]
        keys = [(run.experiment, run.name) for run in chosen]
        there = list(zip(whole["experiment_name"], whole["run_name"], strict=True))
        rows = whole.iloc[[there.index(key) for key in keys if key in there]]
        made: pd.DataFrame = rows.reset_index(drop=True)
        return made

    def look(self) -> None:
        """Tell the page all runs that the filter holds for."""
        found = list_runs(self._store, utc_now(), self.experiment, self.filter)
        ends = columns.ends(self._store, self.experiment)
        self._runs, self._ends = {run.id: run for run in found}, ends
        rows = [columns.row(run, ends) for run in found]
        names = [n for n in columns.names(rows) if n.startswith((PARAM, METRIC, SERIES))]
        params = [n for n in names if n.startswith(PARAM)]
        metrics = [n for n in names if n not in params]
        many = len({run.experiment for run in found}) > 1
        own = [*["experiment"] * many, "run", "state", "begun", "tags"]
        self._selected = [name for name in self._selected if name in self._runs]
        self.told = {
            "experiment": self.experiment,
            "filter": self.filter,
            "columns": [*own, *names],
            "runs": [
                {"id": run.id, "colour": colour(i), "cells": [
                    *[run.experiment] * many, run.name, str(run.state), _begun(run),
                    ", ".join(run.tags), *(told(row.get(name)) for name in names)]}
                for i, (run, row) in enumerate(zip(found, rows, strict=True))
            ],
            "params": [n.removeprefix(PARAM) for n in _telling(params, rows)],
            "metrics": _telling(metrics, rows),
            "series": [n.removeprefix(SERIES) for n in names if n.startswith(SERIES)],
        }  # fmt: skip

    def picture(self) -> Markup:
        """Its table without what is the same in all, curves, and params against a metric."""
        runs = [*self._runs.values()]
        if not runs:
            return still.still(self._title(), still.paragraph("There are no runs."))
        table = comparison.differing([columns.row(run, self._ends) for run in runs])
        shown = {k: v for k, v in table.items() if k not in columns.OWN}
        rows = [(run.name, str(run.state), *(v[i] for v in shown.values()))
                for i, run in enumerate(runs)]  # fmt: skip
        parts = [still.table(("run", "state", *shown), rows)]
        for key in self.told["series"][:2]:
            lines = [
                curves.Curve(
                    i, run.name, colour(i), curve(self._store.series(run.id, key), 200).drawn
                )
                for i, run in enumerate(runs[:PICTURED])
            ]
            said = f"{key} of {len(lines)} runs by step"
            parts += [still.paragraph(said), still.picture(curves.chart(key, lines), said)]
        if self.told["metrics"] and (drawn := self._parallel(self.told["metrics"][0], runs)):
            said = f"params against {self.told['metrics'][0]}"
            parts += [still.paragraph(said), still.picture(drawn, said)]
        return still.still(self._title(), *parts)

    def _title(self) -> str:
        what = f"experiment {self.experiment}" if self.experiment else "all experiments"
        where = f" where {self.filter}" if self.filter else ""
        return f"{len(self._runs)} runs of {what}{where}"

    def _chosen(self, names: Sequence[str]) -> list[Run]:
        """The runs of those ids; all where none is given. Raises RequestError."""
        for name in names:
            if name not in self._runs:
                raise RequestError(f"no run {name!r} is shown here: filter again")
        return [self._runs[name] for name in names] or [*self._runs.values()]

    def _values(self, metric: str, runs: Sequence[Run]) -> list[tuple[Run, float]]:
        if metric not in self.told["metrics"]:
            raise RequestError(f"no run here has a metric {metric!r}")
        pairs = [(run, comparison.metric_of(run, self._ends, metric)) for run in runs]
        return [(run, value) for run, value in pairs if math.isfinite(value)]

    def _parallel(self, metric: str, runs: Sequence[Run]) -> str:
        pairs = self._values(metric, runs)
        params = [*comparison.differing([run.params for run, _ in pairs])][:MOST_AXES]
        if not pairs or not params:
            return ""
        places = {name: i for i, name in enumerate(self._runs)}
        lines = [parallel.Line(places[r.id], r.name, r.params, value) for r, value in pairs]
        return parallel.chart(params, metric.removeprefix(METRIC).removeprefix(SERIES), lines)

    # -- asked ------------------------------------------------------------------------

    def ask_filter(self, text: str) -> None:
        """Other runs: those that this filter holds for; the old ones stay if it is wrong."""
        before, self.filter = self.filter, text.strip()
        try:
            self.refresh()
        except RequestError:
            self.filter = before
            raise

    def ask_curves(self, key: str, runs: list[str], low: float, high: float) -> Reply:
        """One series of some runs between two steps: about each, then its numbers."""
        if key not in self.told["series"]:
            raise RequestError(f"no run here has a series {key!r}")
        wanted = self._chosen(runs)[:MOST_CURVES]
        limit = max(60, min(POINTS, ALL_POINTS // max(1, len(wanted))))
        found = [(run, curve(self._store.series(run.id, key), limit, low, high)) for run in wanted]
        found = [(run, one) for run, one in found if one.count]
        about = [{"id": run.id, "label": run.name, **one.about} for run, one in found]
        left_out = max(0, len(self._chosen(runs)) - MOST_CURVES)
        buffers = [packed for _, one in found for packed in one.packed.values()]
        return {"lines": about, "left_out": left_out}, buffers

    def ask_parallel(self, metric: str) -> Reply:
        """Parallel coordinates of the params that differ, the metric last."""
        drawn = self._parallel(metric, [*self._runs.values()])
        return {"svg": still.svg(drawn) if drawn else ""}, []

    def ask_scatter(self, param: str, metric: str) -> Reply:
        """A dot for each run that has both: a param against a metric."""
        if param not in self.told["params"]:
            raise RequestError(f"no run here has a param {param!r}")
        places = {name: i for i, name in enumerate(self._runs)}
        dots = [
            scatter.Dot(places[r.id], r.name, colour(places[r.id]), r.params.get(param), value)
            for r, value in self._values(metric, [*self._runs.values()])
            if param in r.params
        ]
        return {"svg": still.svg(scatter.chart(param, metric, dots)) if dots else ""}, []

    def ask_best(self, metric: str, direction: str) -> Reply:
        """The complete run that has the most or the least of a metric."""
        run = comparison.best(self.experiment, metric, direction, self.filter)
        return {"run": run.id, "name": run.name,
                "value": told(comparison.metric_of(run, self._ends, metric))}, []  # fmt: skip

    def ask_differences(self, runs: list[str]) -> Reply:
        """What differs between some runs, a row for each."""
        chosen = self._chosen(runs)[:20]
        found = comparison.differences(chosen, self._ends)
        return {"heads": comparison.labels(chosen),
                "rows": [[name, *told(values)] for name, values in found.items()]}, []  # fmt: skip

    def ask_select(self, runs: list[str]) -> None:
        """These are what `selected` holds."""
        self._selected = [run.id for run in self._chosen(runs)] if runs else []


def _begun(run: Run) -> str:
    return f"{run.create_time:%Y-%m-%d %H:%M:%S}" if run.create_time else ""


def _telling(names: Sequence[str], rows: Sequence[Mapping[str, object]]) -> list[str]:
    """The names by how many runs have them, those that runs differ in first."""
    found = {name: [repr(row[name]) for row in rows if name in row] for name in names}
    return sorted(names, key=lambda n: (len(set(found[n])) < 2, -len(found[n])))
