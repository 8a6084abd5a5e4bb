"""Room for a large blob, in pages of two megabytes.

Filling a hundred megabytes of ordinary pages costs the filter as much time as all else.
"""

from __future__ import annotations

import mmap


class Room:
    """Memory that grows in place."""

    def __init__(self) -> None:
        self._map = mmap.mmap(-1, 1 << 26, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._used = 0
        self._advise()

    def _advise(self) -> None:
        try:
            self._map.madvise(mmap.MADV_HUGEPAGE)
        except OSError:
            return  # a kernel without them: only slower

    def append(self, piece: bytes | bytearray | memoryview) -> None:
        """Add to the end."""
        end = self._used + len(piece)
        if end > len(self._map):
            self._map.resize(2 * len(self._map))
            self._advise()
        self._map[self._used : end] = piece
        self._used = end

    def whole(self) -> mmap.mmap:
        """What was added, and no room more."""
        self._map.resize(self._used)
        return self._map


def available() -> bool:
    """Whether this system grows memory in place and has large pages: Linux."""
    return hasattr(mmap, "MADV_HUGEPAGE")
