"""Reading a damaged SQLite file: table by table, row by row, past what cannot be read.

A table is a tree of pages. SQLite reads rows in the order of their key until it meets a
damaged page, and from the other end until it meets that page from behind. What lies between
two damaged pages is reached by seeking keys in the middle of the gap, and by the keys that
indexes and other tables name. So little more is lost than what the damaged pages hold.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

Key = tuple[Any, ...]

#: how often a gap is halved to find sound pages inside it.
HALVINGS = 12
#: bytes behind what two keys have in common that are looked at to find a key between them.
PRECISION = 8


class Raw(bytes):
    """Text as it lies in the file, which may be no Unicode."""


@dataclass(frozen=True)
class Table:
    """What is known of a table's layout."""

    name: str  #: as in the schema
    columns: tuple[str, ...]  #: in order
    types: tuple[str, ...]  #: declared: TEXT, INTEGER, REAL, BLOB
    required: tuple[bool, ...]  #: NOT NULL
    key: tuple[str, ...]  #: the primary key, in order
    indexes: tuple[tuple[str, ...], ...]  #: name, then columns, of each index


@dataclass
class Found:
    """What was read of a table."""

    rows: dict[Key, tuple[Any, ...]] = field(default_factory=dict)
    lost: dict[Key, str] = field(default_factory=dict)  #: keys that are known to be missing: why
    carved: dict[Key, int] = field(default_factory=dict)  #: keys found outside of the tree: etag
    damage: list[str] = field(default_factory=list)  #: what SQLite said, each once

    def hurt(self, error: Exception) -> None:
        """Remember what SQLite said."""
        if str(error) not in self.damage:
            self.damage.append(str(error))


