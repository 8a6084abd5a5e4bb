"""The flags of `nbtools workbench instances create` and `update`, as a spec has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nbtools.errors import RequestError


def spec(name: str, location: str, flags: Mapping[str, Any]) -> dict[str, Any]:
    """What flags say, as a spec."""
    made: dict[str, Any] = {"name": name, "location": location}
    for key in ("machine_type", "service_account", "owner", "post_startup_script"):
        made[key] = flags[key]
    if flags["accelerator"]:
        kind, _, count = flags["accelerator"].partition(":")
        made["accelerator"] = {"type": kind, **({"count": _number(count)} if count else {})}
    if flags["install_gpu_driver"]:
        made["accelerator"] = {**made.get("accelerator", {}), "install_driver": True}
    if flags["image"]:
        where, slash, family = flags["image"].partition("/")
        if not slash:
            raise RequestError(f"{where!r} is no image: write PROJECT/FAMILY")
        made["image"] = {"project": where, "family": family}
    if flags["container"]:
        repository, colon, tag = flags["container"].rpartition(":")
        named = {"repository": repository, "tag": tag} if colon and "/" not in tag else {}
        made["container"] = named or {"repository": flags["container"]}
    for disk in ("boot_disk", "data_disk"):
        found = {"size_gb": flags[f"{disk}_size"], "type": flags[f"{disk}_type"],
                 "kms_key": flags["kms_key"]}  # fmt: skip
        made[disk] = {key: value for key, value in found.items() if value}
    network = {"network": flags["network"], "subnet": flags["subnet"], "tags": list(flags["tags"])}
    made["network"] = {key: value for key, value in network.items() if value}
    if flags["no_public_ip"]:
        made["network"]["public_ip"] = False
    made |= changes(flags)
    return {key: value for key, value in made.items() if value not in ("", {})}


def changes(flags: Mapping[str, Any]) -> dict[str, Any]:
    """Those that an instance may be given later too."""
    made: dict[str, Any] = {
        "labels": _pairs(flags["labels"]),
        "metadata": _pairs(flags["metadata"]),
    }
    if flags["idle_shutdown"]:
        wait = flags["idle_shutdown"]
        made["idle_shutdown"] = False if wait == "off" else wait
    return made


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise RequestError(f"{text!r} is no count: write NVIDIA_TESLA_T4:1") from None


def _pairs(items: tuple[str, ...]) -> dict[str, str]:
    made = {}
    for item in items:
        key, equals, value = item.partition("=")
        if not equals:
            raise RequestError(f"{item!r} is no KEY=VALUE")
        made[key] = value
    return made
