"""Points, through the SDK's own clients; and where they lie in the store."""

import math
from datetime import UTC, datetime
from itertools import chain

import pytest
from google.api_core import exceptions
from google.cloud.aiplatform_v1 import types

from nbtools.nouns import RUN, Context

KINDS = types.TensorboardTimeSeries.ValueType


@pytest.fixture
def run(clients):
    client = clients.tensorboard
    board = client.create_tensorboard(
        parent=clients.parent, tensorboard={"display_name": "b"}
    ).result()
    experiment = client.create_tensorboard_experiment(
        request={"parent": board.name, "tensorboard_experiment_id": "exp"}
    )
    return client.create_tensorboard_run(
        parent=experiment.name, tensorboard_run={}, tensorboard_run_id="r1"
    )


@pytest.fixture
def make(clients, run):
    def make(name, kind=KINDS.SCALAR, of=None):
        return clients.tensorboard.create_tensorboard_time_series(
            parent=(of or run).name,
            tensorboard_time_series={"display_name": name, "value_type": kind},
        )

    return make


def board_of(name):
    return "/".join(name.split("/")[:6])


def scalars(series, points):
    return types.TimeSeriesData(
        tensorboard_time_series_id=series.name.rpartition("/")[2],
        value_type=KINDS.SCALAR,
        values=[
            types.TimeSeriesDataPoint(
                step=step,
                scalar=types.Scalar(value=value),
                wall_time=datetime.fromtimestamp(1_700_000_000 + step, UTC),
            )
            for step, value in points
        ],
    )


def test_points_come_back_by_step_and_a_step_again_replaces_the_old(clients, run, make):
    client, series = clients.tensorboard, make("loss")
    client.write_tensorboard_run_data(
        tensorboard_run=run.name, time_series_data=[scalars(series, [(5, 0.5), (1, 1.5)])]
    )
    client.write_tensorboard_run_data(
        tensorboard_run=run.name,
        time_series_data=[scalars(series, [(5, 0.25), (2, math.nan), (-3, 9.0)])],
    )
    read = client.read_tensorboard_time_series_data(tensorboard_time_series=series.name)
    found = read.time_series_data
    assert found.tensorboard_time_series_id == series.name.rpartition("/")[2]
    assert found.value_type == KINDS.SCALAR
    assert [p.step for p in found.values] == [-3, 1, 2, 5]
    assert [p.scalar.value for p in found.values][::3] == [9.0, 0.25]
    assert math.isnan(found.values[2].scalar.value)
    assert found.values[3].wall_time.timestamp() == 1_700_000_005
    described = client.get_tensorboard_time_series(name=series.name).metadata
    assert described.max_step == 5
    assert described.max_wall_time.timestamp() == 1_700_000_005


def test_a_point_without_a_time_gets_the_servers(clients, run, make):
    series = make("loss")
    data = scalars(series, [])
    data.values.append(types.TimeSeriesDataPoint(step=1, scalar=types.Scalar(value=1)))
    clients.tensorboard.write_tensorboard_run_data(
        tensorboard_run=run.name, time_series_data=[data]
    )
    read = clients.tensorboard.read_tensorboard_time_series_data(
        tensorboard_time_series=series.name
    )
    (point,) = read.time_series_data.values
    assert abs(point.wall_time.timestamp() - datetime.now(UTC).timestamp()) < 60


def test_many_points_are_sampled_unless_all_are_asked_for(clients, run, make):
    client, series = clients.tensorboard, make("loss")
    for start in range(0, 12_000, 4000):
        points = [(step, float(step)) for step in range(start, start + 4000)]
        client.write_tensorboard_run_data(
            tensorboard_run=run.name, time_series_data=[scalars(series, points)]
        )

    def steps(**asked):
        request = {"tensorboard_time_series": series.name, **asked}
        read = client.read_tensorboard_time_series_data(request=request)
        return [p.step for p in read.time_series_data.values]

    sample = steps()
    assert len(sample) == 1000
    assert sample == sorted(set(sample))
    assert sample[-1] == 11_999
    assert sample == steps()
    assert len(steps(max_data_points=50)) == 50
    assert steps(max_data_points=-1) == list(range(12_000))
    for wrong in ({"max_data_points": 10_001}, {"max_data_points": -2}):
        with pytest.raises(exceptions.BadRequest):
            steps(**wrong)
    with pytest.raises(exceptions.MethodNotImplemented):
        steps(filter="step > 5")


