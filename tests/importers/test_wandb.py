"""W&B's folders of offline runs, as its own package writes them."""

import json
import math
import struct
import zlib
from collections import Counter

import pytest

from nbtools.importers import recordlog
from nbtools.importers.wandb import EMPTY, WandB
from nbtools.importers.wandb_log import NO_END
from nbtools.importing import import_runs
from nbtools.nouns import Context, utc_now
from nbtools.store import Store


@pytest.fixture(scope="module")
def folder(wandb_history):
    return wandb_history


@pytest.fixture(scope="module")
def read(folder):
    remarks = Counter()
    runs = list(WandB().runs(folder, remarks))
    return runs, {what: count for what, count in remarks.items() if count}


def named(read, name, state):
    return next(run for run in read[0] if (run.name, run.state) == (name, state))


@pytest.fixture
def full(read):
    return named(read, "Wide & deep", "COMPLETE")


def test_config_is_params_with_its_types(full):
    assert full.params == {
        "lr": 0.1, "net.width": 8, "layers": "[1, 2]", "nothing": "None", "extra": 3,
    }  # fmt: skip


def test_history_is_series(full):
    assert [(p[0], p[2]) for p in full.series["loss"]] == [(n, 1 / (n + 1)) for n in range(5)]
    assert [p[2] for p in full.series["nested.acc"]] == [0, 1, 2, 3, 4]
    assert [p[2] for p in full.series["flag"]] == [1.0] * 5
    infinity, nan = (p[2] for p in full.series["odd"])
    assert infinity == math.inf
    assert math.isnan(nan)
    assert full.series["late"][0][0] == 2**40
    begun, ended = full.start_time.timestamp(), full.end_time.timestamp()
    times = [p[1] for points in full.series.values() for p in points]
    assert begun <= min(times) <= max(times) <= ended + 1e-5 < begun + 120
    assert not [key for key in full.series if key.startswith("_")]


def test_the_summary_and_text_are_metrics(full):
    assert full.metrics["best"] == 0.5
    assert full.metrics["word"] == "w4"
    assert full.metrics["long"] == "x" * 100_000  # a record of several blocks


def test_names_tags_and_notes(full):
    assert (full.experiment, full.name) == ("Digits", "Wide & deep")
    assert set(full.tags) == {"vision", "baseline"}
    assert full.notes == "the first that worked"
    assert full.about["group"] == "sweep-1"
    assert full.about["job_type"] == "train"


def test_files_and_artifacts_are_where_they_are(full):
    names = {file.name for file in full.files}
    assert "model/weights.txt" in names
    assert any(name.startswith("media/images/") for name in names)
    assert "config.yaml" not in names


def test_states_come_from_exit_codes(read):
    assert named(read, "Wide & deep", "COMPLETE").error == ""
    failed = named(read, "Wide & deep", "FAILED")
    assert failed.error == "its process ended with exit code 3"
    assert {run.state for run in read[0] if run.name == "continued"} == {"COMPLETE"}


def test_a_killed_run_has_failed_and_has_what_its_log_has(read):
    killed = named(read, "killed", "FAILED")
    assert killed.error == NO_END
    values = [p[2] for p in killed.series["loss"]]
    assert len(values) > 100
    assert values == [float(n) for n in range(len(values))]


def test_what_is_left_is_counted(read):
    remarks = read[1]
    assert remarks["W&B's image-file values: their files are kept"] == 1
    assert remarks["W&B's histogram values"] == 1
    assert remarks["text logged in steps: the last one is kept"] == 4


def test_a_continued_run_is_one_run(folder, read):
    assert len(read[0]) == 4
    store = Store(None)
    done = import_runs(folder, store=store, now=utc_now())
    (run,) = [r for r in done.runs if "continued" in r]
    assert [p[2] for p in store.points(run)["loss"]] == [3.0, 2.0, 1.0]
    meta = store.get(Context, run).metadata
    assert meta["_params"] == {"lr": 0.2}
    assert meta["_metrics"] == {"loss": 1.0}


def test_one_run_can_be_named_by_its_folder_or_its_log(folder):
    log = min(folder.glob("wandb/offline-run-*/run-continued.wandb"))
    for path in (log, log.parent):
        (run,) = WandB().runs(path, Counter())
        assert run.id == "Digits/continued"


def test_wandbs_own_messages_agree(folder, full):
    from wandb.proto.wandb_internal_pb2 import Record

    (log,) = folder.glob(f"wandb/*/run-{full.id.partition('/')[2]}.wandb")
    records = [Record.FromString(data) for data in recordlog.records(log)]
    assert [record.num for record in records] == list(range(1, len(records) + 1))  # none missing
    loss = [
        (record.history.step.num, json.loads(item.value_json))
        for record in records
        for item in record.history.item
        if [item.key, *item.nested_key] in (["loss"], ["", "loss"])
    ]
    assert loss == [(p[0], p[2]) for p in full.series["loss"]]


