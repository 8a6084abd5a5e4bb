"""Reading rows out of a SQLite file page by page, without the trees that lead to them.

For when the page is gone at which a table begins. The format is SQLite's own, which is
documented and has not changed since 2004: a page lists its cells, a cell holds a record,
a record says the type of each value. A page that is no longer in use looks the same, so what
was deleted may come back.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from nbtools.salvage import Raw

#: kind of page -> bytes of its header, bytes before a cell's size; those that hold records.
_KINDS: Final = {0x02: (12, 4), 0x0A: (8, 0), 0x0D: (8, 0)}
_TABLE_LEAF: Final = 0x0D
_TABLE_INNER: Final = 0x05
#: bytes of an integer by its serial type.
_INTEGERS: Final = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}


def records(path: Path) -> Iterator[tuple[Any, ...]]:
    """Every record of the file; text is `Raw`. What cannot be read as one is passed over."""
    data = path.read_bytes()
    size = int.from_bytes(data[16:18], "big")
    size = 65536 if size == 1 else size
    if size < 512 or size & (size - 1):
        size = 4096  # the header is damaged: what SQLite makes when nobody says otherwise
    usable = size - (data[20] if len(data) > 20 and data[20] < 64 else 0)
    for start in range(0, len(data) - size + 1, size):
        page = data[start : start + size]
        begin = 100 if start == 0 else 0
        if page[begin] not in _KINDS:
            continue
        header, before = _KINDS[page[begin]]
        count = int.from_bytes(page[begin + 3 : begin + 5], "big")
        pointers = page[begin + header : begin + header + 2 * count]
        for at in range(0, len(pointers) - 1, 2):
            cell = int.from_bytes(pointers[at : at + 2], "big") + before
            try:
                yield _record(_payload(data, page, cell, page[begin], usable, size))
            except (IndexError, ValueError, struct.error):
                continue  # no record, or one that was damaged


def children(page: bytes, begin: int = 0) -> list[int]:
    """The pages that an inner page of a table leads to; none of another kind of page."""
    if page[begin] != _TABLE_INNER:
        return []
    count = int.from_bytes(page[begin + 3 : begin + 5], "big")
    cells = struct.unpack_from(f">{count}H", page, begin + 12)
    found = [int.from_bytes(page[cell : cell + 4], "big") for cell in cells]
    return [*found, int.from_bytes(page[begin + 8 : begin + 12], "big")]


def _payload(data: bytes, page: bytes, cell: int, kind: int, usable: int, size: int) -> bytes:
    """The bytes of a cell's record, from where they overflow to as well."""
    length, at = _number(page, cell)
    if kind == _TABLE_LEAF:
        _, at = _number(page, at)  # its rowid
    most = usable - 35 if kind == _TABLE_LEAF else (usable - 12) * 64 // 255 - 23
    if not 0 < length < len(data):
        raise ValueError(length)
    if length <= most:
        return page[at : at + length]
    least = (usable - 12) * 32 // 255 - 23
    here = least + (length - least) % (usable - 4)
    here = here if here <= most else least
    found = bytearray(page[at : at + here])
    following = int.from_bytes(page[at + here : at + here + 4], "big")
    seen = set[int]()
    while len(found) < length:
        if following in seen or not 0 < following <= len(data) // size:
            raise ValueError(following)
        seen.add(following)
        begin = (following - 1) * size
        following = int.from_bytes(data[begin : begin + 4], "big")
        found += data[begin + 4 : begin + 4 + min(usable - 4, length - len(found))]
    return bytes(found)


def _record(payload: bytes) -> tuple[Any, ...]:
    header, at = _number(payload, 0)
    kinds = []
    while at < header:
        kind, at = _number(payload, at)
        kinds.append(kind)
    ends = [header]
    for kind in kinds:
        ends.append(ends[-1] + (_INTEGERS.get(kind) or _size(kind)))
    if at != header or ends[-1] != len(payload):
        raise ValueError(payload)
    cuts = (payload[a:b] for a, b in pairwise(ends))
    return tuple(_value(kind, cut) for kind, cut in zip(kinds, cuts, strict=True))


def _size(kind: int) -> int:
    if kind in (10, 11):
        raise ValueError(kind)  # kept for SQLite's own use
    return 8 if kind == 7 else 0 if kind < 12 else (kind - 12) // 2


def _value(kind: int, cut: bytes) -> Any:
    if kind == 0:
        return None
    if kind == 7:
        return struct.unpack(">d", cut)[0]
    if kind in (8, 9):
        return kind - 8
    if kind < 12:
        return int.from_bytes(cut, "big", signed=True)
    return Raw(cut) if kind % 2 else cut


def _number(data: bytes, at: int) -> tuple[int, int]:
    """A number of SQLite's variable length, and where it ends."""
    value = 0
    for i in range(9):
        byte = data[at + i]
        if i == 8:
            return value << 8 | byte, at + 9
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            break
    return value, at + i + 1
