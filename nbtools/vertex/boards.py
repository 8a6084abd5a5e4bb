"""The managed TensorBoard: an experiment's board, and the runs and time series in it.

board = Board(service, "projects/p/locations/us-central1/tensorboards/1")
run = board.open_run("digits", "baseline")
board.write(run, {id: [(step, wall time, value)]})
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from nbtools.errors import AlreadyExists
from nbtools.journal import Series
from nbtools.mirrors.managed import Point
from nbtools.registry import need
from nbtools.vertex.service import Service

#: what tells the console that a TensorBoard's experiment is one of Vertex AI's.
_LABELS: Final = {"vertex_tensorboard_experiment_source": "vertex_experiment"}
MOST_MADE: Final = 1000  #: time series that one request makes
PAGE: Final = 10_000  #: points of a page


@dataclass(frozen=True)
class TimeSeries:
    """A time series as it is listed there."""

    id: str
    kind: str  #: SCALAR, TENSOR or BLOB_SEQUENCE
    last_step: int
    last_time: int  #: nanoseconds since the epoch of its newest point; 0: it has none


def default(service: Service) -> str:
    """The name of a place's default TensorBoard; made if there is none, as the SDK does."""
    pages = service.call(
        "tensorboard", "list_tensorboards",
        request={"parent": service.place.parent, "filter": "is_default=true"},
    )  # fmt: skip
    for board in pages:
        return str(board.name)
    board = {"display_name": "Default Tensorboard", "is_default": True}
    made = service.done(
        "tensorboard", "create_tensorboard", parent=service.place.parent, tensorboard=board
    )
    return str(made.name)


class Board:
    """One TensorBoard; a `SeriesService`, see `mirrors/managed.py`."""

    def __init__(self, service: Service, name: str) -> None:
        self._service, self.name = service, name

    @classmethod
    def of(cls, service: Service, run: str) -> Board:
        """The one that a run is in, by that run's resource name."""
        return cls(service, run.partition("/experiments/")[0])

    def open_run(self, experiment: str, run: str, labels: Mapping[str, str] = _LABELS) -> str:
        """The resource name of that run, made if it is not there."""
        within = f"{self.name}/experiments/{experiment}"
        with suppress(AlreadyExists):
            self._call(
                "create_tensorboard_experiment",
                parent=self.name,
                tensorboard_experiment={"display_name": experiment, "labels": dict(labels)},
                tensorboard_experiment_id=experiment,
            )
        with suppress(AlreadyExists):
            self._call(
                "create_tensorboard_run",
                parent=within,
                tensorboard_run={"display_name": run},
                tensorboard_run_id=run,
            )
        return f"{within}/runs/{run}"

    def series(self, run: str) -> dict[str, TimeSeries]:
        """The time series of a run, by the names that people call them."""
        request = {"parent": run, "page_size": 1000}
        found = {}
        while True:
            page = next(self._call("list_tensorboard_time_series", request=request).pages)
            for one in type(page).pb(page).tensorboard_time_series:
                found[one.display_name] = TimeSeries(
                    id=one.name.rpartition("/")[2],
                    kind=("", "SCALAR", "TENSOR", "BLOB_SEQUENCE")[one.value_type],
                    last_step=one.metadata.max_step,
                    last_time=one.metadata.max_wall_time.ToNanoseconds(),
                )
            if not page.next_page_token:
                break
            request["page_token"] = page.next_page_token
        return found

    def open_series(self, run: str, keys: Sequence[str]) -> Mapping[str, str]:
        """The id of each key's scalar series in `run`, made where it is not there."""
        return self.make(run, dict.fromkeys(keys, ("SCALAR", "scalars", b"")))

    def make(self, run: str, wanted: Mapping[str, tuple[str, str, bytes]]) -> dict[str, str]:
        """The id of each series, made where it is not there; by key its kind, the plugin that
        shows it, and that plugin's own data.
        """
        there = self.series(run)
        new = [key for key in wanted if key not in there]
        ids = {key: one.id for key, one in there.items() if key in wanted}
        for start in range(0, len(new), MOST_MADE):
            requests = [
                {
                    "parent": run,
                    "tensorboard_time_series": {
                        "display_name": key,
                        "value_type": wanted[key][0],
                        "plugin_name": wanted[key][1],
                        "plugin_data": wanted[key][2],
                    },
                }
                for key in new[start : start + MOST_MADE]
            ]
            try:
                made = self._call(
                    "batch_create_tensorboard_time_series",
                    parent=run.rpartition("/runs/")[0],
                    requests=requests,
                )
            except AlreadyExists:  # an answer was lost, or somebody else makes them too
                return self.make(run, wanted)
            for one in made.tensorboard_time_series:
                ids[one.display_name] = one.name.rpartition("/")[2]
        return ids

    def write(self, run: str, series: Mapping[str, Sequence[Point]]) -> None:
        """Write points by id of series, at most 5,000 in all; a step again replaces it."""
        types = need("google.cloud.aiplatform_v1")
        request = types.WriteTensorboardRunDataRequest.pb()(tensorboard_run=run)
        for id_, points in series.items():
            data = request.time_series_data.add(tensorboard_time_series_id=id_, value_type=1)
            for step, wall_time, value in points:
                point = data.values.add(step=step)
                point.scalar.value = value
                point.wall_time.FromNanoseconds(round(wall_time * 1e6) * 1000)
        self.send(request)

    def send(self, request: Any) -> None:
        """Write what a message says."""
        types = need("google.cloud.aiplatform_v1")
        self._call(
            "write_tensorboard_run_data",
            request=types.WriteTensorboardRunDataRequest.wrap(request),
        )

    def read(self, run: str, series: str) -> Series:
        """All points of a scalar series, in the order of their steps."""
        found: list[Point] = []
        request = {"tensorboard_time_series": f"{run}/timeSeries/{series}", "page_size": PAGE}
        while True:
            page = next(self._call("export_tensorboard_time_series_data", request=request).pages)
            found += [
                (point.step, point.wall_time.ToNanoseconds() / 1e9, point.scalar.value)
                for point in type(page).pb(page).time_series_data_points
            ]
            if not page.next_page_token:
                break
            request["page_token"] = page.next_page_token
        points = Series()
        for point in sorted(found):
            points.add(*point)
        return points

    def _call(self, rpc: str, **request: Any) -> Any:
        return self._service.call("tensorboard", rpc, **request)


def digest(series: Series, count: int) -> str:
    """The same for the same first points of a series."""
    parts: Iterable[Any] = (series.steps, series.wall_times, series.values)
    made = hashlib.sha256()
    for part in parts:
        made.update(part[:count].tobytes())
    return made.hexdigest()[:32]
