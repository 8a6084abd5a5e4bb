"""Zygotes begun before they are needed, and kernelspecs whose kernels come from them."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from nbtools import registry
from nbtools.errors import RequestError
from nbtools.executors.local import RUNNER
from nbtools.kernels.preload import imports
from nbtools.kernels.zygotes import Spec, Standing, Zygotes, can_fork
from nbtools.notebook import Notebook
from nbtools.settings import Settings, environment

#: seconds that loading may take.
PATIENCE = 120.0


def warm(notebook: str | Path, kernel: str = "", cwd: str = "") -> Standing:
    """Load what the notebook imports into the zygote that its kernels will come from.

    `cwd`: where they will run; default: the notebook's folder. Raises RequestError when its
    kernel is none that can be forked.
    """
    settings, found = Settings.load(), Notebook.read(notebook)
    name = registry.executor("local").check(kernel or found.kernel or settings.kernel)
    preload = settings.preload or imports(found.data, Path(cwd) if cwd else found.path.parent)
    spec = _spec(name, preload) if can_fork() else None
    if spec is None:
        raise RequestError(
            f"kernel {name!r} cannot be forked: only IPython kernels on Linux can; it starts anew"
        )
    made = Zygotes(settings.runtime, settings.idle).warm(spec, PATIENCE)
    if made is None:
        raise RequestError(
            f"it did not load within {PATIENCE:g} s: {settings.runtime}/{spec.key}.log says why"
        )
    return made


def warm_runner() -> None:
    """Load what executing needs into the zygote that the processes of jobs will come from."""
    settings = Settings.load()
    if settings.warm and can_fork():
        spec = Spec.of(sys.executable, RUNNER, environment(), ("-P",))
        Zygotes(settings.runtime, settings.idle).warm(spec, PATIENCE)


def install(name: str, prefix: str = "", preload: Sequence[str] = ()) -> str:
    """Install a kernelspec of this interpreter whose kernels are warm; returns its folder."""
    from ipykernel.kernelspec import install as install_spec

    folder: str = install_spec(
        user=not prefix,
        prefix=prefix or None,
        kernel_name=name,
        display_name=f"Python {sys.version_info[0]} (warm)",
    )
    path = Path(folder) / "kernel.json"
    spec = json.loads(path.read_text(encoding="utf-8"))
    config = {"preload": list(preload)} if preload else {}
    spec.setdefault("metadata", {})["kernel_provisioner"] = {
        "provisioner_name": "nbtools-warm",
        "config": config,
    }
    path.write_text(json.dumps(spec, indent=1) + "\n", encoding="utf-8")
    return folder


def _spec(kernel: str, preload: tuple[str, ...]) -> Spec | None:
    """The zygote that a kernel of that kernelspec would come from, or None."""
    from jupyter_client.manager import KernelManager

    from nbtools.kernels.provisioner import Launch

    manager = KernelManager(kernel_name=kernel)
    try:
        command, options = manager.pre_start_kernel()
    finally:
        manager.cleanup_resources()
    launch = Launch.of(command)
    return launch.spec(preload, options["env"]) if launch else None
