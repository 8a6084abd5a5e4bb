"""Repairing a damaged store: what can be read goes into a new file, the old is kept aside.

Nothing is deleted. The work is done on a copy, and the new file takes the place of the old
in one step, when it is whole and has been checked.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from nbtools import migrations, salvage
from nbtools.errors import NotFound, StoreError
from nbtools.rows import ENDS, TABLES, record_of
from nbtools.salvage import Found, Key, Table

NAME: Final = "store.sqlite"
#: where SQLite's own locks lie in the file; who has a store open holds one of these bytes.
_LOCKS, _COUNT = 0x40000002, 510
#: columns that name a record of another kind: table -> (column, table it is in).
_NAMES = {
    **{
        edge: tuple(zip(columns, (TABLES[kind] for kind in ENDS[edge]), strict=True))
        for edge, columns in {
            "events": ("execution", "artifact"),
            "children": ("parent", "child"),
            "context_executions": ("context", "execution"),
            "context_artifacts": ("context", "artifact"),
        }.items()
    },
}


@dataclass(frozen=True)
class Repaired:
    """What a repair has done."""

    aside: Path  #: the damaged file, as it was
    rows: Mapping[str, int]  #: rows that were saved, by table
    lost: Mapping[str, int]  #: rows that are known to be lost, by table
    mended: Mapping[str, int]  #: rows of which some text was no text any more
    orphans: Mapping[str, int]  #: rows left out because what they belong to is lost
    notes: Path | None  #: a line of JSON for each of those; None when there are none


@dataclass
class _Book:
    """The account of a repair."""

    rows: dict[str, int] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)
    mended: dict[str, int] = field(default_factory=dict)
    orphans: dict[str, int] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    def note(self, what: str, table: str, why: str, row: Any) -> None:
        count: dict[str, int] = getattr(self, what)
        count[table] = count.get(table, 0) + 1
        line = {"table": table, "what": what, "why": why, "row": row}
        self.lines.append(json.dumps(line, default=_plain))


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
            copy, new, book = Path(work) / "old.sqlite", Path(work) / NAME, _Book()
            shutil.copyfile(path, copy)
            wal = path.with_name(f"{NAME}-wal")
            if wal.exists():
                shutil.copyfile(wal, copy.with_name(f"{copy.name}-wal"))
            _build(copy, new, book, folder)
            return _exchange(path, new, book, now)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(
            f"the store in {folder} cannot be repaired: {error}; nothing was changed, "
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


def _build(copy: Path, new: Path, book: _Book, folder: Path) -> None:
    """Read the copy into a new store."""
    old, statements = _opened(copy, folder)
    with closing(old), closing(sqlite3.connect(new)) as db:
        db.isolation_level = None
        db.execute("PRAGMA journal_mode = DELETE")
        db.execute("BEGIN")
        for statement in statements:
            db.execute(statement)
        known = {table.name: table for table in salvage.tables(db)}
        found = {name: salvage.read(old, table) for name, table in known.items()}
        _by_names(old, known, found)
        for name, table in known.items():
            _insert(db, table, found[name], book)
        while _leave_orphans(db, known, book):
            pass  # what belonged to an orphan is one now
        db.execute("COMMIT")
        said = db.execute("PRAGMA integrity_check").fetchone()[0]
        if said != "ok":
            raise StoreError(f"the store in {folder} could not be repaired: {said}")


def _opened(copy: Path, folder: Path) -> tuple[sqlite3.Connection, list[str]]:
    """The copy, and what makes an empty store like it.

    When it cannot be read what tables there are, it gets the table of contents of a new one.
    """
    for graft in (False, True):
        if graft:
            _graft(copy)
        db = sqlite3.connect(copy, isolation_level=None)
        try:
            return db, _layout(db)
        except (sqlite3.Error, UnicodeDecodeError):
            db.close()  # damaged where it says what it holds
    raise StoreError(f"nothing can be read of the store in {folder}: bring back a backup of it")


def _layout(db: sqlite3.Connection) -> list[str]:
    """The SQL of the schema that `db` has. Raises sqlite3.Error when it is no store's."""
    found = db.execute(
        "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY type = 'index', rowid"
    )
    statements = [row[0] for row in found]
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if not 0 < version <= len(migrations.MIGRATIONS) + 1:
        raise sqlite3.DatabaseError("no version of ours")
    with closing(sqlite3.connect(":memory:")) as empty:
        for statement in statements:
            empty.execute(statement)
        made = {table.name for table in salvage.tables(empty)}
    if not {*TABLES.values(), *_NAMES} <= made:
        raise sqlite3.DatabaseError("tables are missing")
    return [*statements, f"PRAGMA user_version = {version}"]


