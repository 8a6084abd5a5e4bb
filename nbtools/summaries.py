"""What each run comes to, packed so that ten thousand of them are a table at once.

Derived from the run's context and the ends of its series; made anew where that has changed.
A run's columns are its shape, shared by all runs that log the same; its numbers lie in one
blob of doubles, whole numbers and bools among them, which the shape tells apart.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from nbtools import metadata
from nbtools.nouns import RUN

#: kinds of columns: float, int, bool, and o for what is kept as JSON.
Column = tuple[str, str]
#: the largest whole number that every smaller one, and it, is a double.
EXACT = 2**53
#: a run's column begins with one of these, as in `aiplatform.get_experiment_df`.
PARAM, METRIC, SERIES = "param.", "metric.", "time_series_metric."
#: series that the machine's state is logged under; no result of a run.
SYSTEM = "system/"


@dataclass(frozen=True)
class Block:
    """Runs that have the same columns."""

    columns: tuple[Column, ...]
    places: list[int]  #: where each belongs in the order of all
    numbers: bytes  #: doubles, a row a run: the columns of every kind but o
    others: list[list[Any]]  #: a list a run: the columns of kind o


@dataclass(frozen=True)
class Table:
    """Runs, newest first."""

    experiments: list[str]
    names: list[str]
    states: list[str]
    blocks: list[Block]


class Summaries:
    """The summaries of one store; `execute` carries out SQL."""

    def __init__(self, execute: Callable[..., list[Any]]) -> None:
        self._execute = execute

    def put(
        self, context: str, etag: int, meta: Mapping[str, Any], ends: Mapping[str, Any]
    ) -> None:
        """Write down what a run comes to, inside a transaction."""
        columns: list[Column] = []
        numbers, others = array("d"), []
        for prefix, values in (
            (PARAM, meta.get("_params", {})),
            (METRIC, meta.get("_metrics", {})),
            (SERIES, ends),
        ):
            for key, value in values.items():
                kind = _kind(value)
                if prefix == SERIES and key.startswith(SYSTEM):
                    continue
                columns.append((prefix + key, kind))
                if kind == "o":
                    others.append(value)
                else:
                    numbers.append(value)
        self._execute(
            "INSERT OR REPLACE INTO summaries VALUES (?, ?, ?, ?, ?, ?, ?)",
            context,
            etag,
            meta.get("_experiment", ""),
            meta.get("_state", ""),
            self._shape(columns),
            numbers.tobytes(),
            metadata.dumps({"o": others}) if others else "",
        )

    def stale(self) -> list[str]:
        """Runs whose summary is not there, or not of what they are now."""
        rows = self._execute(
            "SELECT c.name FROM contexts AS c LEFT JOIN summaries AS s ON s.context = c.name "
            "WHERE c.schema_title = ? AND s.etag IS NOT c.etag",
            RUN,
        )
        return [row["name"] for row in rows]

    def table(self, experiment: str = "") -> Table:
        """The runs of an experiment, or all."""
        rows = self._execute(
            "SELECT s.experiment, c.display_name, s.state, s.shape, s.numbers, s.others "
            "FROM contexts AS c JOIN summaries AS s ON s.context = c.name "
            "WHERE c.schema_title = ? AND ? IN ('', s.experiment) "
            "ORDER BY c.create_time DESC, c.name DESC",
            RUN,
            experiment,
        )
        if not rows:
            return Table([], [], [], [])
        experiments, names, states, shapes, numbers, others = map(list, zip(*rows, strict=True))
        groups: dict[int, list[int]] = {}
        for place, shape in enumerate(shapes):
            groups.setdefault(shape, []).append(place)
        columns = {
            row["id"]: tuple((name, kind) for name, kind in json.loads(row["columns"]))
            for row in self._execute("SELECT * FROM shapes")
        }
        blocks = []
        for shape, places in groups.items():
            texts = [others[place] for place in places if others[place]]
            lists = metadata.loads(f'{{"all": [{", ".join(texts)}]}}')["all"] if texts else []
            packed = b"".join([numbers[place] for place in places])
            blocks.append(Block(columns[shape], places, packed, [one["o"] for one in lists]))
        return Table(experiments, names, states, blocks)

    def _shape(self, columns: list[Column]) -> int:
        text, sql = json.dumps(columns), "SELECT id FROM shapes WHERE columns = ?"
        if not (found := self._execute(sql, text)):
            self._execute("INSERT INTO shapes (columns) VALUES (?)", text)
            found = self._execute(sql, text)
        return int(found[0]["id"])


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "b"
    if isinstance(value, int):
        return "i" if abs(value) <= EXACT else "o"
    return "f" if isinstance(value, float) else "o"
