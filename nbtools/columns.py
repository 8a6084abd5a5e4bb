"""A run as one row of named columns: what lists, exports and comparisons are made of.

The names are those of `aiplatform.get_experiment_df`: experiment_name, run_name, run_type,
state, then `param.*`, `metric.*` and `time_series_metric.*` (the value at the last step).
Lists may also ask for begun, changed, job, tags, notes, parent and error.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final

from nbtools.errors import RequestError
from nbtools.nouns import RUN, Run, run_id
from nbtools.store import Store
from nbtools.summaries import METRIC, PARAM, SERIES

#: what each run has: column -> its value.
OWN: Final[dict[str, Callable[[Run], Any]]] = {
    "experiment_name": lambda run: run.experiment,
    "run_name": lambda run: run.name,
    "run_type": lambda _: RUN,
    "state": lambda run: str(run.state),
}
#: what else can be asked for.
MORE: Final[dict[str, Callable[[Run], Any]]] = {
    "begun": lambda run: run.create_time,
    "changed": lambda run: run.update_time,
    "job": lambda run: run.job,
    "tags": lambda run: ", ".join(run.tags),
    "notes": lambda run: run.notes,
    "parent": lambda run: run.parent,
    "error": lambda run: run.error,
}

#: run id -> the last value of each of its series.
Ends = Mapping[str, Mapping[str, float]]


def ends(store: Store, experiment: str = "") -> dict[str, dict[str, float]]:
    """The last value of each series of each run of an experiment, or of all."""
    table = store.table(experiment)
    found: dict[str, dict[str, float]] = {}
    for block in table.blocks:
        packed = array("d", block.numbers)
        names = [name for name, kind in block.columns if kind != "o"]
        wanted = [(i, n.removeprefix(SERIES)) for i, n in enumerate(names) if n.startswith(SERIES)]
        for row, place in enumerate(block.places):
            first = row * len(names)
            run = run_id(table.experiments[place], table.names[place])
            found[run] = {name: packed[first + i] for i, name in wanted}
    return found


def row(run: Run, ends: Ends) -> dict[str, Any]:
    """The columns that `get_experiment_df` has of a run."""
    return {
        **{name: value(run) for name, value in OWN.items()},
        **{PARAM + key: value for key, value in run.params.items()},
        **{METRIC + key: value for key, value in run.metrics.items()},
        **{SERIES + key: value for key, value in ends.get(run.id, {}).items()},
    }


def names(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Every column that a row has: those of all runs, params, metrics, series."""
    found = list(dict.fromkeys(name for row in rows for name in row))
    prefixes = (PARAM, METRIC, SERIES)
    return [n for n in found if not n.startswith(prefixes)] + [
        name for prefix in prefixes for name in found if name.startswith(prefix)
    ]


def chosen(runs: Sequence[Run], ends: Ends, columns: Sequence[str]) -> list[dict[str, Any]]:
    """A row a run, with only those columns; a run that lacks one has none of that name.

    Raises RequestError when no run has a column.
    """
    rows = [{**row(run, ends), **{k: value(run) for k, value in MORE.items()}} for run in runs]
    known = {name for one in rows for name in one}
    for column in columns:
        if rows and column not in known:
            near = get_close_matches(column, sorted(known), 1)
            hint = f"did you mean {near[0]}?" if near else "`nbtools runs export` shows all"
            raise RequestError(f"no run here has a column {column!r}: {hint}")
    return [{column: one[column] for column in columns if column in one} for one in rows]


def ordered(runs: Sequence[Run], ends: Ends, sort: str) -> list[Run]:
    """The runs by a column, rising, or falling where `-` stands before it.

    Numbers come before texts, and in either direction NaN and then what has no such column
    come last. Raises RequestError when no run has it.
    """
    column = sort.removeprefix("-")
    keyed = [(_rank(one.get(column)), run) for one, run in
             zip(chosen(runs, ends, [column]), runs, strict=True)]  # fmt: skip
    there = [(rank, run) for rank, run in keyed if rank[0] < _NAN]
    there.sort(key=lambda pair: pair[0], reverse=sort.startswith("-"))
    last = sorted((pair for pair in keyed if pair[0][0] >= _NAN), key=lambda pair: pair[0][0])
    return [run for _, run in [*there, *last]]


_NAN: Final = 2


def _rank(value: Any) -> tuple[int, Any]:
    if value is None:
        return _NAN + 1, 0
    if isinstance(value, float) and math.isnan(value):
        return _NAN, 0
    if isinstance(value, int | float):
        return 0, value
    return 1, str(value)
