"""What a run logs, appended to a file of its own: one record a call, one `write` a record.

A record that `append` or `point` has returned for is in the operating system's hands and
survives kill -9 of this process; `sync` hands it to the disk too. The store reads journals
whenever it is looked at (`Store.drain`), so a training loop never waits for a database.
While its writer lives it holds a lock on the file; a free lock tells any reader that the
writer is gone.

    record   MAGIC, length and CRC-32 of the payload, payload
    payload  `J` and an entry as JSON
             `K`, a number, and the keys that it stands for, as JSON
             `P`, such a number, step, seconds since the epoch, and a value for each key
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import struct
from array import array
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, Final
from zlib import crc32

SUFFIX: Final = ".journal"
#: ends the name of one that the first version of nbtools has written.
LINES: Final = ".jsonl"
#: ends the name, before the suffix, of one whose writer does not answer for the run's end.
GUEST: Final = "-guest"
MAGIC: Final = b"\xa7\x4e"
_HEAD = struct.Struct("<2sII")
_POINT = struct.Struct("<cIqd")


#: the names of the values of a step, by the number that stands for them.
Keys = dict[int, tuple[str, ...]]
#: names, step, seconds since the epoch, values.
Step = tuple[tuple[str, ...], int, float, tuple[float, ...]]


class Journal:
    """The writing end. Safe to use from several threads: an append is one system call.

    After a fork the parent's journal is not the child's: see `ExperimentRun`.
    """

    def __init__(self, folder: Path, context: str, guest: bool = False) -> None:
        """Begin one in `folder`; `guest` when another process answers for the run's end."""
        folder.mkdir(parents=True, exist_ok=True)
        end = GUEST + SUFFIX if guest else SUFFIX
        self.path = folder / f"{context}.{os.getpid()}-{os.urandom(4).hex()}{end}"
        self._shapes: dict[tuple[str, ...], tuple[int, struct.Struct]] = {}
        self._lock = Lock()
        # Locked before it has its name: a reader never meets a journal that looks abandoned.
        unnamed = self.path.with_suffix(".new")
        self._fd = os.open(unnamed, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        unnamed.rename(self.path)

    def append(self, entry: Mapping[str, Any]) -> None:
        """Write one entry; raises OSError when it could not be written."""
        self._write(b"J" + json.dumps(entry, separators=(",", ":")).encode())

    def point(self, values: Mapping[str, float], step: int, seconds: float) -> None:
        """Write the values of one step. Raises OSError as `append` does, and struct.error,
        OverflowError or TypeError when something is no number that fits.
        """
        keys = tuple(values)
        number, shape = self._shapes.get(keys) or self._shape(keys)
        data = shape.pack(b"P", number, step, seconds, *values.values())
        record = _HEAD.pack(MAGIC, len(data), crc32(data)) + data
        if os.write(self._fd, record) != len(record):
            raise self._cut()

    def sync(self) -> None:
        """Wait until all of it is on the disk."""
        os.fdatasync(self._fd)

    def close(self) -> None:
        """Let go of the file, so that a reader may drain and remove it."""
        fd, self._fd = self._fd, -1  # first: the number may soon be another file's
        if fd >= 0:
            os.close(fd)

    def _shape(self, keys: tuple[str, ...]) -> tuple[int, struct.Struct]:
        with self._lock:
            if keys not in self._shapes:
                number = len(self._shapes)
                name = struct.pack("<cI", b"K", number) + json.dumps(keys).encode()
                self._write(name)  # first: a point is nothing without it
                self._shapes[keys] = number, struct.Struct(f"<cIqd{len(keys)}d")
            return self._shapes[keys]

    def _write(self, data: bytes) -> None:
        record = _HEAD.pack(MAGIC, len(data), crc32(data)) + data
        if os.write(self._fd, record) != len(record):
            raise self._cut()

    def _cut(self) -> OSError:
        """A full disk took a part of a record: readers find the next by its magic."""
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))


@dataclass
class Series:
    """Points of one time series, as they were logged."""

    steps: array[int] = field(default_factory=lambda: array("q"))
    wall_times: array[float] = field(default_factory=lambda: array("d"))  #: seconds since the epoch
    values: array[float] = field(default_factory=lambda: array("d"))

    def add(self, step: int, seconds: float, value: float) -> None:
        """Append a point."""
        self.steps.append(step)
        self.wall_times.append(seconds)
        self.values.append(value)


def context_of(path: Path) -> str:
    """The name of the context that this journal belongs to."""
    return path.name.removesuffix(path.suffix).rpartition(".")[0]


