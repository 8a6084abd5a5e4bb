"""Event files, as PyTorch's and TensorBoard's own writers make them."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tensorboard.util.tensor_util import make_tensor_proto
from torch.utils.tensorboard import SummaryWriter

from nbtools.eventfile import Damage, Events


@pytest.fixture
def written(tmp_path):
    """Write a folder of events, and return its one file."""

    def write(*events, folder="run"):
        writer = EventFileWriter(str(tmp_path / folder))
        for event in events:
            writer.add_event(event)
        writer.close()
        (path,) = (tmp_path / folder).iterdir()
        return path

    return write


def scalar(tag, value, step, wall_time=1.5):
    return Event(
        wall_time=wall_time, step=step,
        summary=Summary(value=[Summary.Value(tag=tag, simple_value=value)]),
    )  # fmt: skip


def tensor(tag, value, step, plugin="scalars", dtype=None):
    meta = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name=plugin))
    proto = make_tensor_proto(value, dtype=dtype)
    value = Summary.Value(tag=tag, tensor=proto, metadata=meta)
    return Event(wall_time=1.5, step=step, summary=Summary(value=[value]))


def read(*paths, block=1 << 24):
    events = Events(block=block)
    for path in paths:
        assert events.take(path) == 0
    return events


def test_scalars_are_what_tensorboard_reads(tmp_path):
    with SummaryWriter(tmp_path) as writer:
        for step in range(300):
            writer.add_scalar("train/loss", 1 / (step + 1), step)
            writer.add_scalar("acc", step / 300, step * 1000, walltime=step * 0.5)
        writer.add_scalar("odd", math.nan, 1)
        writer.add_scalar("odd", -math.inf, 2**62)
    (path,) = tmp_path.iterdir()
    theirs = EventAccumulator(str(tmp_path), size_guidance={"scalars": 0}).Reload()
    ours = read(path).scalars
    assert set(ours) == set(theirs.Tags()["scalars"])
    for tag, points in ours.items():
        assert repr(points) == repr([(e.step, e.wall_time, e.value) for e in theirs.Scalars(tag)])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b", "é" * 70, "x" * 200, ""]),
            st.integers(-(2**63), 2**63 - 1) | st.integers(0, 300),
            st.floats(width=32),
            st.floats(0, 1e10),
        ),
        max_size=30,
    ),
    st.integers(1, 200),
)
def test_any_scalar_is_read_in_blocks_of_any_size(tmp_path_factory, points, block):
    folder = tmp_path_factory.mktemp("events")
    writer = EventFileWriter(str(folder))
    for tag, step, value, wall_time in points:
        writer.add_event(scalar(tag, value, step, wall_time))
    writer.close()
    (path,) = folder.iterdir()
    expected = {}
    for tag, step, value, wall_time in points:
        expected.setdefault(tag, []).append((step, wall_time, value))
    assert repr(read(path, block=block).scalars) == repr(expected)


def test_several_values_in_one_event(written):
    both = scalar("a", 1.0, 7)
    both.summary.value.append(Summary.Value(tag="b", simple_value=2.0))
    path = written(both, both, scalar("a", 3.0, 8), scalar("a", 4.0, 9))
    points = read(path).scalars
    assert [p[2] for p in points["a"]] == [1.0, 1.0, 3.0, 4.0]
    assert [p[2] for p in points["b"]] == [2.0, 2.0]


@pytest.mark.parametrize(
    "dtype",
    [np.float16, np.float32, np.float64, np.int8, np.int16, np.int32, np.int64, np.uint8, np.bool_],
)
def test_scalars_that_are_tensors(written, dtype):
    path = written(tensor("a", dtype(1), 1, dtype=dtype), tensor("a", dtype(0), 2, dtype=dtype))
    assert read(path).scalars == {"a": [(1, 1.5, 1.0), (2, 1.5, 0.0)]}


def test_pytorchs_new_style_and_double_precision(tmp_path):
    with SummaryWriter(tmp_path) as writer:
        for step in range(3):
            writer.add_scalar("new", step + 0.5, step, new_style=True)
            writer.add_scalar("double", step + 0.1, step, new_style=True, double_precision=True)
    (path,) = tmp_path.iterdir()
    points = read(path).scalars
    assert [p[2] for p in points["new"]] == [0.5, 1.5, 2.5]
    assert [p[2] for p in points["double"]] == [0.1, 1.1, 2.1]


def test_a_tags_plugin_is_said_once(written):
    later = tensor("words", [1.0], 2)
    later.summary.value[0].ClearField("metadata")
    path = written(tensor("words", [1.0], 1, plugin="pr_curves"), later)
    events = read(path)
    assert events.scalars == {}
    assert events.others == {"pr_curves": 2}


def test_what_is_no_scalar_is_counted(tmp_path):
    with SummaryWriter(tmp_path) as writer:
        writer.add_histogram("h", np.arange(10), 1)
        writer.add_image("i", np.zeros((3, 4, 4)), 1)
        writer.add_text("t", "words", 1)
        writer.add_audio("s", np.zeros((1, 100)), 1)
        writer.add_pr_curve("p", np.array([1, 0]), np.array([0.5, 0.1]), 1)
    (path,) = tmp_path.iterdir()
    events = read(path)
    assert events.scalars == {}
    assert events.others == {"histograms": 1, "images": 1, "text": 1, "sounds": 1, "pr_curves": 1}


def test_hyperparameters(tmp_path):
    given_ = {"lr": 0.1, "layers": 3, "name": "x", "flag": True}
    with SummaryWriter(tmp_path) as writer:
        writer.add_hparams(given_, {"score": 0.5}, run_name=".")
    (path,) = [p for p in tmp_path.rglob("*tfevents*") if b"session_end" in p.read_bytes()]
    events = read(path)
    assert events.hparams == given_
    assert type(events.hparams["layers"]) is int
    assert events.status == 1


def test_what_a_restarted_program_writes_again_replaces_what_it_had_written(tmp_path):
    with SummaryWriter(tmp_path, filename_suffix=".1") as writer:
        for step in range(6):
            writer.add_scalar("a", step, step)
    with SummaryWriter(tmp_path, filename_suffix=".2", purge_step=3) as writer:
        writer.add_scalar("a", 30, 3)
        writer.add_scalar("a", 40, 4)
    theirs = EventAccumulator(str(tmp_path), size_guidance={"scalars": 0}).Reload()
    values = [p[2] for p in read(*sorted(tmp_path.iterdir())).scalars["a"]]
    assert values == [e.value for e in theirs.Scalars("a")] == [0, 1, 2, 30, 40]


def test_a_session_that_stops_forgets_nothing(written):
    stop = Event(step=0, session_log=SessionLog(status=SessionLog.STOP))
    assert len(read(written(scalar("a", 1, 1), stop)).scalars["a"]) == 1


def test_a_file_that_grows_is_read_on_from_where_it_was_left(tmp_path):
    events = Events()
    with SummaryWriter(tmp_path) as writer:
        for step in range(4):
            writer.add_scalar("a", step, step)
            writer.flush()
            (path,) = tmp_path.iterdir()
            events.take(path)
            assert [p[0] for p in events.scalars["a"]] == list(range(step + 1))
    assert events.take(path) == 0
    assert len(events.scalars["a"]) == 4


def test_cut_off_anywhere_it_holds_what_is_whole_and_goes_on_when_the_rest_is_there(written):
    path = written(*(scalar("a", n, n) for n in range(1, 4)))
    whole = path.read_bytes()
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        events = Events()
        rest = events.take(path)
        taken = events.positions[path]
        assert taken + rest == cut
        path.write_bytes(whole)
        assert events.take(path) == 0
        assert [p[0] for p in events.scalars["a"]] == [1, 2, 3], cut


def test_a_length_that_does_not_fit_its_checksum_is_damage(written):
    path = written(*(scalar("a", n, n) for n in range(1, 4)))
    whole = path.read_bytes()
    start = len(whole) - scalar("a", 3, 3).ByteSize() - 16  # two checksums, one length
    damaged = bytearray(whole)
    damaged[start] ^= 1
    path.write_bytes(damaged)
    events = Events()
    with pytest.raises(Damage, match=rf"damaged at byte {start}: the length .* checksum"):
        events.take(path)
    assert [p[0] for p in events.scalars["a"]] == [1, 2]
    with pytest.raises(Damage):  # and it is said again, not passed over
        events.take(path)


def test_every_flipped_byte_of_a_length_is_found(written):
    path = written(scalar("a", 1, 1))
    whole = path.read_bytes()
    for at in range(12):
        damaged = bytearray(whole)
        damaged[at] ^= 0x40
        path.write_bytes(damaged)
        with pytest.raises(Damage, match="damaged at byte 0"):
            Events().take(path)


def test_no_garbage_raises_anything_else(written):
    path = written(*(scalar("a", n, n) for n in range(1, 3)), tensor("b", 1.0, 2))
    whole = path.read_bytes()
    for at in range(len(whole)):
        for flip in (0x01, 0x80, 0xFF):
            damaged = bytearray(whole)
            damaged[at] ^= flip
            path.write_bytes(damaged)
            try:
                Events().take(path)
            except Damage as damage:
                assert str(path) in str(damage)
