"""An instance as its user writes it, in YAML or flags, and as the service wants it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from nbtools import yaml_file
from nbtools.cloud import Place
from nbtools.duration import seconds
from nbtools.errors import RequestError

SCHEMA: Final = Path(__file__).with_name("spec.schema.json")
IDLE: Final = "idle-timeout-seconds"
SCRIPT: Final = "post-startup-script"
#: metadata that the system writes, whatever anybody else does: as it is documented.
RESERVED: Final = frozenset(
    """
agent-health-check-interval-seconds agent-health-check-path cos-update-strategy
custom-container-image custom-container-payload data-disk-uri dataproc-allow-custom-clusters
dataproc-cluster-name dataproc-configs dataproc-default-subnet dataproc-locations-list
dataproc-machine-types-list dataproc-notebooks-url dataproc-region dataproc-service-account
disable-check-xsrf euc-enabled framework generate-diagnostics-bucket generate-diagnostics-file
generate-diagnostics-options google-logging-enabled image-url install-monitoring-agent
install-nvidia-driver installed-extensions last_updated_diagnostic last_updated_diagnostics
notebooks-api notebooks-api-version notebooks-examples-location notebooks-location
proxy-backend-id proxy-byoid-url proxy-mode proxy-status proxy-url proxy-user-mail
report-container-health report-event-url report-notebook-metrics report-system-health
report-system-status resource-url restriction serial-port-logging-enable service-account-mode
shutdown-script title use-collaborative user-data version
""".split()  # noqa: SIM905 - a list of its lines would be fifty
)
#: what to say instead of a reserved key.
_INSTEAD: Final = {
    "proxy-mode": "who may open JupyterLab is `owner`, or without one the service account's users",
    "proxy-user-mail": "the single user is `owner`",
    "service-account-mode": "leave `owner` out, and name a `service_account`",
    "framework": "the environment is `image` or `container`",
    "install-nvidia-driver": "it is `accelerator: {install_driver: true}`",
}


#: accelerator -> the machines that it can be in, as Compute Engine documents it.
MACHINES: Final = {
    **dict.fromkeys(
        (
            "NVIDIA_TESLA_P100", "NVIDIA_TESLA_V100", "NVIDIA_TESLA_P4", "NVIDIA_TESLA_T4",
            "NVIDIA_TESLA_T4_VWS", "NVIDIA_TESLA_P100_VWS", "NVIDIA_TESLA_P4_VWS",
        ),
        ("n1-",),
    ),
    "NVIDIA_TESLA_A100": ("a2-highgpu-", "a2-megagpu-"),
    "NVIDIA_A100_80GB": ("a2-ultragpu-",),
    "NVIDIA_L4": ("g2-",),
}  # fmt: skip


def read(path: Path) -> dict[str, Any]:
    """The spec that a file has, unchecked: flags may come on top. Raises RequestError."""
    found = yaml_file.load(path, aliases=False)
    if not isinstance(found, dict):
        raise RequestError(f"{path} is no instance: write `name: NAME` and what else it has")
    return found


def merged(spec: Mapping[str, Any], flags: Mapping[str, Any]) -> dict[str, Any]:
    """A spec with flags on top; what a flag does not say stays."""
    made = dict(spec)
    for key, value in flags.items():
        below = made.get(key)
        both = isinstance(value, Mapping) and isinstance(below, Mapping)
        made[key] = merged(below, value) if both else value  # type: ignore[arg-type]
    return made


def checked(spec: Mapping[str, Any], source: str = "instance") -> dict[str, Any]:
    """A spec that a service could take. Raises RequestError, with a line a fault."""
    wrong = list(yaml_file.faults(dict(spec), SCHEMA))
    if not wrong:
        wrong = list(_contradictions(spec))
    if wrong:
        raise RequestError("\n".join(f"{source}: {sentence}" for sentence in wrong))
    return dict(spec)


def _contradictions(spec: Mapping[str, Any]) -> list[str]:
    wrong = []
    if "image" in spec and "container" in spec:
        wrong.append("image and container exclude each other: a container brings its environment")
    metadata = spec.get("metadata", {})
    for key in metadata:
        if key in RESERVED:
            instead = _INSTEAD.get(key, "leave it out")
            wrong.append(f"metadata.{key} is reserved, Workbench writes it itself: {instead}")
    for key, word in ((IDLE, "idle_shutdown"), (SCRIPT, "post_startup_script")):
        if key in metadata and word in spec:
            wrong.append(f"{word} and metadata.{key} say the same thing: keep {word}")
    kind = spec.get("accelerator", {}).get("type", "")
    machines = MACHINES.get(kind, ("",))
    if not spec.get("machine_type", "").startswith(machines):
        said = spec.get("machine_type") or "machine_type is missing, and the default machine"
        wrong.append(f"{said} has no {kind}: it goes with a machine_type {' or '.join(machines)}…")
    if spec.get("scopes") and not spec.get("service_account"):
        wrong.append("scopes without a service_account: name whose they are")
    try:
        idle(spec.get("idle_shutdown", False))
    except RequestError as error:
        wrong.append(f"idle_shutdown: {error}")
    return wrong


def idle(said: Any) -> str:
    """`idle_shutdown` as the metadata's value: seconds, or empty for never. Raises RequestError."""
    if said is False:
        return ""
    found = seconds(str(said))
    if not 1 <= found < 2**31:
        raise RequestError(f"{said} is no time to wait: write 90m, 3h, or false")
    return str(round(found))