def is_guest(path: Path) -> bool:
    """Whether whoever writes here does not answer for the run's end."""
    return path.stem.endswith(GUEST)


def journals(folder: Path, context: str = "*") -> list[Path]:
    """The journals that lie in a folder, of one context or of all."""
    found = [*folder.glob(f"{context}.*{SUFFIX}"), *folder.glob(f"{context}.*{LINES}")]
    return sorted(found)


def read(path: Path, position: int, keys: Keys | None = None) -> tuple[list[dict[str, Any]], int]:
    """The whole entries behind byte `position`, and the position behind them.

    A step is an entry too: `{"series": {key: value}, "step": step, "time": seconds}`. A
    record that is being written is left for the next time; a broken one is passed over.
    Who reads on hands in the same `keys` again: what was named before is looked for otherwise.
    """
    entries = []
    end = position
    for entry, end in _records(path, position, keys):  # noqa: B007
        if isinstance(entry, dict):
            entries.append(entry)
        elif entry:
            names, step, seconds, values = entry
            series = dict(zip(names, values, strict=True))
            entries.append({"series": series, "step": step, "time": seconds})
    return entries, end


def collect(
    path: Path, position: int, keys: Keys | None = None
) -> tuple[list[dict[str, Any]], dict[str, Series], int]:
    """As `read`, but the steps by series."""
    entries: list[dict[str, Any]] = []
    found: dict[str, Series] = defaultdict(Series)
    into: dict[tuple[str, ...], list[Series]] = {}
    end = position
    for entry, end in _records(path, position, keys):  # noqa: B007
        if isinstance(entry, dict):
            entries.append(entry)
            for name, value in entry.get("series", {}).items():
                found[name].add(entry["step"], entry["time"], value)
        elif entry:
            names, step, seconds, values = entry
            if names not in into:
                into[names] = [found[name] for name in names]
            for series, value in zip(into[names], values, strict=True):
                series.add(step, seconds, value)
    return entries, found, end


def _records(
    path: Path, position: int, keys: Keys | None
) -> Iterator[tuple[dict[str, Any] | Step | None, int]]:
    """Each whole record, and the position behind it."""
    with path.open("rb") as file:
        if path.suffix == LINES:
            file.seek(position)
            yield from ((entry, position + end) for entry, end in _lines(file.read()))
            return
        if keys is None:
            keys = {}
            for _ in _parsed(file.read(position), keys):
                pass
        file.seek(position)
        for entry, end in _parsed(file.read(), keys):
            yield entry, position + end


def _parsed(data: bytes, keys: Keys) -> Iterator[tuple[dict[str, Any] | Step | None, int]]:
    at, size = 0, len(data)
    shapes: dict[int, struct.Struct] = {}
    while at + _HEAD.size <= size:
        magic, length, checksum = _HEAD.unpack_from(data, at)
        begin, end = at + _HEAD.size, at + _HEAD.size + length
        payload = data[begin:end]
        if magic != MAGIC or len(payload) < length or crc32(payload) != checksum:
            if (at := _resume(data, at + 1)) < 0:
                return  # nothing whole comes after: it may be being written
            continue
        at = end
        kind = payload[:1]
        if kind == b"P":
            _, number, step, seconds = _POINT.unpack_from(payload)
            names = keys[number]
            if number not in shapes:
                shapes[number] = struct.Struct(f"<{len(names)}d")
            yield (names, step, seconds, shapes[number].unpack_from(payload, _POINT.size)), at
        elif kind == b"K":
            keys[struct.unpack_from("<I", payload, 1)[0]] = tuple(json.loads(payload[5:]))
            yield None, at
        else:
            yield json.loads(payload[1:]), at


def _lines(data: bytes) -> Iterator[tuple[dict[str, Any] | None, int]]:
    """A journal of the first format: a line of JSON a record."""
    end = 0
    for line in data[: data.rfind(b"\n") + 1].splitlines(keepends=True):
        end += len(line)
        try:
            entry = json.loads(line) if line.strip() else None
        except ValueError:
            entry = None  # the part of a line that a full disk took
        yield (entry if isinstance(entry, dict) else None), end


def _resume(data: bytes, at: int) -> int:
    """Where the next whole record begins, or -1."""
    while (at := data.find(MAGIC, at)) >= 0 and at + _HEAD.size <= len(data):
        _, length, checksum = _HEAD.unpack_from(data, at)
        payload = data[at + _HEAD.size : at + _HEAD.size + length]
        if len(payload) == length and crc32(payload) == checksum:
            return at
        at += 1
    return -1


def abandoned(path: Path) -> bool:
    """Whether no process writes here any more."""
    fd = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(fd)
