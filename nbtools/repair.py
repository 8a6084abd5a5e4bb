"""Repairing a damaged store: what can be read goes into a new file, the old is kept aside.

Nothing is deleted. The work is done on a copy, and the new file takes the place of the old
in one step, when it is whole and has been checked.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from nbtools.errors import NotFound, StoreError
from nbtools.rebuild import Book, build

NAME: Final = "store.sqlite"
#: where SQLite's own locks lie in the file; who has a store open holds one of these bytes.
_LOCKS, _COUNT = 0x40000002, 510


@dataclass(frozen=True)
class Repaired:
    """What a repair has done."""

    aside: Path  #: the damaged file, as it was
    rows: Mapping[str, int]  #: rows that were saved, by table
    lost: Mapping[str, int]  #: rows that are known to be lost, by table
    mended: Mapping[str, int]  #: rows of which some text was no text any more
    orphans: Mapping[str, int]  #: rows left out because what they belong to is lost
    notes: Path | None  #: a line of JSON for each of those; None when there are none


def repair(folder: Path, now: datetime) -> Repaired:
    """Make a sound store of a damaged one. Raises NotFound when there is none, StoreError when
    somebody has it open, nothing at all can be read, or the new one cannot be written.

    No other store may be open in this process: SQLite's locks are the process's.
    """
    path = folder / NAME
    if not path.is_file():
        raise NotFound(f"there is no store in {folder}: set NBTOOLS_STORE to the folder of one")
    try:
        with _alone(path), tempfile.TemporaryDirectory(prefix="repair-", dir=folder) as work:
            copy, new, book = Path(work) / "old.sqlite", Path(work) / NAME, Book()
            shutil.copyfile(path, copy)
            wal = path.with_name(f"{NAME}-wal")
            if wal.exists():
                shutil.copyfile(wal, copy.with_name(f"{copy.name}-wal"))
            build(copy, new, book, folder)
            return _exchange(path, new, book, now)
    except (OSError, sqlite3.Error) as error:
        why = getattr(error, "strerror", None) or error
        raise StoreError(
            f"the store in {folder} cannot be repaired: {why}; nothing was changed, "
            "free some space or mend that, and repeat"
        ) from error


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.open("r+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, _COUNT, _LOCKS)
        except (BlockingIOError, PermissionError):
            raise StoreError(
                f"the store in {path.parent} is open in another process: end jobs, kernels and "
                "commands that use it, and repeat"
            ) from None
        yield


def _exchange(path: Path, new: Path, book: Book, now: datetime) -> Repaired:
    """Put the new file in the place of the old, which is kept aside with all that is its."""
    aside = path.with_name(f"{NAME}.damaged-{now:%Y%m%d-%H%M%S-%f}")
    notes = aside.with_name(f"{aside.name}.lost.jsonl") if book.lines else None
    if notes:
        notes.write_text("".join(f"{line}\n" for line in book.lines), encoding="utf-8")
    with new.open("rb") as file:
        os.fsync(file.fileno())
    shutil.copymode(path, new)
    try:
        os.link(path, aside)
    except OSError:  # a file system without links
        shutil.copyfile(path, aside)
    # The log of the old must be out of the way before the new is there: SQLite would apply it.
    for suffix in ("-wal", "-shm"):
        log = path.with_name(path.name + suffix)
        if log.exists():
            log.rename(aside.with_name(aside.name + suffix))
    new.replace(path)
    return Repaired(aside, book.rows, book.lost, book.mended, book.orphans, notes)
