"""TensorBoard's event files: their scalars and hyperparameters, read fast.

A file is a row of TFRecords (length, its CRC, data, its CRC), and each record's data is an
`Event` message. Nearly all of them are one scalar, written like the one before it but for
step, time and value. So the bytes in front of the value, once understood, are remembered:
the next record that has them is a look in a dict, and only the rest is parsed by the book.
Of the two CRCs that of the length is checked: on it depends where the next record begins.

    events = Events()
    events.take(path)          # again later: what was added since
    events.scalars["loss"]     # [(step, wall time in seconds since the epoch, value)]
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from nbtools import protowire, tensorproto
from nbtools.protowire import double, message, signed, text

#: step, wall time (seconds since the epoch), value
Point = tuple[int, float, float]

PATTERN: Final = "*tfevents*"  #: how event files are named
BLOCK: Final = 1 << 24  #: bytes read at once

_START = struct.Struct("<xdx")  #: of an ordinary event: key, wall time, key of the step
_FLOAT = struct.Struct("<f")
_LENGTH = struct.Struct("<QI")
#: SessionLog.status: the program began (again): later steps that it had written are void.
_SESSION_START = 1


def chronological(files: Iterable[Path]) -> list[Path]:
    """In the order in which they were begun: their names hold seconds, process and number."""
    return sorted(files, key=lambda file: [_number(w) for w in re.split(r"(\d+)", file.name)])


def _number(word: str) -> tuple[int, str]:
    return (int(word), "") if word.isdecimal() else (-1, word)


class Damage(ValueError):
    """The file cannot be read on from here; the message says from which byte."""


@dataclass(frozen=True)
class Other:
    """A value that is no scalar."""

    tag: str
    plugin: str  #: the plugin that shows it: `images`, `histograms`, …; "" where none is named
    kind: int  #: number of the field of Summary.Value that holds it: 4 image, 5 histogram, 8 tensor
    content: bytes  #: that message
    step: int
    wall_time: float  #: seconds since the epoch


@dataclass
class Events:
    """What event files have said, of one file or of several in their order."""

    scalars: dict[str, list[Point]] = field(default_factory=dict)  #: by tag, as written
    hparams: dict[str, Any] = field(default_factory=dict)  #: of the hparams plugin
    status: int = 0  #: the hparams session's: 0 unknown, 1 success, 2 failure, 3 running
    #: what is no scalar, and how many: `images`, `histograms`, `text`, …
    others: Counter[str] = field(default_factory=Counter)
    first: float = 0.0  #: wall time of the first event, seconds since the epoch; 0: none
    last: float = 0.0  #: wall time of the last event
    positions: dict[Path, int] = field(default_factory=dict)  #: the byte behind what was taken
    block: int = BLOCK  #: bytes read at once
    kept: list[Other] | None = None  #: what is no scalar, where it is kept
    plugin_data: dict[str, bytes] = field(default_factory=dict)  #: tag -> its plugin's own data
    #: tag -> the plugin it belongs to: said with the first value only
    _plugins: dict[str, str] = field(default_factory=dict)
    #: the bytes between an ordinary event's step and its value -> where the point goes
    _known: dict[bytes, list[Point]] = field(default_factory=dict)
    #: a record's first 12 bytes, of which the CRC was right -> the length of its data
    _lengths: dict[bytes, int] = field(default_factory=dict)

    def take(self, path: Path) -> int:
        """Read what `path` has since it was last taken; returns the bytes not understood.

        Those are a record that is still being written, or was when its writer was killed.
        Raises OSError, and Damage where a length does not fit its CRC or a record is no event;
        what lies before it has been taken.
        """
        position = self.positions.get(path, 0)
        with path.open("rb") as file:
            file.seek(position)
            rest, block = b"", file.read(self.block)
            while block:
                buffer = rest + block
                done = 0
                try:
                    done = self._records(buffer)
                except ValueError as error:
                    where = position + error.args[1]
                    self.positions[path] = where
                    raise Damage(f"{path} is damaged at byte {where}: {error.args[0]}") from None
                position += done
                rest = buffer[done:]
                # A record longer than a block: twice as much each time, not a block at a time.
                block = file.read(max(self.block, len(rest)))
        self.positions[path] = position
        return len(rest)

    def _records(self, buffer: bytes) -> int:
        """Take the whole records of `buffer`; returns the position behind them."""
        lengths, known, start, value_at = self._lengths, self._known, _START, _FLOAT
        position, end, wall_time = 0, len(buffer), self.last
        while True:
            header = buffer[position : position + 12]
            size = lengths.get(header)
            if size is None:
                if len(header) < 12:
                    break
                size = self._length(header, position)
            stop = position + size + 16
            if stop > end:
                break
            if size > 24 and buffer[position + 12] == 0x09 and buffer[position + 21] == 0x10:
                at = position + 23
                step = buffer[at - 1]
                if step > 0x7F:
                    step &= 0x7F
                    shift = 7
                    while (byte := buffer[at]) > 0x7F and shift < 63:
                        step |= (byte & 0x7F) << shift
                        shift += 7
                        at += 1
                    step |= byte << shift
                    at += 1
                points = known.get(buffer[at : stop - 8])
                if points is not None and step < 1 << 63:
                    (wall_time,) = start.unpack_from(buffer, position + 12)
                    points.append((step, wall_time, value_at.unpack_from(buffer, stop - 8)[0]))
                    position = stop
                    continue
            try:
                wall_time = self._event(buffer[position + 12 : stop - 4])
            except ValueError as error:
                raise ValueError(str(error), position) from None
            position = stop
        self.last = wall_time
        return position

    def _length(self, header: bytes, position: int) -> int:
        size, crc = _LENGTH.unpack(header)
        if _masked_crc(header[:8]) != crc:
            raise ValueError("the length of a record does not fit its checksum", position)
        self._lengths[header] = size
        return int(size)

    def _event(self, data: bytes) -> float:
        """Take one event by the book; returns its wall time."""
        wall_time, step, summary = 0.0, 0, None
        for number, value in protowire.fields(data):
            if number == 1:
                wall_time = double(value)
            elif number == 2:
                step = signed(value)
            elif number == 5:
                summary = message(value)
            elif number == 7:
                self._session(message(value), step)
            elif number in (4, 9):
                self.others["graphs"] += 1
        self.first = self.first or wall_time
        if summary is not None:
            for number, value in protowire.fields(summary):
                if number == 1:
                    self._value(message(value), step, wall_time, data)
        return wall_time

    def _session(self, data: bytes, step: int) -> None:
        """A program that was started again says from which step: TensorBoard forgets those."""
        if (1, _SESSION_START) in protowire.fields(data):
            for points in self.scalars.values():
                points[:] = [point for point in points if point[0] < step]

    def _value(self, data: bytes, step: int, wall_time: float, event: bytes) -> None:
        tag, kind, content, order = "", 0, b"", []
        for number, value in protowire.fields(data):
            order.append(number)
            if number in (1, 7):  # 7, the node's name, is of old files
                tag = text(value) if number == 1 else tag
            elif number == 9:
                self._metadata(message(value), tag)
            else:
                kind, content = number, message(value)
        if kind == 2:
            points = self.scalars.setdefault(tag, [])
            points.append((step, wall_time, double(content)))
            if order == [1, 2]:
                self._remember(event, points)
        elif kind == 8 and self._plugins.get(tag, "scalars") == "scalars":
            if (number_ := tensorproto.number(content)) is None:
                self._other("tensors", Other(tag, "scalars", kind, content, step, wall_time))
            else:
                self.scalars.setdefault(tag, []).append((step, wall_time, number_))
        elif kind:
            plugin = self._plugins.get(tag, "")
            other = Other(tag, plugin, kind, content, step, wall_time)
            self._other(_KINDS.get(kind) or plugin or "tensors", other)

    def _other(self, word: str, other: Other) -> None:
        self.others[word] += 1
        if self.kept is not None:
            self.kept.append(other)

    def _metadata(self, data: bytes, tag: str) -> None:
        """SummaryMetadata: which plugin a tag is for; the hparams plugin keeps its data here."""
        for number, value in protowire.fields(data):
            if number != 1:
                continue
            plugin = dict(protowire.fields(message(value)))
            name = text(plugin.get(1, b""))
            if tag:
                self._plugins[tag] = name
                self.plugin_data[tag] = message(plugin.get(2, b""))
            if name == "hparams":
                self._hparams(message(plugin.get(2, b"")))

    def _hparams(self, data: bytes) -> None:
        for number, value in protowire.fields(data):
            if number == 3:  # the session's start
                for inner, entry in protowire.fields(message(value)):
                    if inner == 1:
                        pair = dict(protowire.fields(message(entry)))
                        name = text(pair.get(1, b""))
                        self.hparams[name] = tensorproto.plain(message(pair.get(2, b"")))
            elif number == 4:  # its end
                end = dict(protowire.fields(message(value)))
                self.status = signed(end.get(1, 0))

    def _remember(self, event: bytes, points: list[Point]) -> None:
        """What an ordinary event has between its step and its value leads here from now on."""
        if event[0] == 0x09 and event[9] == 0x10:
            _, at = protowire.varint(event, 10)
            # Nothing but this one value: the summary begins here and ends with the float.
            if event[at] == 0x2A and event[-5] == 0x15:
                size, inner = protowire.varint(event, at + 1)
                value, first = protowire.varint(event, inner + 1)
                if inner + size == len(event) == first + value and event[inner] == 0x0A:
                    self._known[event[at:-4]] = points


#: number of a field of Summary.Value -> what it holds
_KINDS = {3: "histograms", 4: "images", 5: "histograms", 6: "sounds"}


def _table() -> list[int]:
    """CRC-32C's, a byte at a time."""
    made = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        made.append(crc)
    return made


_CRC = _table()


def _masked_crc(data: bytes) -> int:
    """CRC-32C as TFRecord writes it: rotated, and moved on by a constant."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC[(crc ^ byte) & 0xFF]
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
