"""The RPCs of Vertex AI's services, as the installed SDK has them.

Read from the SDK's own REST transports, so that what is served is what that SDK calls. Their
names are private: `tests/emulator/test_catalog.py` tells when a new release has others.
"""

from __future__ import annotations

import inspect
import typing
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from typing import Any, Final

from nbtools.errors import MissingDependency


@dataclass(frozen=True)
class Service:
    """A service, and where its SDK is."""

    module: str  #: that its generated client and transports lie in
    package: str  #: of its protobuf messages, as gRPC's paths have it
    optional: bool = False  #: left out when its SDK is not installed
    rest: bool = True  #: whether its SDK speaks REST too


def _notebooks(version: str, noun: str, rest: bool) -> Service:
    module = f"google.cloud.notebooks_{version}.services.{noun}_service"
    return Service(module, f"google.cloud.notebooks.{version}", optional=True, rest=rest)


def _vertex(noun: str) -> Service:
    module = f"google.cloud.aiplatform_v1.services.{noun}_service"
    return Service(module, "google.cloud.aiplatform.v1")


#: by the first part of its RPCs' names, of which the last word is the service's own. Two that are
#: called alike differ in what stands before: `notebooks_v2.NotebookService`.
SERVICES: Final = {
    "MetadataService": _vertex("metadata"),
    "TensorboardService": _vertex("tensorboard"),
    "NotebookService": _vertex("notebook"),
    "ScheduleService": _vertex("schedule"),
    "notebooks_v2.NotebookService": _notebooks("v2", "notebook", rest=True),
    "notebooks_v1.NotebookService": _notebooks("v1", "notebook", rest=False),
    "notebooks_v1.ManagedNotebookService": _notebooks("v1", "managed_notebook", rest=False),
}
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
PIP: Final = "pip install 'nbtools-workflow[vertex]'"


@dataclass(frozen=True)
class Route:
    """One way to call an RPC over HTTP."""

    verb: str  #: GET, POST, PATCH or DELETE
    template: str  #: `/v1/{name=projects/*/locations/*}`
    body: str  #: the field that the body is, `*` for the whole request, empty for none


@dataclass(frozen=True)
class Method:
    """One RPC."""

    name: str  #: `MetadataService.GetContext`; behind the last dot is the RPC's own
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
    def message(self, name: str, package: str = "google.cloud.aiplatform_v1") -> Any:
        """The class of the protobuf message of that name; raises AttributeError."""
        types = import_module(f"{package}.types")
        return _raw(getattr(types, name))


def load() -> Catalog:
    """Read the installed SDK; takes seconds. Raises MissingDependency."""
    methods: dict[str, Method] = {}
    for key, service in SERVICES.items():
        try:
            found = list((_methods if service.rest else _over_grpc)(key, service))
        except ModuleNotFoundError:
            if service.optional:
                continue
            raise MissingDependency(f"the emulator needs google-cloud-aiplatform: {PIP}") from None
        for method in found:  # what every service has besides, each has at its own routes
            known = methods.get(method.name)
            routes = dict.fromkeys((*(known.routes if known else ()), *method.routes))
            methods[method.name] = replace(method, routes=tuple(routes))
    return Catalog(methods)


def _methods(key: str, service: Service) -> typing.Iterator[Method]:
    base = import_module(f"{service.module}.transports.rest_base")
    rest = import_module(f"{service.module}.transports.rest")
    name = key.rpartition(".")[2]
    routes = getattr(base, f"_Base{name}RestTransport")
    for word, stub in vars(getattr(rest, f"{name}RestTransport")).items():
        rpc = word.removeprefix("_")
        options = getattr(routes, f"_Base{rpc}", None)
        if not inspect.isclass(stub) or options is None:
            continue
        mixin = MIXINS.get(rpc)
        hints = typing.get_type_hints(stub.__call__)
        answer = hints.get("return", type(None))
        streams = answer.__name__ == "ResponseIterator"
        if streams:
            answer = getattr(inspect.getmodule(hints["request"]), f"{rpc}Response")
        yield Method(
            name=f"{mixin.rpartition('.')[2]}.{rpc}" if mixin else f"{key}.{rpc}",
            path=f"/{mixin or f'{service.package}.{name}'}/{rpc}",
            request=_raw(hints["request"]),
            response=_raw(answer),
            streams=streams,
            routes=tuple(_routes(options)),
        )


def _over_grpc(key: str, service: Service) -> typing.Iterator[Method]:
    """By asking the client for each of its calls, on a channel that writes them down."""
    import grpc
    from google.longrunning import operations_pb2

    asked: list[tuple[str, Any, Any]] = []

    class Channel:
        def unary_unary(
            self, path: str, request_serializer: Any, response_deserializer: Any
        ) -> None:
            asked.append((path, request_serializer, response_deserializer))

    name = key.rpartition(".")[2]
    kind = getattr(import_module(f"{service.module}.transports.grpc"), f"{name}GrpcTransport")
    with grpc.insecure_channel("localhost:1") as unused:  # it connects to nothing
        transport = kind(channel=unused)
        transport._stubs.clear()
        transport._logged_channel = Channel()
        for call, _ in inspect.getmembers(kind, lambda member: isinstance(member, property)):
            if call not in ("operations_client", "grpc_channel", "host", "kind"):
                getattr(transport, call)
    for path, serialize, deserialize in asked:
        if not path.startswith(f"/{service.package}.{name}/"):
            continue  # a mixin
        answer = getattr(deserialize, "__self__", None)
        yield Method(
            name=f"{key}.{path.rpartition('/')[2]}",
            path=path,
            request=_raw(serialize.__self__),
            response=_raw(answer) if inspect.isclass(answer) else operations_pb2.Operation,
            streams=False,
            routes=(),
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