def instance(spec: Mapping[str, Any], place: Place) -> dict[str, Any]:
    """A checked spec as the service's Instance, in JSON as its reference has it."""
    setup: dict[str, Any] = {}
    if "machine_type" in spec:
        setup["machineType"] = spec["machine_type"]
    if found := spec.get("accelerator"):
        count = str(found.get("count", 1))
        setup["acceleratorConfigs"] = [{"type": found["type"], "coreCount": count}]
        driver = _renamed(found, install_driver="enableGpuDriver",
                          driver_path="customGpuDriverPath")  # fmt: skip
        setup |= {"gpuDriverConfig": driver} if driver else {}
    if "image" in spec:
        setup["vmImage"] = dict(spec["image"])
    if "container" in spec:
        setup["containerImage"] = dict(spec["container"])
    if found := spec.get("boot_disk"):
        setup["bootDisk"] = _disk(found)
    if found := spec.get("data_disk"):
        setup["dataDisks"] = [_disk(found)]
    setup |= _network(spec.get("network", {}), place)
    if found := spec.get("shielded"):
        setup["shieldedInstanceConfig"] = _renamed(
            found, secure_boot="enableSecureBoot", vtpm="enableVtpm",
            integrity_monitoring="enableIntegrityMonitoring",
        )  # fmt: skip
    if "service_account" in spec:
        account: dict[str, Any] = {"email": spec["service_account"]}
        setup["serviceAccounts"] = [account | _renamed(spec, scopes="scopes")]
    if metadata := _metadata(spec):
        setup["metadata"] = metadata
    made: dict[str, Any] = {"gceSetup": setup}
    if "owner" in spec:
        made["instanceOwners"] = [spec["owner"]]
    if spec.get("proxy") is False:
        made["disableProxyAccess"] = True
    if spec.get("labels"):
        made["labels"] = dict(spec["labels"])
    return made


def _renamed(given: Mapping[str, Any], **names: str) -> dict[str, Any]:
    return {new: given[old] for old, new in names.items() if old in given}


def _disk(said: Mapping[str, Any]) -> dict[str, Any]:
    made = _renamed(said, type="diskType", kms_key="kmsKey")
    if "size_gb" in said:
        made["diskSizeGb"] = str(said["size_gb"])  # an int64 is a string in protobuf's JSON
    if "kms_key" in said:
        made["diskEncryption"] = "CMEK"
    return made


def _network(said: Mapping[str, Any], place: Place) -> dict[str, Any]:
    interface = _renamed(said, nic_type="nicType")
    if found := said.get("network"):
        short = "/" not in found
        interface["network"] = (
            f"projects/{place.project}/global/networks/{found}" if short else found
        )
    if found := said.get("subnet"):
        short = "/" not in found
        interface["subnet"] = (
            f"projects/{place.project}/regions/{place.region}/subnetworks/{found}"
            if short else found
        )  # fmt: skip
    made: dict[str, Any] = {"networkInterfaces": [interface]} if interface else {}
    if said.get("public_ip") is False:
        made["disablePublicIp"] = True
    return made | _renamed(said, ip_forwarding="enableIpForwarding", tags="tags")


def _metadata(spec: Mapping[str, Any]) -> dict[str, str]:
    """Values as the machine reads them: all are text."""
    made = {key: plain(value) for key, value in spec.get("metadata", {}).items()}
    if "idle_shutdown" in spec:
        made[IDLE] = idle(spec["idle_shutdown"])
    if "post_startup_script" in spec:
        made[SCRIPT] = spec["post_startup_script"]
    return made


def plain(value: Any) -> str:
    """A metadata value as text: `true`, not Python's `True`."""
    return str(value).lower() if isinstance(value, bool) else str(value)
