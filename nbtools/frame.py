"""Runs side by side, as a DataFrame laid out as `aiplatform.get_experiment_df` does it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbtools import registry
from nbtools.nouns import RUN
from nbtools.summaries import METRIC, PARAM, SERIES, Block, Table

if TYPE_CHECKING:
    import pandas as pd

_DTYPES = {"f": "float64", "i": "int64", "b": "bool", "o": "object"}


def frame(table: Table) -> pd.DataFrame:
    """A row a run: experiment_name, run_name, run_type, state, then `param.*`, `metric.*`
    and `time_series_metric.*`; whole numbers stay whole where every run has one.
    """
    pandas, numpy = registry.need("pandas"), registry.need("numpy")
    count = len(table.names)
    head = {
        "experiment_name": table.experiments,
        "run_name": table.names,
        "run_type": [RUN] * count,
        "state": table.states,
    }
    parts = [_columns(block, numpy) for block in table.blocks]
    values: dict[str, Any] = {}
    for prefix in (PARAM, METRIC, SERIES):
        for part in parts:
            for name in part:
                if name.startswith(prefix) and name not in values:
                    values[name] = _whole(name, count, table.blocks, parts, numpy)
    made: pd.DataFrame = pandas.DataFrame({**head, **values})
    return made


def _columns(block: Block, numpy: Any) -> dict[str, Any]:
    """Each column of a block as an array of its kind."""
    kinds = [kind for _, kind in block.columns]
    packed = sum(kind != "o" for kind in kinds)
    matrix = numpy.frombuffer(block.numbers).reshape(len(block.places), packed)
    found, number, other = {}, 0, 0
    for name, kind in block.columns:
        if kind == "o":
            column = numpy.empty(len(block.places), dtype=object)
            column[:] = [row[other] for row in block.others]
            other += 1
        else:
            column = matrix[:, number].astype(_DTYPES[kind])
            number += 1
        found[name] = column
    return found


def _whole(
    name: str, count: int, blocks: list[Block], parts: list[dict[str, Any]], numpy: Any
) -> Any:
    """One column over all runs; None or NaN where a run has no such value."""
    having = [(b.places, p[name]) for b, p in zip(blocks, parts, strict=True) if name in p]
    dtypes = {column.dtype.kind for _, column in having}
    missing = sum(len(places) for places, _ in having) < count
    if dtypes == {"b"} and not missing:
        whole = numpy.empty(count, dtype=bool)
    elif dtypes == {"i"} and not missing:
        whole = numpy.empty(count, dtype="int64")
    elif dtypes <= {"i", "f"}:
        whole = numpy.full(count, numpy.nan)
    else:
        whole = numpy.full(count, numpy.nan, dtype=object)
    for places, column in having:
        whole[places] = column
    return whole
