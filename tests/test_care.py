"""The store looked after: checked, copied while in use, on full and read-only disks."""

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nbtools import care
from nbtools.errors import NotFound, RequestError, StoreError
from nbtools.journal import Journal
from nbtools.nouns import EXPERIMENT, JOB, RUN, Artifact, Context, Event, Execution
from nbtools.repair import repair
from nbtools.runs import open_run
from nbtools.store import Store

NOW = datetime(2024, 1, 2, tzinfo=UTC)
#: writes pairs that belong together, each in one transaction, and says how far it is.
WRITER = """
import itertools, sys, time
from dataclasses import replace
from pathlib import Path
from nbtools.nouns import Context, Event, Execution, Artifact, utc_now
from nbtools.store import Store
store = Store(Path(sys.argv[1]))
now = utc_now()
for name in ("left", "right"):
    store.put(Context(name=name, schema_title="t", metadata={"n": 0}), now)
for n in itertools.count(1):
    with store.write():
        for name in ("left", "right"):
            store.amend(Context, name, lambda c: replace(c, metadata={"n": n, "x": "y" * 999}), now)
        store.add(Execution(name=f"e{n}", schema_title="t"), now)
        store.add(Artifact(name=f"a{n}", schema_title="t", metadata={"n": n}), now)
        store.add_event(Event(execution=f"e{n}", artifact=f"a{n}", type="OUTPUT"), now)
    time.sleep(0.002)
    if n == 20:
        print("at work", flush=True)
"""
READER = """
import sys
from pathlib import Path
from nbtools.nouns import Context, Execution
from nbtools.store import Store
store, last = Store(Path(sys.argv[1])), 0
for _ in range(60):
    left, right = (c.metadata["n"] for c in store.select(Context, "t"))
    assert left == right >= last, (left, right, last)
    last = left
    assert len(store.select(Execution)) >= left
print(last)
"""


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "store"


@pytest.fixture
def store(folder):
    store = Store(folder)
    run = open_run(store, "exp", "r", NOW)
    store.add(Execution(name="e", schema_title="t"), NOW)
    store.add(Artifact(name="a", schema_title="t"), NOW)
    store.add_event(Event(execution="e", artifact="a", type="OUTPUT"), NOW)
    store.associate(run.name, execution="e")
    yield store
    store.close()


@pytest.fixture
def writer(folder):
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "at work\n"
        yield process
        process.kill()


def wrong(folder):
    return {c.what: c.found for c in care.check(folder) if c.mend}


def change(folder, *statements):
    with closing(sqlite3.connect(folder / "store.sqlite")) as db:
        for statement in statements:
            db.execute(statement)
        db.commit()


