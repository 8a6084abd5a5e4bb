"""Digests of files, remembered: a large one is read again only when it has changed.

What is remembered of a file lies in a small file of its own, named after its path, so that
any number of processes may look and write at once. It holds for as long as everything that
the file system says of the file is the same, its change time among it, which no program
can set.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from nbtools.errors import RequestError

#: bytes from which remembering is worth it; less is read in under a millisecond.
WORTH: Final = 1_000_000
#: nanoseconds: file systems tell times no finer than this. What changed so shortly before it
#: was read may change once more and look the same.
TICK: Final = 2_000_000_000


def digest(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal. Raises RequestError if it is unreadable."""
    import hashlib  # here: listing jobs needs none

    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise RequestError(f"cannot read {path}: {error.strerror}; mend that") from None


class Digests:
    """The digests of files, and what is remembered of them in `folder`; None: nothing is."""

    def __init__(self, folder: Path | None, clock: Callable[[], int] = time.time_ns) -> None:
        self._folder = folder / "digests" if folder else None
        self._clock = clock

    def of(self, path: Path) -> str:
        """The SHA-256 of the file, in hexadecimal. Raises RequestError if it is unreadable."""
        try:
            before = path.stat()
        except OSError as error:
            raise RequestError(f"cannot read {path}: {error.strerror}; mend that") from None
        if self._folder is None or before.st_size < WORTH:
            return digest(path)
        note, identity = self._note(path), _identity(before)
        if known := _known(note, identity):
            return known
        begun = self._clock()
        found = digest(path)
        settled = max(before.st_mtime_ns, before.st_ctime_ns) < begun - TICK
        if settled and _identity(path.stat()) == identity:
            with suppress(OSError):  # only a memory: what cannot be kept is read again
                self._remember(note, f"{identity} {found}\n")
        return found

    def _note(self, path: Path) -> Path:
        import hashlib

        assert self._folder is not None
        return self._folder / hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:32]

    def _remember(self, note: Path, line: str) -> None:
        note.parent.mkdir(parents=True, exist_ok=True)
        beside = note.with_name(f"{note.name}.{os.getpid()}.part")
        beside.write_text(line)
        beside.replace(note)


def _identity(stat: os.stat_result) -> str:
    times = f"{stat.st_mtime_ns} {stat.st_ctime_ns}"
    return f"{stat.st_size} {times} {stat.st_ino} {stat.st_dev}"


def _known(note: Path, identity: str) -> str:
    try:
        text = note.read_text()
    except (OSError, ValueError):  # never written, or damaged
        return ""
    before, _, found = text.removesuffix("\n").rpartition(" ")
    return found if before == identity and len(found) == 64 else ""
