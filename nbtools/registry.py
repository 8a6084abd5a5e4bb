"""Names of implementations, imported when used; and what a missing package needs."""

from __future__ import annotations

import gc
import sys
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from nbtools.errors import MissingDependency, RequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import ModuleType

    from nbtools.clock import Clock
    from nbtools.executor import Executor
    from nbtools.importer import Importer
    from nbtools.mirror import Mirror

EXECUTORS = {
    "local": "nbtools.executors.local:LocalExecutor",
    "vertex": "nbtools.executors.vertex:VertexExecutor",
}
#: executor -> its own clock, which fires schedules.
CLOCKS = {"vertex": "nbtools.executors.vertex_clock:VertexClock"}
#: whose history can be moved here; in this order it is looked for.
IMPORTERS = {
    "mlflow": "nbtools.importers.mlflow:MLflow",
    "wandb": "nbtools.importers.wandb:WandB",
    "trackio": "nbtools.importers.trackio:Trackio",
    "tensorboard": "nbtools.importers.tensorboard:TensorBoard",
}
#: mirror -> where it lies, the package that it needs
MIRRORS = {
    "tensorboard": ("nbtools.mirrors.tensorboard:TensorboardMirror", "tensorboard"),
    "wandb": ("nbtools.mirrors.wandb:WandbMirror", "wandb"),
    "vertex": ("nbtools.mirrors.vertex:VertexMirror", "google.cloud.aiplatform_v1"),
}

#: what Google's SDK in a notebook may talk to -> what gives a program its environment for that.
VERTEX = {"local": "nbtools.emulator.lifecycle:surroundings"}

#: import name -> what to give pip.
PIP = {
    "pandas": "pandas", "matplotlib": "matplotlib", "fsspec": "fsspec", "optuna": "'optuna>=4'",
    "prometheus_client": "prometheus-client", "jupyterlab": "'nbtools-workflow[lab]'",
    "jupyter_scheduler": "'nbtools-workflow[lab]'",
    "google.cloud.notebooks_v1": "'nbtools-workflow[workbench]'",
    "google.cloud.notebooks_v2": "'nbtools-workflow[workbench]'",
    "google.cloud.aiplatform_v1": "'nbtools-workflow[vertex]'",
    "anywidget": "'nbtools-workflow[ui]'",
}  # fmt: skip


def executor(name: str) -> Executor:
    """The executor of that name."""
    if name not in EXECUTORS:
        raise RequestError(f"no executor {name!r}: there is {', '.join(EXECUTORS)}")
    module, _, attribute = EXECUTORS[name].partition(":")
    made: Executor = getattr(import_module(module), attribute)()
    return made


def clock(name: str) -> Clock:
    """The clock of the executor of that name."""
    if name not in CLOCKS:
        raise RequestError(f"executor {name!r} has no clock: {', '.join(CLOCKS)} has")
    module, _, attribute = CLOCKS[name].partition(":")
    made: Clock = getattr(import_module(module), attribute)()
    return made


def importer(name: str) -> Importer:
    """The importer of that name."""
    if name not in IMPORTERS:
        raise RequestError(f"no importer {name!r}: there is {', '.join(IMPORTERS)}")
    module, _, attribute = IMPORTERS[name].partition(":")
    made: Importer = getattr(import_module(module), attribute)()
    return made


def mirror(name: str, options: Mapping[str, Any]) -> Mirror:
    """A new mirror of that name; one of somebody's own is named `module:Class`.

    Making it costs nothing. Raises RequestError for a name or an option that there is not,
    MissingDependency when the package that it needs is not installed.
    """
    where, needs = MIRRORS.get(name, (name, name.partition(":")[0]))
    module, _, attribute = where.partition(":")
    if not attribute:
        raise RequestError(f"no mirror {name!r}: there is {', '.join(MIRRORS)}, or module:Class")
    try:
        found = find_spec(needs)
    except ModuleNotFoundError:  # the package that it would lie in
        found = None
    if found is None:
        raise MissingDependency(
            f"mirror {name!r} needs {needs}: pip install {PIP.get(needs, needs)}"
        )
    try:
        made: Mirror = getattr(import_module(module), attribute)(**options)
    except (TypeError, AttributeError) as error:
        raise RequestError(f"mirror {name!r} cannot be made: {error}") from None
    return made


def vertex(name: str) -> Callable[[Path, Mapping[str, str]], dict[str, str]]:
    """What gives the variables that a program needs besides, of a store and its environment."""
    if name not in VERTEX:
        raise RequestError(f"no vertex {name!r}: there is {', '.join(VERTEX)}")
    module, _, attribute = VERTEX[name].partition(":")
    found: Callable[[Path, Mapping[str, str]], dict[str, str]]
    found = getattr(import_module(module), attribute)
    return found


def need(module: str) -> ModuleType:
    """Import a package that not every user has; says the pip line when it is missing."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise MissingDependency(
            f"this needs {error.name}: pip install {PIP.get(module, module)}"
        ) from None


def own_process() -> None:
    """Called first by programs that are ours from start to end, never by the library.

    jsonschema, which nbformat imports, builds a grammar for one format that notebooks do
    not use, and that takes over a second. It does without when the grammar is missing.
    """
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    gc.set_threshold(50_000)  # collecting while modules load finds nothing, and takes its time
