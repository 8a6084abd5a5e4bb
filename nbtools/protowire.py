"""Protocol buffers as they lie on disk: fields by number, without their schema.

Enough to read what other programs have written (event files, W&B's logs) without the
packages that wrote it, which cost seconds to import and change their Python with the year.
The numbers of fields never change: that is what the format promises.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

#: a varint as a whole number; text, bytes and messages as bytes; fixed numbers as their bytes.
Value = int | bytes


def fields(data: bytes) -> Iterator[tuple[int, Value]]:
    """(number, value) of each field, in their order. Raises ValueError for what is no message."""
    position, end = 0, len(data)
    while position < end:
        key, position = varint(data, position)
        kind = key & 7
        value: Value
        if kind == 0:
            value, position = varint(data, position)
        else:
            if kind == 2:
                size, position = varint(data, position)
            elif kind in (1, 5):
                size = 8 if kind == 1 else 4
            else:
                raise ValueError(f"a field of the unknown kind {kind}")
            value = data[position : position + size]
            position += size
            if position > end:
                raise ValueError("the message ends within a field")
        yield key >> 3, value


def varint(data: bytes, position: int) -> tuple[int, int]:
    """The whole number, without its sign, that begins at `position`, and the position behind it.

    Raises ValueError when it does not end.
    """
    value = shift = 0
    try:
        while True:
            byte = data[position]
            position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, position
            shift += 7
    except IndexError:
        raise ValueError("the message ends within a number") from None


def varints(data: bytes) -> list[int]:
    """The numbers of a packed field. Raises ValueError."""
    found, position = [], 0
    while position < len(data):
        value, position = varint(data, position)
        found.append(value)
    return found


def signed(value: Value) -> int:
    """A varint of 64 bits with its sign. Raises ValueError when it was no varint."""
    if isinstance(value, bytes):
        raise ValueError("bytes where a number was due")  # noqa: TRY004 - the data is wrong, not the call
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


def text(value: Value) -> str:
    """A text field; what is no UTF-8 is replaced. Raises ValueError when it was no bytes."""
    return message(value).decode(errors="replace")


def message(value: Value) -> bytes:
    """A nested message, to be read with `fields`. Raises ValueError when it was no bytes."""
    if isinstance(value, int):
        raise ValueError("a number where a message was due")  # noqa: TRY004 - the data is wrong, not the call
    return value


def double(value: Value) -> float:
    """A fixed number of 8 or 4 bytes. Raises ValueError when it was none."""
    data = message(value)
    if len(data) not in (4, 8):
        raise ValueError("no floating point number")
    number: float = struct.unpack("<d" if len(data) == 8 else "<f", data)[0]
    return number
