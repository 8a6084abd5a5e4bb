"""Each RPC of Workbench's service: its operation, and what it refuses, over REST and gRPC."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest
from google.api_core import exceptions
from google.cloud import notebooks_v2

from nbtools.cloud import Endpoint
from nbtools.emulator import lifecycle
from nbtools.errors import StateError
from nbtools.workbench import client as ours
from nbtools.workbench import instances
from nbtools.workbench.request import Request

PARENT = "projects/test/locations/us-central1-a"
NAME = f"{PARENT}/instances/desk"
#: RPC -> what it is called with, for an instance of that name.
OF_ONE = {
    "get_instance": lambda name: {"name": name},
    "start_instance": lambda name: {"name": name},
    "stop_instance": lambda name: {"name": name},
    "reset_instance": lambda name: {"name": name},
    "upgrade_instance": lambda name: {"name": name},
    "delete_instance": lambda name: {"name": name},
    "check_instance_upgradability": lambda name: {"notebook_instance": name},
    "rollback_instance": lambda name: {"name": name, "target_snapshot": "s", "revision_id": "1"},
    "diagnose_instance": lambda name: {
        "name": name, "diagnostic_config": {"gcs_bucket": "gs://b"},
    },
    "update_instance": lambda name: {
        "instance": {"name": name, "labels": {"a": "b"}}, "update_mask": {"paths": ["labels"]},
    },
}  # fmt: skip
#: state -> the RPCs that may begin then; of those that begin an operation.
ALLOWED = {
    "PROVISIONING": set(),
    "ACTIVE": {"stop", "reset", "upgrade", "diagnose", "update", "delete"},
    "STOPPING": set(),
    "STOPPED": {"start", "upgrade", "update", "delete"},
}


def call(client, rpc, name=NAME):
    return getattr(client, rpc)(OF_ONE[rpc](name))


def created(client):
    return client.create_instance({"parent": PARENT, "instance_id": "desk", "instance": {}})


def test_all_rpcs_are_here():
    served = {
        name for name in dir(notebooks_v2.NotebookServiceClient) if name.endswith("_instance")
    }
    assert served | {"check_instance_upgradability"} == {*OF_ONE, "create_instance"}


@pytest.mark.parametrize("rpc", OF_ONE)
def test_of_one_that_is_not_there_is_not_found(client, rpc):
    with pytest.raises(exceptions.NotFound, match=f"Resource '{NAME}' was not found"):
        call(client, rpc)
    if _grpc(client):  # REST's client finds no route for it
        with pytest.raises(exceptions.InvalidArgument):
            call(client, rpc, f"{PARENT}/instances/")


def _grpc(client):
    return client.transport.kind == "grpc"


def _refused(client):
    return exceptions.FailedPrecondition if _grpc(client) else exceptions.BadRequest


def _invalid(client):
    return exceptions.InvalidArgument if _grpc(client) else exceptions.BadRequest


@pytest.mark.parametrize("state", ALLOWED)
def test_what_may_begin_in_which_state(client, clock, state):
    for verb in ("start", "stop", "reset", "upgrade", "diagnose", "update", "delete"):
        created(client)
        if state != "PROVISIONING":
            clock.pass_()
        if state in ("STOPPING", "STOPPED"):
            client.stop_instance({"name": NAME})
        if state == "STOPPED":
            clock.pass_()
        assert client.get_instance(name=NAME).state.name == state
        if verb in ALLOWED[state]:
            operation = call(client, f"{verb}_instance")
            assert (operation.metadata.verb, operation.done()) == (verb, False)
            clock.pass_()
            operation.result()
        else:
            with pytest.raises(
                _refused(client), match=f"cannot {verb} instance desk: it is {state}"
            ):
                call(client, f"{verb}_instance")
            clock.pass_()
        if verb != "delete" or verb not in ALLOWED[state]:
            client.delete_instance(name=NAME)
        clock.pass_()


def test_an_operation_says_what_it_does_to_what_and_when(client, clock):
    operation = created(client)
    name = operation.operation.name
    assert name.startswith(f"{PARENT}/operations/operation-")
    going = operation.metadata
    assert (going.target, going.verb, going.api_version) == (NAME, "create", "v2")
    begun = clock.now
    assert abs(going.create_time.timestamp() - begun.timestamp()) < 1e-3
    assert not going.end_time
    client.cancel_operation({"name": name})  # it goes on all the same
    assert not client.get_operation({"name": name}).done
    assert [o.name for o in client.list_operations({"name": PARENT}).operations] == [name]
    clock.pass_()
    assert operation.result().name == NAME
    assert begun < operation.metadata.end_time < clock.now
    client.delete_operation({"name": name})
    with pytest.raises(exceptions.NotFound):
        client.get_operation({"name": name})
    deleted = client.delete_instance(name=NAME)
    clock.pass_()
    assert type(deleted.result()).__name__ == "Empty"


def test_an_update_changes_what_its_mask_names_and_needs_one(client, clock):
    made = notebooks_v2.Instance(labels={"a": "1", "b": "2"}, gce_setup={"metadata": {"x": "y"}})
    client.create_instance(parent=PARENT, instance_id="desk", instance=made)
    clock.pass_()
    before = client.get_instance(name=NAME)
    nothing = notebooks_v2.Instance(name=NAME)
    with pytest.raises(_invalid(client), match="update_mask is required"):
        client.update_instance(instance=nothing, update_mask={"paths": []})
    for path in ("name", "creator", "gce_setup", "gce_setup.boot_disk", "nonsense"):
        with pytest.raises(exceptions.ClientError, match=path):
            client.update_instance(instance=nothing, update_mask={"paths": [path]})
    operation = client.update_instance(instance=nothing, update_mask={"paths": ["labels"]})
    with pytest.raises(_refused(client), match="an operation is under way"):
        client.update_instance(instance=nothing, update_mask={"paths": ["labels"]})
    clock.pass_()
    after = operation.result()
    assert dict(after.labels) == {}  # named, and empty: taken out
    assert dict(after.gce_setup.metadata) == {"x": "y"}
    assert (after.id, after.create_time) == (before.id, before.create_time)
    assert after.update_time > before.update_time


def test_a_list_is_not_filtered_as_nobody_knows_how(client):
    unknown = exceptions.MethodNotImplemented
    for words in ({"filter": "state=ACTIVE"}, {"order_by": "name"}):
        with pytest.raises(unknown, match="without filter and order"):
            client.list_instances({"parent": PARENT, **words})


def test_a_page_is_of_its_list(client, clock):
    for number in range(3):
        client.create_instance({"parent": PARENT, "instance_id": f"i{number}", "instance": {}})
    first = next(client.list_instances({"parent": PARENT, "page_size": 2}).pages)
    assert len(first.instances) == 2
    token = first.next_page_token
    second = client.list_instances({"parent": PARENT, "page_size": 2, "page_token": token})
    assert [i.name.rpartition("/")[2] for i in second] == ["i2"]
    for words in ({"page_token": "x"}, {"parent": "projects/p/locations/-", "page_token": token},
                  {"page_size": -1}):  # fmt: skip
        with pytest.raises(_invalid(client), match="page_"):
            client.list_instances({"parent": PARENT, **words})


@pytest.mark.parametrize("id", ["", "Desk", "1desk", "desk-", "de_sk", "d" * 64])
def test_an_id_that_cannot_be(client, id):
    with pytest.raises(_invalid(client), match="Invalid instance_id"):
        client.create_instance({"parent": PARENT, "instance_id": id, "instance": {}})


def test_of_many_that_stop_it_at_once_one_does(over_rest, clock):
    created(over_rest)
    clock.pass_()
    ended = []

    def stop():
        try:
            ended.append(over_rest.stop_instance({"name": NAME}).metadata.verb)
        except exceptions.BadRequest:
            ended.append("refused")

    threads = [threading.Thread(target=stop) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ended) == [*["refused"] * 7, "stop"]


def test_nbtools_says_what_goes_on_when_its_patience_ends(doors):
    endpoint = Endpoint(rest=f"http://127.0.0.1:{doors[0]}")
    request = Request(
        f"{instances.SERVICE}.CreateInstance",
        {"parent": PARENT, "instanceId": "desk", "instance": {}},
    )
    with pytest.raises(StateError, match=f"^not done within 0 s: {PARENT}/operations/.* goes on"):
        ours.send(request, endpoint, patience=0.1)


@pytest.mark.slow
def test_ctrl_c_ends_the_waiting_and_says_that_the_operation_goes_on(
    doors, over_rest, clock, tmp_path
):
    begun = subprocess.Popen(
        [str(Path(sys.executable).with_name("nbtools")), "workbench", "instances", "create", "desk",
         "--project", "test", "--location", "us-central1-a"],
        env={**os.environ, "NBTOOLS_VERTEX": f"http://127.0.0.1:{doors[0]}"},
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while not list(over_rest.list_instances(parent=PARENT)):  # until it waits, for a still clock
        assert begun.poll() is None, begun.communicate()
        time.sleep(0.05)
    listing = over_rest.list_operations({"name": PARENT}).operations
    before = clock.asked
    while clock.asked < before + 2:  # it asks how far the operation is
        assert begun.poll() is None, begun.communicate()
        time.sleep(0.05)
    begun.send_signal(signal.SIGINT)
    out, err = begun.communicate(timeout=60)
    assert (begun.returncode, out) == (130, "")
    assert f"{listing[0].name} goes on" in err
    assert err.endswith("nbtools: interrupted\n")
    assert over_rest.get_instance(name=NAME).state.name == "PROVISIONING"


@pytest.mark.slow
def test_killed_while_an_instance_is_provisioned_it_comes_back_and_goes_on(store_folder, request):
    nbtools = request.getfixturevalue("call")

    def ask(method, path, body=None):
        sent = urllib.request.Request(
            f"{lifecycle.running(store_folder).url}/v2/{path}", method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )  # fmt: skip
        with urllib.request.urlopen(sent, timeout=30) as answer:
            return json.load(answer)

    nbtools("emulator", "start")
    try:
        begun = ask("POST", f"{PARENT}/instances?instanceId=desk", {"labels": {"a": "b"}})
        os.kill(lifecycle.running(store_folder).pid, signal.SIGKILL)
        assert "done" not in begun
        nbtools("emulator", "start")
        while not (ended := ask("GET", begun["name"])).get("done"):
            time.sleep(0.05)
        assert ended["response"]["state"] == "ACTIVE"
        found = ask("GET", NAME)
        assert (found["state"], found["labels"]) == ("ACTIVE", {"a": "b"})
        assert ask("POST", f"{NAME}:stop", {})["metadata"]["verb"] == "stop"
    finally:
        nbtools("emulator", "stop")
