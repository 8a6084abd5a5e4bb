"""notebooks_v2's NotebookService: Workbench's instances, as a state machine without machines.

What an operation does is decided when it is begun, and seen when its time has come: nothing
has to run in between.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final
from uuid import uuid4

from nbtools.emulator import names, operations, paging, records, wire
from nbtools.emulator.call import Call, Handler, Refused
from nbtools.nouns import moment, stamp
from nbtools.resources import Resource
from nbtools.workbench.spec import RESERVED

API: Final = "notebooks_v2"
PACKAGE: Final = f"google.cloud.{API}"
TYPE: Final = "notebooks_v2.Instance"
#: how long an operation takes.
TAKES: Final = timedelta(seconds=0.5)
#: the image that upgrades lead to.
NEWEST: Final = "v20260901"
_ID: Final = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
#: fields that UpdateInstance changes: in every state, and in a stopped instance.
_ANYTIME: Final = ("labels", "gce_setup.metadata")
_STOPPED: Final = (
    "gce_setup.machine_type", "gce_setup.accelerator_configs", "gce_setup.gpu_driver_config",
    "gce_setup.shielded_instance_config", "gce_setup.tags",
)  # fmt: skip


@dataclass(frozen=True)
class Transition:
    """What one RPC does to an instance."""

    allowed: tuple[str, ...]  #: states that it may begin in
    through: str  #: the state while it goes on; empty: the one before
    to: str  #: the state in the end; empty: the one before; GONE


GONE: Final = "GONE"
TRANSITIONS: Final = {
    "start": Transition(("STOPPED", "SUSPENDED"), "STARTING", "ACTIVE"),
    "stop": Transition(("ACTIVE",), "STOPPING", "STOPPED"),
    "reset": Transition(("ACTIVE",), "INITIALIZING", "ACTIVE"),
    "upgrade": Transition(("ACTIVE", "STOPPED"), "UPGRADING", "ACTIVE"),
    "rollback": Transition(("ACTIVE", "STOPPED"), "UPGRADING", "ACTIVE"),
    "diagnose": Transition(("ACTIVE",), "", ""),
    "delete": Transition(("ACTIVE", "STOPPED", "SUSPENDED"), "STOPPING", GONE),
    "update": Transition(("ACTIVE", "STOPPED", "SUSPENDED"), "", ""),
}


def _settled(found: Resource, now: datetime) -> str:
    """The state of an instance; GONE when it is deleted."""
    record = found.record
    if record["end"] and now < (moment(record["end"]) or now):
        return str(record["through"])
    return str(record["to"])


def _busy(found: Resource, now: datetime) -> bool:
    return bool(found.record["end"]) and now < (moment(found.record["end"]) or now)


def find(call: Call, name: str) -> Resource:
    """The instance of that full name. Raises Refused."""
    names.ids(name, "instances")
    found = call.store.resources.find(name)
    if found is None or found.type != TYPE or _settled(found, call.now) == GONE:
        raise Refused("NOT_FOUND", f"Resource '{name}' was not found")
    return found


def message(call: Call, found: Resource, state: str) -> Any:
    """An instance as its message, in that state."""
    from google.protobuf import json_format

    made = call.catalog.message("Instance", PACKAGE)()
    json_format.ParseDict(found.record["message"], made)
    made.name = found.name
    made.state = made.DESCRIPTOR.fields_by_name["state"].enum_type.values_by_name[state].number
    if state == "ACTIVE":
        made.health_state = 1  # HEALTHY
    elif state in ("PROVISIONING", "STARTING"):
        made.proxy_uri = ""
    if found.create_time and found.update_time:
        made.create_time.FromDatetime(found.create_time)
        made.update_time.FromDatetime(found.update_time)
    return made


def create(call: Call, request: Any) -> Any:
    (location,) = names.ids(request.parent)
    if not _ID.fullmatch(request.instance_id):
        raise Refused(
            "INVALID_ARGUMENT",
            f"Invalid instance_id {request.instance_id!r}: use at most 63 small letters, digits "
            "and hyphens, a letter first and no hyphen last",
        )
    sent = request.instance
    _check(sent)
    name = f"{location}/instances/{request.instance_id}"
    asked = type(sent)()
    asked.CopyFrom(sent)
    for computed in ("upgrade_history", "health_state", "health_info", "state", "proxy_uri"):
        asked.ClearField(computed)
    kept = wire.record(asked)
    region = location.rpartition("/")[2].rpartition("-")[0] or location.rpartition("/")[2]
    proxy = f"{uuid4().hex[:16]}-dot-{region}.notebooks.googleusercontent.com"
    kept |= {"id": str(uuid4()), "creator": "emulator@example.com"}
    if not sent.disable_proxy_access:
        kept["proxy_uri"] = proxy
    end = call.now + TAKES
    record = {"message": kept, "through": "PROVISIONING", "to": "ACTIVE", "end": stamp(end)}
    if (there := call.store.resources.find(name)) and there.type == TYPE:
        if _settled(there, call.now) != GONE:
            raise Refused("ALREADY_EXISTS", f"Resource '{name}' already exists")
        call.store.resources.remove(name)
    made = call.store.resources.add(Resource(name=name, type=TYPE, record=record), call.now)
    return _operation(call, made, "create", end)


def _check(sent: Any) -> None:
    """Raises Refused for what Workbench's reference says that there cannot be."""
    setup = sent.gce_setup
    for several, what in (
        (sent.instance_owners, "instance_owners"),
        (setup.accelerator_configs, "gce_setup.accelerator_configs"),
        (setup.service_accounts, "gce_setup.service_accounts"),
        (setup.data_disks, "gce_setup.data_disks"),
        (setup.network_interfaces, "gce_setup.network_interfaces"),
    ):
        if len(several) > 1:
            raise Refused("INVALID_ARGUMENT", f"{what}: currently supports one only")
    for key in setup.metadata:
        if key in RESERVED:
            raise Refused("INVALID_ARGUMENT", f"gce_setup.metadata: {key} is a reserved key")
    for disk in (setup.boot_disk, *setup.data_disks):
        if disk.disk_size_gb > 64_000 or disk.disk_size_gb < 0:
            raise Refused("INVALID_ARGUMENT", "disk_size_gb: at most 64000")
        if bool(disk.kms_key) != (disk.disk_encryption == 2):  # CMEK
            raise Refused("INVALID_ARGUMENT", "kms_key goes with disk_encryption CMEK only")
    if setup.HasField("container_image") and not setup.container_image.repository:
        raise Refused("INVALID_ARGUMENT", "gce_setup.container_image.repository is required")
    records.labels(sent.labels)


