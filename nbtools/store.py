"""What is remembered: one SQLite file that holds ML Metadata's graph.

Contexts are experiments and runs, executions are jobs, artifacts are notebooks, models
and other files; events and associations join them. All SQL of nbtools is here and in
`schema.sql`. Writes are transactions; a crash at any moment leaves the last whole one.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, TypeVar

from nbtools import metadata, mount
from nbtools.damage import damaged, reason
from nbtools.drain import Drain
from nbtools.errors import AlreadyExists, NotFound, RequestError, StoreError
from nbtools.journal import Series
from nbtools.migrations import migrate, use_log
from nbtools.nouns import JOB, RUN, Context, Event, Execution, stamp
from nbtools.points import Point, Points
from nbtools.resources import Resources
from nbtools.rows import ENDS, TABLES, Record, event_of, masked, record_of, row_of
from nbtools.summaries import Summaries, Table
from nbtools.tally import Tally
from nbtools.timetable import Timetable

if TYPE_CHECKING:
    from nbtools.terms import Filter

T = TypeVar("T")


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
            shared = folder is not None and mount.is_shared(folder)
            if not shared:
                use_log(self._db)
            self._db.execute(f"PRAGMA synchronous = {'FULL' if shared else 'NORMAL'}")
            self._db.execute("PRAGMA foreign_keys = ON")
        except (OSError, sqlite3.Error, UnicodeDecodeError) as error:
            raise StoreError(reason(folder, error)) from error
        self._points, self._summaries = Points(self._execute), Summaries(self._execute)
        self.timetable = Timetable(self._execute)  #: schedules and their ticks
        self.tally = Tally(self._execute)  #: how many of each
        self.resources = Resources(self._execute)  #: what Vertex AI's services keep besides
        self._migrate()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @property
    def journals(self) -> Path | None:
        """Where runs write their journals."""
        return self.folder / "journals" if self.folder else None

    def sync(self) -> None:
        """Wait until the disk has all that was written. Raises StoreError."""
        if self.folder is None:
            return
        with suppress(FileNotFoundError):  # without that file all is in the other, and synced
            fd = os.open(self.folder / "store.sqlite-wal", os.O_RDONLY)
            try:
                os.fsync(fd)
            except OSError as error:
                raise StoreError(reason(self.folder, error)) from error
            finally:
                os.close(fd)

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
        made = record.create_time or now
        record = replace(masked(record), create_time=made, update_time=now, etag=1)
        row = row_of(record)
        marks = ", ".join("?" * len(row))
        try:
            with self.write():
                self._execute(
                    f"INSERT INTO {TABLES[type(record)]} ({', '.join(row)}) VALUES ({marks})",
                    *row.values(),
                )
                if isinstance(record, Context):
                    self._summarize(record)
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
            new = masked(change(old))
            if new == old:
                return old
            new = replace(new, update_time=now, etag=old.etag + 1)
            row = row_of(new)
            sets = ", ".join(f"{column} = ?" for column in row)
            self._execute(f"UPDATE {TABLES[kind]} SET {sets} WHERE name = ?", *row.values(), name)
            if isinstance(new, Context):
                self._summarize(new)
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
        filter: str | Filter = "",
        order_by: str = "",
        limit: int = -1,
        offset: int = 0,
    ) -> list[Record]:
        """Records that fit everything given, newest first or as `order_by` says.

        `parent` is the context that a context is a child of, `context` the one that an
        execution or artifact is associated with, `prefix` how a name begins. Executions of a
        job's schema are those that are jobs. Raises
        RequestError when `filter` or `order_by` (see `filters.py`) is wrong.
        """
        joins, wheres, values = "", ["1"], list[Any]()
        noun, edge = kind.__name__.lower(), ("children", "child", "parent", parent)
        if context:
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
        if kind is Execution and schema_title == JOB:  # others' are none: `Job.is_in`
            wheres.append("t.schema_version = ''")
        if states:
            wheres.append(f"t.state IN ({', '.join('?' * len(states))})")
            values.extend(states)
        if prefix:
            wheres.append("substr(t.name, 1, ?) = ?")
            values.extend((len(prefix), prefix))
        order = ""
        if filter or order_by:
            from nbtools import clauses  # here: few commands need the language

            clause, order, bound = clauses.of(kind, filter, order_by)
            wheres.append(clause)
            values.extend(bound)
        rows = self._execute(
            f"SELECT t.* FROM {TABLES[kind]} AS t {joins} WHERE {' AND '.join(wheres)} "
            f"ORDER BY {order}t.create_time DESC, t.name DESC LIMIT ? OFFSET ?",
            *values,
            limit,
            offset,
        )
        return self._read(partial(record_of, kind), rows)

    # -- edges ----------------------------------------------------------------------

    # Each raises NotFound when one of its ends is not there.

    def add_event(self, event: Event, now: datetime) -> None:
        """Remember that an execution read or wrote an artifact; again is the same."""
        time, labels = stamp(event.time or now), metadata.dumps(event.labels)
        self._link("events", event.execution, event.artifact, event.type, time, labels)

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

    def add_points(self, context: str, key: str, points: Iterable[Point]) -> None:
        """Add points to a run's series; a step written again replaces the old. Raises NotFound."""
        series = Series()
        try:
            for point in points:
                series.add(*point)
        except OverflowError:
            raise RequestError("the store holds whole numbers of 64 bits: give a smaller") from None
        self.add_series(context, {key: series})

    def add_series(self, context: str, named: Mapping[str, Series]) -> None:
        """Add points to several of a run's series. Raises NotFound."""
        with self._needs((Context, context)), self.write():
            for key, series in named.items():
                self._points.add(context, key, series)
            self._summarize(self.get(Context, context))

    def points(self, context: str) -> dict[str, list[Point]]:
        """A run's series by metric, each in the order of its steps."""
        found = ((key, self.series(context, key)) for key in self._points.keys(context))
        return {k: list(zip(s.steps, s.wall_times, s.values, strict=True)) for k, s in found}

    def series(self, context: str, key: str) -> Series:
        """One of a run's series, in the order of its steps; empty where there is none."""
        try:
            return self._points.series(context, key)
        except ValueError as error:
            raise StoreError(damaged(self.folder, str(error))) from error

    def last(self, context: str) -> dict[str, float]:
        """The value at the last step of each of a run's series."""
        return self._points.last(context)

    def last_step(self, context: str) -> int:
        """The highest step that any of a run's series has; 0 when there is none."""
        return self._points.last_step(context)

    def table(self, experiment: str = "") -> Table:
        """The runs of an experiment, or all, newest first, packed."""
        if stale := self._summaries.stale():
            with self.write():
                for name in stale:
                    self._summarize(self.get(Context, name))
        return self._summaries.table(experiment)

    @property
    def version(self) -> tuple[int, int]:
        """Another whenever something was written, here or by another process."""
        return self._execute("PRAGMA data_version")[0][0], self._db.total_changes

    def _summarize(self, run: Context) -> None:
        if run.schema_title == RUN:
            ends = self._points.last(run.name)
            self._summaries.put(run.name, run.etag, run.metadata, ends)

    # -- journals -------------------------------------------------------------------

    def drain(self, now: datetime) -> None:
        """Take in what runs have logged since it was last done.

        A run with a journal that its process left without ending it, and that no job
        answers for, becomes FAILED.
        """
        if self.journals is not None and self.journals.is_dir():
            Drain(self, self._execute, now).all(self.journals)

    # -- inside ---------------------------------------------------------------------

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
            raise StoreError(reason(self.folder, error)) from error
        if found != "ok":
            raise StoreError(damaged(self.folder, found))

    def check(self) -> str:
        """Empty when the file is sound, else what SQLite says is wrong with it."""
        found = str(self._execute("PRAGMA quick_check")[0][0])
        return "" if found == "ok" else found

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
            raise StoreError(damaged(self.folder, str(error))) from error

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
            raise StoreError(reason(self.folder, error)) from error

    def _migrate(self) -> None:
        try:
            migrate(self._db, str(self.folder))
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise StoreError(reason(self.folder, error)) from error


def _article(noun: str) -> str:
    return f"{'an' if noun[0] in 'AE' else 'a'} {noun.lower()}"