# -- logs of other versions, and damage ------------------------------------------------------


def field(number, data):
    """A field of a message: bytes, or a varint."""
    if isinstance(data, int):
        return varint(number << 3) + varint(data)
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def write(path, *records):
    """A log file of whole records."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = bytearray(recordlog.HEADER.pack(recordlog.IDENT, recordlog.MAGIC, 0))
    for record in records:
        crc = zlib.crc32(record, zlib.crc32(b"\x01"))
        data += struct.pack("<IHB", crc, len(record), 1) + record
    path.write_bytes(data)
    return path


def test_values_that_have_their_types_are_read(tmp_path):
    def item(name, kind):
        return field(1, field(1, name) + kind)

    step = field(2, b"".join([
        item(b"flag", field(4, 1)),
        item(b"whole", field(5, 5)),  # -3, as signed numbers are written
        item(b"number", varint(6 << 3 | 1) + struct.pack("<d", 0.1)),
        item(b"word", field(7, b"text")),
        item(b"deep", field(8, b'{"a": 2}')),
        item(b"both", field(16, b"1") + varint(6 << 3 | 1) + struct.pack("<d", 2.5)),
        item(b"nothing", field(3, 0)),
        field(2, field(1, 7)),
    ]))  # fmt: skip
    log = write(tmp_path / "run-1-x" / "run-x.wandb", step)
    (run,) = WandB().runs(log, Counter())
    assert {key: (p[0][0], p[0][2]) for key, p in run.series.items()} == {
        "flag": (7, 1.0), "whole": (7, -3.0), "number": (7, 0.1), "deep.a": (7, 2.0),
        "both": (7, 2.5),
    }  # fmt: skip
    assert run.metrics == {"word": "text"}
    assert (run.experiment, run.name, run.state) == ("uncategorized", "x", "FAILED")


def test_numbers_that_old_versions_wrote_as_text(tmp_path):
    history = field(2, field(1, field(1, b"a") + field(16, b'"NaN"'))
                    + field(1, field(1, b"b") + field(16, b'"-Infinity"')))  # fmt: skip
    (run,) = WandB().runs(write(tmp_path / "r" / "run-x.wandb", history), Counter())
    assert math.isnan(run.series["a"][0][2])
    assert run.series["b"][0][2] == -math.inf


def test_config_values_that_were_removed_are_gone(tmp_path):
    def put(*names):
        return field(5, field(1, b"".join(field(2, n) for n in names) + field(16, b"1")))

    removed = field(5, field(2, field(2, b"a") + field(2, b"b")) + field(2, field(1, b"nope"))
                    + field(2, field(2, b"a") + field(2, b"c") + field(2, b"d")))  # fmt: skip
    log = write(tmp_path / "r" / "run-x.wandb", put(b"a", b"b"), put(b"a", b"c"), removed)
    (run,) = WandB().runs(log, Counter())
    assert run.params == {"a.c": 1}


def test_a_log_cut_off_anywhere_holds_what_is_whole(tmp_path):
    records = [
        field(2, field(1, field(1, b"a") + field(16, b"%d" % n)) + field(2, field(1, n)))
        for n in range(1, 4)
    ]
    log = write(tmp_path / "r" / "run-x.wandb", *records)
    whole = log.read_bytes()
    for cut in range(recordlog.HEADER.size, len(whole) + 1):
        log.write_bytes(whole[:cut])
        remarks = Counter()
        runs = list(WandB().runs(log, remarks))
        kept = (cut - recordlog.HEADER.size) // (7 + len(records[0]))
        assert +remarks == ({} if kept else {EMPTY: 1}), cut
        assert [p[0] for run in runs for p in run.series["a"]] == list(range(1, kept + 1)), cut


def test_a_damaged_record_is_counted_and_the_next_block_read(folder, full, tmp_path):
    (source,) = folder.glob(f"wandb/*/run-{full.id.partition('/')[2]}.wandb")
    data = bytearray(source.read_bytes())
    assert len(data) > 2 * recordlog.BLOCK
    data[recordlog.HEADER.size + 40] ^= 0xFF  # in the first block
    log = tmp_path / "r" / source.name
    log.parent.mkdir()
    log.write_bytes(data)
    remarks = Counter()
    (run,) = WandB().runs(log, remarks)
    assert remarks["places in W&B logs where records are damaged"] == 1
    assert "late" in run.series  # from a later block


def test_files_of_another_kind_are_no_logs(tmp_path):
    (tmp_path / "run-x.wandb").write_bytes(b":W&B\xe1\xbe\x01 of a version to come")
    assert not WandB().finds(tmp_path)
