"""Boards, experiments, runs and time series, through the SDK's own clients."""

import pytest
from google.api_core import exceptions
from google.cloud.aiplatform_v1 import types
from google.protobuf import field_mask_pb2

from nbtools.nouns import Context

SCALAR = types.TensorboardTimeSeries.ValueType.SCALAR


@pytest.fixture
def board(clients):
    made = types.Tensorboard(display_name="board", description="d", labels={"k": "v"})
    operation = clients.tensorboard.create_tensorboard(parent=clients.parent, tensorboard=made)
    assert isinstance(operation.metadata, types.CreateTensorboardOperationMetadata)
    return operation.result(timeout=10)


@pytest.fixture
def experiment(clients, board):
    made = types.TensorboardExperiment(display_name="Exp", source="job")
    return clients.tensorboard.create_tensorboard_experiment(
        parent=board.name, tensorboard_experiment=made, tensorboard_experiment_id="exp"
    )


@pytest.fixture
def run(clients, experiment):
    return clients.tensorboard.create_tensorboard_run(
        parent=experiment.name,
        tensorboard_run=types.TensorboardRun(display_name="Run 1", labels={"a": "b"}),
        tensorboard_run_id="r1",
    )


def series(clients, run, name, **values):
    made = types.TensorboardTimeSeries(
        **{"display_name": name, "value_type": SCALAR, "plugin_name": "scalars", **values}
    )
    return clients.tensorboard.create_tensorboard_time_series(
        parent=run.name, tensorboard_time_series=made
    )


def test_a_tree_is_read_as_it_was_made(clients, board, experiment, run):
    client = clients.tensorboard
    one = series(clients, run, "loss", plugin_data=b"\x00\xff", description="of all")
    assert board.name.startswith(f"{clients.parent}/tensorboards/")
    assert (board.display_name, board.description, dict(board.labels)) == (
        "board", "d", {"k": "v"}
    )  # fmt: skip
    assert experiment.name == f"{board.name}/experiments/exp"
    assert (experiment.display_name, experiment.source) == ("Exp", "job")
    assert run.name == f"{experiment.name}/runs/r1"
    assert client.get_tensorboard_experiment(name=experiment.name) == experiment
    assert client.get_tensorboard_run(name=run.name) == run
    assert client.get_tensorboard_time_series(name=one.name) == one
    assert (one.plugin_data, one.plugin_name, one.value_type) == (b"\x00\xff", "scalars", SCALAR)
    assert client.get_tensorboard(name=board.name).run_count == 1
    assert [b.name for b in client.list_tensorboards(parent=clients.parent)] == [board.name]
    assert list(client.list_tensorboard_experiments(parent=board.name)) == [experiment]
    assert list(client.list_tensorboard_runs(parent=experiment.name)) == [run]
    assert list(client.list_tensorboard_time_series(parent=run.name)) == [one]


def test_names_are_once_in_their_parent(clients, experiment, run):
    client = clients.tensorboard
    series(clients, run, "loss")
    with pytest.raises(exceptions.Conflict, match="'loss' already exists"):
        series(clients, run, "loss")
    with pytest.raises(exceptions.Conflict, match="'Run 1' already exists"):
        client.create_tensorboard_run(
            parent=experiment.name,
            tensorboard_run=types.TensorboardRun(display_name="Run 1"),
            tensorboard_run_id="r2",
        )
    with pytest.raises(exceptions.Conflict):
        client.create_tensorboard_run(
            parent=experiment.name, tensorboard_run={}, tensorboard_run_id="r1"
        )


def test_what_cannot_be_is_refused(clients, board, experiment, run):
    client = clients.tensorboard
    with pytest.raises(exceptions.BadRequest, match="display_name"):
        client.create_tensorboard(parent=clients.parent, tensorboard={})
    with pytest.raises(exceptions.BadRequest, match="tensorboard_run_id is required"):
        client.create_tensorboard_run(request={"parent": experiment.name})
    with pytest.raises(exceptions.BadRequest, match="Invalid TensorboardRun ID"):
        client.create_tensorboard_run(
            parent=experiment.name, tensorboard_run={}, tensorboard_run_id="A_b"
        )
    with pytest.raises(exceptions.BadRequest, match="value_type"):
        series(clients, run, "x", value_type=0)
    with pytest.raises(exceptions.BadRequest, match="65KB"):
        series(clients, run, "x", plugin_data=b"x" * 70_000)
    with pytest.raises(exceptions.NotFound):
        client.create_tensorboard_run(
            parent=f"{board.name}/experiments/none", tensorboard_run={}, tensorboard_run_id="r"
        )
    with pytest.raises(exceptions.NotFound):
        client.list_tensorboard_experiments(parent=f"{clients.parent}/tensorboards/7")
    with pytest.raises(exceptions.NotFound):
        client.get_tensorboard(name=f"{clients.parent}/tensorboards/7")


