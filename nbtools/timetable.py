"""What the store remembers of schedules, their ticks, and notices about them: the SQL of it.

Nothing is decided here. Whoever reads and writes what belongs together does so within
`Store.write`, so that services that compete see each other's whole steps.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from nbtools import metadata
from nbtools.nouns import moment, stamp
from nbtools.schedule import Schedule, ScheduleState, Tick, TickState

#: as a row has it: the columns of ticks and of notices are the fields of their records.
_TIMES = ("time", "not_before", "update_time")
#: LOST: given up after the last attempt.
NOTICE_STATES = ("WAITING", "SENT", "LOST")
#: ticks that are over, but for those that have a job yet.
_OVER = (
    "WHERE schedule = ? AND time < ? AND state NOT IN ('QUEUED', 'STARTED') AND (job IN "
    "(SELECT value FROM json_each(?)) OR NOT EXISTS (SELECT 1 FROM executions WHERE name = job))"
)
_TOLD = "WHERE state != 'WAITING' AND schedule = ifnull(?, schedule) AND time < ?"


@dataclass(frozen=True, kw_only=True)
class Notice:
    """Something that is to be told of a tick to somebody."""

    schedule: str  #: name of the schedule
    time: datetime  #: UTC; of the tick
    kind: str  #: FAILED or RECOVERED
    target: str  #: who is to hear it: see nbtools.notices
    state: str = "WAITING"  #: one of NOTICE_STATES
    attempt: int = 0  #: how often it was tried
    not_before: datetime  #: UTC; when it is to be tried next
    message: str  #: JSON object: what there is to say
    error: str = ""  #: why the last attempt failed

    @property
    def id(self) -> str:
        """The same each time it is sent, and no other's."""
        parts = (self.schedule, self.time.isoformat(), self.kind, self.target, self.message)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


