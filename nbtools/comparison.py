"""Runs beside each other: what differs, which is best, what several seeds come to.

compare(["baseline", "wide"])                       # only what differs
best("digits", "val_accuracy")                      # the run with the most
group("digits", by=["lr"], metric="val_accuracy")   # mean, std, n, 95 % interval
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any, Final

from nbtools import columns, registry
from nbtools.errors import NotFound, RequestError
from nbtools.nouns import Run, utc_now
from nbtools.runs import find_run, list_runs
from nbtools.settings import Settings
from nbtools.states import ExecutionState
from nbtools.store import Store
from nbtools.summaries import METRIC, PARAM, SERIES

if TYPE_CHECKING:
    import pandas as pd

#: what two runs may differ in besides what they logged.
TOLD: Final = ("state", "tags", "notes", "parent", "error")
ABOUT: Final = "about."  #: what begins the names of what a run was executed with
#: the 97.5th percentile of Student's t for 1, 2, … degrees of freedom.
STUDENT: Final = (
    12.7062047, 4.3026527, 3.1824463, 2.7764451, 2.5705818, 2.4469119, 2.3646243, 2.3060041,
    2.2621572, 2.2281389, 2.2009852, 2.1788128, 2.1603687, 2.1447867, 2.1314495, 2.1199053,
    2.1098156, 2.1009220, 2.0930241, 2.0859634, 2.0796138, 2.0738731, 2.0686576, 2.0638986,
    2.0595386, 2.0555294, 2.0518305, 2.0484071, 2.0452296, 2.0422725,
)  # fmt: skip


def compare(runs: Iterable[str], experiment: str = "", *, all: bool = False) -> pd.DataFrame:
    """A column a run, a row for each param, metric, series and fact that differs, or for all.

    `runs` are names as `nbtools runs show` takes them. None where a run has no such value.
    Raises NotFound, or RequestError when a name fits several runs or none is given.
    """
    pandas = registry.need("pandas")
    store, now = Store(Settings.load().store), utc_now()
    found = [find_run(store, now, name, experiment) for name in runs]
    table = differences(found, columns.ends(store, experiment), all=all)
    frame: pd.DataFrame = pandas.DataFrame(
        table.values(), index=list(table), columns=labels(found), dtype=object
    )
    return frame


def best(experiment: str, metric: str, direction: str = "max", filter: str = "") -> Run:
    """The run of an experiment that has the most (`max`) or the least (`min`) of a metric.

    Only runs that are COMPLETE and that a filter, if given, holds for; `metric` is a name as
    it was logged, or a whole column's. NaN is never best, nor is a run without a value; of
    equals it is the older. Raises NotFound when there is none.
    """
    if direction not in ("max", "min"):
        raise RequestError(f"direction {direction!r}: use 'max' or 'min'")
    sign = 1 if direction == "max" else -1
    valued = [pair for pair in _values(experiment, metric, filter) if not math.isnan(pair[1])]
    if not valued:
        raise NotFound(
            f"no complete run of experiment {experiment!r} has a number for {metric!r}: "
            f"`nbtools runs list --experiment {experiment}` shows what they have"
        )
    return max(reversed(valued), key=lambda pair: sign * pair[1])[0]


def group(
    experiment: str, by: Sequence[str], metric: str, filter: str = "", level: float = 0.95
) -> pd.DataFrame:
    """What runs that differ only in other params than `by` (seeds) come to together.

    A row a group, in the order of the groups' params: those, then n (runs with a finite
    value), lost (runs without one, or with NaN or infinity), mean, std (of a sample, NaN for
    one run), low and high: the interval that holds the mean of such runs with `level`
    (0.95; no other is known), by Student's t. Only COMPLETE runs. Raises NotFound, or
    RequestError when no run has the metric or one of the params.
    """
    if level != 0.95:
        raise RequestError(f"level {level}: only 0.95 is known")
    pandas = registry.need("pandas")
    pairs = _values(experiment, metric, filter)
    if all(math.isnan(value) for _, value in pairs):
        raise RequestError(f"no complete run of {experiment!r} has a number for {metric!r}")
    keys = [key.removeprefix(PARAM) for key in by]
    for key in keys:
        if not any(key in run.params for run, _ in pairs):
            raise RequestError(f"no run of {experiment!r} has a param {key!r} to group by")
    groups: dict[tuple[Any, ...], list[float]] = {}
    for run, value in pairs:
        groups.setdefault(tuple(_hashable(run.params.get(k)) for k in keys), []).append(value)
    rows = [
        {**dict(zip(keys, same, strict=True)), **spread(values)}
        for same, values in sorted(groups.items(), key=lambda pair: [_order(v) for v in pair[0]])
    ]
    frame: pd.DataFrame = pandas.DataFrame(rows)
    return frame


def spread(values: Iterable[float]) -> dict[str, float]:
    """n, lost, mean, std, and low and high of the 95 % interval of the mean."""
    every = list(values)
    finite = [v for v in every if math.isfinite(v)]
    n = len(finite)
    # Their sum, or their squares, may be beyond the largest double: then in smaller units.
    unit = 2.0**600 if any(abs(v) > 1e150 for v in finite) else 1.0
    scaled = [v / unit for v in finite]
    mean = fmean(scaled) * unit if n else math.nan
    std = stdev(scaled) * unit if n > 1 else math.nan
    half = student(n - 1) * std / math.sqrt(n) if n > 1 else math.nan
    return {"n": n, "lost": len(every) - n, "mean": mean, "std": std,
            "low": mean - half, "high": mean + half}  # fmt: skip


def student(freedom: int) -> float:
    """The 97.5th percentile of Student's t: from the table, beyond it by its expansion."""
    if freedom <= len(STUDENT):
        return STUDENT[freedom - 1]
    z, n = 1.959963984540054, freedom
    return (
        z
        + (z**3 + z) / (4 * n)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3)
    )


