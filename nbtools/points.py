"""The time series of all runs, as the store keeps them: chunks of packed numbers.

A chunk is written once and merged with its neighbour when that is not much larger, so a
series that grows by a point a second is rewritten a logarithmic number of times. Writing
a step again replaces it, as Vertex AI does: the later chunk wins when a series is read.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable
from operator import lt
from typing import Any

from nbtools.journal import Series

#: step, wall time (seconds since the epoch), value
Point = tuple[int, float, float]
#: points in a chunk that is merged no more.
FULL = 4096


class Points:
    """The series of one store; `execute` carries out SQL."""

    def __init__(self, execute: Callable[..., list[Any]]) -> None:
        self._execute = execute

    def add(self, context: str, key: str, given: Series) -> None:
        """Add points to a series, in any order, inside a transaction."""
        if not given.steps:
            return
        new = _rising(given)
        self._note_end(context, key, new)
        number = 0
        for row in self._execute(
            "SELECT number, length, last_step FROM chunks WHERE context = ? AND key = ? "
            "ORDER BY number DESC LIMIT 40",
            context,
            key,
        ):
            if row["length"] > 2 * len(new.steps) or row["length"] + len(new.steps) > FULL:
                number = row["number"] + 1
                break
            old = self._chunk(context, key, row["number"])
            new = _joined(old, new)
            number = row["number"]
            sql = "DELETE FROM chunks WHERE context = ? AND key = ? AND number = ?"
            self._execute(sql, context, key, number)
        self._execute(
            "INSERT INTO chunks VALUES (?, ?, ?, ?, ?, ?, ?)",
            context,
            key,
            number,
            len(new.steps),
            new.steps[0],
            new.steps[-1],
            b"".join((new.steps.tobytes(), new.wall_times.tobytes(), new.values.tobytes())),
        )

    def series(self, context: str, key: str) -> Series:
        """One series, in the order of its steps."""
        whole = Series()
        rows = self._execute(
            "SELECT data FROM chunks WHERE context = ? AND key = ? ORDER BY number", context, key
        )
        for row in rows:
            part = _unpacked(row["data"])
            if whole.steps and whole.steps[-1] >= part.steps[0]:
                whole = _joined(whole, part)
            else:
                whole.steps.extend(part.steps)
                whole.wall_times.extend(part.wall_times)
                whole.values.extend(part.values)
        return whole

    def keys(self, context: str) -> list[str]:
        """The names of a run's series."""
        sql = "SELECT key FROM series WHERE context = ? ORDER BY key"
        return [row["key"] for row in self._execute(sql, context)]

    def last(self, context: str) -> dict[str, float]:
        """The value at the last step of each of a run's series."""
        sql = "SELECT key, last_value FROM series WHERE context = ? ORDER BY key"
        return {r["key"]: _number(r["last_value"]) for r in self._execute(sql, context)}

    def last_step(self, context: str) -> int:
        """The highest step that any of a run's series has; 0 when there is none."""
        rows = self._execute("SELECT max(last_step) AS s FROM series WHERE context = ?", context)
        return int(rows[0]["s"] or 0)

    def _chunk(self, context: str, key: str, number: int) -> Series:
        sql = "SELECT data FROM chunks WHERE context = ? AND key = ? AND number = ?"
        return _unpacked(self._execute(sql, context, key, number)[0]["data"])

    def _note_end(self, context: str, key: str, new: Series) -> None:
        self._execute(
            "INSERT INTO series VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
            "last_step = excluded.last_step, last_value = excluded.last_value "
            "WHERE excluded.last_step >= last_step",
            context,
            key,
            new.steps[-1],
            new.values[-1],
        )


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _unpacked(data: bytes) -> Series:
    """Raises ValueError when the chunk is damaged."""
    length, rest = divmod(len(data), 24)
    if rest:
        raise ValueError("a chunk of points is cut")
    series, view = Series(), memoryview(data)
    series.steps.frombytes(view[: 8 * length])
    series.wall_times.frombytes(view[8 * length : 16 * length])
    series.values.frombytes(view[16 * length :])
    return series


def _joined(old: Series, new: Series) -> Series:
    """Both, of which each is rising; where both have a step the new one's point."""
    both = Series(old.steps + new.steps, old.wall_times + new.wall_times, old.values + new.values)
    in_order = not old.steps or not new.steps or old.steps[-1] < new.steps[0]
    return both if in_order else _rising(both)


def _rising(given: Series) -> Series:
    """In the order of steps; of several points at one step the last."""
    steps = given.steps
    if all(map(lt, steps, steps[1:])):
        return given
    last = {step: index for index, step in enumerate(steps)}  # the last one stays
    order = [last[step] for step in sorted(last)]
    return Series(
        array("q", [steps[i] for i in order]),
        array("d", [given.wall_times[i] for i in order]),
        array("d", [given.values[i] for i in order]),
    )
