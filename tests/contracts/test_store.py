import math
import os
import sqlite3
import subprocess
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nbtools.errors import AlreadyExists, NotFound, RequestError, StoreError
from nbtools.journal import Journal
from nbtools.nouns import JOB, RUN, Artifact, Context, Event, Execution
from nbtools.runs import open_run
from nbtools.store import Store

NOW = datetime(2024, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
LATER = NOW + timedelta(seconds=1)

AMEND = """
import sys
from dataclasses import replace
from pathlib import Path
from nbtools.nouns import Context, utc_now
from nbtools.store import Store
store = Store(Path(sys.argv[1]))
for _ in range(100):
    store.amend(
        Context, "c", lambda c: replace(c, metadata={"n": c.metadata["n"] + 1}), utc_now()
    )
"""

WRITER = """
import os, signal, sys
from pathlib import Path
from nbtools.journal import Journal
journal = Journal(Path(sys.argv[1]), sys.argv[2])
journal.append({"_metrics": {"loss": 0.5}})
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(params=["memory", "disk"])
def store(request, tmp_path):
    store = Store(None if request.param == "memory" else tmp_path / "store")
    yield store
    store.close()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "store"


def context(name="c", **values):
    return Context(**{"name": name, "schema_title": RUN, **values})


def execution(name="e", **values):
    return Execution(**{"name": name, "schema_title": JOB, **values})


def artifact(name="a", **values):
    return Artifact(**{"name": name, "schema_title": "system.Model", **values})


RECORDS = pytest.mark.parametrize("make", [context, execution, artifact])


def names(records):
    return [record.name for record in records]


@RECORDS
def test_what_was_added_is_got(store, make):
    record = make(display_name="d", metadata={"x": [1, {"y": "ö"}], "z": None})
    added = store.add(record, NOW)
    assert added == replace(record, create_time=NOW, update_time=NOW, etag=1)
    assert store.get(type(record), record.name) == added
    assert store.find(type(record), record.name) == added


@RECORDS
def test_what_is_not_there(store, make):
    kind = type(make())
    assert store.find(kind, "x") is None
    with pytest.raises(NotFound, match=f"no {kind.__name__.lower()} 'x'"):
        store.get(kind, "x")
    with pytest.raises(NotFound):
        store.amend(kind, "x", lambda record: record, NOW)


@RECORDS
def test_a_name_is_added_once(store, make):
    store.add(make(), NOW)
    with pytest.raises(AlreadyExists, match="there is already an? "):
        store.add(make(display_name="other"), LATER)
    assert store.get(type(make()), make().name).display_name == ""


@RECORDS
def test_put_adds_and_then_replaces(store, make):
    assert store.put(make(), NOW).etag == 1
    again = store.put(make(display_name="new"), LATER)
    assert (again.create_time, again.update_time, again.etag) == (NOW, LATER, 2)
    assert store.get(type(again), again.name) == again


@RECORDS
def test_amend_replaces(store, make):
    record = store.add(make(), NOW)
    new = store.amend(
        type(record), record.name, lambda old: replace(old, display_name="new"), LATER
    )
    assert new == replace(record, display_name="new", update_time=LATER, etag=2)
    assert store.get(type(record), record.name) == new


def test_amend_that_changes_nothing_writes_nothing(store):
    record = store.add(context(), NOW)
    assert store.amend(Context, "c", lambda old: old, LATER) == record
    assert store.get(Context, "c").etag == 1


def test_records_of_different_kinds_may_share_a_name(store):
    for record in (context("x"), execution("x"), artifact("x")):
        store.add(record, NOW)
        assert type(store.get(type(record), "x")) is type(record)


def test_the_list_is_newest_first_and_then_by_name(store):
    for name, when in (("b", NOW), ("z", LATER), ("c", NOW), ("a", LATER)):
        store.add(context(name), when)
    assert names(store.select(Context)) == ["z", "a", "c", "b"]
    assert names(store.select(Context, limit=2)) == ["z", "a"]


def test_list_filters(store):
    store.add(artifact("m-1", display_name="best", uri="/m1"), NOW)
    store.add(artifact("m-2", display_name="last", uri="/m2"), LATER)
    store.add(artifact("d_1", schema_title="system.Dataset", display_name="best"), LATER)
    assert names(store.select(Artifact, "system.Model")) == ["m-2", "m-1"]
    assert names(store.select(Artifact, display_name="best")) == ["d_1", "m-1"]
    assert names(store.select(Artifact, "system.Model", display_name="best")) == ["m-1"]
    assert names(store.select(Artifact, uri="/m2")) == ["m-2"]
    assert names(store.select(Artifact, prefix="m-")) == ["m-2", "m-1"]
    assert names(store.select(Artifact, prefix="d%")) == []
    assert names(store.select(Artifact, prefix="m_")) == []
    assert names(store.select(Artifact, "system.Nothing")) == []


def test_jobs_are_those_that_nbtools_has_made(store):
    store.add(execution("ours"), NOW)
    store.add(replace(execution("theirs"), schema_version="0.0.1"), NOW)
    assert names(store.select(Execution, JOB)) == ["ours"]
    assert names(store.select(Execution)) == ["theirs", "ours"]


def test_list_by_state(store):
    for name, state in (("n", "NEW"), ("r", "RUNNING"), ("f", "FAILED")):
        store.add(execution(name, state=state), NOW)
    assert names(store.select(Execution, states=("NEW", "RUNNING"))) == ["r", "n"]
    assert names(store.select(Execution, JOB, states=("FAILED",))) == ["f"]


def test_list_by_edges(store):
    for name in ("experiment", "other", "run"):
        store.add(context(name), NOW)
    for name in ("in", "out"):
        store.add(execution(name), NOW)
        store.add(artifact(name), NOW)
    for _ in range(2):  # again is the same
        store.add_child("experiment", "run")
        store.associate("run", execution="in", artifact="in")
    assert names(store.select(Context, parent="experiment")) == ["run"]
    assert names(store.select(Context, parent="other")) == []
    assert names(store.select(Execution, context="run")) == ["in"]
    assert names(store.select(Artifact, context="run")) == ["in"]
    assert names(store.select(Artifact, context="other")) == []


def test_events(store):
    for name in ("e", "f"):
        store.add(execution(name), NOW)
    store.add(artifact(), NOW)
    store.add_event(Event(execution="e", artifact="a", type="OUTPUT"), NOW)
    store.add_event(Event(execution="f", artifact="a", type="INPUT"), LATER)
    store.add_event(Event(execution="f", artifact="a", type="INPUT"), LATER)
    first = Event(execution="e", artifact="a", type="OUTPUT", time=NOW)
    second = Event(execution="f", artifact="a", type="INPUT", time=LATER)
    assert store.events(artifact="a") == [first, second]
    assert store.events(execution="f") == [second]
    assert store.events(execution="g") == []


def test_a_step_written_again_replaces_the_old(store):
    store.add(context(), NOW)
    store.add_points("c", "loss", [(2, 20.0, 0.2), (1, 10.0, 0.1)])
    store.add_points("c", "loss", [(2, 30.0, 0.3)])
    store.add_points("c", "acc", [(7, 1.0, 1.0)])
    assert store.points("c") == {
        "acc": [(7, 1.0, 1.0)], "loss": [(1, 10.0, 0.1), (2, 30.0, 0.3)],
    }  # fmt: skip
    assert store.last_step("c") == 7


def test_a_run_without_points(store):
    assert store.points("c") == {}
    assert store.last_step("c") == 0


def test_nan_and_infinity_are_kept_in_points(store):
    store.add(context(), NOW)
    store.add_points("c", "x", [(1, 0.0, math.nan), (2, 0.0, math.inf), (3, 0.0, -math.inf)])
    values = [value for _, _, value in store.points("c")["x"]]
    assert math.isnan(values[0])
    assert values[1:] == [math.inf, -math.inf]


def test_nan_and_infinity_are_kept_in_metadata(store):
    store.add(context(metadata={"m": {"nan": math.nan, "list": [math.inf, -math.inf, 1.5]}}), NOW)
    kept = store.get(Context, "c").metadata["m"]
    assert math.isnan(kept["nan"])
    assert kept["list"] == [math.inf, -math.inf, 1.5]


@pytest.mark.parametrize("value", ["abc", "nan", {"$float": "inf"}])
def test_a_users_dict_that_looks_like_ours_is_kept(store, value):
    given = {"m": {"$float": value}, "n": {"$$float": value}}
    store.add(context(metadata=given), NOW)
    assert store.get(Context, "c").metadata == given
    assert store.select(Context)[0].metadata == given


def test_metadata_that_json_cannot_hold_is_refused(store):
    with pytest.raises(RequestError, match="metadata must be what JSON can hold"):
        store.add(context(metadata={"a": {1}}), NOW)
    assert store.select(Context) == []


@pytest.mark.parametrize(
    ("link", "missing"),
    [
        (lambda s: s.add_child("x", "c"), "no context 'x'"),
        (lambda s: s.add_child("c", "x"), "no context 'x'"),
        (lambda s: s.associate("x", execution="e"), "no context 'x'"),
        (lambda s: s.associate("c", execution="x"), "no execution 'x'"),
        (lambda s: s.associate("x", artifact="a"), "no context 'x'"),
        (lambda s: s.associate("c", artifact="x"), "no artifact 'x'"),
        (lambda s: s.add_event(Event(execution="x", artifact="a", type="INPUT"), NOW), "execution"),
        (lambda s: s.add_event(Event(execution="e", artifact="x", type="INPUT"), NOW), "artifact"),
        (lambda s: s.add_points("x", "loss", [(1, 0.0, 0.0)]), "no context 'x'"),
    ],
)
def test_an_edge_to_what_is_not_there_is_refused(store, link, missing):
    for record in (context(), execution(), artifact()):
        store.add(record, NOW)
    with pytest.raises(NotFound, match=missing):
        link(store)
    with pytest.raises(NotFound, match=missing), store.write():
        store.add(context("same-transaction"), NOW)
        link(store)
    assert names(store.select(Context)) == ["c"]


def test_text_that_is_no_unicode_is_refused(store):
    with pytest.raises(RequestError, match="not valid Unicode text"):
        store.add(artifact(uri="/a/\udcff.pt"), NOW)
    assert store.select(Artifact) == []


def test_a_step_beyond_sqlites_numbers_is_refused(store):
    store.add(context(), NOW)
    with pytest.raises(RequestError, match="64 bits"):
        store.add_points("c", "loss", [(2**63, 0.0, 0.0)])
    assert store.points("c") == {}


def test_a_transaction_that_raises_leaves_nothing(store):
    store.add(context("before"), NOW)
    with pytest.raises(KeyboardInterrupt), store.write():
        store.add(context(), NOW)
        store.add(execution(), NOW)
        store.associate("c", execution="e")
        store.amend(Context, "before", lambda c: replace(c, display_name="x"), NOW)
        raise KeyboardInterrupt
    assert names(store.select(Context)) == ["before"]
    assert store.get(Context, "before").display_name == ""
    assert store.select(Execution) == []
    store.add(context(), NOW)  # and the store is not left in a transaction


def test_a_nested_transaction_is_part_of_the_outer_one(store):
    with pytest.raises(ValueError, match="outer"), store.write():
        with store.write():
            store.add(context(), NOW)
        raise ValueError("outer")
    assert store.select(Context) == []


def test_a_sound_store_passes_its_check(store):
    assert store.check() == ""


def test_what_was_written_is_there_for_the_next(folder):
    first = Store(folder)
    first.add(context(), NOW)
    second = Store(folder)
    assert names(second.select(Context)) == ["c"]
    first.add(context("d"), LATER)
    assert names(second.select(Context)) == ["d", "c"]
    assert (folder / ".gitignore").read_text() == "*\n"


def test_two_processes_that_amend_the_same_record_lose_no_update(folder):
    store = Store(folder)
    store.add(context(metadata={"n": 0}), NOW)
    command = [sys.executable, "-c", AMEND, str(folder)]
    both = [subprocess.Popen(command) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    record = store.get(Context, "c")
    assert (record.metadata, record.etag) == ({"n": 200}, 201)


def test_a_journal_is_drained_as_it_grows_and_removed_at_its_end(folder):
    store = Store(folder)
    run = open_run(store, "exp", "r", NOW)
    journal = Journal(store.journals, run.name)
    journal.append({"_params": {"lr": 1}, "series": {"loss": 0.5}, "step": 1, "time": 1.0})
    store.drain(NOW)
    store.drain(NOW)
    assert store.get(Context, run.name).metadata["_params"] == {"lr": 1}
    assert store.get(Context, run.name).metadata["_state"] == "RUNNING"
    journal.append({"series": {"loss": 0.25}, "step": 2, "time": 2.0})
    journal.append({"_state": "COMPLETE"})
    journal.close()
    store.drain(LATER)
    assert store.points(run.name) == {"loss": [(1, 1.0, 0.5), (2, 2.0, 0.25)]}
    assert store.get(Context, run.name).metadata["_state"] == "COMPLETE"
    assert list(store.journals.iterdir()) == []


def test_a_journal_is_drained_exactly_once_by_two_connections(folder):
    first, second = Store(folder), Store(folder)
    run = open_run(first, "exp", "r", NOW)
    journal = Journal(first.journals, run.name)
    journal.append({"_metrics": {"score": 1}})
    first.drain(NOW)
    # Were the line read again, it would undo this.
    first.amend(
        Context,
        run.name,
        lambda c: replace(c, metadata={**c.metadata, "_metrics": {"score": 2}}),
        NOW,
    )
    etag = first.get(Context, run.name).etag
    second.drain(LATER)
    first.drain(LATER)
    assert second.get(Context, run.name).metadata["_metrics"] == {"score": 2}
    assert second.get(Context, run.name).etag == etag
    journal.append({"_state": "COMPLETE"})
    journal.close()
    second.drain(LATER)
    first.drain(LATER)
    assert first.get(Context, run.name).metadata["_metrics"] == {"score": 2}
    assert first.get(Context, run.name).etag == etag + 1
    assert list(first.journals.iterdir()) == []


def test_a_journal_of_a_run_that_is_gone_is_removed(folder):
    store = Store(folder)
    journal = Journal(store.journals, "gone")
    journal.append({"series": {"loss": 0.5}, "step": 1, "time": 1.0})
    journal.close()
    store.drain(NOW)
    assert list(store.journals.iterdir()) == []
    assert store.points("gone") == {}


def test_a_journal_of_another_user_is_left_to_her():
    with tempfile.TemporaryDirectory() as name:
        folder, me = Path(name), os.geteuid()
        if me != 0:
            pytest.skip("only root can be another user")
        store = Store(folder)
        run = open_run(store, "exp", "r", NOW)
        journal = Journal(store.journals, run.name)
        journal.append({"_metrics": {"score": 1}})
        for path in (folder, folder / "journals", *folder.glob("store.sqlite*")):
            path.chmod(0o777)
        os.seteuid(65534)
        try:
            store.drain(NOW)
        finally:
            os.seteuid(me)
        assert store.get(Context, run.name).metadata["_metrics"] == {}
        store.drain(NOW)
        assert store.get(Context, run.name).metadata["_metrics"] == {"score": 1}
        journal.close()


@pytest.mark.parametrize(("job", "state"), [("", "FAILED"), ("job-1", "RUNNING")])
def test_a_run_whose_writer_was_killed_has_failed_unless_a_job_answers_for_it(folder, job, state):
    store = Store(folder)
    run = open_run(store, "exp", "r", NOW, job=job)
    subprocess.run([sys.executable, "-c", WRITER, str(store.journals), run.name], check=False)
    store.drain(NOW)
    meta = store.get(Context, run.name).metadata
    assert meta["_state"] == state
    assert meta["_metrics"] == {"loss": 0.5}
    assert bool(meta.get("_error")) == (state == "FAILED")


def test_a_store_in_memory_has_no_journals():
    store = Store(None)
    assert store.journals is None
    store.drain(NOW)


def test_a_file_that_is_no_store_is_told(folder):
    folder.mkdir()
    (folder / "store.sqlite").write_bytes(b"not a database at all" * 100)
    with pytest.raises(StoreError, match=r"is damaged .*: `nbtools store repair` saves"):
        Store(folder)


def test_a_damaged_store_is_told(folder):
    store = Store(folder)
    for number in range(300):
        store.add(context(f"c{number}", metadata={"x": "y" * 500}), NOW)
    store.close()
    path = folder / "store.sqlite"
    data = path.read_bytes()
    path.write_bytes(data[:4096] + b"\xff" * (len(data) - 4096))
    with pytest.raises(StoreError, match=r"is damaged .*: `nbtools store repair` saves"):
        Store(folder).select(Context)


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="a file is in its place; set NBTOOLS_STORE to a folder"):
        Store(tmp_path / "file" / "store")
    with pytest.raises(StoreError, match="a file is in its place; set NBTOOLS_STORE to a folder"):
        Store(tmp_path / "file")
    with pytest.raises(StoreError, match=r"cannot be made: .*; set NBTOOLS_STORE to a writable"):
        Store(Path("/proc/store"))


def damaged(folder, damage):
    store = Store(folder)
    for number in range(200):
        store.add(context(f"c-{number}", metadata={"text": "x" * 200}), NOW)
    store.add(artifact(), NOW)
    store.close()
    path = folder / "store.sqlite"
    path.write_bytes(damage(path.read_bytes()))


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"no database at all, but text" * 100,
        lambda data: data[: len(data) // 2],
        lambda data: data[:4096] + bytes(len(data) - 4096),
        lambda data: data[:18] + b"\xff\xff" + data[20:],
        lambda data: data.replace(b"CREATE TABLE contexts", b"CREATE TABLE \xffontexts", 1),
        lambda data: data.replace(b'{"text": "xxx', b'{"text": \xffxxx'),
        lambda data: data.replace(b'{"text": "xxx', b'{"text": yxxx'),
        lambda data: data.replace(b"2024-01-02", b"2024-x1-02"),
    ],
)
def test_damage_is_told_with_what_mends_it(folder, damage):
    damaged(folder, damage)
    with pytest.raises(StoreError, match=r"is damaged \(.*\): `nbtools store repair` saves"):
        store = Store(folder)
        store.select(Context)
        store.select(Artifact)
        assert not store.check()


def test_the_file_of_another_program_is_told(folder):
    folder.mkdir()
    db = sqlite3.connect(folder / "store.sqlite")
    db.execute("PRAGMA user_version = 1")
    db.execute("CREATE TABLE other (x)")
    db.close()
    with pytest.raises(StoreError, match=r"is damaged \(no such"):
        Store(folder).select(Context)


def test_damage_does_not_hide_the_rest(folder):
    damaged(folder, lambda data: data.replace(b'{"text": "xxx', b'{"text": yxxx'))
    store = Store(folder)
    assert store.get(Artifact, "a").name == "a"
    store.add(context("new"), LATER)
    assert store.get(Context, "new").create_time == LATER


def test_a_file_that_cannot_be_opened_is_told(folder):
    (folder / "store.sqlite").mkdir(parents=True)
    with pytest.raises(StoreError, match="cannot be written: set NBTOOLS_STORE to a writable"):
        Store(folder)


def test_a_folder_that_is_read_only_is_told():
    with tempfile.TemporaryDirectory() as name:
        folder, me = Path(name), os.geteuid()
        folder.chmod(0o555)
        try:
            if me == 0:  # root may write anywhere
                os.seteuid(65534)
            with pytest.raises(StoreError, match="set NBTOOLS_STORE to a writable folder"):
                Store(folder)
        finally:
            os.seteuid(me)
            folder.chmod(0o755)


def test_a_store_of_a_newer_nbtools_is_told(folder):
    Store(folder).close()
    db = sqlite3.connect(folder / "store.sqlite")
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(StoreError, match="written by a newer nbtools"):
        Store(folder)
