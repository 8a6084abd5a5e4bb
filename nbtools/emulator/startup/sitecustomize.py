"""Python begins with this where `nbtools emulator env` has put its folder on PYTHONPATH.

When `google.cloud.aiplatform` is first imported it is told where the emulator is; what the
program says to it later holds besides. Any other `sitecustomize` is carried out too.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any

MODULE = "google.cloud.aiplatform"
#: variables for which `init` would ask a server before it knows where that is.
EARLY = ("AIP_EXPERIMENT_NAME", "AIP_EXPERIMENT_RUN_NAME", "AIP_TENSORBOARD_RESOURCE_NAME")


class Finder(MetaPathFinder):
    """Finds that module as it is found without this, and sees to what comes after."""

    def __init__(self) -> None:
        self._asked = False

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """The module's spec, whose loader connects it; None for any other."""
        if fullname != MODULE or self._asked:
            return None
        self._asked = True
        try:
            spec = find_spec(fullname)
        finally:
            self._asked = False
        if spec is not None and spec.loader is not None:
            loader: Any = spec.loader
            execute = loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                connect(module)

            loader.exec_module = exec_module
        return spec


def connect(aiplatform: Any) -> None:
    """Tell the SDK where the emulator is."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.aiplatform import initializer

    rest, grpc = os.environ["NBTOOLS_VERTEX"], os.environ["NBTOOLS_VERTEX_GRPC"]
    config: Any = initializer.global_config

    class Config(type(config)):  # type: ignore[misc]
        """Whose endpoint is the one of its transport: `init` may change that by itself."""

        @property
        def _api_endpoint(self) -> str:
            return self.__dict__.get("_asked") or (rest if self._api_transport == "rest" else grpc)

        @_api_endpoint.setter
        def _api_endpoint(self, asked: str) -> None:
            self.__dict__["_asked"] = asked

    config.__class__ = Config
    early = {name: os.environ.pop(name) for name in EARLY if name in os.environ}
    try:
        aiplatform.init(
            project=os.environ["NBTOOLS_VERTEX_PROJECT"],
            location=os.environ["NBTOOLS_VERTEX_LOCATION"],
            api_transport=os.environ["NBTOOLS_VERTEX_TRANSPORT"],
            credentials=AnonymousCredentials(),
        )
    finally:
        os.environ.update(early)


def next_one() -> None:
    """Carry out the `sitecustomize` that this one stands before."""
    here = os.path.dirname(os.path.abspath(__file__))
    others = [folder for folder in sys.path if os.path.abspath(folder or ".") != here]
    spec = PathFinder.find_spec("sitecustomize", others)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(module_from_spec(spec))


if os.environ.get("NBTOOLS_VERTEX"):
    sys.meta_path.insert(0, Finder())
next_one()
