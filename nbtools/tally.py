"""What monitoring asks of a store: how many of each, how late, and when last. The SQL of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from nbtools.nouns import JOB, moment
from nbtools.schedule import TickState


class Tally:
    """Counts of a store, by way of its `execute`; each as it stands now."""

    def __init__(self, execute: Callable[..., list[Any]]) -> None:
        self._execute = execute

    def jobs(self) -> dict[str, int]:
        """How many jobs are in each state."""
        return self._counts(
            "SELECT json_extract(metadata, '$.state'), count(*) FROM executions "
            "WHERE schema_title = ? AND schema_version = '' GROUP BY 1",
            JOB,
        )

    def schedules(self) -> dict[str, int]:
        """How many schedules are in each state."""
        return self._counts("SELECT state, count(*) FROM schedules GROUP BY state")

    def notices(self) -> dict[str, int]:
        """How many notices are in each state."""
        return self._counts("SELECT state, count(*) FROM notices GROUP BY state")

    def ticks(self) -> dict[tuple[str, str], int]:
        """How many ticks each schedule has in each state: (schedule, state) -> count."""
        rows = self._execute("SELECT schedule, state, count(*) FROM ticks GROUP BY schedule, state")
        return {(schedule, state): count for schedule, state, count in rows}

    def delays(self) -> list[float]:
        """Seconds from each tick's time to the start of its job, of those begun once."""
        rows = self._execute(
            "SELECT (julianday(json_extract(e.metadata, '$.start_time')) - julianday(t.time)) "
            "* 86400 FROM ticks AS t JOIN executions AS e ON e.name = t.job "
            "WHERE t.attempt = 1 AND json_extract(e.metadata, '$.start_time') IS NOT NULL"
        )
        return [max(0.0, delay) for (delay,) in rows]

    def successes(self) -> dict[str, datetime]:
        """The last scheduled time of each schedule whose execution succeeded, in UTC."""
        rows = self._execute(
            "SELECT schedule, max(time) FROM ticks WHERE state = ? GROUP BY schedule",
            TickState.SUCCEEDED,
        )
        return {schedule: time for schedule, text in rows if (time := moment(text))}

    def _counts(self, query: str, *values: Any) -> dict[str, int]:
        return {str(state): count for state, count in self._execute(query, *values)}
