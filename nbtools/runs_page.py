"""Runs as one HTML page that opens without a network: table, curves, params, what matters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from nbtools import columns, comparison
from nbtools.comparison import ABOUT
from nbtools.errors import RequestError
from nbtools.figures import bars, curves, parallel
from nbtools.figures.markup import Markup, element, number
from nbtools.figures.page import page as framed
from nbtools.figures.page import section
from nbtools.importance import Importance, importance
from nbtools.nouns import Run, utc_now
from nbtools.runs import list_runs
from nbtools.settings import Settings
from nbtools.store import Store
from nbtools.summaries import METRIC, PARAM, SERIES, SYSTEM

#: colours of the first runs, which most people can tell apart; more are made.
COLOURS: Final = (
    "#4477aa", "#ee6677", "#228833", "#ccaa22", "#66bbdd", "#aa3377", "#ee7733", "#999999",
)  # fmt: skip
MOST_AXES: Final = 10  #: params drawn as axes, those that matter most
IN_LEGEND: Final = 16  #: runs named beside the curves; the table names all
LONGEST: Final = 60  #: characters of a table's cell


def report(experiment: str = "", filter: str = "", metric: str = "", title: str = "") -> str:
    """The page of the runs of an experiment, or of all, that a filter holds for.

    `metric` is what params are drawn against: by default the first that runs differ in.
    Raises NotFound, or RequestError when there are no such runs, or none with that metric.
    """
    store, now = Store(Settings.load().store), utc_now()
    runs = list_runs(store, now, experiment, filter)
    return page(store, runs, now, experiment=experiment, metric=metric, title=title)


def page(
    store: Store,
    runs: Sequence[Run],
    now: datetime,
    *,
    experiment: str = "",
    metric: str = "",
    title: str = "",
) -> str:
    """The page of these runs. Raises RequestError without runs, or where none has the metric."""
    if not runs:
        raise RequestError("no runs to report on: `nbtools runs list` shows what there is")
    ends = columns.ends(store, experiment)
    metric = metric or _first_metric(runs, ends)
    values = [comparison.metric_of(run, ends, metric) if metric else math.nan for run in runs]
    if metric and not any(map(math.isfinite, values)):
        raise RequestError(f"no run here has a finite number for {metric!r}: name another metric")
    title = title or (f"Experiment {experiment}" if experiment else "Experiment runs")
    count = "1 run" if len(runs) == 1 else f"{len(runs)} runs"
    head = element(
        "header", {}, element("h1", {}, title),
        element("p", {"class": "dim"}, f"{count} · written {now:%Y-%m-%d %H:%M} UTC · a click on "
                "a run marks it, on a column sorts by it"),
    )  # fmt: skip
    sections = [head, _table(runs, ends), _curves(store, runs)]
    if metric:
        sections += _against(runs, metric, values)
    return framed(title, [part for part in sections if part])


def _table(runs: Sequence[Run], ends: columns.Ends) -> Markup:
    everything = comparison.differences(runs, ends, all=True)
    shown = {k: v for k, v in everything.items() if k in comparison.differences(runs, ends)}
    if len(runs) == 1:
        shown = everything
    many = len({run.experiment for run in runs}) > 1
    heads = ["", *["experiment"] * many, "run", "begun", *map(_head, shown)]
    rows = []
    for i, run in enumerate(runs):
        begun = f"{run.create_time:%Y-%m-%d %H:%M:%S}" if run.create_time else ""
        cells = [
            element("td", {"class": "swatch", "data-value": i}, _swatch(i)),
            *(element("td", {}, text) for text in [*[run.experiment] * many, run.name, begun]),
            *(_cell(column[i]) for column in shown.values()),
        ]
        rows.append(element("tr", {"data-run": i}, *cells))
    same = {k: v[0] for k, v in everything.items() if k not in shown}
    logged = {k: v for k, v in same.items() if not k.startswith(ABOUT)}
    about = {k: v for k, v in same.items() if k.startswith(ABOUT)}
    under = []
    if logged:
        under.append(element("p", {"class": "dim"}, "The same in all: ", *_named(logged)))
    if about:
        summary = element("summary", {}, "What all were executed with")
        under.append(element("details", {"class": "dim"}, summary, *_named(about)))
    return section(
        "Runs",
        element(
            "div", {"class": "wide"},
            element("table", {},
                    element("thead", {}, element("tr", {}, *(element("th", {}, h) for h in heads))),
                    element("tbody", {}, *rows)),
        ),
        *under,
    )  # fmt: skip


def _named(values: Mapping[str, Any]) -> list[Markup]:
    """Names and values in one line."""
    parts = [element("code", {}, f"{_head(k)} = {_text(v)}") for k, v in values.items()]
    return [part for one in parts for part in (Markup(" · "), one)][1:]


def _curves(store: Store, runs: Sequence[Run]) -> Markup:
    found: dict[str, list[curves.Curve]] = {}
    labels = comparison.labels(runs)
    for i, run in enumerate(runs):
        for key, points in store.points(run.id).items():
            pairs = [(step, value) for step, _, value in points]
            found.setdefault(key, []).append(curves.Curve(i, labels[i], colour(i), pairs))
    if not found:
        return Markup("")
    keys = sorted(found, key=lambda key: key.startswith(SYSTEM))
    charts = [curves.chart(key, found[key]) for key in keys]
    named = [
        element("span", {"data-run": i}, _swatch(i), f" {label}")
        for i, label in enumerate(labels[:IN_LEGEND])
    ]
    more = f"and {len(runs) - IN_LEGEND} more, see the table" if len(runs) > IN_LEGEND else ""
    legend = element("p", {"class": "legend"}, *named, more)
    return section("Learning curves", legend, element("div", {"class": "charts"}, *charts))


def _against(runs: Sequence[Run], metric: str, values: Sequence[float]) -> list[Markup]:
    """Params against the metric, and which of them matter."""
    there = [i for i, value in enumerate(values) if math.isfinite(value)]
    params = [runs[i].params for i in there]
    found = importance(params, [values[i] for i in there])
    ranked = [name for name, _ in found.scores] or _differing(params)
    labels = comparison.labels(runs)
    lines = [parallel.Line(i, labels[i], runs[i].params, values[i]) for i in there]
    left_out, name = len(runs) - len(there), _short_name(metric)
    notes = []
    if len(ranked) > MOST_AXES:
        notes.append(f"Of {len(ranked)} params the {MOST_AXES} that matter most are drawn.")
    if left_out:
        which = "1 run has" if left_out == 1 else f"{left_out} runs have"
        notes.append(f"{which} no finite {name} and cannot be drawn.")
    if not ranked:
        notes.append("These runs do not differ in any param.")
    drawn = [parallel.chart(ranked[:MOST_AXES], name, lines)] if ranked else []
    return [
        section(f"Params against {name}", *(element("p", {"class": "dim"}, n) for n in notes),
                *drawn),
        _importance(found, name),
    ]  # fmt: skip


def _importance(found: Importance, metric: str) -> Markup:
    title = f"Which params matter for {metric}"
    drawn = [bars.chart(title, found.scores[:20])] if found.scores else []
    said = [found.method, found.caution] if found.caution else [found.method]
    return section(title, *drawn, *(element("p", {"class": "dim"}, text) for text in said))


def _swatch(i: int) -> Markup:
    return element("i", {"style": f"background:{colour(i)}"})


def colour(i: int) -> str:
    """The colour of the run in place `i`."""
    if i < len(COLOURS):
        return COLOURS[i]
    return f"hsl({i * 137.508 % 360:.0f} {55 + i * 7 % 30}% {38 + i * 11 % 22}%)"


def _first_metric(runs: Sequence[Run], ends: columns.Ends) -> str:
    """The first metric that runs differ in, else the first series; empty when there is none."""
    rows = [columns.row(run, ends) for run in runs]
    first = ""
    for name in columns.names(rows):
        if name.startswith((METRIC, SERIES)):
            numbers = {comparison.metric_of(run, ends, name) for run in runs}
            finite = {one for one in numbers if math.isfinite(one)}
            if len(finite) > 1:
                return name
            first = first or (name if finite else "")
    return first


def _differing(params: Sequence[Mapping[str, Any]]) -> list[str]:
    names = dict.fromkeys(name for one in params for name in one)
    return [n for n in names if len({repr(one.get(n)) for one in params}) > 1]


def _short_name(column: str) -> str:
    for prefix in (PARAM, METRIC, SERIES):
        column = column.removeprefix(prefix)
    return column


def _head(column: str) -> str:
    """A column's name in the table, where a metric and a series may have one name."""
    return _short_name(column) + " (last)" * column.startswith(SERIES)


def _cell(value: Any) -> Markup:
    exact = repr(value) if isinstance(value, int | float) else None
    return element("td", {"data-value": exact}, _text(value))


def _text(value: Any) -> str:
    if value is None:
        return ""
    text = number(value) if isinstance(value, float) else str(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
