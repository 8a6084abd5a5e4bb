"""What TensorBoard's event files hold besides scalars, as a managed TensorBoard takes it.

Histograms are tensors of (left, right, count) rows, images are blobs: width, height, and then
the files. Values of old files are made into what new ones hold, as TensorBoard does.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from nbtools.eventfile import Other
from nbtools.protowire import Value, double, fields, message, signed

TENSOR, BLOBS = "TENSOR", "BLOB_SEQUENCE"
IMAGE, HISTOGRAM, ANY = 4, 5, 8  #: fields of Summary.Value
_FLOAT = 1  #: of TensorProto's dtype


@dataclass(frozen=True)
class Shown:
    """A value there."""

    kind: str  #: TENSOR or BLOB_SEQUENCE
    plugin: str  #: that shows it
    tensor: bytes = b""  #: a TensorProto
    blobs: tuple[bytes, ...] = ()


def shown(other: Other) -> Shown | None:
    """The value as it is there; None for what no managed TensorBoard shows.

    Raises ValueError when its bytes are not what they should be.
    """
    if other.kind == IMAGE:
        return Shown(BLOBS, "images", blobs=_image(other.content))
    if other.kind == HISTOGRAM:
        return Shown(TENSOR, "histograms", tensor=_histogram(other.content))
    if other.kind != ANY:
        return None
    if other.plugin == "images":
        blobs = tuple(message(v) for number, v in fields(other.content) if number == 8)
        return Shown(BLOBS, "images", blobs=blobs)
    if other.plugin in ("", "audio"):
        return None
    return Shown(TENSOR, other.plugin, tensor=other.content)


def _image(content: bytes) -> tuple[bytes, ...]:
    found: dict[int, Value] = dict(fields(content))
    sizes = (str(signed(found.get(number, 0))).encode() for number in (2, 1))
    return (*sizes, message(found.get(4, b"")))


def _histogram(content: bytes) -> bytes:
    """A HistogramProto as a tensor of rows: left and right end of a bucket, and its count."""
    numbers: dict[int, list[float]] = {}
    for number, value in fields(content):
        data = message(value)
        parts = [data[at : at + 8] for at in range(0, len(data), 8)]
        numbers.setdefault(number, []).extend(double(part) for part in parts)
    low, high = (numbers.get(number, [0.0])[-1] for number in (1, 2))
    limits, counts = numbers.get(6, []), numbers.get(7, [])
    filled = [i for i, count in enumerate(counts) if count > 0]
    rows: list[tuple[float, float, float]] = []
    if filled:
        first, last = filled[0], filled[-1]
        edges = limits[first:last]
        rows = list(zip([low, *edges], [*edges, high], counts[first : last + 1], strict=True))
    return tensor(rows)


def tensor(rows: list[tuple[float, float, float]]) -> bytes:
    """A TensorProto of 32-bit floats, a row each."""
    shape = b"".join(_field(2, _number(1, size)) for size in (len(rows), 3))
    values = b"".join(struct.pack("<fff", *row) for row in rows)
    return _number(1, _FLOAT) + _field(2, shape) + _field(4, values)


def _field(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _varint(value: int) -> bytes:
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    made.append(value)
    return bytes(made)
