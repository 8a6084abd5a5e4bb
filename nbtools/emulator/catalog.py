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

#: service -> the module of the SDK that it lies in.
SERVICES: Final = {
    "MetadataService": "google.cloud.aiplatform_v1.services.metadata_service",
    "TensorboardService": "google.cloud.aiplatform_v1.services.tensorboard_service",
    "NotebookService": "google.cloud.aiplatform_v1.services.notebook_service",
    "ScheduleService": "google.cloud.aiplatform_v1.services.schedule_service",
    "notebooks_v2/NotebookService": "google.cloud.notebooks_v2.services.notebook_service",
}
#: services whose client speaks gRPC only; likewise.
WITHOUT_REST: Final = {
    "notebooks_v1/NotebookService": "google.cloud.notebooks_v1.services.notebook_service",
    "notebooks_v1/ManagedNotebookService": (
        "google.cloud.notebooks_v1.services.managed_notebook_service"
    ),
}
#: a package that not everybody who wants an emulator has: without it its services are not there.
WORKBENCH: Final = "google.cloud.notebooks_v"
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
    def message(self, name: str, api: str = "aiplatform_v1") -> Any:
        """The class of the protobuf message of that name; raises AttributeError."""
        types = import_module(f"google.cloud.{api}.types")
        return _raw(getattr(types, name))


def load() -> Catalog:
    """Read the installed SDK; takes seconds. Raises MissingDependency."""
    methods: dict[str, Method] = {}
    try:
        for method in _methods():
            known = methods.get(method.name)
            routes = known.routes if known else ()  # a mixin has those of every service
            methods[method.name] = replace(
                method, routes=tuple(dict.fromkeys((*routes, *method.routes)))
            )
    except ModuleNotFoundError:
        raise MissingDependency(f"the emulator needs google-cloud-aiplatform: {_PIP}") from None
    return Catalog(methods)


def _methods() -> typing.Iterator[Method]:
    for services, read in ((SERVICES, _over_rest), (WITHOUT_REST, _over_grpc)):
        for service, package in services.items():
            try:
                import_module(package)
            except ModuleNotFoundError:
                if package.startswith(WORKBENCH):
                    continue
                raise
            yield from read(service, package)


def _path(service: str, package: str) -> str:
    """A service as gRPC calls it."""
    api = package.partition(".services")[0].replace("_v", ".v")
    return f"/{api}.{service.rpartition('/')[2]}"


def _over_rest(service: str, package: str) -> typing.Iterator[Method]:
    base = import_module(f"{package}.transports.rest_base")
    rest = import_module(f"{package}.transports.rest")
    own = service.rpartition("/")[2]
    routes = getattr(base, f"_Base{own}RestTransport")
    stubs = getattr(rest, f"{own}RestTransport")
    for key, stub in vars(stubs).items():
        rpc = key.removeprefix("_")
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
            name=f"{mixin.rpartition('.')[2]}.{rpc}" if mixin else f"{service}.{rpc}",
            path=f"/{mixin}/{rpc}" if mixin else f"{_path(service, package)}/{rpc}",
            request=_raw(hints["request"]),
            response=_raw(answer),
            streams=streams,
            routes=tuple(_routes(options)),
        )


def _over_grpc(service: str, package: str) -> typing.Iterator[Method]:
    """By asking the client for each of its calls, on a channel that writes them down."""
    import grpc
    from google.longrunning import operations_pb2

    asked: list[tuple[str, Any, Any]] = []

    class Channel:
        def unary_unary(
            self, path: str, request_serializer: Any, response_deserializer: Any
        ) -> None:
            asked.append((path, request_serializer, response_deserializer))

    own = service.rpartition("/")[2]
    kind = getattr(import_module(f"{package}.transports.grpc"), f"{own}GrpcTransport")
    with grpc.insecure_channel("localhost:1") as unused:  # it connects to nothing
        transport = kind(channel=unused)
        transport._stubs.clear()
        transport._logged_channel = Channel()
        for name in inspect.getmembers(kind, lambda member: isinstance(member, property)):
            if name[0] not in ("operations_client", "grpc_channel", "host", "kind"):
                getattr(transport, name[0])
    for path, serialize, deserialize in asked:
        if not path.startswith(f"{_path(service, package)}/"):
            continue  # a mixin
        answer = getattr(deserialize, "__self__", None)
        yield Method(
            name=f"{service}.{path.rpartition('/')[2]}",
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