def test_a_sound_store_has_a_line_for_each_thing(store, folder):
    found = {c.what: c.found for c in care.check(folder)}
    assert not wrong(folder)
    assert found["schema"] == "version 3 of 3"
    assert found["contexts"] == "2 readable"
    assert set(found) == {
        "file", "schema", "pages", "tables", "both ends of every edge", "contexts", "executions",
        "artifacts", "events", "chunks", "experiment of every run", "journals",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("what", "said", "statements"),
    [
        ("both ends of every edge", "1 of events lack one", ["DELETE FROM artifacts"]),
        ("contexts", "1 of 2 unreadable: exp-r", ["UPDATE contexts SET metadata = '{'"
                                                  " WHERE name = 'exp-r'"]),
        ("contexts", "KeyError: '_state'", ["UPDATE contexts SET metadata = '{\"_experiment\": 1}'"
                                            " WHERE name = 'exp-r'"]),
        ("contexts", "'frozen' is not a valid", ["UPDATE contexts SET metadata = "
                                                 "replace(metadata, 'RUNNING', 'frozen')"]),
        ("executions", "1 of 1 unreadable: e ", ["UPDATE executions SET create_time = 'now'"]),
        ("executions", "KeyError", [f"UPDATE executions SET schema_title = '{JOB}'"]),
        ("artifacts", "UnicodeDecodeError", ["UPDATE artifacts SET uri = CAST(x'ff' AS TEXT)"]),
        ("events", "ValueError: x is neither", ["UPDATE events SET type = 'x'"]),
        ("events", "1 of 1 unreadable: e ", ["UPDATE events SET time = 'x'"]),
        ("experiment of every run", "1 runs have none", ["DELETE FROM children"]),
        ("tables", "missing: events_by_artifact", ["DROP INDEX events_by_artifact"]),
        ("schema", "version 9 of 3", ["PRAGMA user_version = 9"]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(store, folder, what, said, statements):
    store.close()
    change(folder, *statements)
    assert said in wrong(folder)[what]


def test_damaged_pages_and_files_of_others_are_said(store, folder):
    store.close()
    path = folder / "store.sqlite"
    data = path.read_bytes()
    path.write_bytes(data[:8192] + b"\xa5" * 4096 + data[12288:])
    assert wrong(folder).keys() & {"pages", "content"}
    path.write_bytes(b"no database" * 100)
    assert "not a database" in wrong(folder)["content"]
    path.unlink()
    with pytest.raises(NotFound, match="there is no store in"):
        care.check(folder)


def test_what_waits_in_journals_is_counted_and_what_is_unreadable_named(store, folder):
    journal = Journal(store.journals, "exp-r")
    for step in range(3):
        journal.append({"series": {"loss": 0.5}, "step": step, "time": 1.0})
    (found,) = [c.found for c in care.check(folder) if c.what == "journals"]
    assert found == "1 of runs at work or ended, 3 entries to be taken in"
    store.drain(NOW)
    (found,) = [c.found for c in care.check(folder) if c.what == "journals"]
    assert found == "1 of runs at work or ended, 0 entries to be taken in"
    journal.close()
    journal.path.unlink()
    journal.path.mkdir()
    assert journal.path.name in wrong(folder)["journals"]


def test_a_check_changes_nothing(store, folder):
    def content():  # SQLite leaves two files of its own, which hold nothing
        files = {p.name: p.read_bytes() for p in folder.iterdir() if p.suffix != ".sqlite-shm"}
        return {name: data for name, data in files.items() if data}

    before = content()  # in use
    care.check(folder)
    assert content() == before
    store.close()
    before = content()
    care.check(folder)
    assert content() == before


def test_a_backup_holds_what_only_a_journal_held(store, folder, tmp_path):
    journal = Journal(store.journals, "exp-r")  # of a run that is at work, and stays so
    journal.append({"_metrics": {"acc": 0.5}, "series": {"loss": 0.25}, "step": 1, "time": 1.0})
    size = care.backup(folder, tmp_path / "copy.sqlite", NOW)
    assert size == (tmp_path / "copy.sqlite").stat().st_size > 0
    assert [p.name for p in tmp_path.iterdir() if "copy" in p.name] == ["copy.sqlite"]
    again = tmp_path / "again"
    again.mkdir()
    shutil.copy(tmp_path / "copy.sqlite", again / "store.sqlite")
    assert not wrong(again)
    restored = Store(again)
    assert restored.points("exp-r") == {"loss": [(1, 1.0, 0.25)]}
    assert restored.get(Context, "exp-r").metadata["_metrics"] == {"acc": 0.5}
    journal.append({"series": {"loss": 0.125}, "step": 2, "time": 2.0})
    journal.close()
    store.drain(NOW)  # and the run goes on as if nothing had been
    assert len(store.points("exp-r")["loss"]) == 2


def test_a_backup_overwrites_nothing_unasked(store, folder, tmp_path):
    target = tmp_path / "copy.sqlite"
    target.write_text("dear")
    with pytest.raises(RequestError, match="is there already: name another file, or --force"):
        care.backup(folder, target, NOW)
    assert target.read_text() == "dear"
    care.backup(folder, target, NOW, overwrite=True)
    for bad in (folder / "store.sqlite", tmp_path):
        with pytest.raises(RequestError, match="is there already"):
            care.backup(folder, bad, NOW, overwrite=True)
    with pytest.raises(RequestError, match="cannot write .*nowhere"):
        care.backup(folder, tmp_path / "nowhere/copy", NOW)
    with pytest.raises(NotFound):
        care.backup(tmp_path / "none", tmp_path / "x", NOW)
    assert not (tmp_path / "none").exists()


def test_a_backup_of_a_damaged_store_is_refused(store, folder, tmp_path):
    store.close()
    path = folder / "store.sqlite"
    data = path.read_bytes()
    path.write_bytes(data[:8192] + b"\xa5" * 4096 + data[12288:])
    with pytest.raises(StoreError, match="`nbtools store repair` saves"):
        care.backup(folder, tmp_path / "copy", NOW)
    assert not [p for p in tmp_path.iterdir() if "copy" in p.name]


def test_a_backup_while_others_write_is_one_moment(writer, folder, tmp_path):
    before = 0
    for number in range(5):
        care.backup(folder, tmp_path / "copy.sqlite", NOW, overwrite=bool(number))
        copy = tmp_path / str(number)
        copy.mkdir()
        shutil.copy(tmp_path / "copy.sqlite", copy / "store.sqlite")
        assert not wrong(copy)
        found = Store(copy)
        left, right = (c.metadata["n"] for c in found.select(Context, "t"))
        assert left == right == len(found.select(Execution)) == len(found.select(Artifact))
        assert left >= before
        before = left
    assert writer.poll() is None  # and nobody was stopped


def test_a_copy_made_by_hand_while_others_write_is_judged_truly(writer, folder, tmp_path):
    """`cp` of the file and its log is no moment in time: it may come out sound or not."""
    for number in range(12):
        copy = tmp_path / f"copy{number}"
        copy.mkdir()
        names = ["store.sqlite", "store.sqlite-wal"]
        for name in names if number % 2 else names[::-1]:
            shutil.copy(folder / name, copy / name)
            time.sleep(0.01 * (number % 3))
        if wrong(copy):
            repair(copy, NOW)
            assert not wrong(copy)
        found = Store(copy)
        for kind in (Execution, Artifact):  # nothing that never was
            seen = {record.name: record.metadata for record in found.select(kind)}
            real = {record.name: record.metadata for record in Store(folder).select(kind)}
            assert seen == {name: real.get(name) for name in seen}
        found.close()


def test_readers_see_only_whole_transactions(writer, folder):
    readers = [
        subprocess.Popen(
            [sys.executable, "-c", READER, str(folder)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    for reader in readers:
        said, errors = reader.communicate(timeout=120)
        assert reader.returncode == 0, errors
        assert int(said) >= 20
    assert writer.poll() is None


def test_a_writer_that_is_killed_leaves_whole_transactions(writer, folder):
    writer.kill()
    writer.wait()
    assert not wrong(folder)
    found = Store(folder)
    left, right = (c.metadata["n"] for c in found.select(Context, "t"))
    assert left == right == len(found.select(Execution)) >= 20


FULL = """
import sys
from pathlib import Path
from nbtools import care, repair
from nbtools.errors import NbtoolsError
from nbtools.nouns import Context, utc_now
from nbtools.store import Store
folder, now = Path(sys.argv[1]) / "store", utc_now()
store = Store(folder)
(folder / "ballast").write_bytes(b"x" * 300_000)
written = 0
try:
    while True:
        store.add(Context(name=f"c{written}", schema_title="t", metadata={"x": "y" * 500}), now)
        written += 1
except NbtoolsError as error:
    print("said:", error)
assert written > 20
assert len(store.select(Context)) == written
for act in (lambda: care.backup(folder, folder / "copy", now), lambda: repair.repair(folder, now)):
    try:
        act()
        print("it had room")
    except NbtoolsError as error:
        print("said:", error)
store.close()
print(sorted(p.name for p in folder.iterdir()))
(folder / "ballast").unlink()
store = Store(folder)
store.add(Context(name="after", schema_title="t"), now)
assert len(store.select(Context)) == written + 1
print("wrong:", [c for c in care.check(folder) if c.mend])
"""


def test_a_full_disk_loses_nothing_that_was_acknowledged(tmp_path):
    """A real one, of 1 MB, in a mount namespace of its own."""
    small = tmp_path / "small"
    small.mkdir()
    script = f'mount -t tmpfs -o size=1m tmpfs {small} && "$0" -c "$1" {small}'
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script,
         sys.executable, FULL],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    said = [line for line in done.stdout.splitlines() if line.startswith("said:")]
    assert "cannot be written, the disk is full: free some space and repeat" in said[0]
    assert "has room" in said[1]
    assert "cannot be repaired" in said[2]
    assert "wrong: []" in done.stdout
    assert "part" not in done.stdout
    assert "repair-" not in done.stdout


@pytest.fixture
def read_only(store):
    """A store in a folder that nobody may write, and somebody who is not root."""
    store.close()
    with tempfile.TemporaryDirectory() as name:
        folder, me = Path(name) / "store", os.geteuid()
        folder.mkdir()
        for part in ("store.sqlite", ".gitignore"):
            shutil.copy(store.folder / part, folder)
        Path(name).chmod(0o755)
        (folder / "store.sqlite").chmod(0o444)
        folder.chmod(0o555)
        if me == 0:
            os.seteuid(65534)
        yield folder
        os.seteuid(me)
        folder.chmod(0o755)


def test_a_read_only_store_is_checked_and_says_that_it_cannot_be_written(read_only):
    assert not wrong(read_only)
    with pytest.raises(StoreError, match="cannot be written: set NBTOOLS_STORE to a writable"):
        Store(read_only).put(Context(name="x", schema_title=EXPERIMENT), NOW)
    with pytest.raises(StoreError, match="cannot be repaired: .*Permission denied"):
        repair(read_only, NOW)
    assert sorted(p.name for p in read_only.iterdir()) == [".gitignore", "store.sqlite"]


def test_an_edge_added_by_hand_is_found(store, folder):
    run = store.get(Context, "exp-r")
    store.amend(Context, "exp-r", lambda c: replace(c, display_name="other"), NOW)
    assert store.select(Context, RUN, parent="exp")[0].name == run.name
    change(folder, "INSERT INTO children VALUES ('nobody', 'exp-r')")
    assert wrong(folder) == {"both ends of every edge": "1 of children lack one"}
    store.close()
    assert repair(folder, NOW).orphans == {"children": 1}
    assert not wrong(folder)
