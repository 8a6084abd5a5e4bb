"""Runs as one table for other programs: CSV, Parquet or JSON.

NaN and infinity are written as `NaN`, `Infinity` and `-Infinity`: in JSON as texts, as
protobuf's JSON has them, since JSON has no such numbers. What a run lacks is empty.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from nbtools import columns, registry
from nbtools.nouns import Run
from nbtools.store import Store

FORMATS: Final = ("csv", "parquet", "json")


def export(
    store: Store, runs: Sequence[Run], format: str, experiment: str = "", *, series: bool = False
) -> bytes:
    """The whole table of `runs`, a row each, as the bytes of a file.

    The columns are those of `get_experiment_df`. JSON is a list of objects; with `series`
    each has the key `series` too: name -> [[step, wall time in seconds since the epoch,
    value], …]. Raises MissingDependency when Parquet lacks its package.
    """
    ends = columns.ends(store, experiment)
    rows = [columns.row(run, ends) for run in runs]
    if format == "parquet":
        return _parquet(rows)
    if format == "json":
        if series:
            rows = [
                {**row, "series": store.points(run.id)} for row, run in zip(rows, runs, strict=True)
            ]
        return (json.dumps(_strict(rows), indent=1) + "\n").encode()
    return _csv(rows)


def _csv(rows: Sequence[Mapping[str, Any]]) -> bytes:
    names = columns.names(rows) or list(columns.OWN)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_cell(row.get(name)) for name in names] for row in rows)
    return text.getvalue().encode(errors="backslashreplace")


def _cell(value: Any) -> Any:
    value = _strict(value)
    return json.dumps(value) if isinstance(value, list | dict) else value


def _strict(value: Any) -> Any:
    """The value with words for what JSON has no numbers for."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        return {key: _strict(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(one) for one in value]
    return value


def _parquet(rows: Sequence[Mapping[str, Any]]) -> bytes:
    pandas = registry.need("pandas")
    registry.need("pyarrow")
    names = columns.names(rows) or list(columns.OWN)
    frame = pandas.DataFrame({name: _typed([row.get(name) for row in rows], pandas)
                              for name in names})  # fmt: skip
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()


def _typed(values: list[Any], pandas: Any) -> Any:
    """A column of one type: bools, whole numbers, numbers, or else texts; nulls where missing."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return pandas.array(values, dtype="boolean")
    exact = all(abs(value) < 2**63 for value in values if isinstance(value, int))
    if kinds == {int} and exact:
        return pandas.array(values, dtype="Int64")
    if kinds and kinds <= {int, float} and exact:
        return pandas.Series([math.nan if v is None else float(v) for v in values])
    texts = [v if v is None or isinstance(v, str) else str(_cell(v)) for v in values]
    return pandas.Series(texts, dtype=object)