def get(call: Call, request: Any) -> Any:
    found = find(call, request.name)
    return message(call, found, _settled(found, call.now))


def list_(call: Call, request: Any) -> Any:
    """Of all locations of a project for `locations/-`."""
    (location,) = names.ids(request.parent)
    if request.filter or request.order_by:
        raise Refused("UNIMPLEMENTED", "the emulator lists instances without filter and order")
    page = paging.page(request, call.now, default=500, most=1000)
    there = [r for r in call.store.resources.select(TYPE) if _within(r, location)]
    here, token = page.cut([r for r in there if _settled(r, call.now) != GONE])
    made = [message(call, r, _settled(r, call.now)) for r in here]
    answer = call.catalog.message("ListInstancesResponse", PACKAGE)
    return answer(instances=made, next_page_token=token)


def _within(found: Resource, location: str) -> bool:
    project = location.rpartition("/")[0]
    return found.name.startswith(f"{project if location.endswith('/-') else location}/")


def _begin(call: Call, found: Resource, verb: str, changed: Mapping[str, Any]) -> Any:
    """Begin what a verb does to an instance, whose message becomes `changed` in the end."""
    rule, state = TRANSITIONS[verb], _settled(found, call.now)
    if _busy(found, call.now) or state not in rule.allowed:
        raise Refused(
            "FAILED_PRECONDITION",
            f"cannot {verb} instance {found.id}: it is {state}"
            f"{', and an operation is under way' if _busy(found, call.now) else ''}; "
            f"allowed: {', '.join(rule.allowed)}",
        )
    end = call.now + TAKES
    record = {
        "message": dict(changed),
        "through": rule.through or state,
        "to": rule.to or state,
        "end": stamp(end),
    }
    made = call.store.resources.put(replace(found, record=record), call.now)
    return _operation(call, made, verb, end)


def _operation(call: Call, found: Resource, verb: str, end: datetime) -> Any:
    to = str(found.record["to"])
    metadata = call.catalog.message("OperationMetadata", PACKAGE)(
        target=found.name, verb=verb, api_version="v2"
    )
    response = None if to == GONE else message(call, found, to)
    location = names.split(found.name)[0]
    return operations.begun(call, location, response, metadata, end)


