"""What a notebook is to be executed on: found in order and remembered, and of no effect here."""

from __future__ import annotations

import re
from typing import Any, Final

from nbtools.emulator import names, records
from nbtools.emulator.call import Call, Refused
from nbtools.resources import Resource

TEMPLATES: Final = "notebookRuntimeTemplates"
DISKS: Final = ("pd-standard", "pd-ssd", "pd-balanced", "pd-extreme")
_MACHINE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_PERSON = re.compile(r"[^@\s]+@[^@\s]+")
_NETWORK = re.compile(r"projects/[^/]+/global/networks/[^/]+")
_SUBNETWORK = re.compile(r"projects/[^/]+/regions/[^/]+/subnetworks/[^/]+")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def check_job(call: Call, sent: Any) -> None:
    """Raises Refused for a job that says what cannot be, apart from its notebook."""
    check_name(sent)
    records.labels(sent.labels)
    identity = sent.WhichOneof("execution_identity")
    if identity and not _PERSON.fullmatch(getattr(sent, identity)):
        raise _wrong(f"{identity} is an e-mail address: not {getattr(sent, identity)!r}")
    if identity == "execution_user" and sent.HasField("workbench_runtime"):
        raise _wrong("execution_user is for Colab runtimes: a Workbench runtime takes none")
    if sent.execution_timeout.ToNanoseconds() < 0:
        raise _wrong("execution_timeout is a positive number of seconds")
    if sent.notebook_runtime_template_resource_name:
        template(call, sent.notebook_runtime_template_resource_name)
    custom = sent.custom_environment_spec
    check_machine(custom.machine_spec)
    check_disk(custom.persistent_disk_spec)
    check_network(custom.network_spec)


def check_name(sent: Any, required: bool = False) -> None:
    """Raises Refused for a display name that is too long, or is not there."""
    if len(sent.display_name) > 128:
        raise _wrong("display_name is at most 128 characters long")
    if required and not sent.display_name:
        raise _wrong("display_name is required")


def check_machine(spec: Any) -> None:
    """Raises Refused."""
    if spec.machine_type and not _MACHINE.fullmatch(spec.machine_type):
        raise _wrong(f"machine_type is such as n1-standard-4: not {spec.machine_type!r}")
    if bool(spec.accelerator_type) != bool(spec.accelerator_count) or spec.accelerator_count < 0:
        raise _wrong("accelerator_type and accelerator_count go together")


def check_disk(spec: Any) -> None:
    """Raises Refused."""
    if spec.disk_type and spec.disk_type not in DISKS:
        raise _wrong(f"disk_type is one of {', '.join(DISKS)}: not {spec.disk_type!r}")
    if spec.disk_size_gb < 0:
        raise _wrong("disk_size_gb is a positive number")


def check_network(spec: Any) -> None:
    """Raises Refused."""
    if spec.network and not _NETWORK.fullmatch(spec.network):
        raise _wrong(f"network is projects/P/global/networks/N: not {spec.network!r}")
    if spec.subnetwork and not _SUBNETWORK.fullmatch(spec.subnetwork):
        raise _wrong(f"subnetwork is projects/P/regions/R/subnetworks/S: not {spec.subnetwork!r}")


def check_software(spec: Any) -> None:
    """Raises Refused."""
    if len(spec.env) > 100:
        raise _wrong("software_config.env has at most 100 variables")
    for one in spec.env:
        if not _VARIABLE.fullmatch(one.name) or "\0" in one.value:
            raise _wrong(f"{one.name!r} is no name of an environment variable")


def template(call: Call, name: str) -> Resource:
    """The runtime template of that full name. Raises Refused."""
    _, id_ = names.ids(name, TEMPLATES)
    found = call.store.resources.find(f"{TEMPLATES}/{id_}")
    if found is None:
        raise Refused("NOT_FOUND", f"NotebookRuntimeTemplate {name} is not found.")
    return found


def _wrong(message: str) -> Refused:
    return Refused("INVALID_ARGUMENT", message)
