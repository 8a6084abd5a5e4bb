"""The mirror of a managed TensorBoard: series and points by remote calls, as Vertex AI has them.

What a service must be able to do is `SeriesService`, which is three calls; its adapter is
made of the provider's client, and this file does the rest: a series a key, each made once,
and requests no larger than Vertex AI takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from nbtools.mirror import KeyedPoint, MirroredRun

#: Vertex AI's limit on the points of one WriteTensorboardRunData request, all series together.
MAX_POINTS = 5000

#: step, wall time (seconds since the epoch), value
Point = tuple[int, float, float]


class SeriesService(Protocol):
    """A managed TensorBoard. Each call may raise anything, and may be repeated."""

    def open_run(self, experiment: str, run: str) -> str:
        """The resource name of that run, made if it is not there."""

    def open_series(self, run: str, keys: Sequence[str]) -> Mapping[str, str]:
        """The id of each key's scalar series in `run`, made where it is not there."""

    def write(self, run: str, series: Mapping[str, Sequence[Point]]) -> None:
        """Write points by id of series, at most MAX_POINTS in all; a step again replaces it."""


class ManagedMirror:
    """A run's time series in a managed TensorBoard."""

    def __init__(self, service: SeriesService) -> None:
        self._service, self._run = service, ""
        self._ids: dict[str, str] = {}
        self._pending: dict[str, dict[int, tuple[float, float]]] = {}
        self._last: dict[str, tuple[int, int]] = {}  #: step, and how many in their order

    def start(self, run: MirroredRun) -> None:
        self._run = self._service.open_run(run.experiment, run.name)

    def resume(self, run: str) -> None:
        """In the place of `start`: the run of that resource name is there."""
        self._run = run

    def params(self, values: Mapping[str, Any]) -> None:
        """A TensorBoard has no place for them; the run's context has them."""

    def metrics(self, values: Mapping[str, Any]) -> None:
        """As params."""

    def points(self, points: Sequence[KeyedPoint]) -> None:
        for key, step, wall_time, value in points:
            last, count = self._last.get(key, (step - 1, 0))
            self._last[key] = (step, count + 1) if step > last else (last, -1 << 62)
            self._pending.setdefault(key, {})[step] = (wall_time, value)

    @property
    def told(self) -> dict[str, tuple[str, int]]:
        """By key the series' id, and how many points were sent, of those that rose all the time."""
        last = self._last.items()
        return {k: (self._ids[k], count) for k, (_, count) in last if count > 0}

    def artifact(self, path: Path, name: str, schema_title: str) -> None:
        """As params."""

    def flush(self) -> bool:
        if new := [key for key in self._pending if key not in self._ids]:
            self._ids.update(self._service.open_series(self._run, new))
        pending = {
            self._ids[key]: [(step, *steps[step]) for step in sorted(steps)]
            for key, steps in self._pending.items()
        }
        for batch in batches(pending):
            self._service.write(self._run, batch)
        self._pending.clear()
        return True

    def end(self, state: str) -> None:
        """A TensorBoard has no word for it."""

    def close(self) -> None:
        self.flush()


def batches(series: Mapping[str, Sequence[Point]]) -> Iterator[dict[str, Sequence[Point]]]:
    """Points by id of series, in requests of at most MAX_POINTS."""
    batch: dict[str, Sequence[Point]] = {}
    room = MAX_POINTS
    for id_, points in series.items():
        done = 0
        while done < len(points):
            batch[id_] = part = points[done : done + room]
            done += len(part)
            room -= len(part)
            if not room:
                yield batch
                batch, room = {}, MAX_POINTS
    if batch:
        yield batch
