"""A store of the first version, with all that was in it, is read by this one."""

import math
import sqlite3
from pathlib import Path

import pytest

from nbtools.nouns import Context, utc_now
from nbtools.store import Store

SCHEMA = Path(__file__).parent / "schemas/1.sql"


@pytest.fixture
def old(tmp_path):
    """A store as the first version has left it, with a journal that was not taken in."""
    folder = tmp_path / "store"
    (folder / "journals").mkdir(parents=True)
    db = sqlite3.connect(folder / "store.sqlite")
    db.executescript(SCHEMA.read_text())
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


def test_a_store_of_the_first_version_is_taken_over(old):
    is_whole(old)
