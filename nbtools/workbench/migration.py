"""Managed and user-managed notebooks, both deprecated, as specs of Workbench instances; the
commands that replace them; and what has no equivalent.

Pure: records in, plans out. Nothing is created or deleted.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from nbtools.errors import RequestError
from nbtools.notebook import write_whole
from nbtools.workbench import spec as specs

MANAGED: Final = "managed"
USER_MANAGED: Final = "user-managed"
#: what the old service wrote into metadata for itself, besides what is reserved now.
_OWN: Final = frozenset({
    "warmup-libraries", "disable-swap-binaries", "proxy-registration-url",
    "notebooks-default-metadata",
})  # fmt: skip


@dataclass
class Migration:
    """One notebook, and what replaces it."""

    name: str  #: full name of the old one
    kind: str  #: MANAGED or USER_MANAGED
    spec: dict[str, Any] = field(default_factory=dict)  #: of the instance
    lost: list[str] = field(default_factory=list)  #: what has no equivalent
    notes: list[str] = field(default_factory=list)  #: what will be different, or is to be decided

    @property
    def id(self) -> str:
        """The last part of the old name."""
        return self.name.rpartition("/")[2]

    def commands(self, file: str, bucket: str) -> list[str]:
        """In order, each a line for a shell or a comment; the last deletes, and is commented."""
        _, project, _, location, *_ = self.name.split("/")
        new, zone = self.spec["name"], self.spec["location"]
        at = ["--project", project, "--location", zone]
        old = "runtimes" if self.kind == MANAGED else "instances"
        backup = f"gs://{bucket}/{self.id}"
        delete = ["gcloud", "notebooks", old, "delete", self.id, "--project", project,
                  "--location", location]  # fmt: skip
        return [
            f"# in a terminal of the old {self.id}: its files go to a bucket",
            f"gcloud storage rsync --recursive /home/jupyter {shlex.quote(backup)}",
            "# anywhere: the new instance",
            shlex.join(
                [
                    "nbtools",
                    "workbench",
                    "instances",
                    "create",
                    "--file",
                    file,
                    "--project",
                    project,
                ]
            ),
            shlex.join(["nbtools", "workbench", "access", new, *at]),
            f"# in a terminal of the new {new}: its files come back",
            f"gcloud storage rsync --recursive {shlex.quote(backup)} /home/jupyter",
            "# when all is there:",
            f"# {shlex.join(delete)}",
        ]

    def record(self) -> dict[str, Any]:
        """For machines."""
        return {"name": self.name, "kind": self.kind, "spec": self.spec, "lost": self.lost,
                "notes": self.notes}  # fmt: skip


def plan(record: Mapping[str, Any]) -> Migration:
    """Of a notebook as the v1 service shows it, in JSON. Raises RequestError for what is none."""
    name = record.get("name") if isinstance(record, Mapping) else None
    found = re.fullmatch(
        r"projects/[\w.:-]+/locations/[\w-]+/(runtimes|instances)/[\w-]+",
        name if isinstance(name, str) else "",
    )
    if not found or not isinstance(name, str):
        raise RequestError(
            f"{name!r} is no notebook: it needs a name projects/…/runtimes/… or …/instances/…"
        )
    managed = found[1] == "runtimes"
    made = Migration(name, MANAGED if managed else USER_MANAGED)
    try:
        spec = _runtime(record, made) if managed else _instance(record, made)
        made.spec = {key: value for key, value in spec.items() if value not in (None, "", {}, [])}
        specs.checked(made.spec, name)
    except (TypeError, AttributeError, ValueError) as error:
        raise RequestError(f"{name}: not as the service shows it: {error}") from None
    return made


def write(plans: list[Migration], folder: Path, bucket: str) -> list[Path]:
    """A spec for each, and one script of all commands. Raises RequestError, and for files that
    are there already: somebody may have changed them.
    """
    import yaml

    texts: dict[Path, str] = {}
    lines = ["#!/bin/sh", "# A plan: read it, and run it line by line.", ""]
    for one in plans:
        file = folder / f"{one.spec['name']}.yaml"
        number = 1
        while file in texts:  # of another location
            number += 1
            file = folder / f"{one.spec['name']}-{number}.yaml"
        said = [*(f"no equivalent: {what}" for what in one.lost), *one.notes]
        remarks = [f"# {' '.join(remark.split())}" for remark in said]  # a line each, and no more
        head = "\n".join([f"# replaces {one.name} ({one.kind})", *remarks])
        texts[file] = f"{head}\n{yaml.safe_dump(one.spec, sort_keys=False)}"
        lines += [head, *one.commands(file.name, bucket), ""]
    texts[folder / "migrate.sh"] = "\n".join(lines)
    if there := [str(file) for file in texts if file.exists()]:
        raise RequestError(f"{', '.join(there)} exists: name another folder, or move it away")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in texts.items():
            write_whole(file, text)
    except OSError as error:
        raise RequestError(f"cannot write {folder}: {error.strerror}") from None
    return list(texts)


def _runtime(record: Mapping[str, Any], made: Migration) -> dict[str, Any]:
    config = record.get("virtualMachine", {}).get("virtualMachineConfig", {})
    software, access = record.get("softwareConfig", {}), record.get("accessConfig", {})
    location = made.name.split("/")[3]
    zone = str(config.get("zone", "")).rpartition("/")[2]
    if not zone:
        zone = location if re.search(r"\d-[a-z]$", location) else f"{location}-b"
        made.notes.append(f"its zone is not known: {zone} is a guess, see `location`")
    spec: dict[str, Any] = {"name": made.id, "location": zone, "machine_type": _short(config)}
    _accelerator(spec, made, config.get("acceleratorConfig", {}), software)
    disk = config.get("dataDisk", {}).get("initializeParams", {})
    key = config.get("encryptionConfig", {}).get("kmsKey", "")
    spec["data_disk"] = _disk(disk.get("diskType"), disk.get("diskSizeGb"), key)
    if key:
        spec["boot_disk"] = {"kms_key": key}
    spec["network"] = _network(config, public=not config.get("internalIpOnly", False))
    spec["shielded"] = _shielded(config)
    if access.get("accessType") == "SERVICE_ACCOUNT":
        spec["service_account"] = access.get("runtimeOwner", "")
    else:
        spec["owner"] = access.get("runtimeOwner", "")
        made.notes.append("code runs as the instance's service account, no longer as its owner: "
                          "name a `service_account` that may do what the owner did")  # fmt: skip
    minutes = software.get("idleShutdownTimeout")
    spec["idle_shutdown"] = False if software.get("idleShutdown") is False else (
        int(minutes) * 60 if minutes else None
    )  # fmt: skip
    metadata = _metadata(config, made)
    if software.get("disableTerminal"):
        metadata["notebook-disable-terminal"] = "true"
    if found := software.get("notebookUpgradeSchedule"):
        metadata["notebook-upgrade-schedule"] = found
    if software.get("enableHealthMonitoring") is False:
        metadata["report-event-health"] = "false"
    behavior = software.get("postStartupScriptBehavior", "")
    if behavior and "UNSPECIFIED" not in behavior:
        metadata["post-startup-script-behavior"] = behavior.lower()
    spec["metadata"] = metadata
    _script(spec, made, software.get("postStartupScript", ""))
    images = [*config.get("containerImages", []), *software.get("kernels", [])]
    if images:
        names = ", ".join(dict.fromkeys(_image(image) for image in images))
        made.lost.append(f"containers as kernels ({names}): make one `container` of them, or "
                         "install their kernels by the post-startup script")  # fmt: skip
    if config.get("reservedIpRange"):
        made.lost.append(f"reservedIpRange {config['reservedIpRange']}: the machine is in your own "
                         "network now, choose its subnet")  # fmt: skip
    if config.get("guestAttributes"):
        made.lost.append("guestAttributes: write them from inside of the instance")
    if not config.get("network"):
        made.notes.append("it was in a network of Google's: the instance is in your project's "
                          "default network unless `network` says otherwise")  # fmt: skip
    made.notes.append("schedules and executions of a managed notebook stay behind: create them "
                      "anew, see nbtools schedule")  # fmt: skip
    spec["labels"] = _labels({**record.get("labels", {}), **config.get("labels", {})}, made)
    return spec


def _instance(record: Mapping[str, Any], made: Migration) -> dict[str, Any]:
    # Its machine is one of this project: while it is there, its name is taken.
    name = f"{made.id[:59].rstrip('-')}-new"
    zone = made.name.split("/")[3]
    spec: dict[str, Any] = {"name": name, "location": zone, "machine_type": _short(record)}
    made.notes.append(f"it is called {name}: while the old machine is there, its name is taken")
    _accelerator(spec, made, record.get("acceleratorConfig", {}), record)
    key = record.get("kmsKey", "")
    spec["boot_disk"] = _disk(record.get("bootDiskType"), record.get("bootDiskSizeGb"), key)
    spec["data_disk"] = _disk(record.get("dataDiskType"), record.get("dataDiskSizeGb"), key)
    spec["network"] = _network(record, public=not record.get("noPublicIp", False))
    if record.get("canIpForward"):
        spec["network"]["ip_forwarding"] = True
    spec["shielded"] = _shielded(record)
    spec["service_account"] = record.get("serviceAccount", "")
    if spec["service_account"] and record.get("serviceAccountScopes"):
        spec["scopes"] = list(record["serviceAccountScopes"])
    owners = record.get("instanceOwners", [])
    old = record.get("metadata", {})
    spec["owner"] = owners[0] if owners else old.get("proxy-user-mail", "")
    if record.get("noProxyAccess"):
        spec["proxy"] = False
    metadata = _metadata(record, made)
    if (wait := metadata.pop(specs.IDLE, None)) is not None:
        spec["idle_shutdown"] = int(wait) if wait not in ("", "0") else False
    spec["metadata"] = metadata
    _script(spec, made, record.get("postStartupScript", "") or metadata.pop(specs.SCRIPT, ""))
    if found := record.get("containerImage"):
        spec["container"] = {k: v for k, v in found.items() if k in ("repository", "tag") and v}
        made.notes.append("a container must be derived from Workbench's own: see its documentation")
    elif found := record.get("vmImage"):
        made.lost.append(
            f"VM image {_image(found)}: instances have images of their own; leave `image` out for "
            "the newest, and install what is missing by the post-startup script"
        )
    if record.get("reservationAffinity"):
        made.lost.append("reservationAffinity: the service has no field for it")
    if record.get("noRemoveDataDisk"):
        made.lost.append("noRemoveDataDisk: an instance's data disk goes with it, back it up")
    more = [d for d in record.get("disks", []) if not d.get("boot")][1:]
    if more:
        made.lost.append(f"{len(more)} more data disks: an instance has one")
    if not spec["service_account"]:
        made.notes.append(
            "it runs as Compute Engine's default service account: better one of its own"
        )
    spec["labels"] = _labels(record.get("labels", {}), made)
    return spec


def _short(config: Mapping[str, Any]) -> str:
    """A machine type without the URL that it may come with."""
    return str(config.get("machineType", "")).rpartition("/")[2]


def _image(image: Mapping[str, Any]) -> str:
    where = image.get("repository") or image.get("project", "")
    what = image.get("tag") or image.get("imageFamily") or image.get("imageName")
    return f"{where}:{what}" if what else str(where)


def _accelerator(
    spec: dict[str, Any], made: Migration, config: Mapping[str, Any], driver: Mapping[str, Any]
) -> None:
    kind = config.get("type", "")
    if not kind or "UNSPECIFIED" in kind:
        return
    if kind not in specs.MACHINES:
        made.lost.append(f"accelerator {kind}: choose another, for example NVIDIA_TESLA_T4")
        return
    found: dict[str, Any] = {"type": kind, "count": int(config.get("coreCount") or 1)}
    if driver.get("installGpuDriver"):
        found["install_driver"] = True
    if driver.get("customGpuDriverPath"):
        found["driver_path"] = driver["customGpuDriverPath"]
    spec["accelerator"] = found


def _disk(kind: Any, size: Any, key: str) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if kind and "UNSPECIFIED" not in kind:
        made["type"] = kind
    if size:
        made["size_gb"] = max(10, int(size))
    return made | ({"kms_key": key} if key else {})


def _network(config: Mapping[str, Any], *, public: bool) -> dict[str, Any]:
    made = {key: _path(config[key]) for key in ("network", "subnet") if config.get(key)}
    nic = config.get("nicType", "")
    made |= {"nic_type": nic} if nic and "UNSPECIFIED" not in nic else {}
    made |= {"tags": list(config["tags"])} if config.get("tags") else {}
    return made | ({} if public else {"public_ip": False})


def _path(url: str) -> Any:
    """A resource name, of the URL that it may come as."""
    return re.sub(r"^https://[^/]+/compute/[^/]+/", "", url)


def _shielded(config: Mapping[str, Any]) -> dict[str, Any]:
    found = config.get("shieldedInstanceConfig", {})
    words = {"enableSecureBoot": "secure_boot", "enableVtpm": "vtpm",
             "enableIntegrityMonitoring": "integrity_monitoring"}  # fmt: skip
    return {words[key]: value for key, value in found.items() if key in words}


def _metadata(config: Mapping[str, Any], made: Migration) -> dict[str, Any]:
    """What somebody has set; what the service had written for itself is of no use to another."""
    kept = {}
    for key, value in config.get("metadata", {}).items():
        if key in ("startup-script", "startup-script-url"):
            made.lost.append(f"metadata {key}: make a post-startup script of it, in a bucket")
        elif key not in specs.RESERVED and key not in _OWN:
            kept[key] = value
    return kept


def _script(spec: dict[str, Any], made: Migration, script: str) -> None:
    if script.startswith("gs://"):
        spec["post_startup_script"] = script
    elif script:
        made.lost.append(
            f"post-startup script {script}: copy it to a bucket, gs://… alone is taken"
        )


def _labels(labels: Mapping[str, str], made: Migration) -> dict[str, str]:
    kept = {}
    for key, value in labels.items():
        if key.startswith("goog-") or key in ("consumer-project-id", "consumer-project-number"):
            continue  # the service's own
        if re.fullmatch(r"[a-z][a-z0-9_-]{0,62}", key) and re.fullmatch(r"[a-z0-9_-]{0,63}", value):
            kept[key] = value
        else:
            made.lost.append(f"label {key}={value}: small letters, digits, - and _ alone")
    return kept
