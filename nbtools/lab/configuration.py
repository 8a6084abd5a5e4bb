"""What JupyterLab is told so that its job screens are ours."""

from __future__ import annotations

import json
from typing import Any

from nbtools.lab import labextensions

#: what is set of jupyter-scheduler; installing the package says the same in a file.
SCHEDULER: dict[str, str] = {
    "scheduler_class": "nbtools.lab.scheduler.Scheduler",
    "environment_manager_class": "nbtools.lab.environments.Kernels",
    "job_files_manager_class": "nbtools.lab.files.Manager",
}
#: of its successor, which has several backends: the lists are ours, and notebooks go to us.
SEVERAL: dict[str, Any] = {
    "environment_manager_class": SCHEDULER["environment_manager_class"],
    "job_files_manager_class": SCHEDULER["job_files_manager_class"],
    "legacy_job_backend": "nbtools",
    "preferred_backends": {"ipynb": "nbtools"},
}


def options() -> list[str]:
    """Arguments for `jupyter lab`."""
    from importlib.util import find_spec

    several = find_spec("jupyter_scheduler.backend_registry") is not None
    said = SEVERAL if several else SCHEDULER
    extensions = {"nbtools.lab": True, "jupyter_scheduler": True}
    return [
        *(f"--SchedulerApp.{name}={_text(value)}" for name, value in said.items()),
        f"--ServerApp.jpserver_extensions={_text(extensions)}",
        f"--LabApp.extra_labextensions_path={_text([str(labextensions())])}",
    ]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return repr(value) if isinstance(value, dict | list) else json.dumps(value)
