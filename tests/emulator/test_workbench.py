"""Workbench's own client, over real sockets, to instances that are a state machine."""

from datetime import timedelta

import pytest
from google.api_core import exceptions
from google.cloud import notebooks_v1, notebooks_v2

from tests.emulator.conftest import connected

PARENT = "projects/test/locations/us-central1-a"
NAME = f"{PARENT}/instances/desk"


def instance(**setup):
    return notebooks_v2.Instance(
        gce_setup=notebooks_v2.GceSetup(machine_type="n1-standard-4", **setup)
    )


def create(client, clock, **setup):
    operation = client.create_instance(
        parent=PARENT, instance_id="desk", instance=instance(**setup)
    )
    clock.pass_()
    return operation.result()


def state(client):
    return client.get_instance(name=NAME).state.name


def test_an_instance_from_its_creation_to_its_end(client, clock):
    operation = client.create_instance(parent=PARENT, instance_id="desk", instance=instance())
    assert not operation.done()
    assert operation.metadata.verb == "create"
    assert state(client) == "PROVISIONING"
    assert client.get_instance(name=NAME).proxy_uri == ""
    clock.pass_()
    created = operation.result()
    assert (created.state.name, state(client)) == ("ACTIVE", "ACTIVE")
    assert created.proxy_uri.endswith("-dot-us-central1.notebooks.googleusercontent.com")
    assert created.gce_setup.machine_type == "n1-standard-4"
    for act, through, to in (
        (client.stop_instance, "STOPPING", "STOPPED"),
        (client.start_instance, "STARTING", "ACTIVE"),
        (client.reset_instance, "INITIALIZING", "ACTIVE"),
    ):
        operation = act({"name": NAME})
        assert state(client) == through
        clock.pass_()
        assert operation.result().state.name == to
        assert state(client) == to
    operation = client.delete_instance(name=NAME)
    clock.pass_()
    operation.result()
    with pytest.raises(exceptions.NotFound, match="was not found"):
        client.get_instance(name=NAME)
    assert list(client.list_instances(parent=PARENT)) == []
    create(client, clock)  # its name is free again


def test_what_its_state_does_not_allow_is_a_failed_precondition(over_rest, clock):
    create(over_rest, clock)
    with pytest.raises(exceptions.BadRequest, match="cannot start instance desk: it is ACTIVE"):
        over_rest.start_instance({"name": NAME})
    over_rest.stop_instance({"name": NAME})
    with pytest.raises(exceptions.BadRequest, match="STOPPING, and an operation is under way"):
        over_rest.start_instance({"name": NAME})
    assert state(over_rest) == "STOPPING"
    clock.pass_()
    with pytest.raises(exceptions.BadRequest, match="cannot stop instance desk: it is STOPPED"):
        over_rest.stop_instance({"name": NAME})
    with pytest.raises(exceptions.Conflict):
        create(over_rest, clock)


def test_over_grpc_it_is_failed_precondition_by_name(doors, clock):
    client = connected(notebooks_v2.NotebookServiceClient, "grpc", doors)
    create(client, clock)
    with pytest.raises(exceptions.FailedPrecondition):
        client.start_instance({"name": NAME})
    with pytest.raises(exceptions.AlreadyExists):
        create(client, clock)


def test_upgrade_and_rollback_are_in_the_history(client, clock):
    create(client, clock)
    offered = client.check_instance_upgradability({"notebook_instance": NAME})
    assert offered.upgradeable
    operation = client.upgrade_instance({"name": NAME})
    assert state(client) == "UPGRADING"
    clock.pass_()
    upgraded = operation.result()
    (entry,) = upgraded.upgrade_history
    assert (entry.action.name, entry.target_version) == ("UPGRADE", offered.upgrade_version)
    assert not client.check_instance_upgradability({"notebook_instance": NAME}).upgradeable
    with pytest.raises(exceptions.ClientError, match="not in the upgrade history"):
        client.rollback_instance({"name": NAME, "target_snapshot": "x", "revision_id": "1"})
    operation = client.rollback_instance(
        {"name": NAME, "target_snapshot": entry.snapshot, "revision_id": "1"}
    )
    clock.pass_()
    assert [e.action.name for e in operation.result().upgrade_history] == ["UPGRADE", "ROLLBACK"]
    assert client.check_instance_upgradability({"notebook_instance": NAME}).upgradeable


