"""Stores of earlier versions are read by this one."""

import math
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from nbtools.nouns import Context, utc_now
from nbtools.schedule import Schedule
from nbtools.store import Store

DATA = Path(__file__).parent / "data"

#: opens the store, and dies at the n-th statement of the migration.
INTERRUPTED = """
import os, signal, sys
from pathlib import Path
from nbtools import store
left = int(sys.argv[2])
execute = store.Store._execute
def counting(self, sql, *values):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return execute(self, sql, *values)
store.Store._execute = counting
store.Store(Path(sys.argv[1]))
"""


@pytest.fixture
def old(tmp_path):
    """A store as the first version has left it, with a journal that was not taken in."""
    folder = tmp_path / "store"
    (folder / "journals").mkdir(parents=True)
    db = sqlite3.connect(folder / "store.sqlite")
    db.executescript((DATA / "schema-1.sql").read_text())
    meta = '{"_experiment": "e", "_state": "RUNNING", "_params": {"lr": 1}, "_metrics": {}}'
    time = "2024-01-02T03:04:05.000000Z"
    run = ("e-r", "system.ExperimentRun", "r", meta, time, time, 3)
    db.execute("INSERT INTO contexts VALUES (?, ?, ?, ?, ?, ?, ?)", run)
    points = [("e-r", "loss", step, 1.0 * step, 1 / step) for step in range(1, 6)]
    points.append(("e-r", "loss", 6, 6.0, None))
    db.executemany("INSERT INTO points VALUES (?, ?, ?, ?, ?)", points)
    db.execute("PRAGMA user_version = 1")
    db.commit()
    db.close()
    line = b'\n{"series":{"loss":0.25},"step":7,"time":7.0}\n{"_state":"COMPLETE"}\n'
    (folder / "journals" / "e-r.77-ab.jsonl").write_bytes(line)
    return folder


def shape(folder):
    """The tables and indexes of a store."""
    db = sqlite3.connect(folder / "store.sqlite")
    columns = "SELECT m.name, c.name, c.type, c.pk, c.dflt_value FROM sqlite_master AS m, "
    columns += "pragma_table_info(m.name) AS c ORDER BY 1, 2"
    indexes = "SELECT name, tbl_name FROM sqlite_master WHERE type = 'index' ORDER BY 1"
    return list(db.execute(columns)), list(db.execute(indexes))


def is_whole(folder):
    store = Store(folder)
    store.drain(utc_now())
    points = store.points("e-r")["loss"]
    assert [(s, v) for s, _, v in points[:5]] == [(n, 1 / n) for n in range(1, 6)]
    assert math.isnan(points[5][2])
    assert points[6] == (7, 7.0, 0.25)
    assert store.get(Context, "e-r").metadata["_state"] == "COMPLETE"
    assert store.table().names == ["r"]
    assert list((folder / "journals").iterdir()) == []
    assert store.check() == ""
    store.close()


@pytest.fixture
def second(old, tmp_path):
    """A store as the second version has left it: the first, migrated, of its own schema."""
    folder = tmp_path / "second"
    folder.mkdir()
    db = sqlite3.connect(folder / "store.sqlite")
    db.executescript((DATA / "schema-2.sql").read_text())
    time = "2024-01-02T03:04:05.000000Z"
    meta = '{"_experiment": "e", "_state": "COMPLETE", "_params": {}, "_metrics": {}}'
    run = ("e-r", "system.ExperimentRun", "r", meta, time, time, 1)
    db.execute("INSERT INTO contexts VALUES (?, ?, ?, ?, ?, ?, ?)", run)
    db.execute("PRAGMA user_version = 2")
    db.commit()
    db.close()
    return folder


def test_a_store_of_the_second_version_gets_schedules(second, tmp_path):
    store = Store(second)
    assert store.timetable.all() == []
    store.timetable.put(Schedule(name="s", notebook="/n.ipynb", cron="TZ=UTC 0 2 * * *"))
    assert [s.name for s in store.timetable.all()] == ["s"]
    assert store.table().names == ["r"]
    store.close()
    Store(tmp_path / "new").close()
    assert shape(second) == shape(tmp_path / "new")


def test_a_store_of_the_first_version_is_taken_over(old):
    is_whole(old)


def test_a_migrated_store_is_what_a_new_one_is(old, tmp_path):
    Store(old).close()
    Store(tmp_path / "new").close()
    assert shape(old) == shape(tmp_path / "new")


@pytest.mark.parametrize("statement", range(3, 15))
def test_a_migration_that_was_killed_begins_again(old, statement):
    command = [sys.executable, "-c", INTERRUPTED, str(old), str(statement)]
    done = subprocess.run(command, check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    version = sqlite3.connect(old / "store.sqlite").execute("PRAGMA user_version").fetchone()
    assert version == (1,)
    is_whole(old)
