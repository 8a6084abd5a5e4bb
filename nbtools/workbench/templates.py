"""Colab Enterprise's runtime templates: what a machine looks like that is begun when needed.

They are Vertex AI's NotebookRuntimeTemplate, and no Workbench instances. NotebookExecutionJobs
name one for the machine that they run on.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from nbtools import yaml_file
from nbtools.cloud import Place
from nbtools.errors import RequestError
from nbtools.workbench import spec as specs
from nbtools.workbench.request import Request

SCHEMA: Final = Path(__file__).with_name("template.schema.json")
COLLECTION: Final = "notebookRuntimeTemplates"
#: seconds that the service allows for idle shutdown.
_IDLE: Final = (600, 86_400)


def region(place: Place) -> Place:
    """Where templates are: in regions, not in zones."""
    return Place(place.project, place.region)


def create(spec: Mapping[str, Any], place: Place, source: str = "template") -> Request:
    """Raises RequestError, with a line for each fault of the spec."""
    if wrong := list(yaml_file.faults(dict(spec), SCHEMA)):
        raise RequestError("\n".join(f"{source}: {sentence}" for sentence in wrong))
    where = region(place)
    fields = {"parent": where.parent, "notebookRuntimeTemplate": _template(spec, where)}
    return Request("NotebookService.CreateNotebookRuntimeTemplate", fields)


def list_(place: Place) -> Request:
    """Of a region."""
    return Request("NotebookService.ListNotebookRuntimeTemplates", {"parent": region(place).parent})


def act(verb: str, id: str, place: Place) -> Request:
    """Get or Delete one."""
    name = region(place).name(id, COLLECTION)
    return Request(f"NotebookService.{verb}NotebookRuntimeTemplate", {"name": name})


def _template(spec: Mapping[str, Any], place: Place) -> dict[str, Any]:
    made: dict[str, Any] = {
        "displayName": spec["display_name"],
        "notebookRuntimeType": "USER_DEFINED",
    }
    if "description" in spec:
        made["description"] = spec["description"]
    machine: dict[str, Any] = {}
    if "machine_type" in spec:
        machine["machineType"] = spec["machine_type"]
    if found := spec.get("accelerator"):
        machine |= {"acceleratorType": found["type"], "acceleratorCount": found.get("count", 1)}
    made |= {"machineSpec": machine} if machine else {}
    if found := spec.get("data_disk"):
        disk = {"diskType": found["type"]} if "type" in found else {}
        disk |= {"diskSizeGb": str(found["size_gb"])} if "size_gb" in found else {}
        made["dataPersistentDiskSpec"] = disk
    if found := spec.get("network"):
        made |= _network(found, place)
    if "idle_shutdown" in spec:
        made["idleShutdownConfig"] = _idle(spec["idle_shutdown"])
    if spec.get("user_credentials") is False:
        made["eucConfig"] = {"eucDisabled": True}
    software: dict[str, Any] = {}
    if found := spec.get("env"):
        software["env"] = [{"name": k, "value": specs.plain(v)} for k, v in found.items()]
    if "post_startup_script" in spec:
        software["postStartupScriptConfig"] = {
            "postStartupScriptUrl": spec["post_startup_script"],
            "postStartupScriptBehavior": "RUN_ONCE",
        }
    made |= {"softwareConfig": software} if software else {}
    return made | ({"labels": dict(spec["labels"])} if spec.get("labels") else {})


def _network(said: Mapping[str, Any], place: Place) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if "internet" in said:
        made["enableInternetAccess"] = said["internet"]
    if found := said.get("network"):
        made["network"] = (
            found if "/" in found else f"projects/{place.project}/global/networks/{found}"
        )
    if found := said.get("subnet"):
        near = f"projects/{place.project}/regions/{place.region}/subnetworks"
        made["subnetwork"] = found if "/" in found else f"{near}/{found}"
    spec = {"networkSpec": made} if made else {}
    return spec | ({"networkTags": said["tags"]} if "tags" in said else {})


def _idle(said: Any) -> dict[str, Any]:
    if said is False:
        return {"idleShutdownDisabled": True, "idleTimeout": "10800s"}  # a time is required
    wait = int(specs.idle(said))
    low, high = _IDLE
    if not low <= wait <= high:
        raise RequestError(f"idle_shutdown: {said} must be 10 minutes to 24 hours, or false")
    return {"idleTimeout": f"{wait}s"}