class Timetable:
    """The schedules of a store, by way of its `execute`."""

    def __init__(self, execute: Callable[..., list[Any]]) -> None:
        self._execute = execute

    # -- schedules --------------------------------------------------------------------

    def find(self, name: str) -> Schedule | None:
        """The schedule of that name, or None."""
        found = self._schedules("WHERE name = ?", name)
        return found[0] if found else None

    def all(self) -> list[Schedule]:
        """All schedules, by name."""
        return self._schedules("ORDER BY name")

    def put(self, schedule: Schedule) -> None:
        """Remember a schedule under its name, whether it was there or not."""
        after = f",{','.join(schedule.after)}," if schedule.after else ""
        self._execute(
            "INSERT INTO schedules VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET "
            "state = excluded.state, next_run_time = excluded.next_run_time, "
            "after = excluded.after, update_time = excluded.update_time, record = excluded.record",
            schedule.name, schedule.state,
            None if schedule.handle else stamp(schedule.next_run_time),  # by our clock it is not
            after,
            stamp(schedule.update_time) or "", metadata.dumps(schedule.dumps()),
        )  # fmt: skip

    def remove(self, name: str) -> None:
        """Forget a schedule and its ticks; their jobs stay."""
        self._execute("DELETE FROM schedules WHERE name = ?", name)

    def due(self, now: datetime, limit: int) -> list[Schedule]:
        """Active schedules that are due, at most `limit`, the longest due first."""
        return self._schedules(
            "WHERE state = ? AND next_run_time <= ? ORDER BY next_run_time LIMIT ?",
            ScheduleState.ACTIVE, stamp(now), limit,
        )  # fmt: skip

    def next_time(self) -> datetime | None:
        """When the next schedule is due."""
        rows = self._execute(
            "SELECT min(next_run_time) FROM schedules WHERE state = ?", ScheduleState.ACTIVE
        )
        return moment(rows[0][0])

    def ahead(self, now: datetime) -> list[Schedule]:
        """Active schedules that were last looked at after `now`: the clock was put back."""
        return self._schedules(
            "WHERE state = ? AND update_time > ?", ScheduleState.ACTIVE, stamp(now)
        )

    def followers(self, name: str) -> list[Schedule]:
        """The schedules that come after the one of that name."""
        return self._schedules("WHERE after != '' AND instr(after, ?)", f",{name},")

    # -- ticks ------------------------------------------------------------------------

    def add(self, tick: Tick, now: datetime) -> bool:
        """Remember a tick; False when there is one of that schedule and time already."""
        row = _row(tick, now)
        marks = ", ".join("?" * len(row))
        found = self._execute(
            f"INSERT OR IGNORE INTO ticks ({', '.join(row)}) VALUES ({marks}) RETURNING 1",
            *row.values(),
        )
        return bool(found)

    def change(self, tick: Tick, now: datetime) -> None:
        """Remember what has become of a tick that is there."""
        row = _row(tick, now)
        sets = ", ".join(f"{column} = ?" for column in row)
        self._execute(
            f"UPDATE ticks SET {sets} WHERE schedule = ? AND time = ?",
            *row.values(), row["schedule"], row["time"],
        )  # fmt: skip

    def tick(self, schedule: str, time: datetime) -> Tick | None:
        """The tick of a schedule and a time, or None."""
        found = self._ticks("WHERE schedule = ? AND time = ?", schedule, stamp(time))
        return found[0] if found else None

    def of_job(self, schedule: str, job: str) -> Tick | None:
        """The tick of a schedule whose last attempt is the job of that name, or None."""
        found = self._ticks("WHERE schedule = ? AND job = ? LIMIT 1", schedule, job)
        return found[0] if found else None

    def drop(self, tick: Tick) -> None:
        """Forget a tick."""
        self._execute(
            "DELETE FROM ticks WHERE schedule = ? AND time = ?", tick.schedule, stamp(tick.time)
        )

    def history(self, schedule: str, limit: int = -1) -> list[Tick]:
        """A schedule's ticks, the newest first."""
        return self._ticks("WHERE schedule = ? ORDER BY time DESC LIMIT ?", schedule, limit)

    def in_state(self, state: TickState, schedule: str = "") -> list[Tick]:
        """The ticks of a state, of one schedule or of all, the oldest first."""
        if schedule:
            return self._ticks(
                "WHERE state = ? AND schedule = ? ORDER BY time", state, schedule
            )  # fmt: skip
        return self._ticks("WHERE state = ? ORDER BY time", state)

    def waiting(self, now: datetime) -> list[Tick]:
        """The queued ticks that may begin, in the order in which they shall."""
        return self._ticks(
            "WHERE state = ? AND (not_before IS NULL OR not_before <= ?) "
            "ORDER BY priority DESC, time, schedule",
            TickState.QUEUED, stamp(now),
        )  # fmt: skip

    def first_unfinished(self) -> datetime | None:
        """The earliest time of a tick that is queued or at work."""
        rows = self._execute(
            "SELECT min(time) FROM ticks WHERE state IN (?, ?)", TickState.QUEUED, TickState.STARTED
        )
        return moment(rows[0][0])

    def since(self, time: datetime) -> list[Tick]:
        """The ticks of that time and later that had a job."""
        return self._ticks("WHERE time >= ? AND job != ''", stamp(time))

    def executed(self, schedule: str, count: int) -> list[datetime]:
        """When the newest `count` of a schedule's ticks were due that were executed to their
        end: the oldest time of these, or none.
        """
        rows = self._execute(
            "SELECT time FROM ticks WHERE schedule = ? AND state IN (?, ?) "
            "ORDER BY time DESC LIMIT ?",
            schedule, TickState.SUCCEEDED, TickState.FAILED, count,
        )  # fmt: skip
        return [moment(row["time"]) or datetime.min for row in rows[-1:]]

    def finished(self, schedule: str, until: datetime, going: Iterable[str]) -> int:
        """How many ticks `forget` would forget when the jobs of those names were gone."""
        jobs = json.dumps(list(going))
        sql = f"SELECT count(*) FROM ticks {_OVER}"
        return int(self._execute(sql, schedule, stamp(until), jobs)[0][0])

    def forget(self, schedule: str, until: datetime) -> int:
        """Forget a schedule's ticks before `until` that are over and whose jobs are gone."""
        sql = f"DELETE FROM ticks {_OVER} RETURNING 1"
        return len(self._execute(sql, schedule, stamp(until), "[]"))

    def count(self, state: TickState, schedule: str = "") -> int:
        """How many ticks are in a state, of one schedule or of all."""
        where, values = ("AND schedule = ?", [schedule]) if schedule else ("", [])
        query = f"SELECT count(*) FROM ticks WHERE state = ? {where}"
        return int(self._execute(query, state, *values)[0][0])

    def unfinished(self, schedule: str) -> int:
        """How many of a schedule's ticks are queued or at work."""
        return sum(self.count(s, schedule) for s in (TickState.QUEUED, TickState.STARTED))

    def has_newer(self, tick: Tick) -> bool:
        """Whether a later tick of the same schedule is queued or at work."""
        return bool(
            self._execute(
                "SELECT 1 FROM ticks WHERE state IN (?, ?) AND schedule = ? AND time > ? LIMIT 1",
                TickState.QUEUED, TickState.STARTED, tick.schedule, stamp(tick.time),
            )
        )  # fmt: skip

    def before(self, tick: Tick) -> Tick | None:
        """The last tick of the same schedule before that one that was executed to its end."""
        found = self._ticks(
            "WHERE schedule = ? AND time < ? AND state IN (?, ?) ORDER BY time DESC LIMIT 1",
            tick.schedule, stamp(tick.time), TickState.SUCCEEDED, TickState.FAILED,
        )  # fmt: skip
        return found[0] if found else None

    # -- notices ----------------------------------------------------------------------

    def add_notice(self, notice: Notice) -> None:
        """Remember that something is to be told; again is the same."""
        row = {f.name: getattr(notice, f.name) for f in fields(notice)}
        row.update(time=stamp(notice.time), not_before=stamp(notice.not_before))
        marks = ", ".join("?" * len(row))
        self._execute(
            f"INSERT OR IGNORE INTO notices ({', '.join(row)}) VALUES ({marks})", *row.values()
        )

    def change_notice(self, notice: Notice) -> None:
        """Remember what has become of a notice."""
        self._execute(
            "UPDATE notices SET state = ?, attempt = ?, not_before = ?, error = ? "
            "WHERE schedule = ? AND time = ? AND kind = ? AND target = ?",
            notice.state, notice.attempt, stamp(notice.not_before), notice.error,
            notice.schedule, stamp(notice.time), notice.kind, notice.target,
        )  # fmt: skip

    def notices(self, state: str, until: datetime | None = None) -> list[Notice]:
        """The notices of a state, those to be tried until a time, the oldest first."""
        rows = self._execute(
            "SELECT * FROM notices WHERE state = ? AND (? IS NULL OR not_before <= ?) "
            "ORDER BY not_before",
            state, stamp(until), stamp(until),
        )  # fmt: skip
        return [Notice(**_values(row)) for row in rows]

    def told(self, schedule: str | None, until: datetime) -> int:
        """How many notices `forget_told` would forget."""
        sql = f"SELECT count(*) FROM notices {_TOLD}"
        return int(self._execute(sql, schedule, stamp(until))[0][0])

    def forget_told(self, schedule: str | None, until: datetime) -> int:
        """Forget the notices of ticks before `until`, of a schedule or (None) of all, that were
        sent or given up.
        """
        sql = f"DELETE FROM notices {_TOLD} RETURNING 1"
        return len(self._execute(sql, schedule, stamp(until)))

    # -- inside -----------------------------------------------------------------------

    def _schedules(self, rest: str, *values: Any) -> list[Schedule]:
        rows = self._execute(f"SELECT record FROM schedules {rest}", *values)
        return [Schedule.loads(metadata.loads(row["record"])) for row in rows]

    def _ticks(self, rest: str, *values: Any) -> list[Tick]:
        rows = self._execute(f"SELECT * FROM ticks {rest}", *values)
        return [Tick(**{**(v := _values(row)), "state": TickState(v["state"])}) for row in rows]


def _row(tick: Tick, now: datetime) -> dict[str, Any]:
    values: dict[str, Any] = {f.name: getattr(tick, f.name) for f in fields(tick)}
    values["update_time"] = now
    return {k: stamp(v) if k in _TIMES else v for k, v in values.items()}


def _values(row: sqlite3.Row) -> dict[str, Any]:
    return {k: moment(v) if k in _TIMES else v for k, v in dict(row).items()}
