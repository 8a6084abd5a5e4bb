"""W&B's log files: records in blocks of 32 KiB, as LevelDB's log has them.

A record lies in one piece or in several, none of which crosses a block. So a reader that
meets damage goes on at the next block, and what is cut off at the end is just not there.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

BLOCK: Final = 32768  #: bytes
#: of the file: name, magic number, version
HEADER: Final = struct.Struct("<4sHB")
IDENT: Final = b":W&B"
MAGIC: Final = 0xBEE1
_PIECE = struct.Struct("<IHB")  #: CRC-32 of kind and data, length of the data, kind
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


def is_log(path: Path) -> bool:
    """Whether `path` is such a file, of a version that can be read."""
    try:
        with path.open("rb") as file:
            head = file.read(HEADER.size)
    except OSError:
        return False
    return len(head) == HEADER.size and HEADER.unpack(head) == (IDENT, MAGIC, 0)


def records(path: Path) -> Iterator[bytes | None]:
    """Each record; None for each place where some were damaged. Raises OSError."""
    begun: bytes | None = None
    with path.open("rb") as file:
        at = HEADER.size
        while block := file.read(BLOCK):
            while at + _PIECE.size <= len(block):
                crc, size, kind = _PIECE.unpack_from(block, at)
                data = block[at + _PIECE.size : at + _PIECE.size + size]
                if len(data) < size and len(block) < BLOCK:
                    return  # it was cut off, or is being written
                if len(data) < size or crc != zlib.crc32(data, zlib.crc32(bytes([kind]))):
                    begun = None
                    yield None
                    break
                at += _PIECE.size + size
                if kind == _FULL:
                    begun = None
                    yield data
                elif kind == _FIRST:
                    begun = data
                elif begun is not None:
                    begun += data
                    if kind == _LAST:
                        yield begun
                        begun = None
            at = 0
