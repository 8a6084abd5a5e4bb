"""Building a new store from what can be read of a damaged one."""

from __future__ import annotations

import json
import os
import sqlite3
import struct
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbtools import carving, metadata, migrations, salvage
from nbtools.errors import StoreError
from nbtools.nouns import EXPERIMENT, RUN
from nbtools.rows import TABLES, UNDERSTOOD, understand
from nbtools.salvage import Found, Key, Raw, Table

#: edge -> its columns that name a record, each with the table that the record is in.
_NAMES = {
    "events": (("execution", "executions"), ("artifact", "artifacts")),
    "children": (("parent", "contexts"), ("child", "contexts")),
    "context_executions": (("context", "contexts"), ("execution", "executions")),
    "context_artifacts": (("context", "contexts"), ("artifact", "artifacts")),
}


#: table -> what tells its records, as they lie in the file, from others of their width.
_SIGNS: dict[str, Callable[[tuple[Any, ...]], bool]] = {
    "events": lambda r: r[2] in (b"INPUT", b"OUTPUT"),
    "contexts": lambda r: _is_metadata(r[3]) and _is_time(r[4]),
    "executions": lambda r: _is_metadata(r[4]) and _is_time(r[5]),
    "artifacts": lambda r: _is_metadata(r[5]) and _is_time(r[6]),
    "chunks": lambda r: isinstance(r[3], int) and _is_points(r[6], r[3]),
}
#: tables that are made of others.
DERIVED = ("series", "shapes", "summaries")


def _is_metadata(value: Any) -> bool:
    return isinstance(value, Raw) and value[:1] == b"{"


def _is_time(value: Any) -> bool:
    return isinstance(value, Raw) and value[:2] == b"20"


def _is_points(value: Any, count: int) -> bool:
    return isinstance(value, bytes) and not isinstance(value, Raw) and len(value) == 24 * count


@dataclass
class Book:
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


def build(copy: Path, new: Path, book: Book, folder: Path) -> None:
    """Read the copy into a new store."""
    old, statements = _opened(copy, folder)
    with closing(old), closing(sqlite3.connect(new)) as db:
        db.isolation_level = None
        db.execute("PRAGMA journal_mode = DELETE")
        db.execute("BEGIN")
        for statement in statements:
            db.execute(statement)
        known = {t.name: t for t in salvage.tables(db) if t.name not in DERIVED}
        found = {name: salvage.read(old, table) for name, table in known.items()}
        _by_names(old, known, found)
        _carve(old, copy, known, found)
        for name, table in known.items():
            _insert(db, table, found[name], book)
        _adopt(db, book)
        while _leave_orphans(db, known, book):
            pass  # what belonged to an orphan is one now
        _derive(db, known)
        if not any(book.rows.values()):
            raise _nothing(folder)
        db.execute("COMMIT")
        said = db.execute("PRAGMA integrity_check").fetchone()[0]
        if said != "ok":
            raise StoreError(f"the store in {folder} could not be repaired: {said}")


def _opened(copy: Path, folder: Path) -> tuple[sqlite3.Connection, list[str]]:
    """The copy, and what makes an empty store like it.

    When it cannot be read what tables there are, it gets the table of contents of a new one.
    """
    for mend in (None, _pad, _graft):
        if mend is not None:
            mend(copy)
        db = sqlite3.connect(copy, isolation_level=None)
        try:
            return db, _layout(db)
        except (sqlite3.Error, UnicodeDecodeError):
            db.close()  # damaged where it says what it holds
    raise _nothing(folder)


def _nothing(folder: Path) -> StoreError:
    return StoreError(
        f"nothing can be read of the store in {folder}: bring back a backup, or move its "
        "store.sqlite away to begin anew"
    )


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


def _pad(copy: Path) -> None:
    """Give a file that was cut the length that it says it had: SQLite reads none that is less."""
    with copy.open("r+b") as file:
        header, size = file.read(100), os.fstat(file.fileno()).st_size
        page, pages = (int.from_bytes(header[a:b], "big") for a, b in ((16, 18), (28, 32)))
        if size < page * pages < size * 100:  # else that is damaged too
            file.truncate(page * pages)