def test_an_update_changes_what_its_mask_says(clients, board, experiment, run):
    client = clients.tensorboard
    sent = types.TensorboardRun(name=run.name, display_name="new", description="d")
    found = client.update_tensorboard_run(
        tensorboard_run=sent, update_mask=field_mask_pb2.FieldMask(paths=["description"])
    )
    assert (found.display_name, found.description, found.etag) == ("Run 1", "d", "1000000000002")
    with pytest.raises(exceptions.Conflict, match="does not match server `etag`: `1000000000002`"):
        sent.etag = run.etag
        client.update_tensorboard_run(
            tensorboard_run=sent, update_mask=field_mask_pb2.FieldMask(paths=["description"])
        )
    with pytest.raises(exceptions.BadRequest, match="source of a TensorboardExperiment"):
        client.update_tensorboard_experiment(
            tensorboard_experiment=types.TensorboardExperiment(
                name=experiment.name, source="other"
            ),
            update_mask=field_mask_pb2.FieldMask(paths=["source"]),
        )
    with pytest.raises(exceptions.BadRequest, match="no path 'run_count'"):
        client.update_tensorboard(
            tensorboard=types.Tensorboard(name=board.name, run_count=7),
            update_mask=field_mask_pb2.FieldMask(paths=["run_count"]),
        )
    changed = client.update_tensorboard(
        tensorboard=types.Tensorboard(name=board.name, labels={"new": "1"}),
        update_mask=field_mask_pb2.FieldMask(paths=["labels"]),
    ).result()
    assert (changed.display_name, dict(changed.labels)) == ("board", {"new": "1"})


def test_one_board_is_the_default(clients):
    def create(name):
        made = types.Tensorboard(display_name=name, is_default=True)
        return clients.tensorboard.create_tensorboard(
            parent=clients.parent, tensorboard=made
        ).result()

    first, second = create("first"), create("second")
    asked = {"parent": clients.parent, "filter": "is_default=true"}
    assert [b.name for b in clients.tensorboard.list_tensorboards(request=asked)] == [second.name]
    clients.tensorboard.update_tensorboard(
        tensorboard=types.Tensorboard(name=first.name, is_default=True),
        update_mask=field_mask_pb2.FieldMask(paths=["is_default"]),
    ).result()
    assert [b.name for b in clients.tensorboard.list_tensorboards(request=asked)] == [first.name]


def test_batches_are_made_whole_or_not_at_all(clients, experiment, run):
    client = clients.tensorboard
    requests = [
        {"parent": experiment.name, "tensorboard_run_id": f"b{n}", "tensorboard_run": {}}
        for n in range(3)
    ]
    made = client.batch_create_tensorboard_runs(parent=experiment.name, requests=requests)
    assert [r.name.rpartition("/")[2] for r in made.tensorboard_runs] == ["b0", "b1", "b2"]
    requests = [
        {
            "parent": parent,
            "tensorboard_time_series": {"display_name": name, "value_type": SCALAR},
        }
        for parent in (run.name, made.tensorboard_runs[0].name)
        for name in ("loss", "accuracy")
    ]
    found = client.batch_create_tensorboard_time_series(parent=experiment.name, requests=requests)
    assert [s.display_name for s in found.tensorboard_time_series] == [
        "loss", "accuracy", "loss", "accuracy",
    ]  # fmt: skip
    new = {"display_name": "new", "value_type": SCALAR}
    again = [{"parent": run.name, "tensorboard_time_series": new}, requests[0]]
    with pytest.raises(exceptions.Conflict):
        client.batch_create_tensorboard_time_series(parent=experiment.name, requests=again)
    assert len(list(client.list_tensorboard_time_series(parent=run.name))) == 2
    with pytest.raises(exceptions.BadRequest, match="is not in"):
        client.batch_create_tensorboard_runs(
            parent=experiment.name,
            requests=[{"parent": f"{clients.parent}/tensorboards/9/experiments/e",
                       "tensorboard_run_id": "x", "tensorboard_run": {}}],
        )  # fmt: skip
    with pytest.raises(exceptions.BadRequest, match="at most 1000"):
        client.batch_create_tensorboard_runs(
            parent=experiment.name,
            requests=[{"parent": experiment.name, "tensorboard_run_id": f"m{n}"}
                      for n in range(1001)],
        )  # fmt: skip


