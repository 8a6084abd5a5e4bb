"""TensorBoard's event files in a managed TensorBoard, without TensorFlow.

A folder that holds event files is a run, as for TensorBoard itself. Sent again it is the same:
a step replaces itself.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from nbtools.errors import RequestError
from nbtools.eventfile import PATTERN, Damage, Events, Other, chronological
from nbtools.mirrors.managed import MAX_POINTS, Point, batches
from nbtools.nouns import place, slug
from nbtools.registry import need
from nbtools.shipment import remote
from nbtools.vertex import boards
from nbtools.vertex.boards import Board
from nbtools.vertex.service import Service
from nbtools.vertex.summaries import BLOBS, TENSOR, Shown, shown

LONGEST: Final = 128  #: characters of a run's id
MOST_BYTES: Final = 4 << 20  #: of tensors and blobs in one request
_VALUES: Final = {TENSOR: 2, BLOBS: 3}  #: TensorboardTimeSeries.ValueType


class Logdir:
    """The runs below a folder, and how far they were sent."""

    def __init__(self, service: Service, folder: str | Path, experiment: str = "") -> None:
        """`experiment` is the TensorBoard's experiment; "": as the folder is called.

        Raises RequestError when there is no such folder.
        """
        self._folder = place(folder)
        if not self._folder.is_dir():
            raise RequestError(f"no folder {self._folder}: name one that holds event files")
        self._service, self._experiment = service, experiment or slug(self._folder.name)
        self._board: Board | None = None
        self._blobs = ""  #: URI of the folder that the board keeps blobs in, if it says so
        self._runs: dict[Path, _Run] = {}
        self.remarks: Counter[str] = Counter()  #: what was not sent

    def send(self) -> int:
        """Send what is new; how many points. Raises RequestError, and what `cloud.told` says."""
        folders: dict[Path, list[Path]] = {}
        for file in sorted(self._folder.rglob(PATTERN)):
            folders.setdefault(file.parent, []).append(file)
        if not folders and not self._runs:
            raise RequestError(f"no event files below {self._folder}")
        count = 0
        for folder, files in folders.items():
            run = self._runs.setdefault(folder, _Run())
            for file in chronological(files):
                try:
                    run.events.take(file)
                except Damage as damage:
                    self.remarks[str(damage)] += 1
            count += self._run(folder, run)
        return count

    def _run(self, folder: Path, run: _Run) -> int:
        scalars = run.new()
        others = self._others(run)
        if not scalars and not others:
            return 0
        board = self._opened()
        if not run.name:
            run.name = board.open_run(self._experiment, self._id(folder), labels={})
        wanted = dict.fromkeys(scalars, ("SCALAR", "scalars", b""))
        for tag, points in others.items():
            value = points[0][1]
            data = run.events.plugin_data.get(tag, b"")
            wanted[tag] = (value.kind, value.plugin, data)
        if new := {tag: what for tag, what in wanted.items() if tag not in run.ids}:
            run.ids.update(board.make(run.name, new))
        for batch in batches({run.ids[tag]: points for tag, points in scalars.items()}):
            board.write(run.name, batch)
        for request in self._requests(run, others):
            board.send(request)
        count = sum(map(len, scalars.values())) + sum(map(len, others.values()))
        run.sent()
        return count

    def _others(self, run: _Run) -> dict[str, list[tuple[Other, Shown]]]:
        found: dict[str, list[tuple[Other, Shown]]] = {}
        for other in run.events.kept or ():
            if (value := shown(other)) is None:
                self.remarks[f"values of {other.plugin or 'old plugins'} stay in the files"] += 1
            else:
                found.setdefault(other.tag, []).append((other, value))
        return found

    def _requests(self, run: _Run, others: dict[str, list[tuple[Other, Shown]]]) -> Iterator[Any]:
        """Messages of at most 5,000 points and a few megabytes."""
        kind = need("google.cloud.aiplatform_v1").WriteTensorboardRunDataRequest.pb()
        request, count, size = kind(tensorboard_run=run.name), 0, 0
        for tag, points in others.items():
            data = None
            for other, value in points:
                length = len(value.tensor) + sum(map(len, value.blobs))
                if count == MAX_POINTS or (count and size + length > MOST_BYTES):
                    yield request
                    request, count, size, data = kind(tensorboard_run=run.name), 0, 0, None
                if data is None:
                    id_ = run.ids[tag]
                    data = request.time_series_data.add(tensorboard_time_series_id=id_)
                    data.value_type = _VALUES[value.kind]
                self._fill(data.values.add(step=other.step), run, other, value)
                count, size = count + 1, size + length
        if count:
            yield request

    def _fill(self, point: Any, run: _Run, other: Other, value: Shown) -> None:
        point.wall_time.FromNanoseconds(round(other.wall_time * 1e6) * 1000)
        if value.kind == TENSOR:
            point.tensor.value = value.tensor
            return
        series = f"{run.name}/timeSeries/{run.ids[other.tag]}"
        for number, blob in enumerate(value.blobs):
            told = f"{series} {other.step} {number}".encode() + blob
            made = point.blobs.values.add(id=hashlib.sha256(told).hexdigest()[:32])
            if self._blobs:
                _keep(f"{self._blobs}/{_below(series)}/{made.id}", blob)
            else:
                made.data = blob

    def _opened(self) -> Board:
        if self._board is None:
            name = boards.default(self._service)
            found = self._service.call("tensorboard", "get_tensorboard", name=name)
            prefix = found.blob_storage_path_prefix
            self._blobs = f"gs://{prefix.removeprefix('gs://').rstrip('/')}" if prefix else ""
            self._board = Board(self._service, name)
        return self._board

    def _id(self, folder: Path) -> str:
        below = folder.relative_to(self._folder).as_posix()
        return slug(self._folder.name if below == "." else below, LONGEST)


class _Run:
    """What was read of one folder, and what of it is still to be sent."""

    def __init__(self) -> None:
        self.events = Events(kept=[])
        self.name = ""  #: its resource name there
        self.ids: dict[str, str] = {}  #: of its series, by tag

    def new(self) -> dict[str, Sequence[Point]]:
        """Scalars that were not sent yet."""
        return {tag: points for tag, points in self.events.scalars.items() if points}

    def sent(self) -> None:
        """All of it was: the lists stay, for the reader knows them, and are empty."""
        for points in self.events.scalars.values():
            points.clear()
        if self.events.kept is not None:
            self.events.kept.clear()


def _keep(uri: str, blob: bytes) -> None:
    fs, path = remote(uri)
    fs.pipe_file(path, blob)


def _below(series: str) -> str:
    """Where a series' blobs lie in the board's folder, as TensorBoard's own uploader has it."""
    _, board, _, experiment, _, run, _, id_ = series.split("/")[4:]
    return f"tensorboard-{board}/{experiment}/{run}/{id_}"
