"""Saving what can be read of a damaged store. Real damage, real files, and nothing deleted."""

import json
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime

import pytest

from nbtools import care
from nbtools.carving import records
from nbtools.errors import NotFound, StoreError
from nbtools.nouns import EXPERIMENT, RUN, Artifact, Context, Event, Execution
from nbtools.repair import repair
from nbtools.runs import list_runs
from nbtools.store import Store

NOW = datetime(2024, 1, 2, tzinfo=UTC)
RUNS = 120
PAGE = 4096


def fill(folder):
    store = Store(folder)
    with store.write():
        store.add(Context(name="exp", schema_title=EXPERIMENT, display_name="exp"), NOW)
        for n in range(RUNS):
            name = f"exp-run-{n:04d}"
            meta = {"_experiment": "exp", "_state": "COMPLETE", "_params": {"n": n, "x": "y" * 300}}
            run = Context(name=name, schema_title=RUN, display_name=f"run-{n:04d}", metadata=meta)
            store.add(run, NOW)
            store.add_child("exp", name)
            store.add(Execution(name=f"e{n}", schema_title="t"), NOW)
            store.add(Artifact(name=f"a{n}", schema_title="t", metadata={"n": n}), NOW)
            store.add_event(Event(execution=f"e{n}", artifact=f"a{n}", type="OUTPUT"), NOW)
            store.associate(name, execution=f"e{n}", artifact=f"a{n}")
            store.add_points(name, "loss", [(k, 0.0, k / 2) for k in range(1, 11)])
    store.close()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    fill(folder)
    return (folder / "store.sqlite").read_bytes()


@pytest.fixture
def damaged(whole, tmp_path):
    """Make a store of the bytes that `damage` leaves of a sound one's."""

    def make(damage):
        folder = tmp_path / "store"
        folder.mkdir(exist_ok=True)
        data = bytearray(whole)
        damage(data)
        (folder / "store.sqlite").write_bytes(data)
        return folder

    return make


def ruin(data, *pages):
    for page in pages:
        data[page * PAGE : (page + 1) * PAGE] = b"\xa5" * PAGE


def wrong(folder):
    return [c for c in care.check(folder) if c.mend]


def page_of(data, table, root=True):
    """The number of a page of that table, from 0: its root, or the first with records."""
    with closing(sqlite3.connect(":memory:")) as db:
        db.deserialize(bytes(data[:18] + b"\x01\x01" + data[20:]))
        (number,) = db.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)
        ).fetchone()
    if root:
        return number - 1
    at = (number - 1) * PAGE
    first = int.from_bytes(data[at + 12 : at + 14], "big")
    return int.from_bytes(data[at + first : at + first + 4], "big") - 1


def everything(folder):
    store = Store(folder)
    return {
        "contexts": {c.name: c for c in store.select(Context)},
        "executions": {e.name: e for e in store.select(Execution)},
        "artifacts": {a.name: a for a in store.select(Artifact)},
        "events": {f"e{n}": store.events(execution=f"e{n}")[:1] for n in range(RUNS)},
        "points": {f"exp-run-{n:04d}": store.points(f"exp-run-{n:04d}") for n in range(RUNS)},
    }


def test_a_sound_store_comes_out_as_it_went_in(damaged, tmp_path):
    folder = damaged(lambda data: None)
    before = everything(damaged(lambda data: None))
    shutil.copy(folder / "store.sqlite", tmp_path / "before")
    done = repair(folder, NOW)
    assert everything(folder) == before
    assert (done.lost, done.orphans, done.mended, done.notes) == ({}, {}, {}, None)
    assert done.rows["chunks"] == RUNS
    assert wrong(folder) == []


def test_the_damaged_file_is_kept_as_it_was(damaged):
    folder = damaged(lambda data: ruin(data, page_of(data, "contexts", root=False)))
    before = (folder / "store.sqlite").read_bytes()
    done = repair(folder, NOW)
    assert done.aside.read_bytes() == before
    assert sorted(p.name for p in folder.iterdir()) == sorted(
        [".gitignore", "store.sqlite", done.aside.name, done.notes.name]
        if (folder / ".gitignore").exists()
        else ["store.sqlite", done.aside.name, done.notes.name]
    )


def test_one_damaged_page_costs_what_was_on_it(damaged):
    whole = everything(damaged(lambda data: None))
    folder = damaged(lambda data: ruin(data, page_of(data, "contexts", root=False)))
    assert wrong(folder) != []
    done = repair(folder, NOW)
    assert wrong(folder) == []
    saved = everything(folder)
    gone = whole["contexts"].keys() - saved["contexts"].keys()
    assert 0 < len(gone) < 12
    assert done.lost["contexts"] == len(gone)
    notes = [json.loads(line) for line in done.notes.read_text().splitlines()]
    assert {n["row"][0] for n in notes if n["what"] == "lost"} == gone
    for name in whole["contexts"].keys() - gone:
        assert saved["contexts"][name] == whole["contexts"][name]
        if name != "exp":
            assert saved["points"][name] == whole["points"][name]
    # What belonged to those is left out, and written down.
    assert done.orphans["chunks"] == len(gone)
    assert {n["row"][0] for n in notes if n["table"] == "chunks"} == gone
    assert saved["executions"] == whole["executions"]


