"""TensorBoard's event files, as far as scalars go: written in order, and read back.

TensorBoard takes a step that is not behind the last one of its tag for a restart, and
forgets what it had from there on. So what comes late, or again, is written together with
everything behind it, after the mark by which TensorBoard knows a restart.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from nbtools.mirror import KeyedPoint

SUFFIX = ".nbtools"  #: of the event files that are ours
TAGS = "tags.jsonl"  #: beside them: the tags that a `nbtools.tensorboard.writer` writes itself
START = 1  #: SessionLog.START in TensorBoard's event.proto

#: tag -> step -> wall time (seconds since the epoch), value
Scalars = dict[str, dict[int, tuple[float, float]]]


class EventFiles:
    """The event files of one run that hold the store's series. Not for several threads."""

    def __init__(self, folder: Path) -> None:
        """Go on with what is in `folder`. Nothing is written before there is a point."""
        self._folder = folder
        self._writer: Any = None
        self._all: Scalars | None = None
        self._last = {tag: max(steps) for tag, steps in self._read().items()}
        self._all = None  # only who writes late has to know all of it

    def add(self, points: Iterable[KeyedPoint]) -> None:
        """Write points; one that is there already is left out. Raises OSError."""
        foreign = foreign_tags(self._folder)
        series: Scalars = {}
        for key, step, wall_time, value in points:
            if key not in foreign:
                series.setdefault(key, {})[step] = (wall_time, value)
        late = {k: s for k, s in series.items() if k in self._last and min(s) <= self._last[k]}
        if late:
            self._rewrite(late)
        for tag, steps in series.items():
            for step in sorted(steps):
                if tag not in self._last or step > self._last[tag]:
                    self._write(tag, step, *steps[step])

    def flush(self) -> None:
        """Hand everything to the operating system. Raises OSError."""
        if self._writer is not None:
            self._writer.flush()

    def close(self) -> None:
        """Flush, and let go of the file. Raises OSError."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _rewrite(self, late: Scalars) -> None:
        """Write what is late, or changed, and all that is behind the earliest of it."""
        known = self._read()
        fresh = [
            step
            for tag, steps in late.items()
            for step, point in steps.items()
            if step <= self._last[tag] and not _same(known[tag].get(step), point)
        ]
        if not fresh:
            return
        for tag, steps in late.items():
            known[tag].update(steps)
        from tensorboard.compat.proto import event_pb2

        first = min(fresh)
        mark = event_pb2.SessionLog(status=START)
        self._open().add_event(event_pb2.Event(step=first, session_log=mark))
        for tag, steps in known.items():
            for step in sorted(s for s in steps if s >= first):
                self._write(tag, step, *steps[step])

    def _write(self, tag: str, step: int, wall_time: float, value: float) -> None:
        from tensorboard.compat.proto import event_pb2, summary_pb2

        scalar = summary_pb2.Summary.Value(tag=tag, simple_value=value)
        summary = summary_pb2.Summary(value=[scalar])
        event = event_pb2.Event(wall_time=wall_time, step=step, summary=summary)
        self._open().add_event(event)
        self._last[tag] = max(step, self._last.get(tag, step))
        if self._all is not None:
            self._all.setdefault(tag, {})[step] = (wall_time, value)

    def _open(self) -> Any:
        if self._writer is None:
            from tensorboard.summary.writer.event_file_writer import EventFileWriter

            self._folder.mkdir(parents=True, exist_ok=True)
            self._writer = EventFileWriter(str(self._folder), 1000, 10, SUFFIX)
        return self._writer

    def _read(self) -> Scalars:
        """All that our files hold; kept up to date from the first late point on."""
        if self._all is None:
            self.flush()
            self._all = read_scalars(self._folder, SUFFIX)
        return self._all


def foreign_tags(folder: Path) -> set[str]:
    """The tags that a `nbtools.tensorboard.writer` has written there by itself."""
    path = folder / TAGS
    return set(map(json.loads, path.read_text().splitlines())) if path.exists() else set()


def read_scalars(folder: Path, suffix: str = "") -> Scalars:
    """The scalars of a folder's event files that end in `suffix`; of a step, the last value.

    Half a record at the end of a file, as a crash leaves it, is passed over.
    """
    from tensorboard.compat.proto import event_pb2
    from tensorboard.util.tensor_util import make_ndarray

    found: Scalars = {}
    for path in sorted(folder.glob(f"*tfevents*{suffix}")):
        for record in _records(path):
            event = event_pb2.Event.FromString(record)
            for value in event.summary.value:
                if value.HasField("simple_value"):
                    number = value.simple_value
                elif value.metadata.plugin_data.plugin_name == "scalars":
                    number = float(make_ndarray(value.tensor))
                else:
                    continue
                found.setdefault(value.tag, {})[event.step] = (event.wall_time, number)
    return found


def _records(path: Path) -> Iterator[bytes]:
    """The records of a file: a length of 8 bytes, its CRC, the record, the record's CRC."""
    data = path.read_bytes()
    position = 0
    while position + 12 <= len(data):
        (length,) = struct.unpack_from("<Q", data, position)
        begin, position = position + 12, position + 16 + length
        if position > len(data):
            return
        yield data[begin : begin + length]


def _same(old: tuple[float, float] | None, new: tuple[float, float]) -> bool:
    """Whether it is the same point; event files keep values in 32 bits."""
    return old is not None and old[0] == new[0] and _single(old[1]) == _single(new[1])


def _single(value: float) -> bytes:
    try:
        return struct.pack("<f", value)
    except OverflowError:
        return struct.pack("<f", float("inf") if value > 0 else float("-inf"))