def _graft(copy: Path) -> None:
    """Give the copy the first page of a new store.

    That page says where each table begins. A store of one schema has its tables where every
    other of that schema has them, so those of a new one lead to what the damaged one holds.
    """
    with tempfile.TemporaryDirectory(dir=copy.parent) as folder:
        fresh = Path(folder) / NAME
        with closing(sqlite3.connect(fresh, isolation_level=None)) as db:
            migrations.migrate(db, folder)
        first = bytearray(fresh.read_bytes()[:4096])
    with copy.open("r+b") as file:
        pages = os.fstat(file.fileno()).st_size // len(first)
        first[28:32] = pages.to_bytes(4, "big")
        first[32:40] = bytes(8)  # no free pages: better kept than believed
        first[92:96] = first[24:28]  # the number of pages is to be believed
        file.write(first)


def _by_names(
    old: sqlite3.Connection, known: Mapping[str, Table], found: Mapping[str, Found]
) -> None:
    """Seek the records that edges name and that were not met."""
    for edge, ends in _NAMES.items():
        for row in list(found[edge].rows.values()) if edge in found else []:
            values = dict(zip(known[edge].columns, row, strict=True))
            for column, table in ends:
                if found[table].damage:
                    salvage.seek(old, known[table], found[table], (values[column],))


def _insert(db: sqlite3.Connection, table: Table, found: Found, book: _Book) -> None:
    marks = ", ".join("?" * len(table.columns))
    book.rows[table.name] = 0
    for row in found.rows.values():
        values = tuple(salvage.decoded(row))
        why = _unfit(table, values)
        if why:
            book.note("lost", table.name, why, values)
            continue
        try:
            db.execute(f"INSERT INTO {table.name} VALUES ({marks})", values)
        except sqlite3.IntegrityError as error:
            book.note("lost", table.name, str(error), values)
            continue
        book.rows[table.name] += 1
        if any(
            "\ufffd" in v and b"\xef\xbf\xbd" not in bytes(raw) for v, raw in _texts(values, row)
        ):
            book.note("mended", table.name, "some bytes were no text", values)
    for key, why in found.lost.items():
        book.note("lost", table.name, why, tuple(salvage.decoded(key)))
    if found.damage and not found.lost:
        book.lines.append(json.dumps({"table": table.name, "why": found.damage}))


def _texts(values: Key, row: Key) -> Iterator[tuple[str, bytes]]:
    for value, raw in zip(values, row, strict=True):
        if isinstance(value, str):
            yield value, raw


def _unfit(table: Table, values: Key) -> str:
    """Why the rows of a record cannot be read as one, or ""."""
    for kind, name in TABLES.items():
        if name == table.name:
            try:
                record_of(kind, dict(zip(table.columns, values, strict=True)))
            except (ValueError, TypeError) as error:
                return str(error)
    return ""


def _leave_orphans(db: sqlite3.Connection, known: Mapping[str, Table], book: _Book) -> int:
    """Take out the rows that belong to what is not there; returns how many these were."""
    count = 0
    for name, table in known.items():
        for row in list(db.execute(f"PRAGMA foreign_key_list({name})")):
            parent, column, key = row[2], row[3], row[4]
            where = f"{column} NOT IN (SELECT {key} FROM {parent})"
            for orphan in list(db.execute(f"SELECT * FROM {name} WHERE {where}")):
                values = dict(zip(table.columns, orphan, strict=True))
                book.note("orphans", name, f"{parent} {values[column]!r} is lost", orphan)
                count += 1
            found = db.execute(f"DELETE FROM {name} WHERE {where}").rowcount
            book.rows[name] -= found
    return count


def _exchange(path: Path, new: Path, book: _Book, now: datetime) -> Repaired:
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


def _plain(value: Any) -> str:
    return bytes(value).decode(errors="backslashreplace")