@pytest.mark.parametrize("table", ["contexts", "executions", "artifacts", "chunks", "events"])
def test_a_table_of_which_the_beginning_is_gone_is_found_page_by_page(damaged, table):
    whole = everything(damaged(lambda data: None))
    folder = damaged(lambda data: ruin(data, page_of(data, table)))
    done = repair(folder, NOW)
    assert wrong(folder) == []
    saved = everything(folder)
    if table == "events":
        saved[table] = {name: found for name, found in saved[table].items() if found}
    # The root of such a tree holds some records too.
    kind = "points" if table == "chunks" else table
    found = {name: record for name, record in saved[kind].items() if record}
    assert len(found) >= len(whole[kind]) * 0.8
    assert done.rows[table] > 0
    for name, record in found.items():
        assert record == whole[kind][name]


def test_an_index_that_is_damaged_costs_nothing(damaged):
    whole = everything(damaged(lambda data: None))
    for index in ("contexts_by_kind", "events_by_artifact", "children_by_child"):
        folder = damaged(lambda data, index=index: ruin(data, page_of(data, index)))
        assert wrong(folder) != []
        done = repair(folder, NOW)
        assert (done.lost, done.orphans) == ({}, {})
        assert everything(folder) == whole
        assert wrong(folder) == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: ruin(data, 0),
        lambda data: data.__setitem__(slice(0, 16), b"not a database!!"),
        lambda data: data.__setitem__(slice(16, 18), b"\xff\xff"),
    ],
)
def test_without_its_first_page_all_is_saved_by_that_of_a_new_store(damaged, damage):
    whole = everything(damaged(lambda data: None))
    folder = damaged(damage)
    assert wrong(folder) != []
    done = repair(folder, NOW)
    assert everything(folder) == whole
    assert done.lost == {}
    assert wrong(folder) == []


@pytest.mark.parametrize("part", [0.6, 0.701, 0.9])  # a third is the empty tables
def test_a_file_that_was_cut_keeps_its_beginning(damaged, part):
    folder = damaged(lambda data: data.__delitem__(slice(int(len(data) * part), None)))
    assert wrong(folder) != []
    repair(folder, NOW)
    assert wrong(folder) == []
    assert len(everything(folder)["contexts"]) > 10


@pytest.mark.parametrize("seed", range(12))
def test_random_damage_ends_in_a_sound_store_of_what_was_there(damaged, seed):
    rng = random.Random(seed)
    whole = everything(damaged(lambda data: None))
    hits = rng.choice([1, 5, 30])

    def damage(data):
        for _ in range(hits):
            at = rng.randrange(len(data))
            length = min(rng.choice([1, 100, 5000]), len(data) - at)
            data[at : at + length] = rng.randbytes(length)

    folder = damaged(damage)
    repair(folder, NOW)
    assert wrong(folder) == []
    saved = everything(folder)
    for kind in ("contexts", "executions", "artifacts"):
        altered = [n for n, record in saved[kind].items() if whole[kind].get(n) != record]
        assert len(altered) <= 2 * hits  # where a few bytes are others, within a text
    list_runs(Store(folder), NOW)  # and every run can be read


def test_a_byte_that_is_no_text_is_replaced_and_told(damaged):
    def damage(data):
        at = data.index(b'"_params": {"n": 7, "x": "y') + 30
        data[at] = 0xFF

    folder = damaged(damage)
    assert any("unreadable" in c.found for c in wrong(folder))
    done = repair(folder, NOW)
    assert done.mended == {"contexts": 1}
    assert done.lost == {}
    assert "\ufffd" in everything(folder)["contexts"]["exp-run-0007"].metadata["_params"]["x"]


def test_metadata_that_is_no_json_is_left_out_with_what_belongs_to_it(damaged):
    def damage(data):
        at = data.index(b'"_params": {"n": 7,')
        data[at : at + 1] = b"!"

    folder = damaged(damage)
    done = repair(folder, NOW)
    assert done.lost == {"contexts": 1}
    assert done.orphans == {
        "children": 1, "context_executions": 1, "context_artifacts": 1, "chunks": 1,
    }  # fmt: skip
    assert "y" * 300 in done.notes.read_text()  # it can be mended by hand


