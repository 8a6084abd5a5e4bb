"""SQLite files of other programs, only ever read."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from nbtools.errors import RequestError

#: what every SQLite file begins with.
_MAGIC = b"SQLite format 3\0"


class Database:
    """An open file. Usable in a `with`, which closes it."""

    def __init__(self, path: Path) -> None:
        """Open it for reading; raises RequestError when it cannot be."""
        self.path = path
        try:
            self._db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
            self._db.row_factory = sqlite3.Row
            #: the names of its tables
            self.tables = {str(row["name"]) for row in self.rows("sqlite_master", type="table")}
        except sqlite3.Error as error:
            raise self._unreadable(error) from error

    def __enter__(self) -> Database:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._db.close()

    def rows(self, table: str, **where: Any) -> Iterator[dict[str, Any]]:
        """Rows of a table, by column, in the order they were written; raises RequestError.

        `where` says which: a column and its value each.
        """
        wheres = " AND ".join(f'"{column}" = ?' for column in where) or "1"
        try:
            for row in self._db.execute(
                f'SELECT * FROM "{table}" WHERE {wheres}', tuple(where.values())
            ):
                yield dict(row)
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise self._unreadable(error) from error

    def count(self, table: str) -> int:
        """How many rows a table has; 0 when there is no such table."""
        if table not in self.tables:
            return 0
        return int(self._db.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0])

    def _unreadable(self, error: Exception) -> RequestError:
        return RequestError(
            f"{self.path} cannot be read ({error}): close the program that has it open, or copy "
            "it to a folder that can be written and import the copy"
        )


def is_database(path: Path) -> bool:
    """Whether `path` is a SQLite file, as its first bytes tell."""
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


def databases(path: Path, *patterns: str) -> Iterator[Database]:
    """The SQLite file at `path`; or those in the folder `path` that fit the patterns."""
    found = [path] if path.is_file() else sorted({p for g in patterns for p in path.glob(g)})
    for file in found:
        if is_database(file):
            with Database(file) as database:
                yield database
