"""A task as Vertex AI is asked for it: the fields of a NotebookExecutionJob. Nothing is sent."""

from __future__ import annotations

import hashlib
import re
import socket
from pathlib import Path
from typing import Any, Final

from nbtools.cloud import Place
from nbtools.errors import RequestError
from nbtools.executor import Task
from nbtools.machine import Machine
from nbtools.nouns import slug
from nbtools.settings import Settings

#: the machine of a job that names none; Colab Enterprise's own default.
MACHINE: Final = "e2-standard-4"
#: bytes of a notebook that travels within the request. Google names no limit; a larger one goes
#: to the staging bucket, which takes any.
DIRECT: Final = 1 << 20
#: seconds that Vertex AI gives a job which says nothing: a day.
LONGEST: Final = 86_400
#: label of what we have made there -> the name it has here.
LABEL: Final = "nbtools"
_PERSON: Final = re.compile(r"[^@\s]+@[^@\s]+")


def place(settings: Settings) -> Place:
    """Where jobs are executed: a region of the settings' project. Raises RequestError."""
    found = Place.of(settings)
    return Place(found.project, found.region if found.parent else "")


def sink(output: str, settings: Settings) -> str:
    """The folder of a bucket into which Vertex AI writes results. Raises RequestError."""
    if "://" in output:
        if not output.startswith("gs://"):
            raise RequestError(
                f"Vertex AI writes to buckets of its own: --output gs://…, not {output}"
            )
        return output.rstrip("/")
    if settings.staging_bucket:
        return f"{settings.staging_bucket.rstrip('/')}/nbtools/executions"
    raise RequestError(
        "where shall Vertex AI write what comes out: --output gs://BUCKET/FOLDER, or "
        'staging_bucket = "gs://…" in [tool.nbtools] of pyproject.toml'
    )


def staged(job: str, stem: str, settings: Settings) -> str:
    """Where a notebook is put that is too large for a request. Raises RequestError."""
    if not settings.staging_bucket:
        raise RequestError(
            f"the notebook is larger than {DIRECT >> 20} MiB, and goes to Vertex AI by way of a "
            'bucket: name one, staging_bucket = "gs://…" in [tool.nbtools] of pyproject.toml'
        )
    return f"{settings.staging_bucket.rstrip('/')}/nbtools/notebooks/{job}/{stem}.ipynb"


def id_of(task: Task) -> str:
    """The job's id there: always the same, and unlike that of a job of this name elsewhere."""
    return token(task.job, task.folder)


def token(name: str, folder: Path) -> str:
    """A name that says which, and that nobody has who keeps things in another folder."""
    found = hashlib.sha256(f"{socket.gethostname()} {folder} {name}".encode()).hexdigest()
    return f"{slug(name, 48)}-{found[:12]}"


def results(task: Task, settings: Settings) -> str:
    """The folder of a bucket in which this job's results are to lie. Raises RequestError."""
    return f"{sink(task.output, settings)}/{id_of(task)}"


def check(machine: Machine) -> None:
    """Raises RequestError for a machine that Vertex AI does not have so."""
    kind, _ = machine.gpus
    if kind and not re.fullmatch(r"[A-Z][A-Z0-9_]+", kind):
        raise RequestError(f"--gpu {machine.gpu!r}: write NVIDIA_TESLA_T4, or NVIDIA_TESLA_T4:2")
    who = [w for w in (machine.service_account, machine.execution_user) if w]
    if len(who) != 1:
        raise RequestError(
            "who shall the notebook be on Vertex AI: --service-account EMAIL, or, with "
            "--runtime-template, --execution-user EMAIL; one of the two, there or in "
            "[tool.nbtools.machine] of pyproject.toml"
        )
    if not _PERSON.fullmatch(who[0]):
        raise RequestError(f"{who[0]!r} is no e-mail address: that of an account is one")
    own = {"type", "gpu", "disk", "network", "subnet"} & set(machine.asked)
    if machine.runtime_template and own:
        flags = ", ".join(f"--{'machine' if name == 'type' else name}" for name in sorted(own))
        raise RequestError(f"a runtime template says what machine it is: leave out {flags}")
    if machine.execution_user and not machine.runtime_template:
        raise RequestError("--execution-user is for Colab Enterprise: name a --runtime-template")


def fields(
    task: Task, uri: str, where: Place, source: dict[str, Any], name: str = ""
) -> dict[str, Any]:
    """The NotebookExecutionJob, as Google's classes take it. `uri`: where results go."""
    machine = task.machine
    made: dict[str, Any] = {
        **source,
        "display_name": (name or task.job)[:128],
        "gcs_output_uri": uri,
        "kernel_name": task.kernel,
        "labels": {LABEL: slug(task.job, 63)},
        "execution_timeout": {"seconds": int(task.timeout or LONGEST)},
    }
    for who in ("service_account", "execution_user"):
        if getattr(machine, who):
            made[who] = getattr(machine, who)
    if machine.runtime_template:
        made["notebook_runtime_template_resource_name"] = where.name(
            machine.runtime_template, "notebookRuntimeTemplates"
        )
        return made
    return {**made, "workbench_runtime": {}, "custom_environment_spec": _environment(machine)}


def _environment(machine: Machine) -> dict[str, Any]:
    spec: dict[str, Any] = {"machine_spec": {"machine_type": machine.type or MACHINE}}
    kind, count = machine.gpus
    if kind:
        spec["machine_spec"] |= {"accelerator_type": kind, "accelerator_count": count}
    if machine.disk:
        spec["persistent_disk_spec"] = {"disk_size_gb": machine.disk}
    if machine.network or machine.subnet:
        spec["network_spec"] = {"network": machine.network, "subnetwork": machine.subnet}
    return spec
