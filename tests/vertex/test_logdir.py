"""TensorBoard's event files in a managed TensorBoard: the same scalars, tensors and images."""

import pytest

from nbtools import exchange
from nbtools.settings import Settings
from nbtools.vertex.logdir import Logdir
from tests.vertex.remotes import TO

pytest.importorskip("tensorboard")


@pytest.fixture
def written(tmp_path):
    """What torch's writer has written, and the writer."""
    torch = pytest.importorskip("torch")
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(tmp_path / "logs/train"))
    for step in range(5):
        writer.add_scalar("loss", 1 / (step + 1), step)
        writer.add_histogram("weights", torch.arange(10.0) * step, step)
        writer.add_image("sample", torch.zeros(3, 4, 6), step)
    writer.add_text("note", "hello", 1)
    writer.flush()
    yield writer
    writer.close()


def logs(tmp_path):
    return Logdir(exchange.connect(Settings.load(), TO), tmp_path / "logs", "tb")


def series(remote):
    found = remote.store.resources.select("TensorboardTimeSeries")
    return {one.display_name: one for one in found}


def points(remote, tag):
    from google.cloud.aiplatform_v1 import TimeSeriesDataPoint

    kept = remote.store.resources.tensors(series(remote)[tag].name)
    return [TimeSeriesDataPoint.deserialize(data) for _, _, data in kept]


def test_scalars_tensors_and_images_are_there(remote, written, tmp_path):
    import numpy
    from tensorboard.compat.proto import tensor_pb2
    from tensorboard.util import tensor_util

    assert logs(tmp_path).send() == 5 + 5 + 5 + 1
    kinds = {tag: (s.record["value_type"], s.record["plugin_name"]) for tag, s in
             series(remote).items()}  # fmt: skip
    assert kinds == {
        "loss": ("SCALAR", "scalars"), "weights": ("TENSOR", "histograms"),
        "sample": ("BLOB_SEQUENCE", "images"), "note/text_summary": ("TENSOR", "text"),
    }  # fmt: skip
    (run,) = remote.store.resources.select("TensorboardRun")
    assert run.name.endswith("/experiments/tb/runs/train")
    loss = remote.store.series(run.context, "loss")
    assert list(loss.values) == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4, 1 / 5])
    rows = []
    for point in points(remote, "weights"):
        proto = tensor_pb2.TensorProto.FromString(point.tensor.value)
        rows.append(tensor_util.make_ndarray(proto))
    assert {row.shape[1] for row in rows} == {3}
    assert [row[:, 2].sum() for row in rows] == [10] * 5
    assert (rows[3][0, 0], rows[3][-1, 1]) == (0.0, 27.0)
    assert numpy.all(rows[3][:, 0] <= rows[3][:, 1])
    text = tensor_pb2.TensorProto.FromString(points(remote, "note/text_summary")[0].tensor.value)
    assert tensor_util.make_ndarray(text)[0] == b"hello"
    width, height, image = (blob.data for blob in points(remote, "sample")[0].blobs.values)
    assert (width, height, image[:4]) == (b"6", b"4", b"\x89PNG")


def test_values_of_new_files_are_sent_as_they_are(remote, tmp_path):
    """As TensorFlow 2 writes them: every value a tensor, its plugin in the metadata."""
    from tensorboard.compat.proto import event_pb2, summary_pb2
    from tensorboard.plugins.histogram import metadata as histogram
    from tensorboard.plugins.image import metadata as image
    from tensorboard.summary.writer.event_file_writer import EventFileWriter
    from tensorboard.util import tensor_util

    writer = EventFileWriter(str(tmp_path / "logs"))
    for tag, meta, tensor in (
        ("h", histogram.create_summary_metadata("h", ""), [[0.0, 1.0, 3.0]]),
        (
            "i",
            image.create_summary_metadata("i", "", converted_to_tensor=True),
            [b"2", b"1", b"png", b"another"],
        ),
    ):
        proto = tensor_util.make_tensor_proto(tensor)
        value = summary_pb2.Summary.Value(tag=tag, tensor=proto, metadata=meta)
        summary = summary_pb2.Summary(value=[value])
        writer.add_event(event_pb2.Event(step=3, wall_time=1e9, summary=summary))
    writer.close()
    assert logs(tmp_path).send() == 2
    assert [b.data for b in points(remote, "i")[0].blobs.values] == [b"2", b"1", b"png", b"another"]
    proto = type(proto).FromString(points(remote, "h")[0].tensor.value)
    assert tensor_util.make_ndarray(proto).tolist() == [[0.0, 1.0, 3.0]]
    assert series(remote)["i"].record["plugin_data"]


def test_watching_sends_what_comes_and_sent_again_it_is_the_same(remote, written, tmp_path):
    watched = logs(tmp_path)
    watched.send()
    assert watched.send() == 0
    written.add_scalar("loss", 0.125, 5)
    written.flush()
    assert watched.send() == 1
    (run,) = remote.store.resources.select("TensorboardRun")
    before = remote.store.points(run.context), points(remote, "sample")
    assert len(before[0]["loss"]) == 6
    assert logs(tmp_path).send() == 17  # another process, which knows nothing of it
    assert (remote.store.points(run.context), points(remote, "sample")) == before


def test_the_command_says_what_it_has_sent(remote, written, tmp_path, call):
    done = call("push", "--logdir", "logs", "--to", TO, "--experiment", "tb")
    assert (done.returncode, done.stderr) == (0, "")
    assert "16" in done.stdout
    (tmp_path / "empty").mkdir()
    done = call("push", "--logdir", "empty", "--to", TO)
    assert (done.returncode, "no event files below" in done.stderr) == (2, True)
