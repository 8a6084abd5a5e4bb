"""A run's points in the managed TensorBoard: what is new of them, in few requests."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

from nbtools.contents import series_keys
from nbtools.journal import Series
from nbtools.mirrors.managed import Point, batches
from nbtools.store import Store
from nbtools.summaries import SYSTEM
from nbtools.vertex.boards import Board, TimeSeries, digest
from nbtools.vertex.ledger import Known, KnownSeries, Ledger
from nbtools.vertex.records import Conflict
from nbtools.vertex.service import Service


def keys(store: Store, context: str) -> list[str]:
    """The series of a run that are its results: the machine's state stays here."""
    return [key for key in series_keys(store, context) if not key.startswith(SYSTEM)]


class SeriesPush:
    """Sends the series of one run."""

    def __init__(self, store: Store, ledger: Ledger, service: Service, force: bool = False) -> None:
        """`force` overwrites what others have written there."""
        self._store, self._ledger, self._service, self._force = store, ledger, service, force

    def send(self, context: str, opened: Callable[[], str]) -> int:
        """Send what is not there of a run; how many points. `opened` returns its resource name
        there, and makes it.

        Raises Conflict when others have written other values.
        """
        known = KnownSeries() if self._force else self._ledger.series(context)
        found = {key: self._store.series(context, key) for key in keys(self._store, context)}
        todo: dict[str, list[Point]] = {}
        for key, series in found.items():
            old = known.keys.get(key)
            if old is None or digest(series, old.count) != old.digest:
                todo[key] = _points(series)
            elif old.count < len(series.steps):
                todo[key] = _points(series, old.count)
        if not todo:
            return 0
        run = opened()
        self._board = Board.of(self._service, run)
        known, there = replace(known, run=run), self._board.series(run)
        for key in list(todo):
            if key in there and self._of_others(there[key], known.keys.get(key)):
                todo[key] = self._missing(run, key, there[key], found[key])
        ids = {key: there[key].id for key in todo if key in there}
        if len(ids) < len(todo):
            ids = self._board.make(run, dict.fromkeys(todo, ("SCALAR", "scalars", b"")))
        for key in todo:  # before it is sent: what then is there is ours
            old = known.keys.get(key) or Known(ids[key])
            known = known.having(key, replace(old, id=ids[key], there=end(found[key], old)))
        self._ledger.note_series(context, known)
        count = 0
        for batch in batches({ids[key]: points for key, points in todo.items()}):
            self._board.write(run, batch)
            count += sum(map(len, batch.values()))
        for key in todo:
            known = known.having(key, all_of(found[key], known.keys[key]))
        self._ledger.note_series(context, known)
        return count

    def told(self, context: str, run: str, told: Mapping[str, tuple[str, int]]) -> None:
        """A mirror has sent all points of these series: by key the id there, and how many."""
        known = replace(self._ledger.series(context), run=run)
        for key, (id_, count) in told.items():
            series = self._store.series(context, key)
            if key not in known.keys and len(series.steps) == count:
                known = known.having(key, all_of(series, Known(id_)))
        self._ledger.note_series(context, known)

    def _of_others(self, there: TimeSeries, old: Known | None) -> bool:
        """Whether points there may be others' than ours."""
        if self._force or not there.last_time:
            return False
        last, time = old.there if old else (0, 0)
        return not time or there.last_step > last or there.last_time > time

    def _missing(self, run: str, key: str, there: TimeSeries, series: Series) -> list[Point]:
        """The points that are not there. Raises Conflict when one is there with another value."""
        theirs = self._board.read(run, there.id)
        values = dict(zip(theirs.steps, theirs.values, strict=True))
        missing = []
        for point in _points(series):
            if point[0] not in values:
                missing.append(point)
            elif not same(values[point[0]], point[2]):
                raise Conflict(
                    f"step {point[0]} of {key} is {values[point[0]]:g} there and {point[2]:g} "
                    "here: --force overwrites it"
                )
        return missing


def end(series: Series, known: Known) -> tuple[int, int]:
    """Highest step, and latest time (nanoseconds since the epoch), of points and what is known."""
    times = (round(time * 1e6) * 1000 for time in series.wall_times)
    last, time = known.there
    return max(last, *series.steps[-1:]), max(time, *times)


def all_of(series: Series, known: Known) -> Known:
    """What is known of a series when all of its points are there."""
    length = len(series.steps)
    return Known(known.id, length, digest(series, length), end(series, known))


def same(one: float, other: float) -> bool:
    """Whether two values of a point are the same; NaN is NaN."""
    return one == other or (math.isnan(one) and math.isnan(other))


def _points(series: Series, start: int = 0) -> list[Point]:
    parts = (series.steps[start:], series.wall_times[start:], series.values[start:])
    return list(zip(*parts, strict=True))
