"""The requests of an instance's life."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from nbtools.cloud import Place
from nbtools.errors import RequestError, StateError
from nbtools.workbench import spec as specs
from nbtools.workbench.request import Request

SERVICE: Final = "notebooks_v2.NotebookService"


def create(spec: Mapping[str, Any], place: Place) -> Request:
    """Of a spec that `spec.checked` has passed. Raises RequestError when a zone is missing."""
    where = Place(place.project, spec.get("location") or place.location)
    if where.parent and where.region == where.location:
        raise RequestError(
            f"{where.location} is a region, and an instance is in a zone: {where.location}-b, say"
        )
    body = specs.instance(spec, where)
    fields = {"parent": where.parent, "instanceId": spec["name"], "instance": body}
    return Request(f"{SERVICE}.CreateInstance", fields)


def list_(place: Place) -> Request:
    """Of a location; of all for `-`."""
    return Request(f"{SERVICE}.ListInstances", {"parent": place.parent})


def act(verb: str, name: str) -> Request:
    """Get, Start, Stop, Reset, Upgrade or Delete one of that full name."""
    return Request(f"{SERVICE}.{verb}Instance", {"name": name})


def check(name: str) -> Request:
    """Whether it can be upgraded, and to what."""
    return Request(f"{SERVICE}.CheckInstanceUpgradability", {"notebookInstance": name})


def rollback(name: str, instance: Mapping[str, Any], snapshot: str) -> Request:
    """Back to a snapshot, by default that of the last upgrade. Raises RequestError."""
    history = [e for e in instance.get("upgradeHistory", []) if e.get("snapshot")]
    known = [e["snapshot"] for e in history if e.get("action") != "ROLLBACK"]
    if not known:
        raise RequestError(f"{name} has never been upgraded: there is nothing to go back to")
    if not snapshot and history[-1].get("action") == "ROLLBACK":
        raise StateError(
            f"the last upgrade of {name} has been taken back already: --snapshot names another, "
            f"of {', '.join(known)}"
        )
    wanted = snapshot or known[-1]
    found = [s for s in known if s == wanted or s.endswith(f"/{wanted}")]
    if not found:
        raise RequestError(f"no snapshot {snapshot!r}: there is {', '.join(known)}")
    number = 1 + known.index(found[0])
    fields = {"name": name, "targetSnapshot": found[0], "revisionId": str(number)}
    return Request(f"{SERVICE}.RollbackInstance", fields)


def diagnose(name: str, bucket: str, *, repair: bool = False, home: bool = False) -> Request:
    """Write a report to a bucket. Raises RequestError for what is no bucket."""
    given, _, path = bucket.removeprefix("gs://").partition("/")
    if not given:
        raise RequestError("where to: gs://BUCKET, or gs://BUCKET/FOLDER")
    config: dict[str, Any] = {"gcsBucket": f"gs://{given}"}
    config |= {"relativePath": path.strip("/")} if path.strip("/") else {}
    config |= {"enableRepairFlag": True} if repair else {}
    config |= {"enableCopyHomeFilesFlag": True} if home else {}
    return Request(f"{SERVICE}.DiagnoseInstance", {"name": name, "diagnosticConfig": config})


def update(name: str, changes: Mapping[str, Any], instance: Mapping[str, Any]) -> Request:
    """Change labels, metadata, idle_shutdown or machine_type of an instance as it is now.

    Metadata and labels that are not named stay: the service replaces each map as a whole. A
    value that is empty takes its key out. Raises RequestError.
    """
    spec = {"name": name.rpartition("/")[2], **changes}
    specs.checked(spec)
    new = specs.instance(spec, Place("", ""))
    setup, mask = new["gceSetup"], []
    body: dict[str, Any] = {"name": name}
    made: dict[str, Any] = {}
    if "metadata" in setup:
        before = instance.get("gceSetup", {}).get("metadata", {})
        made["metadata"] = _joined(before, setup["metadata"])
        if specs.IDLE in setup["metadata"]:  # empty means never; none at all, the default
            made["metadata"][specs.IDLE] = setup["metadata"][specs.IDLE]
        mask.append("gceSetup.metadata")
    if "machineType" in setup:
        made["machineType"] = setup["machineType"]
        mask.append("gceSetup.machineType")
    if made:
        body["gceSetup"] = made
    if "labels" in new:
        body["labels"] = _joined(instance.get("labels", {}), new["labels"])
        mask.append("labels")
    if not mask:
        raise RequestError("nothing to change: see --help")
    return Request(f"{SERVICE}.UpdateInstance", {"instance": body, "updateMask": ",".join(mask)})


def _joined(before: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in {**before, **new}.items() if value or key not in new}


def address(instance: Mapping[str, Any]) -> str:
    """Where a browser finds its JupyterLab. Raises RequestError when it has no place now."""
    name, state = str(instance["name"]).rpartition("/")[2], instance.get("state")
    if instance.get("disableProxyAccess"):
        raise RequestError(
            f"{name} has no proxy: gcloud compute ssh {name} -- -L 8080:localhost:8080"
        )
    if state != "ACTIVE":
        next_ = "start it" if state in ("STOPPED", "SUSPENDED") else "wait until it is ACTIVE"
        raise StateError(f"{name} is {state}: {next_}")
    return f"https://{instance['proxyUri']}"