def tables(db: sqlite3.Connection) -> list[Table]:
    """The tables of a sound database."""
    found = []
    names = [r[0] for r in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    for name in names:
        info = list(db.execute(f"PRAGMA table_info({name})"))
        key = [row[1] for row in sorted(info, key=lambda row: row[5]) if row[5]]
        indexes = []
        for _, index, _, origin, _ in db.execute(f"PRAGMA index_list({name})"):
            if origin == "c":
                columns = [row[2] for row in db.execute(f"PRAGMA index_info({index})")]
                indexes.append((index, *columns))
        found.append(
            Table(
                name=name,
                columns=tuple(row[1] for row in info),
                types=tuple(row[2] for row in info),
                required=tuple(bool(row[3]) for row in info),
                key=tuple(key) or ("rowid",),
                indexes=tuple(indexes),
            )
        )
    return found


def read(db: sqlite3.Connection, table: Table) -> Found:
    """All rows of a table that can be read; text is `Raw`. Never raises for damage."""
    db.text_factory = Raw
    found = Found()
    _span(db, table, found, (), (), HALVINGS)
    if found.damage:
        _by_indexes(db, table, found)
    for key in [key for key, row in found.rows.items() if not fits(table, row)]:
        del found.rows[key]
        found.lost[key] = "it holds what its columns cannot"
    return found


def seek(db: sqlite3.Connection, table: Table, found: Found, key: Key) -> None:
    """Look one key up; when its row cannot be read it is known to be lost."""
    if key in found.rows:
        return
    where = f"({', '.join(table.key)}) = ({', '.join(map(_mark, key))})"
    try:
        row = db.execute(f"{_select(table)} WHERE {where}", _values(key)).fetchone()
    except (sqlite3.DatabaseError, OverflowError) as error:
        found.lost[key] = str(error)
        found.hurt(error)
    else:
        if row is None:
            found.lost[key] = "its row is gone"
        else:
            found.rows[key] = tuple(row)[len(key) :]
            found.lost.pop(key, None)


def fits(table: Table, row: tuple[Any, ...]) -> bool:
    """Whether the values are of the types that the columns were declared to have."""
    kinds = {"TEXT": Raw, "INTEGER": int, "REAL": float | int, "BLOB": bytes}
    for value, declared, required in zip(row, table.types, table.required, strict=True):
        if value is None:
            if required:
                return False
        elif declared in kinds and not isinstance(value, kinds[declared]):
            return False
    return True


def _select(table: Table) -> str:
    return f"SELECT {', '.join((*table.key, *table.columns))} FROM {table.name}"


def _span(
    db: sqlite3.Connection, table: Table, found: Found, low: Key, high: Key, halvings: int
) -> None:
    """Read the rows from key `low` to key `high`, both included; () is an open end."""
    before = len(found.rows)
    last = _run(db, table, found, low, high, "ASC")
    if last is None:
        return
    first = _run(db, table, found, last, high, "DESC")
    # Where nothing was found there is little to hope for: such a gap is not searched as finely.
    halvings -= 1 if len(found.rows) > before else 2
    if first is None or halvings < 0:
        return
    middle = between(last, first)
    if middle is not None:
        _span(db, table, found, last, middle, halvings)
        _span(db, table, found, middle, first, halvings)


def _run(
    db: sqlite3.Connection, table: Table, found: Found, low: Key, high: Key, order: str
) -> Key | None:
    """Read on until the end, then None; or until damage, then how far that was."""
    reached = low if order == "ASC" else high
    wheres, values = ["1"], list[Any]()
    for bound, sign in ((low, ">="), (high, "<=")):
        if bound:
            columns = ", ".join(table.key[: len(bound)])
            wheres.append(f"({columns}) {sign} ({', '.join(_mark(v) for v in bound)})")
            values += _values(bound)
    by = ", ".join(f"{column} {order}" for column in table.key)
    size = len(table.key)
    try:
        sql = f"{_select(table)} WHERE {' AND '.join(wheres)} ORDER BY {by}"
        for row in db.execute(sql, values):
            reached = tuple(row[:size])
            found.rows[reached] = tuple(row[size:])
    except (sqlite3.DatabaseError, OverflowError) as error:
        found.hurt(error)
        return reached
    return None


def _by_indexes(db: sqlite3.Connection, table: Table, found: Found) -> None:
    """Seek the keys that the table's indexes hold and that were not met."""
    for index, *columns in table.indexes:
        by = [*columns, *(c for c in table.key if c not in columns)]
        for order in ("ASC", "DESC"):
            sql = f"SELECT {', '.join(table.key)} FROM {table.name} INDEXED BY {index} ORDER BY "
            keys = []
            with suppress(sqlite3.DatabaseError):  # the index may be damaged too
                for row in db.execute(sql + ", ".join(f"{c} {order}" for c in by)):
                    keys.append(tuple(row))  # one by one: what came before the damage counts
            for key in keys:
                if key not in found.rows and table.key == table.columns:
                    found.rows[key] = key  # the index holds all that there is
                seek(db, table, found, key)


def between(low: Key, high: Key) -> Key | None:
    """A key between two, or None when there is none to be thought of; () is an open end."""
    for position in range(max(len(low), len(high), 1)):
        a = low[position] if position < len(low) else None
        b = high[position] if position < len(high) else None
        if a is not None and a == b:
            continue
        if isinstance(a, int | float) or isinstance(b, int | float):
            least = a if isinstance(a, int | float) else -(2**62)
            most = b if isinstance(b, int | float) else 2**62
            middle: Any = int((least + most) // 2)
            same = middle in (a, b)
        else:
            middle = _text_between(bytes(a or b""), bytes(b) if b is not None else None)
            same = middle in (a, b)
        return None if same else (*low[:position], middle)
    return None


def _text_between(low: bytes, high: bytes | None) -> Raw:
    if high is None:
        high = b"\xff" * PRECISION
    common = 0
    while common < min(len(low), len(high)) and low[common] == high[common]:
        common += 1
    size = common + PRECISION
    ends = [int.from_bytes(end[common:size].ljust(PRECISION, b"\0"), "big") for end in (low, high)]
    return Raw(low[:common] + (sum(ends) // 2).to_bytes(PRECISION, "big").rstrip(b"\0"))


def _mark(value: Any) -> str:
    return "CAST(? AS TEXT)" if isinstance(value, Raw) else "?"


def _values(key: Key) -> list[Any]:
    return [bytes(value) if isinstance(value, Raw) else value for value in key]


def decoded(row: tuple[Any, ...]) -> Iterator[Any]:
    """The values with text as text; what is no Unicode in it is replaced by U+FFFD."""
    for value in row:
        yield value.decode(errors="replace") if isinstance(value, Raw) else value
