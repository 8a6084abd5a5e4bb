"""The environments that the screens offer: the kernels of this machine."""

from __future__ import annotations

import threading
from pathlib import Path

from jupyter_scheduler.environments import EnvironmentManager, EnvironmentRetrievalError
from jupyter_scheduler.models import RuntimeEnvironment

from nbtools import registry
from nbtools.errors import NbtoolsError
from nbtools.lab.intake import OWN_KERNEL
from nbtools.lab.slip import FORMATS
from nbtools.settings import Settings
from nbtools.warming import warm_runner


class Kernels(EnvironmentManager):
    """A kernelspec is an environment; first stands the notebook's own, which is the default."""

    def list_environments(self) -> list[RuntimeEnvironment]:
        from jupyter_client.kernelspec import KernelSpecManager

        try:
            default = Settings.load(Path.cwd()).executor
        except NbtoolsError as error:
            raise EnvironmentRetrievalError(str(error)) from None
        # Whoever opens the form is about to begin a job: what that needs loads meanwhile.
        threading.Thread(target=warm_runner, name="nbtools-warm", daemon=True).start()
        specs = KernelSpecManager().get_all_specs()
        names = {name: str(specs[name]["spec"].get("display_name", name)) for name in sorted(specs)}
        first = {OWN_KERNEL: "The kernel that the notebook was last opened with"}
        return [
            RuntimeEnvironment(
                name=name,
                label=name,  # the form chooses by label and sends it as the name
                description=description,
                file_extensions=["ipynb"],
                output_formats=list(FORMATS),
                metadata=None,
                compute_types=list(registry.EXECUTORS),
                default_compute_type=default,
                utc_only=False,
            )
            for name, description in {**first, **names}.items()
        ]

    def manage_environments_command(self) -> str:
        return ""

    def output_formats_mapping(self) -> dict[str, str]:
        return dict(FORMATS)
