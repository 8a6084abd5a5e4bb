"""The RPCs of Vertex AI's services, as the installed SDK has them.

Read from the SDK's own REST transports, so that what is served is what that SDK calls. Their
names are private: `tests/emulator/test_catalog.py` tells when a new release has others.
"""

from __future__ import annotations

import inspect
import typing
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, Final

from nbtools.errors import MissingDependency

#: service -> the module of the SDK that it lies in.
SERVICES: Final = {
    "MetadataService": "google.cloud.aiplatform_v1.services.metadata_service",
    "TensorboardService": "google.cloud.aiplatform_v1.services.tensorboard_service",
    "NotebookService": "google.cloud.aiplatform_v1.services.notebook_service",
    "ScheduleService": "google.cloud.aiplatform_v1.services.schedule_service",
}
PACKAGE: Final = "google.cloud.aiplatform.v1"
#: what every service has besides, of Google's own packages.
MIXINS: Final = {
    "ListOperations": "google.longrunning.Operations",
    "GetOperation": "google.longrunning.Operations",
    "DeleteOperation": "google.longrunning.Operations",
    "CancelOperation": "google.longrunning.Operations",
    "WaitOperation": "google.longrunning.Operations",
    "GetLocation": "google.cloud.location.Locations",
    "ListLocations": "google.cloud.location.Locations",
    "SetIamPolicy": "google.iam.v1.IAMPolicy",
    "GetIamPolicy": "google.iam.v1.IAMPolicy",
    "TestIamPermissions": "google.iam.v1.IAMPolicy",
}
_PIP: Final = "pip install 'nbtools-workflow[vertex]'"


@dataclass(frozen=True)
class Route:
    """One way to call an RPC over HTTP."""

    verb: str  #: GET, POST, PATCH or DELETE
    template: str  #: `/v1/{name=projects/*/locations/*}`
    body: str  #: the field that the body is, `*` for the whole request, empty for none


@dataclass(frozen=True)
class Method:
    """One RPC."""

    name: str  #: `MetadataService.GetContext`
    path: str  #: as gRPC has it: `/google.cloud.aiplatform.v1.MetadataService/GetContext`
    request: Any  #: class of the protobuf message that it takes
    response: Any  #: class of the protobuf message that it returns
    streams: bool  #: whether it returns several of these
    routes: tuple[Route, ...]


class Catalog:
    """All RPCs, and the messages that they are made of."""

    def __init__(self, methods: dict[str, Method]) -> None:
        self.methods = methods

    @cache  # noqa: B019 - one catalog a process
    def message(self, name: str) -> Any:
        """The class of the protobuf message of that name; raises AttributeError."""
        types = import_module("google.cloud.aiplatform_v1.types")
        return _raw(getattr(types, name))


def load() -> Catalog:
    """Read the installed SDK; takes seconds. Raises MissingDependency."""
    try:
        methods = dict(_methods())
    except ModuleNotFoundError:
        raise MissingDependency(f"the emulator needs google-cloud-aiplatform: {_PIP}") from None
    return Catalog(methods)


def _methods() -> typing.Iterator[tuple[str, Method]]:
    for service, package in SERVICES.items():
        base = import_module(f"{package}.transports.rest_base")
        rest = import_module(f"{package}.transports.rest")
        routes = getattr(base, f"_Base{service}RestTransport")
        stubs = getattr(rest, f"{service}RestTransport")
        for key, stub in vars(stubs).items():
            rpc = key.removeprefix("_")
            options = getattr(routes, f"_Base{rpc}", None)
            if not inspect.isclass(stub) or options is None:
                continue
            mixin = MIXINS.get(rpc)
            name = f"{mixin.rpartition('.')[2]}.{rpc}" if mixin else f"{service}.{rpc}"
            hints = typing.get_type_hints(stub.__call__)
            answer = hints.get("return", type(None))
            streams = answer.__name__ == "ResponseIterator"
            if streams:
                answer = getattr(inspect.getmodule(hints["request"]), f"{rpc}Response")
            yield (
                name,
                Method(
                    name=name,
                    path=f"/{mixin or f'{PACKAGE}.{service}'}/{rpc}",
                    request=_raw(hints["request"]),
                    response=_raw(answer),
                    streams=streams,
                    routes=tuple(_routes(options)),
                ),
            )


def _routes(options: Any) -> typing.Iterator[Route]:
    for option in options._get_http_options():
        yield Route(option["method"].upper(), option["uri"], option.get("body") or "")


def _raw(kind: Any) -> Any:
    """The protobuf class behind one of proto-plus; None's is Empty."""
    if kind is type(None):
        return import_module("google.protobuf.empty_pb2").Empty
    meta = getattr(kind, "_meta", None) or getattr(kind, "meta", None)
    return meta.pb if meta is not None and hasattr(meta, "pb") else kind
