"""What a run logs, appended to a file of its own: one line a call, one `write` a line.

A line that `Journal.append` has returned for is in the operating system's hands and
survives kill -9 of this process. The store reads journals whenever it is looked at
(`Store.drain`), so a training loop never waits for a database. While its writer lives it
holds a lock on the file; a free lock tells any reader that the writer is gone.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

SUFFIX: Final = ".jsonl"


class Journal:
    """The writing end. Safe to use from several threads: an append is one system call."""

    def __init__(self, folder: Path, context: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{context}.{os.getpid()}-{os.urandom(4).hex()}{SUFFIX}"
        # Locked before it has its name: a reader never meets a journal that looks abandoned.
        unnamed = self.path.with_suffix(".new")
        self._fd = os.open(unnamed, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        unnamed.rename(self.path)

    def append(self, entry: Mapping[str, Any]) -> None:
        """Write one entry; raises OSError when it could not be written."""
        # A full disk may take part of a line. What comes after must not join that part, so an
        # entry begins with the end of whatever was there: true for other threads, and for
        # processes forked from this one, without anybody remembering that it was cut.
        line = b"\n" + json.dumps(entry, separators=(",", ":")).encode() + b"\n"
        if os.write(self._fd, line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))

    def close(self) -> None:
        """Let go of the file, so that a reader may drain and remove it."""
        os.close(self._fd)


def context_of(path: Path) -> str:
    """The name of the context that this journal belongs to."""
    return path.name.removesuffix(SUFFIX).rpartition(".")[0]


def read(path: Path, position: int) -> tuple[list[dict[str, Any]], int]:
    """The whole entries behind byte `position`, and the position behind them.

    A line that is being written is left for the next time; a broken one is passed over.
    """
    with path.open("rb") as file:
        file.seek(position)
        data = file.read()
    whole = data[: data.rfind(b"\n") + 1]
    entries = []
    for line in whole.splitlines():
        try:
            entry = json.loads(line) if line else None
        except ValueError:
            continue  # the part of a line that a full disk took
        if isinstance(entry, dict):  # a part may also be a number
            entries.append(entry)
    return entries, position + len(whole)


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