def test_lists_have_filters_orders_pages_and_masks(clients, experiment):
    client = clients.tensorboard
    for name in "bca":
        client.create_tensorboard_run(
            parent=experiment.name,
            tensorboard_run=types.TensorboardRun(display_name=name, description=f"d{name}"),
            tensorboard_run_id=f"run-{name}",
        )

    def listed(**asked):
        request = {"parent": experiment.name, **asked}
        return [r.display_name for r in client.list_tensorboard_runs(request=request)]

    assert listed() == ["b", "c", "a"]
    assert listed(order_by="display_name desc") == ["c", "b", "a"]
    assert listed(filter='display_name = "a" OR description = "dc"') == ["c", "a"]
    assert listed(filter='display_name != "*a*"') == ["b", "c"]
    assert listed(filter=f'name = "{experiment.name}/runs/run-a"') == ["a"]
    assert listed(filter='create_time > "2020-01-01T00:00:00Z" AND NOT display_name = "a"') == [
        "b", "c",
    ]  # fmt: skip
    assert listed(page_size=2) == ["b", "c", "a"]
    for wrong in ('color = "x"', 'metadata.x = "x"', "display_name ="):
        with pytest.raises(exceptions.BadRequest):
            listed(filter=wrong)
    request = {"parent": experiment.name, "read_mask": {"paths": ["display_name"]}}
    (*_, last) = client.list_tensorboard_runs(request=request)
    assert (last.display_name, last.description, last.name) == (
        "a", "", f"{experiment.name}/runs/run-a",
    )  # fmt: skip
    with pytest.raises(exceptions.BadRequest, match="read_mask"):
        client.list_tensorboard_runs(
            request={"parent": experiment.name, "read_mask": {"paths": ["color"]}}
        )


def test_what_is_deleted_takes_all_in_it_along(clients, board, experiment, run, emulator):
    client = clients.tensorboard
    one = series(clients, run, "loss")
    data = types.TimeSeriesData(
        tensorboard_time_series_id=one.name.rpartition("/")[2],
        value_type=SCALAR,
        values=[types.TimeSeriesDataPoint(step=1, scalar=types.Scalar(value=0.5))],
    )
    client.write_tensorboard_run_data(tensorboard_run=run.name, time_series_data=[data])
    client.delete_tensorboard_time_series(name=one.name).result()
    again = series(clients, run, "loss")
    data.tensorboard_time_series_id = again.name.rpartition("/")[2]
    read = client.read_tensorboard_time_series_data(tensorboard_time_series=again.name)
    assert list(read.time_series_data.values) == []
    client.write_tensorboard_run_data(tensorboard_run=run.name, time_series_data=[data])
    client.delete_tensorboard(name=board.name).result()
    for get, name in (
        (client.get_tensorboard, board.name),
        (client.get_tensorboard_experiment, experiment.name),
        (client.get_tensorboard_run, run.name),
        (client.get_tensorboard_time_series, again.name),
    ):
        with pytest.raises(exceptions.NotFound):
            get(name=name)
    assert emulator.store.select(Context) == []


def test_runs_of_no_experiment_of_the_metadata_store_are_none_there(clients, run):
    assert list(clients.metadata.list_contexts(parent=clients.store)) == []
    asked = {"parent": clients.store, "filter": 'create_time > "2020-01-01T00:00:00Z"'}
    done = clients.metadata.purge_contexts(request={**asked, "force": True}).result()
    assert done.purge_count == 0
    assert clients.tensorboard.get_tensorboard_run(name=run.name)