@pytest.mark.parametrize(
    "setup, said",
    [
        ({"metadata": {"proxy-mode": "mail"}}, "proxy-mode is a reserved key"),
        ({"metadata": {"service-account-mode": "x"}}, "reserved key"),
        ({"data_disks": [{"disk_size_gb": 1}, {"disk_size_gb": 2}]}, "supports one only"),
        ({"boot_disk": {"disk_size_gb": 64_001}}, "at most 64000"),
        ({"boot_disk": {"kms_key": "k"}}, "CMEK only"),
        ({"container_image": {"tag": "latest"}}, "repository is required"),
    ],
)
def test_what_no_instance_can_be_is_an_invalid_argument(over_rest, clock, setup, said):
    with pytest.raises(exceptions.BadRequest, match=said):
        create(over_rest, clock, **setup)
    assert list(over_rest.list_instances(parent=PARENT)) == []


def test_only_what_can_be_changed_is_changed(over_rest, clock):
    create(over_rest, clock, metadata={"idle-timeout-seconds": "3600", "report-event-health": "1"})
    wanted = instance(metadata={"idle-timeout-seconds": "60"})
    wanted.name, wanted.labels = NAME, {"team": "vision"}
    wanted.gce_setup.machine_type = "e2-standard-2"

    def update(*paths):
        return over_rest.update_instance(instance=wanted, update_mask={"paths": paths})

    operation = update("gce_setup.metadata", "labels")
    clock.pass_()
    changed = operation.result()
    assert dict(changed.gce_setup.metadata) == {"idle-timeout-seconds": "60"}
    assert dict(changed.labels) == {"team": "vision"}
    assert changed.gce_setup.machine_type == "n1-standard-4"
    with pytest.raises(exceptions.BadRequest, match="stop the instance to change"):
        update("gce_setup.machine_type")
    with pytest.raises(exceptions.BadRequest, match="'instance_owners' cannot be changed"):
        update("instance_owners")
    over_rest.stop_instance({"name": NAME})
    clock.pass_()
    update("gce_setup.machine_type")
    assert over_rest.get_instance(name=NAME).gce_setup.machine_type == "e2-standard-2"


def test_lists_are_of_a_location_or_of_all_and_come_in_pages(over_rest, clock):
    for zone, id_ in (("us-central1-a", "one"), ("us-central1-a", "two"), ("europe-west4-b", "x")):
        parent = f"projects/test/locations/{zone}"
        over_rest.create_instance(parent=parent, instance_id=id_, instance=instance())
        clock.now += timedelta(milliseconds=1)
    pages = over_rest.list_instances({"parent": PARENT, "page_size": 1}).pages
    assert [[i.name.rpartition("/")[2] for i in page.instances] for page in pages] == [
        ["one"], ["two"],
    ]  # fmt: skip
    everywhere = over_rest.list_instances(parent="projects/test/locations/-")
    assert [i.name.split("/")[3] for i in everywhere] == [
        "us-central1-a", "us-central1-a", "europe-west4-b",
    ]  # fmt: skip
    assert list(over_rest.list_instances(parent="projects/other/locations/-")) == []


def test_deprecated_notebooks_are_kept_as_they_are(doors):
    managed = connected(notebooks_v1.ManagedNotebookServiceClient, "grpc", doors)
    own = connected(notebooks_v1.NotebookServiceClient, "grpc", doors)
    where = "projects/test/locations/us-central1"
    runtime = notebooks_v1.Runtime(
        software_config=notebooks_v1.RuntimeSoftwareConfig(idle_shutdown_timeout=90)
    )
    managed.create_runtime(parent=where, runtime_id="old", runtime=runtime).result()
    own.create_instance({
        "parent": PARENT, "instance_id": "older", "instance": {"machine_type": "n1-standard-1"},
    }).result()  # fmt: skip
    (found,) = managed.list_runtimes(parent=where)
    assert (found.name, found.software_config.idle_shutdown_timeout) == (
        f"{where}/runtimes/old", 90,
    )  # fmt: skip
    (older,) = own.list_instances({"parent": "projects/test/locations/-"})
    assert (older.machine_type, older.state.name) == ("n1-standard-1", "ACTIVE")
    assert own.get_instance({"name": older.name}) == older
    client = connected(notebooks_v2.NotebookServiceClient, "rest", doors)
    with pytest.raises(exceptions.NotFound):
        client.get_instance(name=older.name)  # it is no Workbench instance


def test_rolled_back_twice_it_is_where_it_was_before_the_upgrade(over_rest, clock):
    create(over_rest, clock)
    over_rest.upgrade_instance({"name": NAME})
    clock.pass_()
    snapshot = over_rest.get_instance(name=NAME).upgrade_history[0].snapshot
    for _ in range(2):
        over_rest.rollback_instance({"name": NAME, "target_snapshot": snapshot, "revision_id": "1"})
        clock.pass_()
        assert over_rest.check_instance_upgradability({"notebook_instance": NAME}).upgradeable
