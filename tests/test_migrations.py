"""From every schema that a store ever had to the newest, whatever happens on the way."""

import multiprocessing
import os
import re
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from nbtools.errors import StoreError
from nbtools.migrations import MIGRATIONS, migrate, schema, statements
from nbtools.store import Store

#: every schema that was ever released, as it was: N.sql is version N.
SCHEMAS = sorted(Path(__file__).with_name("schemas").glob("*.sql"), key=lambda p: int(p.stem))
OLD = """
CREATE TABLE parents (name TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE kids (name TEXT PRIMARY KEY, parent TEXT REFERENCES parents (name)) WITHOUT ROWID;
"""
STEPS = (
    """
    CREATE TABLE fresh (name TEXT PRIMARY KEY, note TEXT NOT NULL) WITHOUT ROWID;
    INSERT INTO fresh SELECT name, 'from ' || name FROM parents;
    DROP TABLE parents;
    ALTER TABLE fresh RENAME TO parents;
    """,
    "ALTER TABLE kids ADD COLUMN age INTEGER;",
)
KILLED = """
import os, signal, sqlite3, sys
from nbtools.migrations import migrate
db = sqlite3.connect(sys.argv[1], isolation_level=None)
left = int(sys.argv[2])
def tick():
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
db.set_progress_handler(tick, 20)
migrate(db, "x", {steps!r}, "")
"""


def layout(db):
    """What there is, without what names and spaces differ in."""
    return sorted(
        (kind, name, re.sub(r'[\s"]+', " ", sql or ""))
        for kind, name, sql in db.execute("SELECT type, name, sql FROM sqlite_master")
    )


def make(path, sql, version=1):
    db = sqlite3.connect(path, isolation_level=None)
    for statement in statements(sql):
        db.execute(statement)
    db.execute(f"PRAGMA user_version = {version}")
    return db


def old(path):
    db = make(path, OLD)
    db.execute("BEGIN")  # or the disk is waited for with each row
    for number in range(200):
        db.execute("INSERT INTO parents VALUES (?)", (f"p{number}",))
        db.execute("INSERT INTO kids VALUES (?, ?)", (f"k{number}", f"p{number}"))
    db.execute("COMMIT")
    return db


def test_there_is_a_schema_for_every_version():
    assert [int(path.stem) for path in SCHEMAS] == list(range(1, len(MIGRATIONS) + 2))


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.stem)
def test_every_schema_that_ever_was_leads_to_the_newest(path):
    before = make(":memory:", path.read_text(), int(path.stem))
    migrate(before, "x")
    fresh = sqlite3.connect(":memory:", isolation_level=None)
    migrate(fresh, "x")
    assert layout(before) == layout(fresh) == layout(make(":memory:", schema()))
    for db in (before, fresh):
        assert db.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS) + 1,)
    assert fresh.execute("PRAGMA foreign_keys").fetchone() == (1,)


def test_steps_are_taken_from_where_the_store_is(tmp_path):
    db = old(tmp_path / "a")
    migrate(db, "x", STEPS)
    assert db.execute("SELECT note FROM parents WHERE name = 'p7'").fetchone() == ("from p7",)
    assert db.execute("SELECT count(*), max(age) FROM kids").fetchone() == (200, None)
    second = make(tmp_path / "b", OLD)
    migrate(second, "x", STEPS[:1])
    migrate(second, "x", STEPS)
    assert layout(second) == layout(db)
    migrate(second, "x", STEPS)  # again is nothing
    assert second.execute("PRAGMA user_version").fetchone() == (3,)


def test_a_step_that_fails_changes_nothing(tmp_path):
    db = old(tmp_path / "a")
    before = layout(db)
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        migrate(db, "x", (*STEPS, "INSERT INTO nowhere VALUES (1);"))
    with pytest.raises(sqlite3.IntegrityError, match="an edge has no end"):
        migrate(db, "x", ("DELETE FROM parents WHERE name = 'p7';",))
    assert layout(db) == before
    assert db.execute("PRAGMA user_version").fetchone() == (1,)
    assert db.execute("SELECT count(*) FROM parents").fetchone() == (200,)
    assert not db.in_transaction
    assert db.execute("PRAGMA foreign_keys").fetchone() == (1,)


def test_killed_at_any_moment_it_is_the_old_one_or_the_new(tmp_path):
    script = KILLED.format(steps=STEPS)
    results = []
    for moment in (*range(0, 40, 4), *range(40, 400, 30), 10**9):
        path = tmp_path / f"{moment}.sqlite"
        db = old(path)
        db.execute("PRAGMA journal_mode = WAL")
        before = layout(db)
        db.close()
        done = subprocess.run([sys.executable, "-c", script, str(path), str(moment)], check=False)
        assert done.returncode in (0, -signal.SIGKILL)
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            results.append(version)
            assert (layout(db) == before) == (version == 1)
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert db.execute("SELECT count(*) FROM parents").fetchone() == (200,)
            migrate(db, "x", STEPS)  # and whoever comes next does it
            assert db.execute("SELECT count(age), count(*) FROM kids").fetchone() == (0, 200)
    assert set(results) == {1, 3}
    assert results.count(1) > 5


def test_a_newer_store_and_another_programs_file_are_refused(tmp_path):
    db = make(tmp_path / "a", OLD, 4)
    with pytest.raises(StoreError, match="x was written by a newer nbtools: update this one"):
        migrate(db, "x", STEPS)
    other = make(tmp_path / "b", OLD, 0)
    with pytest.raises(StoreError, match="store.sqlite of another program: move it away"):
        migrate(other, "x", STEPS)
    assert len(layout(other)) == len(layout(make(":memory:", OLD)))


def _open(folder, barrier, said):
    barrier.wait()
    try:
        Store(folder).close()
        said.put("ok")
    except (StoreError, sqlite3.Error) as error:
        said.put(repr(error))


def test_many_processes_may_make_the_store_at_once(tmp_path):
    # Not forked from here: another thread may hold a lock of SQLite's at that moment.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.test_migrations"])
    for turn in range(5):
        barrier, said = context.Barrier(4), context.Queue()
        folder = tmp_path / str(turn)
        several = [context.Process(target=_open, args=(folder, barrier, said)) for _ in range(4)]
        for process in several:
            process.start()
        assert [said.get(timeout=60) for _ in several] == ["ok"] * 4
        for process in several:
            process.join()
    assert os.path.exists(folder / "store.sqlite")