def change(verb: str, call: Call, request: Any) -> Any:
    """What start, stop, reset and delete have in common."""
    found = find(call, request.name)
    return _begin(call, found, verb, found.record["message"])


def update(call: Call, request: Any) -> Any:
    found = find(call, request.instance.name)
    _check(request.instance)
    paths = list(request.update_mask.paths)
    state = _settled(found, call.now)
    for path in paths:
        root = ".".join(path.split(".")[:2])
        if root not in (*_ANYTIME, *_STOPPED):
            raise Refused("INVALID_ARGUMENT", f"update_mask: {path!r} cannot be changed")
        if root in _STOPPED and state != "STOPPED":
            raise Refused("FAILED_PRECONDITION", f"stop the instance to change {path}: {state}")
    if not paths:
        raise Refused("INVALID_ARGUMENT", "update_mask is required")
    made = message(call, found, state)
    for path in paths:
        holder = "" if "." not in path else "gce_setup"
        into = made.gce_setup if holder else made
        given = request.instance.gce_setup if holder else request.instance
        field = path.split(".")[1] if holder else path
        into.ClearField(field)
        one = type(into)()
        one.CopyFrom(given)
        for other, _ in one.ListFields():
            if other.name != field:
                one.ClearField(other.name)
        into.MergeFrom(one)
    return _begin(call, found, "update", wire.record(made))


def check_upgradability(call: Call, request: Any) -> Any:
    found = find(call, request.notebook_instance)
    answer = call.catalog.message("CheckInstanceUpgradabilityResponse", PACKAGE)
    if _version(found) == NEWEST:
        return answer(upgradeable=False, upgrade_info="the newest version is installed")
    return answer(upgradeable=True, upgrade_version=NEWEST, upgrade_image=_image(NEWEST))


def _version(found: Resource) -> str:
    done = found.record["message"].get("upgrade_history", [])
    return str(done[-1]["target_version"]) if done else ""


def _image(version: str) -> str:
    return f"projects/cloud-notebooks-managed/global/images/workbench-instances-{version}"


def upgrade(call: Call, request: Any) -> Any:
    found = find(call, request.name)
    before = _version(found)
    if before == NEWEST:
        raise Refused("FAILED_PRECONDITION", f"instance {found.id} has the newest version")
    project = found.name.split("/")[1]
    snapshot = f"projects/{project}/global/snapshots/{uuid4().hex[:12]}"
    return _begin(call, found, "upgrade", _history(call, found, "UPGRADE", snapshot, NEWEST))


def rollback(call: Call, request: Any) -> Any:
    found = find(call, request.name)
    history = found.record["message"].get("upgrade_history", [])
    known = {e["snapshot"]: e for e in history if e["action"] == "UPGRADE"}
    if request.target_snapshot not in known:
        raise Refused(
            "INVALID_ARGUMENT",
            f"target_snapshot {request.target_snapshot!r} is not in the upgrade history",
        )
    before = known[request.target_snapshot]["version"]
    changed = _history(call, found, "ROLLBACK", request.target_snapshot, before)
    return _begin(call, found, "rollback", changed)


def _history(
    call: Call, found: Resource, action: str, snapshot: str, version: str
) -> dict[str, Any]:
    kept = dict(found.record["message"])
    entry = {
        "snapshot": snapshot,
        "vm_image": _image(version or "initial"),
        "version": _version(found),
        "target_version": version,
        "action": action,
        "state": "SUCCEEDED",
        "create_time": stamp(call.now),
    }
    return {**kept, "upgrade_history": [*kept.get("upgrade_history", []), entry]}


def diagnose(call: Call, request: Any) -> Any:
    if not request.diagnostic_config.gcs_bucket:
        raise Refused("INVALID_ARGUMENT", "diagnostic_config.gcs_bucket is required")
    return change("diagnose", call, request)


_RPCS: Final[Mapping[str, Handler]] = {
    "CreateInstance": create,
    "GetInstance": get,
    "ListInstances": list_,
    "UpdateInstance": update,
    "DeleteInstance": partial(change, "delete"),
    "StartInstance": partial(change, "start"),
    "StopInstance": partial(change, "stop"),
    "ResetInstance": partial(change, "reset"),
    "CheckInstanceUpgradability": check_upgradability,
    "UpgradeInstance": upgrade,
    "RollbackInstance": rollback,
    "DiagnoseInstance": diagnose,
}
HANDLERS: Mapping[str, Handler] = {f"{API}.NotebookService.{rpc}": h for rpc, h in _RPCS.items()}