def test_what_was_only_in_the_log_is_saved(tmp_path, damaged):
    folder = damaged(lambda data: None)
    store = Store(folder)
    store.add(Context(name="newest", schema_title="t"), NOW)
    copy = tmp_path / "copy"
    copy.mkdir()
    for suffix in ("", "-wal"):
        shutil.copy(folder / f"store.sqlite{suffix}", copy / f"store.sqlite{suffix}")
    store.close()
    assert (copy / "store.sqlite-wal").stat().st_size
    done = repair(copy, NOW)
    assert Store(copy).get(Context, "newest").schema_title == "t"
    assert done.aside.with_name(f"{done.aside.name}-wal").exists()
    assert wrong(copy) == []


def test_a_store_that_is_in_use_is_let_alone(damaged):
    folder = damaged(lambda data: None)
    code = (
        "import sys; from pathlib import Path; from nbtools.store import Store\n"
        "store = Store(Path(sys.argv[1])); print('open', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as other:  # fmt: skip
        assert other.stdout.readline() == "open\n"
        with pytest.raises(StoreError, match="is open in another process: end jobs, kernels"):
            repair(folder, NOW)
        other.stdin.close()
        other.wait()
    repair(folder, NOW)


def test_killed_at_any_moment_it_leaves_the_old_store_or_the_new(damaged):
    folder = damaged(lambda data: ruin(data, page_of(data, "contexts", root=False)))
    before = (folder / "store.sqlite").read_bytes()
    code = (
        "import sys; from pathlib import Path; from nbtools.repair import repair\n"
        "from nbtools.nouns import utc_now; print('begun', flush=True)\n"
        "repair(Path(sys.argv[1]), utc_now())"
    )
    ends = set()
    for pause in (0.0, *(0.02 * 1.4**n for n in range(24))):
        (folder / "store.sqlite").write_bytes(before)
        with subprocess.Popen(
            [sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout.readline() == "begun\n"
            time.sleep(pause)
            process.kill()
        if (folder / "store.sqlite").read_bytes() == before:
            ends.add("old")
        else:
            ends.add("new")
            assert wrong(folder) == []
            kept = [p for p in folder.glob("*.damaged-*") if p.suffix != ".jsonl"]
            assert all(p.read_bytes() == before for p in kept)
            assert kept
            break
    assert ends == {"old", "new"}
    (folder / "store.sqlite").write_bytes(before)
    repair(folder, NOW)  # and what was left lying about is in nobody's way
    assert wrong(folder) == []


def test_what_holds_nothing_at_all_is_told_and_left(tmp_path):
    with pytest.raises(NotFound, match="there is no store in"):
        repair(tmp_path, NOW)
    for data in (b"", b"no database at all " * 1000, bytes(50_000)):
        (tmp_path / "store.sqlite").write_bytes(data)
        with pytest.raises(StoreError, match="nothing can be read .* bring back a backup, or move"):
            repair(tmp_path, NOW)
        assert (tmp_path / "store.sqlite").read_bytes() == data
    assert [p.name for p in tmp_path.iterdir()] == ["store.sqlite"]


def test_a_run_without_its_experiment_gets_it_again(damaged):
    folder = damaged(lambda data: None)
    with closing(sqlite3.connect(folder / "store.sqlite")) as db:
        db.execute("DELETE FROM children")
        db.execute("DELETE FROM contexts WHERE name = 'exp'")
        db.commit()
    assert "runs have none" in wrong(folder)[0].found
    repair(folder, NOW)
    assert wrong(folder) == []
    assert len(list_runs(Store(folder), NOW, "exp")) == RUNS


def test_carving_reads_what_sqlite_wrote(tmp_path):
    """Every type, and records that overflow onto other pages."""
    rows = [
        (f"k{n}", [None, 0, 1, -1, 127, -40000, 2**23, -(2**40), 2**62][n % 9], n / 3,
         "ä" * (n * 37), b"\x00\xff" * n)
        for n in range(300)
    ]  # fmt: skip
    path = tmp_path / "x.sqlite"
    for page in (512, 4096, 65536):
        path.unlink(missing_ok=True)
        with closing(sqlite3.connect(path)) as db:
            db.execute(f"PRAGMA page_size = {page}")
            db.execute("CREATE TABLE a (k TEXT PRIMARY KEY, i, r REAL, t TEXT, b) WITHOUT ROWID")
            db.execute("CREATE TABLE b (i, r REAL, t TEXT, b)")
            db.executemany("INSERT INTO a VALUES (?, ?, ?, ?, ?)", rows)
            db.executemany("INSERT INTO b VALUES (?, ?, ?, ?)", [row[1:] for row in rows])
            db.commit()
        found = list(records(path))
        wide = {tuple(v.decode() if isinstance(v, bytes) and i in (0, 3) else v
                      for i, v in enumerate(r)) for r in found if len(r) == 5
                and bytes(r[0]).startswith(b"k")}  # fmt: skip
        assert wide == set(rows)
        assert sum(len(r) == 4 for r in found) == 300