def test_an_export_has_every_point_by_page(clients, run, make):
    client, series = clients.tensorboard, make("loss")
    points = [(step, 1.0 / (step + 1)) for step in range(2500)]
    client.write_tensorboard_run_data(
        tensorboard_run=run.name, time_series_data=[scalars(series, points)]
    )

    def steps(**asked):
        request = {"tensorboard_time_series": series.name, **asked}
        pages = client.export_tensorboard_time_series_data(request=request)
        return [[p.step for p in page.time_series_data_points] for page in pages.pages]

    def every(**asked):
        return list(chain.from_iterable(steps(**asked)))

    assert list(map(len, steps())) == [1000, 1000, 500]
    assert every(page_size=700) == list(range(2500))
    assert every(order_by="step desc", page_size=10_001) == list(range(2500))[::-1]
    assert every(order_by="wall_time") == list(range(2500))
    with pytest.raises(exceptions.BadRequest):
        steps(order_by="value")


def test_a_batch_reads_twenty_series_of_one_board(clients, run, make):
    client = clients.tensorboard
    made = [make(f"m{number:02}") for number in range(21)]
    client.write_tensorboard_run_data(
        tensorboard_run=run.name,
        time_series_data=[scalars(s, [(1, float(n))]) for n, s in enumerate(made)],
    )
    board = board_of(run.name)

    def read(**asked):
        return client.batch_read_tensorboard_time_series_data(request=asked)

    found = read(tensorboard=board, time_series=[s.name for s in made[:20]])
    assert [d.values[0].scalar.value for d in found.time_series_data] == list(range(20))
    with pytest.raises(exceptions.BadRequest, match="at most 20"):
        read(tensorboard=board, time_series=[s.name for s in made])
    with pytest.raises(exceptions.NotFound):
        read(tensorboard=board, time_series=[f"{made[0].name}0"])


def test_an_experiments_runs_are_written_at_once(clients, run, make):
    client = clients.tensorboard
    experiment = run.name.partition("/runs/")[0]
    other = client.create_tensorboard_run(
        parent=experiment, tensorboard_run={}, tensorboard_run_id="r2"
    )
    ours, theirs = make("loss"), make("loss", of=other)

    def write(*pairs):
        requests = [
            {"tensorboard_run": of.name, "time_series_data": [scalars(series, [(1, value)])]}
            for of, series, value in pairs
        ]
        client.write_tensorboard_experiment_data(
            tensorboard_experiment=experiment, write_run_data_requests=requests
        )

    write((run, ours, 1.0), (other, theirs, 2.0))
    for series, value in ((ours, 1.0), (theirs, 2.0)):
        read = client.read_tensorboard_time_series_data(tensorboard_time_series=series.name)
        assert read.time_series_data.values[0].scalar.value == value
    with pytest.raises(exceptions.NotFound):  # the series of another run
        write((run, ours, 5.0), (other, ours, 5.0))
    read = client.read_tensorboard_time_series_data(tensorboard_time_series=ours.name)
    assert read.time_series_data.values[0].scalar.value == 1.0


def test_what_does_not_fit_is_refused(clients, run, make):
    client, series = clients.tensorboard, make("loss")

    def write(data):
        client.write_tensorboard_run_data(tensorboard_run=run.name, time_series_data=data)

    with pytest.raises(exceptions.BadRequest, match="at most 5000 points"):
        write([scalars(series, [(n, 0.0) for n in range(5001)])])
    tensor = scalars(series, [])
    tensor.values.append(types.TimeSeriesDataPoint(tensor=types.TensorboardTensor(value=b"x")))
    with pytest.raises(exceptions.BadRequest, match="holds SCALAR"):
        write([tensor])
    wrong = scalars(series, [(1, 1.0)])
    wrong.value_type = KINDS.TENSOR
    with pytest.raises(exceptions.BadRequest, match="holds SCALAR, not TENSOR"):
        write([wrong])
    read = client.read_tensorboard_time_series_data(tensorboard_time_series=series.name)
    assert list(read.time_series_data.values) == []


def test_tensors_come_back_byte_for_byte(clients, run, make):
    client, series = clients.tensorboard, make("weights", KINDS.TENSOR)
    points = [
        types.TimeSeriesDataPoint(
            step=step, tensor=types.TensorboardTensor(value=bytes(range(256)), version_number=step)
        )
        for step in (2, 1)
    ]
    data = types.TimeSeriesData(
        tensorboard_time_series_id=series.name.rpartition("/")[2], values=points
    )
    client.write_tensorboard_run_data(tensorboard_run=run.name, time_series_data=[data])
    read = client.read_tensorboard_time_series_data(tensorboard_time_series=series.name)
    found = read.time_series_data
    assert found.value_type == KINDS.TENSOR
    assert [p.step for p in found.values] == [1, 2]
    assert found.values[0].tensor.value == bytes(range(256))
    assert found.values[1].tensor.version_number == 2