def _graft(copy: Path) -> None:
    """Give the copy the first page of a new store.

    That page says where each table begins. A store of one schema has its tables where every
    other of that schema has them, so those of a new one lead to what the damaged one holds.
    """
    with tempfile.TemporaryDirectory(dir=copy.parent) as folder:
        fresh = Path(folder) / "fresh.sqlite"
        with closing(sqlite3.connect(fresh, isolation_level=None)) as db:
            migrations.migrate(db, folder)
            data = fresh.read_bytes()
    size = 4096
    first = bytearray(data[:size])
    with copy.open("r+b") as file:
        length = max(os.fstat(file.fileno()).st_size, len(data))
        pages = -(-length // size)
        file.truncate(pages * size)
        first[28:32] = pages.to_bytes(4, "big")
        first[32:40] = bytes(8)  # no free pages: better kept than believed
        first[92:96] = first[24:28]  # the number of pages is to be believed
        file.write(first)
        for page in carving.children(data[:size], 100):  # where one page does not hold it all
            file.seek((page - 1) * size)
            file.write(data[(page - 1) * size : page * size])


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


def _carve(
    old: sqlite3.Connection, copy: Path, known: Mapping[str, Table], found: Mapping[str, Found]
) -> None:
    """Read the damaged tables page by page too, for rows to which no tree leads any more.

    A record says nothing of the table that it is from: this is done for tables that no other,
    and no index, is as wide as, or of which one value tells.
    """
    widths: dict[int, list[str]] = {}
    for table in known.values():
        widths.setdefault(len(table.columns), []).append(table.name)
        for _, *columns in table.indexes:
            widths.setdefault(len({*columns, *table.key}), []).append("")
    wanted = [t for t in known.values() if found[t.name].damage]
    wanted = [t for t in wanted if t.name in _SIGNS or widths[len(t.columns)] == [t.name]]
    wanted = [t for t in wanted if t.key != ("rowid",)]
    if not wanted:
        return
    with suppress(sqlite3.Error):  # what lies in its log goes into its pages
        old.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for record in carving.records(copy):
        for table in wanted:
            if len(table.columns) == len(record) and _told(table, record):
                _take(table, found[table.name], record)


def _told(table: Table, record: tuple[Any, ...]) -> bool:
    """Whether a record is of this table; of another's any value may be anything."""
    try:
        return _SIGNS[table.name](record) if table.name in _SIGNS else True
    except TypeError:
        return False


def _derive(db: sqlite3.Connection, known: Mapping[str, Table]) -> None:
    """Make the ends of series anew; summaries are made when they are asked for."""
    if "chunks" not in known:
        return  # of an older schema
    for context, key, step, data in db.execute(
        "SELECT context, key, last_step, data FROM chunks ORDER BY context, key, last_step, number"
    ).fetchall():
        (value,) = struct.unpack("<d", data[-8:])
        sql = "INSERT OR REPLACE INTO series VALUES (?, ?, ?, ?)"
        db.execute(sql, (context, key, step, value))


def _take(table: Table, found: Found, record: tuple[Any, ...]) -> None:
    """Add a carved record, unless its row was read or a later state of it was carved."""
    stored = (*table.key, *(c for c in table.columns if c not in table.key))
    values = dict(zip(stored, record, strict=True))  # the key comes first in the file
    row = tuple(values[column] for column in table.columns)
    key = tuple(values[column] for column in table.key)
    before = found.carved.get(key)
    if key in found.rows and before is None:
        return
    if salvage.fits(table, row) and (before is None or values.get("etag", 0) >= before):
        found.rows[key] = row
        found.carved[key] = values.get("etag", 0)
        found.lost.pop(key, None)


def _adopt(db: sqlite3.Connection, book: Book) -> None:
    """Give each run its experiment again, which the run's own record names."""
    lone = db.execute(
        "SELECT name, metadata, create_time FROM contexts WHERE schema_title = ? AND name NOT IN "
        "(SELECT e.child FROM children AS e JOIN contexts AS p ON p.name = e.parent)",
        (RUN,),
    ).fetchall()
    for run, text, time in lone:
        if not (experiment := metadata.loads(text).get("_experiment")):
            continue
        row = (experiment, EXPERIMENT, experiment, "{}", time, time, 1)
        columns = "name, schema_title, display_name, metadata, create_time, update_time, etag"
        sql = f"INSERT OR IGNORE INTO contexts ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)"
        book.rows["contexts"] += db.execute(sql, row).rowcount
        sql = "INSERT OR IGNORE INTO children (parent, child) VALUES (?, ?)"
        book.rows["children"] += db.execute(sql, (experiment, run)).rowcount


def _insert(db: sqlite3.Connection, table: Table, found: Found, book: Book) -> None:
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
    if table.name in UNDERSTOOD:
        try:
            understand(table.name, dict(zip(table.columns, values, strict=True)))
        except (ValueError, TypeError, KeyError) as error:
            return f"{type(error).__name__}: {error}"
    return ""


def _leave_orphans(db: sqlite3.Connection, known: Mapping[str, Table], book: Book) -> int:
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


def _plain(value: Any) -> str:
    return bytes(value).decode(errors="backslashreplace")
