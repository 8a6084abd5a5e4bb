"""The store's care: what is wrong with it, in one line each, and a copy of it while in use."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from nbtools import journal, migrations
from nbtools.errors import NbtoolsError, NotFound, RequestError
from nbtools.nouns import EXPERIMENT, RUN
from nbtools.repair import NAME
from nbtools.rows import UNDERSTOOD, understand
from nbtools.store import Store

REPAIR = "`nbtools store repair` saves what can be read"


@dataclass(frozen=True)
class Checked:
    """One thing that was looked at."""

    what: str  #: what was looked at
    found: str  #: what was found
    mend: str = ""  #: what to do about it; "" when nothing is wrong


def check(folder: Path) -> list[Checked]:
    """Look at everything that must hold in the store of a folder, and change nothing.

    It may be in use, and may be read-only. Raises NotFound when there is no store.
    """
    path = _there(folder)
    found = [Checked("file", f"{path}, {path.stat().st_size:,} bytes")]
    try:
        with closing(_reading(path)) as db:
            version = int(db.execute("PRAGMA user_version").fetchone()[0])
            newest = len(migrations.MIGRATIONS) + 1
            newer = "update this nbtools with pip" if version > newest else ""
            found.append(Checked("schema", f"version {version} of {newest}", newer))
            if newer:
                return found
            db.execute("BEGIN")  # one moment, however long the looking takes
            found += _checks(db)
            positions = dict(db.execute("SELECT file, position FROM journals").fetchall())
    except (sqlite3.Error, UnicodeDecodeError) as error:
        return [*found, Checked("content", f"cannot be read: {error}", _mend(error))]
    return [*found, _journals(folder / "journals", positions)]


def backup(folder: Path, target: Path, now: datetime, overwrite: bool = False) -> int:
    """Copy the store into one file, while it may be in use; returns the file's size in bytes.

    What runs have logged until now is in it, also what only their journals held; the files
    of jobs are not. To go back to it, put it in the place of `store.sqlite`. Raises NotFound
    when there is no store, RequestError when the target is there already and `overwrite` is
    not set, or cannot be written; StoreError when the store is damaged.
    """
    source = _there(folder)
    if target.exists() and (target.is_dir() or target.samefile(source) or not overwrite):
        raise RequestError(f"{target} is there already: name another file, or --force")
    store = Store(folder)
    store.drain(now)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        store.copy(part)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(target)
    except (OSError, sqlite3.OperationalError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise RequestError(
            f"cannot write {target}: {why}; name a file in a folder that has room"
        ) from None
    finally:
        part.unlink(missing_ok=True)
        store.close()
    return target.stat().st_size


def _there(folder: Path) -> Path:
    path = folder / NAME
    if not path.is_file():
        raise NotFound(f"there is no store in {folder}: set NBTOOLS_STORE to the folder of one")
    return path


def _reading(path: Path) -> sqlite3.Connection:
    """The file, to be read only; where not even SQLite's own notes can be made, as it is."""
    uri = f"{path.absolute().as_uri()}?mode=ro"
    db = sqlite3.connect(uri, uri=True, timeout=15, isolation_level=None)
    try:
        db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        wal = path.with_name(f"{NAME}-wal")
        db.close()
        if not _no_access(error) or (wal.exists() and wal.stat().st_size):
            raise
        db = sqlite3.connect(f"{uri}&immutable=1", uri=True, isolation_level=None)
    return db


def _checks(db: sqlite3.Connection) -> Iterator[Checked]:
    said = [str(row[0]) for row in db.execute("PRAGMA integrity_check(20)")]
    wrong = [] if said == ["ok"] else said
    pages = f"{' '.join(wrong[0].split())} ({len(wrong)} such)" if wrong else "sound"
    yield Checked("pages", pages, REPAIR if wrong else "")
    yield _layout(db)
    if wrong:
        return  # what is read from there would be no answer
    counts: dict[str, int] = {}
    for table, *_ in db.execute("PRAGMA foreign_key_check"):
        counts[table] = counts.get(table, 0) + 1
    said_of = ", ".join(f"{count} of {table} lack one" for table, count in counts.items())
    yield Checked("both ends of every edge", said_of or "there", REPAIR if counts else "")
    yield from _records(db)
    (lone,) = db.execute(
        "SELECT count(*) FROM contexts AS run WHERE schema_title = ? AND NOT EXISTS (SELECT 1 "
        "FROM children AS e JOIN contexts AS p ON p.name = e.parent AND p.schema_title = ? "
        "WHERE e.child = run.name)",
        (RUN, EXPERIMENT),
    ).fetchone()
    mend = "`nbtools store repair` gives each the one that it names" if lone else ""
    yield Checked("experiment of every run", f"{lone} runs have none" if lone else "there", mend)


def _layout(db: sqlite3.Connection) -> Checked:
    """Whether the tables and indexes are those of the schema."""
    ours = set(re.findall(r"CREATE (?:TABLE|INDEX) (\w+)", migrations.schema()))
    there = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE sql IS NOT NULL")}
    missing = ", ".join(sorted(ours - there))
    old = int(db.execute("PRAGMA user_version").fetchone()[0]) <= len(migrations.MIGRATIONS)
    if missing and not old:
        return Checked("tables", f"missing: {missing}", REPAIR)
    return Checked("tables", "of an older schema; any command brings it up" if old else "all there")


def _records(db: sqlite3.Connection) -> Iterator[Checked]:
    """Each record and event read as what it is: its metadata is JSON, its times are times."""
    db.row_factory = sqlite3.Row
    there = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    for table in (table for table in UNDERSTOOD if table in there):
        wrong = []
        count = 0
        db.text_factory = bytes
        for row in db.execute(f"SELECT * FROM {table}"):
            count += 1
            try:
                values = {k: _text(row[k], k) for k in row.keys()}  # noqa: SIM118
                understand(table, values)
            except (ValueError, TypeError, KeyError) as error:
                wrong.append(f"{_name(row[0])} ({type(error).__name__}: {error})")
        db.text_factory = str
        said = f"{len(wrong)} of {count} unreadable: {', '.join(wrong[:3])}"
        yield Checked(table, said if wrong else f"{count:,} readable", REPAIR if wrong else "")
    db.row_factory = None


def _name(value: object) -> str:
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)


def _text(value: object, column: str) -> object:
    return value.decode() if isinstance(value, bytes) and column != "data" else value


def _journals(folder: Path, positions: dict[str, int]) -> Checked:
    """Whether what runs have logged can be read, and how much of it waits to be taken in."""
    wrong, waiting = [], 0
    paths = sorted(folder.glob(f"*{journal.SUFFIX}")) if folder.is_dir() else []
    for path in paths:
        try:
            entries, _ = journal.read(path, positions.get(path.name, 0))
            waiting += len(entries)
        except FileNotFoundError:
            continue  # taken in meanwhile
        except (OSError, ValueError, NbtoolsError) as error:
            wrong.append(f"{path.name} ({error})")
    if wrong:
        mend = "look at the rights of these files, or move them away"
        return Checked("journals", f"{len(wrong)} unreadable: {', '.join(wrong[:3])}", mend)
    said = f"{len(paths)} of runs at work or ended, {waiting} entries to be taken in"
    return Checked("journals", said if paths else "none")


def _mend(error: Exception) -> str:
    if isinstance(error, sqlite3.OperationalError) and _no_access(error):
        return "look at the rights of the file and its folder"
    return REPAIR


def _no_access(error: sqlite3.OperationalError) -> bool:
    return "unable to open" in str(error) or "readonly" in str(error)
