"""What is remembered: one SQLite file that holds ML Metadata's graph.

Contexts are experiments and runs, executions are jobs, artifacts are notebooks, models
and other files; events and associations join them. All SQL of nbtools is here and in
`schema.sql`. Writes are transactions; a crash at any moment leaves the last whole one.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from threading import RLock
from typing import Any, TypeVar

from nbtools import journal
from nbtools.errors import AlreadyExists, NotFound, RequestError, StoreError
from nbtools.migrations import migrate, use_log
from nbtools.nouns import Context, Event, stamp
from nbtools.rows import ENDS, TABLES, Record, event_of, record_of, row_of
from nbtools.states import ExecutionState

T = TypeVar("T")
#: step, wall time (seconds since the epoch), value
Point = tuple[int, float, float]

#: what SQLite says of a file that is damaged, or that another program made.
DAMAGE = ("malformed", "not a database", "unsupported file format", "no such", "UTF-8", "corrupt")
MEND = "`nbtools store repair` saves what can be read of it"


class Store:
    """An open store. Safe to share between threads; several processes may have it open."""

    def __init__(self, folder: Path | None) -> None:
        """Open or make the store in `folder`; None: in memory, for as long as it is open."""
        self.folder = folder
        self._lock = RLock()
        try:
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
                if not (folder / ".gitignore").exists():  # results do not belong in git
                    (folder / ".gitignore").write_text("*\n")
            self._db = sqlite3.connect(
                folder / "store.sqlite" if folder else ":memory:",
                timeout=15,
                isolation_level=None,  # transactions are begun by `write`
                check_same_thread=False,  # and guarded by its lock
            )
            use_log(self._db)
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute("PRAGMA foreign_keys = ON")
        except (OSError, sqlite3.Error, UnicodeDecodeError) as error:
            raise StoreError(_reason(folder, error)) from error
        self._migrate()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @property
    def journals(self) -> Path | None:
        """Where runs write their journals."""
        return self.folder / "journals" if self.folder else None

    @contextmanager
    def write(self) -> Iterator[None]:
        """All writes inside happen together or not at all. May be nested."""
        with self._lock:
            if self._db.in_transaction:
                yield
                return
            self._execute("BEGIN IMMEDIATE")
            try:
                yield
                self._execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.rollback()
                raise

    # -- records --------------------------------------------------------------------

    def find(self, kind: type[Record], name: str) -> Record | None:
        """The record of that name, or None."""
        rows = self._execute(f"SELECT * FROM {TABLES[kind]} WHERE name = ?", name)
        return self._read(partial(record_of, kind), rows)[0] if rows else None

    def get(self, kind: type[Record], name: str) -> Record:
        """The record of that name; raises NotFound."""
        if (record := self.find(kind, name)) is None:
            raise NotFound(f"no {kind.__name__.lower()} {name!r}")
        return record

    def add(self, record: Record, now: datetime) -> Record:
        """Remember a new record; raises AlreadyExists."""
        record = replace(record, create_time=record.create_time or now, update_time=now, etag=1)
        row = row_of(record)
        marks = ", ".join("?" * len(row))
        try:
            with self.write():
                self._execute(
                    f"INSERT INTO {TABLES[type(record)]} ({', '.join(row)}) VALUES ({marks})",
                    *row.values(),
                )
        except sqlite3.IntegrityError:
            raise AlreadyExists(
                f"there is already {_article(type(record).__name__)} {record.name!r}"
            ) from None
        return record

    def put(self, record: Record, now: datetime) -> Record:
        """Remember a record under its name, whether it was there or not."""
        with self.write():
            if self.find(type(record), record.name) is None:
                return self.add(record, now)
            return self.amend(
                type(record),
                record.name,
                lambda old: replace(record, create_time=old.create_time, etag=old.etag),
                now,
            )

    def amend(
        self, kind: type[Record], name: str, change: Callable[[Record], Record], now: datetime
    ) -> Record:
        """Replace a record by `change(record)`, with nothing in between. Raises NotFound."""
        with self.write():
            old = self.get(kind, name)
            new = change(old)
            if new == old:
                return old
            new = replace(new, update_time=now, etag=old.etag + 1)
            row = row_of(new)
            sets = ", ".join(f"{column} = ?" for column in row)
            self._execute(f"UPDATE {TABLES[kind]} SET {sets} WHERE name = ?", *row.values(), name)
        return new

    def select(
        self,
        kind: type[Record],
        schema_title: str = "",
        *,
        parent: str = "",
        context: str = "",
        states: tuple[str, ...] = (),
        display_name: str = "",
        prefix: str = "",
        uri: str = "",
        limit: int = -1,
    ) -> list[Record]:
        """Records that fit everything given, newest first.

        `parent` is the context that a context is a child of, `context` the one that an
        execution or artifact is associated with, `prefix` how a name begins.
        """
        joins, wheres, values = "", ["1"], list[Any]()
        edge = ("children", "child", "parent", parent)
        if context:
            noun = kind.__name__.lower()
            edge = (f"context_{noun}s", noun, "context", context)
        if edge[3]:
            joins = f"JOIN {edge[0]} AS e ON e.{edge[1]} = t.name AND e.{edge[2]} = ?"
            values.append(edge[3])
        for column, value in (
            ("schema_title", schema_title),
            ("display_name", display_name),
            ("uri", uri),
        ):
            if value:
                wheres.append(f"t.{column} = ?")
                values.append(value)
        if states:
            wheres.append(f"t.state IN ({', '.join('?' * len(states))})")
            values.extend(states)
        if prefix:
            wheres.append("substr(t.name, 1, ?) = ?")
            values.extend((len(prefix), prefix))
        rows = self._execute(
            f"SELECT t.* FROM {TABLES[kind]} AS t {joins} WHERE {' AND '.join(wheres)} "
            "ORDER BY t.create_time DESC, t.name DESC LIMIT ?",
            *values,
            limit,
        )
        return self._read(partial(record_of, kind), rows)

    # -- edges ----------------------------------------------------------------------

    # Each raises NotFound when one of its ends is not there.

    def add_event(self, event: Event, now: datetime) -> None:
        """Remember that an execution read or wrote an artifact; again is the same."""
        self._link("events", event.execution, event.artifact, event.type, stamp(event.time or now))

    def add_child(self, parent: str, child: str) -> None:
        """Make one context the child of another; again is the same."""
        self._link("children", parent, child)

    def associate(self, context: str, *, execution: str = "", artifact: str = "") -> None:
        """Put an execution or an artifact into a context; again is the same."""
        if execution:
            self._link("context_executions", context, execution)
        if artifact:
            self._link("context_artifacts", context, artifact)

    def events(self, *, execution: str = "", artifact: str = "") -> list[Event]:
        """The events of an execution, or of an artifact, oldest first."""
        column, value = ("execution", execution) if execution else ("artifact", artifact)
        rows = self._execute(f"SELECT * FROM events WHERE {column} = ? ORDER BY time", value)
        return self._read(event_of, rows)

    # -- time series ----------------------------------------------------------------

    def add_points(self, context: str, key: str, points: list[Point]) -> None:
        """Add points to a run's series; a step written again replaces the old. Raises NotFound."""
        sql = "INSERT OR REPLACE INTO points VALUES (?, ?, ?, ?, ?)"
        with self._needs((Context, context)), self.write():
            for step, wall_time, value in points:
                self._execute(sql, context, key, step, wall_time, value)

    def points(self, context: str) -> dict[str, list[Point]]:
        """A run's series by metric, each in the order of its steps."""
        series: dict[str, list[Point]] = {}
        for row in self._execute(
            "SELECT key, step, wall_time, value FROM points WHERE context = ? ORDER BY key, step",
            context,
        ):
            value = math.nan if row["value"] is None else row["value"]
            series.setdefault(row["key"], []).append((row["step"], row["wall_time"], value))
        return series

    def last_step(self, context: str) -> int:
        """The highest step that any of a run's series has; 0 when there is none."""
        rows = self._execute("SELECT max(step) AS s FROM points WHERE context = ?", context)
        return int(rows[0]["s"] or 0)

    # -- journals -------------------------------------------------------------------

    def drain(self, now: datetime) -> None:
        """Take in what runs have logged since it was last done.

        A run with a journal that its process left without ending it, and that no job
        answers for, becomes FAILED.
        """
        if self.journals is None or not self.journals.is_dir():
            return
        for path in sorted(self.journals.glob(f"*{journal.SUFFIX}")):
            try:
                abandoned = journal.abandoned(path)  # asked before reading: nothing comes after
                with self.write():
                    self._drain_one(path, abandoned, now)
                if abandoned:  # in this order: no row means no file, for any other reader
                    path.unlink(missing_ok=True)
                    with self.write():
                        self._execute("DELETE FROM journals WHERE file = ?", path.name)
            except (FileNotFoundError, PermissionError):
                continue  # another reader was here first, or it is another user's

    def _drain_one(self, path: Path, abandoned: bool, now: datetime) -> None:
        context = journal.context_of(path)
        rows = self._execute("SELECT position FROM journals WHERE file = ?", path.name)
        entries, position = journal.read(path, rows[0]["position"] if rows else 0)
        if self.find(Context, context) is not None:  # else its run was deleted meanwhile
            for entry in entries:
                for key, value in entry.get("series", {}).items():
                    self.add_points(context, key, [(entry["step"], entry["time"], value)])
            self.amend(Context, context, lambda c: _take_in(c, entries, abandoned), now)
        self._execute(
            "INSERT OR REPLACE INTO journals VALUES (?, ?, ?)", path.name, context, position
        )

    # -- inside ---------------------------------------------------------------------

    def check(self) -> str:
        """Empty when the file is sound, else what SQLite says is wrong with it."""
        found = str(self._execute("PRAGMA quick_check")[0][0])
        return "" if found == "ok" else found

    def copy(self, target: Path) -> None:
        """Copy the store as it is now into a file of its own, whole in itself, while others
        write. Raises StoreError when it is damaged, sqlite3.OperationalError when the file
        cannot be written.
        """
        try:
            with closing(sqlite3.connect(target, isolation_level=None)) as copy:
                with self._lock:
                    self._db.backup(copy)
                copy.execute("PRAGMA journal_mode = DELETE")
                found = str(copy.execute("PRAGMA quick_check").fetchone()[0])
        except sqlite3.OperationalError:
            raise
        except sqlite3.Error as error:
            raise StoreError(_reason(self.folder, error)) from error
        if found != "ok":
            raise StoreError(_damaged(self.folder, found))

    def _link(self, table: str, *values: str | None) -> None:
        marks = ", ".join("?" * len(values))
        ends = zip(ENDS[table], values, strict=False)
        with self._needs(*ends), self.write():
            self._execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", *values)

    @contextmanager
    def _needs(self, *records: tuple[type, str | None]) -> Iterator[None]:
        """Say NotFound where SQLite says that a foreign key is missing, but not which."""
        try:
            yield
        except sqlite3.IntegrityError:
            for kind, name in records:
                self.get(kind, str(name))
            raise

    def _read(self, made: Callable[[sqlite3.Row], T], rows: list[sqlite3.Row]) -> list[T]:
        try:
            return [made(row) for row in rows]
        except (ValueError, TypeError) as error:  # SQLite does not see what damage does to text
            raise StoreError(_damaged(self.folder, str(error))) from error

    def _execute(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        try:
            with self._lock:
                cursor = self._db.cursor()
                cursor.row_factory = sqlite3.Row
                return cursor.execute(sql, values).fetchall()  # here: reading a row may fail too
        except sqlite3.IntegrityError:
            raise
        except OverflowError:
            raise RequestError("the store holds whole numbers of 64 bits: give a smaller") from None
        except UnicodeEncodeError as error:  # half of a surrogate pair, as from a file's odd name
            raise RequestError(f"{error.object!r} is not valid Unicode text: rename it") from None
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise StoreError(_reason(self.folder, error)) from error

    def _migrate(self) -> None:
        try:
            migrate(self._db, str(self.folder))
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise StoreError(_reason(self.folder, error)) from error


def _take_in(context: Context, entries: list[dict[str, Any]], abandoned: bool) -> Context:
    """A run's context after what its journal says."""
    meta = dict(context.metadata)
    for entry in entries:
        for key in ("_params", "_metrics"):
            if entry.get(key):
                meta[key] = {**meta.get(key, {}), **entry[key]}
        if "_state" in entry:
            meta["_state"] = entry["_state"]
    if abandoned and meta["_state"] == ExecutionState.RUNNING and not meta.get("_job"):
        meta["_state"] = ExecutionState.FAILED
        meta["_error"] = "its process ended without ending the run (killed, or power lost)"
    return replace(context, metadata=meta)


def _article(noun: str) -> str:
    return f"{'an' if noun[0] in 'AE' else 'a'} {noun.lower()}"


def _reason(folder: Path | None, error: Exception) -> str:
    """What went wrong with the store, and what to do, in one sentence."""
    text = str(error)
    where = f"the store in {folder}"
    if isinstance(error, FileExistsError | NotADirectoryError):
        return f"{where} cannot be made: a file is in its place; set NBTOOLS_STORE to a folder"
    if isinstance(error, OSError):
        return f"{where} cannot be made: {error.strerror}; set NBTOOLS_STORE to a writable folder"
    if "full" in text:
        return f"{where} cannot be written, the disk is full: free some space and repeat"
    if "readonly" in text or "unable to open" in text:
        return f"{where} cannot be written: set NBTOOLS_STORE to a writable folder"
    if "locked" in text:
        return f"{where} is locked by another process: wait for it to end and repeat"
    if isinstance(error, UnicodeDecodeError) or any(sign in text for sign in DAMAGE):
        return _damaged(folder, text)
    return f"{where} failed: {text}; nbtools doctor says more"


def _damaged(folder: Path | None, text: str) -> str:
    return f"the store in {folder} is damaged ({' '.join(text.split())[:200]}): {MEND}"
