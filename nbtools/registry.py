"""Names of implementations, imported when used; and what a missing package needs."""

from __future__ import annotations

import gc
import sys
from importlib import import_module
from typing import TYPE_CHECKING

from nbtools.errors import MissingDependency, RequestError

if TYPE_CHECKING:
    from types import ModuleType

    from nbtools.executor import Executor

EXECUTORS = {"local": "nbtools.executors.local:LocalExecutor"}

#: import name -> what to give pip.
PIP = {"pandas": "pandas", "matplotlib": "matplotlib", "optuna": "'optuna>=4'"}


def executor(name: str) -> Executor:
    """The executor of that name."""
    if name not in EXECUTORS:
        raise RequestError(f"no executor {name!r}: there is {', '.join(EXECUTORS)}")
    module, _, attribute = EXECUTORS[name].partition(":")
    made: Executor = getattr(import_module(module), attribute)()
    return made


def need(module: str) -> ModuleType:
    """Import a package that not every user has; says the pip line when it is missing."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
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