def differences(
    runs: Sequence[Run], ends: columns.Ends, *, all: bool = False
) -> dict[str, list[Any]]:
    """Column -> its value in each run, of those that are not the same in all, or of all.

    NaN is the same as NaN, 1 the same as 1.0, but True is not 1. Raises RequestError without
    runs.
    """
    if not runs:
        raise RequestError("name the runs to compare: `nbtools runs list` shows them")
    rows = []
    for run in runs:
        logged = columns.row(run, ends)
        told = {name: (columns.OWN | columns.MORE)[name](run) or None for name in TOLD}
        logged = {k: v for k, v in logged.items() if k not in columns.OWN}
        rows.append({**told, **_flat(run.about), **logged})
    return differing(rows, all=all)


def differing(rows: Sequence[Mapping[str, Any]], *, all: bool = False) -> dict[str, list[Any]]:
    """Name -> its value in each row, of those that are not the same in all, or of all; None
    where a row has none.
    """
    found = {name: [row.get(name) for row in rows] for name in columns.names(rows)}
    kept = {n: v for n, v in found.items() if any(one is not None for one in v)}
    return kept if all else {n: v for n, v in kept.items() if len({_same(one) for one in v}) > 1}


def labels(runs: Sequence[Run]) -> list[str]:
    """A short name for each run: its own, or its id where two runs have one name."""
    own = [run.name for run in runs]
    return [run.id if own.count(run.name) > 1 else run.name for run in runs]


def metric_of(run: Run, ends: columns.Ends, metric: str) -> float:
    """The number that a run has for a metric, else for a series (its last); NaN without."""
    row = columns.row(run, ends)
    for name in (metric, METRIC + metric, SERIES + metric):
        value = row.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            try:
                return float(value)
            except OverflowError:  # a whole number may be larger than any double
                return math.inf if value > 0 else -math.inf
    return math.nan


def _values(experiment: str, metric: str, filter: str) -> list[tuple[Run, float]]:
    store = Store(Settings.load().store)
    runs = list_runs(store, utc_now(), experiment, filter)
    ends = columns.ends(store, experiment)
    return [
        (run, metric_of(run, ends, metric)) for run in runs if run.state is ExecutionState.COMPLETE
    ]


def _flat(about: Mapping[str, Any], prefix: str = ABOUT) -> dict[str, Any]:
    """What is known of a run's surroundings by dotted names; not where its own files lie."""
    found: dict[str, Any] = {}
    for key, value in about.items():
        if isinstance(value, Mapping):
            found.update(_flat(value, f"{prefix}{key}."))
        elif f"{prefix}{key}" != f"{ABOUT}files":
            found[prefix + key] = value
    return found


def _same(value: Any) -> object:
    """Equal for what is the same."""
    if isinstance(value, float) and math.isnan(value):
        return "NaN", float
    if isinstance(value, bool):
        return value, bool
    if isinstance(value, int | float):
        return value, float
    return (repr(value) if isinstance(value, list | Mapping) else value), type(value)


def _hashable(value: Any) -> Any:
    if isinstance(value, float) and math.isnan(value):
        return None
    return repr(value) if isinstance(value, list | Mapping) else value


def _order(value: Any) -> tuple[int, Any]:
    if value is None:
        return 2, 0
    return (0, value) if isinstance(value, int | float) else (1, str(value))
