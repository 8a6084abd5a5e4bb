"""From any older schema of the store to the newest: numbered steps, all or none of them."""

from __future__ import annotations

import math
import re
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from nbtools.errors import StoreError
from nbtools.journal import Series
from nbtools.points import Points

#: SQL, or what carries it out.
Step = str | Callable[[sqlite3.Connection], None]


def _points_in_chunks(db: sqlite3.Connection) -> None:
    """1 -> 2: a row a point becomes a row a chunk; runs get summaries, made when asked for."""
    new = schema()
    _run(db, new[new.index("CREATE TABLE series") : new.index("CREATE TABLE journals")])
    _run(db, "DROP INDEX contexts_by_kind;")
    _run(db, new[new.index("CREATE INDEX contexts_by_kind") :].partition(";")[0] + ";")
    _run(db, "ALTER TABLE journals RENAME TO old_journals;")
    _run(db, new[new.index("CREATE TABLE journals") : new.index("CREATE TABLE resources")])
    _run(db, "INSERT INTO journals SELECT file, context, position, '{}' FROM old_journals;")
    _run(db, "DROP TABLE old_journals;")

    def execute(sql: str, *values: Any) -> list[Any]:
        cursor = db.cursor()
        cursor.row_factory = sqlite3.Row
        return cursor.execute(sql, values).fetchall()

    points = Points(execute)
    for one in execute("SELECT DISTINCT context, key FROM points"):
        series = Series()
        for row in execute(
            "SELECT step, wall_time, value FROM points WHERE context = ? AND key = ? ORDER BY step",
            *one,
        ):
            series.add(row[0], row[1], math.nan if row[2] is None else row[2])
        points.add(one["context"], one["key"], series)
    _run(db, "DROP TABLE points;")


def _resources(db: sqlite3.Connection) -> None:
    """2 -> 3: labels, descriptions and versions of schemas; Vertex AI's other resources."""
    new = schema()
    for table in ("contexts", "executions", "artifacts", "events"):
        # Not ALTER TABLE: a row keeps its old width then, and repair knows rows by that.
        columns = ", ".join(row[1] for row in db.execute(f"PRAGMA table_info({table})"))
        made = new[new.index(f"CREATE TABLE {table} ") :].partition(";")[0]
        _run(db, made.replace(table, f"new_{table}", 1) + ";")
        _run(db, f"INSERT INTO new_{table} ({columns}) SELECT {columns} FROM {table};")
        _run(db, f"DROP TABLE {table};")
        _run(db, f"ALTER TABLE new_{table} RENAME TO {table};")
        for index in re.findall(rf"CREATE INDEX \w+ ON {table} [^;]*;", new):
            _run(db, index)
    _run(db, new[new.index("CREATE TABLE resources") :])


def schema() -> str:
    """The newest schema."""
    return Path(__file__).with_name("schema.sql").read_text(encoding="utf-8")


def _run(db: sqlite3.Connection, sql: str) -> None:
    for statement in statements(sql):
        db.execute(statement)


def use_log(db: sqlite3.Connection) -> None:
    """Have SQLite write to a log beside the file, so that readers need not wait.

    Several processes that make a store in the same moment all change this, and SQLite does
    not wait for the others there as it does elsewhere. Raises sqlite3.Error.
    """
    for pause in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 0.0):
        try:
            db.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if not pause or "locked" not in str(error):
                raise
            time.sleep(pause)
        else:
            return


def migrate(
    db: sqlite3.Connection, where: str, steps: Sequence[Step] | None = None, whole: str = ""
) -> None:
    """Bring the store in `db` to the newest schema, in one transaction.

    Killed at any moment it leaves the old store or the new one. `where` is how messages call
    it, `whole` the newest schema, for a new store. Raises StoreError for the store of a newer
    nbtools and for a file of another program; sqlite3.Error, with nothing changed, when a
    step fails.
    """
    steps = MIGRATIONS if steps is None else steps
    newest = len(steps) + 1
    if _version(db, newest, where) == newest:
        return
    # A step that makes a table anew drops the old one, to which others refer; no pragma can
    # be set inside the transaction, so the edges are looked at by hand before it ends.
    db.execute("PRAGMA foreign_keys = OFF")
    try:
        db.execute("BEGIN IMMEDIATE")
        try:
            _carry_out(db, where, steps, whole or schema())
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.rollback()
            raise
    finally:
        db.execute("PRAGMA foreign_keys = ON")


def _carry_out(db: sqlite3.Connection, where: str, steps: Sequence[Step], whole: str) -> None:
    newest = len(steps) + 1
    version = _version(db, newest, where)  # another process may have won
    if not version and db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raise StoreError(f"{where} has a store.sqlite of another program: move it away")
    for step in steps[version - 1 :] if version else [whole]:
        if isinstance(step, str):
            _run(db, step)
        else:
            step(db)
    if db.execute("PRAGMA foreign_key_check").fetchone():
        raise sqlite3.IntegrityError("an edge has no end")
    db.execute(f"PRAGMA user_version = {newest}")


def _version(db: sqlite3.Connection, newest: int, where: str) -> int:
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    if version > newest:
        raise StoreError(f"{where} was written by a newer nbtools: update this one with pip")
    return version


def statements(sql: str) -> Iterator[str]:
    """One statement after the other; `executescript` would commit the transaction around it."""
    statement = ""
    for line in sql.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


#: what leads from schema version i+1 to i+2; `schema.sql` is always the newest.
MIGRATIONS: tuple[Step, ...] = (_points_in_chunks, _resources)
