"""What leads from one version of the store to the next; `schema.sql` is always the newest.

Each migration is a function of three: `run` carries out statements, `execute` one with its
values, `points` keeps time series. All of them happen in one transaction with the number.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nbtools.journal import Series
from nbtools.points import Points

Migration = Callable[[Callable[[str], None], Callable[..., list[Any]], Points], None]


def _points_in_chunks(
    run: Callable[[str], None], execute: Callable[..., list[Any]], points: Points
) -> None:
    """1 -> 2: a row a point becomes a row a chunk; runs get summaries."""
    schema = Path(__file__).with_name("schema.sql").read_text()
    begin, end = schema.index("CREATE TABLE series"), schema.index("CREATE TABLE journals")
    run(schema[begin:end])
    run("ALTER TABLE journals ADD COLUMN keys TEXT NOT NULL DEFAULT '{}';")
    for row in execute("SELECT DISTINCT context, key FROM points"):
        series = Series()
        for point in execute(
            "SELECT step, wall_time, value FROM points WHERE context = ? AND key = ? ORDER BY step",
            row["context"],
            row["key"],
        ):
            value = math.nan if point["value"] is None else point["value"]
            series.add(point["step"], point["wall_time"], value)
        points.add(row["context"], row["key"], series)
    run("DROP TABLE points;")
    index = schema[schema.index("CREATE INDEX contexts_by_kind") :].partition(";")[0]
    run(f"DROP INDEX contexts_by_kind;\n{index};")


def _schedules(
    run: Callable[[str], None],
    execute: Callable[..., list[Any]],  # noqa: ARG001
    points: Points,  # noqa: ARG001
) -> None:
    """2 -> 3: schedules, their ticks, and notices."""
    schema = Path(__file__).with_name("schema.sql").read_text()
    run(schema[schema.index("CREATE TABLE schedules") :])


MIGRATIONS: tuple[Migration, ...] = (_points_in_chunks, _schedules)
