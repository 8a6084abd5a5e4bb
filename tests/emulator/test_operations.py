"""What every service has besides: long-running operations, and locations."""

import pytest
from google.api_core import exceptions
from google.cloud.aiplatform_v1 import types
from google.longrunning import operations_pb2


@pytest.fixture
def operation(clients):
    return clients.tensorboard.create_tensorboard(
        parent=clients.parent, tensorboard={"display_name": "b"}
    ).operation


@pytest.fixture
def client(clients):
    return clients.tensorboard


def test_an_operation_is_remembered_with_its_answer(clients, client, operation):
    assert operation.done
    found = client.get_operation({"name": operation.name})
    assert found == operation
    assert client.wait_operation({"name": operation.name}) == operation
    board = types.Tensorboard.pb(types.Tensorboard())
    assert found.response.Unpack(board)
    assert operation.name.startswith(f"{board.name}/operations/") or "/operations/" in found.name


def test_operations_are_listed_where_they_belong(clients, client, operation):
    of = operation.name.partition("/operations/")[0]
    assert [o.name for o in client.list_operations({"name": of}).operations] == [operation.name]
    other = client.list_operations({"name": f"{clients.store}"})
    assert list(other.operations) == []
    with pytest.raises(exceptions.MethodNotImplemented):
        client.list_operations({"name": of, "filter": "done=true"})


def test_an_operation_is_forgotten_when_it_is_deleted(client, operation):
    client.cancel_operation({"name": operation.name})
    assert client.get_operation({"name": operation.name}).done
    client.delete_operation({"name": operation.name})
    with pytest.raises(exceptions.NotFound):
        client.get_operation({"name": operation.name})
    with pytest.raises(exceptions.NotFound):
        client.cancel_operation(operations_pb2.CancelOperationRequest(name=operation.name))


def test_locations_are_the_regions_that_the_sdk_takes(client):
    listed = client.list_locations({"name": "projects/test"}).locations
    assert "us-central1" in [location.location_id for location in listed]
    one = client.get_location({"name": "projects/test/locations/us-central1"})
    assert one in listed
    with pytest.raises(exceptions.NotFound):
        client.get_location({"name": "projects/test/locations/mars-east1"})
    with pytest.raises(exceptions.MethodNotImplemented):
        client.list_locations({"name": "projects/test", "filter": "x=1"})