@pytest.mark.parametrize("transport", ["rest", "grpc"])
def test_blobs_have_ids_and_are_read_by_them(clients, run, make, connect, transport):
    client, series = clients.tensorboard, make("images", KINDS.BLOB_SEQUENCE)
    blobs = [types.TensorboardBlob(data=b"first"), types.TensorboardBlob(id="mine", data=b"2")]
    point = types.TimeSeriesDataPoint(step=1, blobs=types.TensorboardBlobSequence(values=blobs))
    data = types.TimeSeriesData(
        tensorboard_time_series_id=series.name.rpartition("/")[2], values=[point]
    )
    client.write_tensorboard_run_data(tensorboard_run=run.name, time_series_data=[data])
    read = client.read_tensorboard_time_series_data(tensorboard_time_series=series.name)
    sequence = read.time_series_data.values[0].blobs.values
    assert [(b.data, len(b.id) > 3) for b in sequence] == [(b"", True)] * 2
    assert client.get_tensorboard_time_series(
        name=series.name
    ).metadata.max_blob_sequence_length == 2  # fmt: skip
    connect(transport)
    from google.cloud.aiplatform import initializer, utils

    own = initializer.global_config.create_client(utils.TensorboardClientWithOverride)

    def bytes_of(*ids):
        asked = {"time_series": series.name, "blob_ids": ids}
        answers = own.read_tensorboard_blob_data(request=asked)
        return [blob.data for answer in answers for blob in answer.blobs]

    assert bytes_of() == [b"first", b"2"]
    assert bytes_of("mine") == [b"2"]
    with pytest.raises(exceptions.NotFound, match="no blob none"):
        bytes_of("none")


def test_size_and_usage_are_counted(clients, run, make):
    client, series, board = clients.tensorboard, make("loss"), board_of(run.name)
    assert client.read_tensorboard_size(tensorboard=board).storage_size_byte == 0
    client.write_tensorboard_run_data(
        tensorboard_run=run.name,
        time_series_data=[scalars(series, [(n, 0.0) for n in range(100)])],
    )
    assert client.read_tensorboard_size(tensorboard=board).storage_size_byte == 2400
    assert not client.read_tensorboard_usage(tensorboard=board).monthly_usage_data
    for _ in range(3):
        client.read_tensorboard_time_series_data(tensorboard_time_series=series.name)
    ((month, data),) = client.read_tensorboard_usage(tensorboard=board).monthly_usage_data.items()
    assert month == f"{datetime.now(UTC):%Y%m}"
    assert [u.view_count for u in data.user_usage_data] == [3]


def test_a_run_that_the_metadata_store_has_is_where_the_points_go(clients, emulator):
    meta = {"_experiment": "exp", "_state": "RUNNING", "_params": {}, "_metrics": {}}
    now = datetime.now(UTC)
    context = Context(name="exp-both", schema_title=RUN, display_name="both", metadata=meta)
    emulator.store.add(context, now)
    client = clients.tensorboard
    board = client.create_tensorboard(
        parent=clients.parent, tensorboard={"display_name": "b"}
    ).result()
    experiment = client.create_tensorboard_experiment(
        request={"parent": board.name, "tensorboard_experiment_id": "exp"}
    )
    run = client.create_tensorboard_run(
        parent=experiment.name, tensorboard_run={}, tensorboard_run_id="both"
    )
    series = client.create_tensorboard_time_series(
        parent=run.name,
        tensorboard_time_series={"display_name": "loss", "value_type": KINDS.SCALAR},
    )
    client.write_tensorboard_run_data(
        tensorboard_run=run.name, time_series_data=[scalars(series, [(1, 0.5)])]
    )
    assert emulator.store.points("exp-both") == {"loss": [(1, 1_700_000_001.0, 0.5)]}
    emulator.store.add_points("exp-both", "loss", [(2, 1_700_000_002.0, 0.25)])
    read = client.read_tensorboard_time_series_data(tensorboard_time_series=series.name)
    assert [p.scalar.value for p in read.time_series_data.values] == [0.5, 0.25]
