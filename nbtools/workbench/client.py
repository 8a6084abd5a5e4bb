"""Sends requests, by Google's own clients."""

from __future__ import annotations

import json
import re
from typing import Any, Final, Literal

from nbtools import registry
from nbtools.cloud import Endpoint, told
from nbtools.errors import StateError
from nbtools.workbench.request import Request

#: service -> the package of its client, and the client's class.
_CLIENTS: Final = {
    "notebooks_v2.NotebookService": ("google.cloud.notebooks_v2", "NotebookServiceClient"),
    "notebooks_v1.NotebookService": ("google.cloud.notebooks_v1", "NotebookServiceClient"),
    "notebooks_v1.ManagedNotebookService": (
        "google.cloud.notebooks_v1", "ManagedNotebookServiceClient",
    ),
    "NotebookService": ("google.cloud.aiplatform_v1", "NotebookServiceClient"),
}  # fmt: skip
#: seconds that an operation may take: a machine with a GPU and its driver takes ten minutes.
PATIENCE: Final = 3600.0


def send(
    request: Request, endpoint: Endpoint, *, wait: bool = True, patience: float = PATIENCE
) -> Any:
    """The answer as JSON: of a list all its items, of an operation what it has ended with, or
    the operation itself if we do not `wait`.

    Raises MissingDependency, NotFound, AlreadyExists, StateError and RequestError; and
    KeyboardInterrupt with a sentence, since the service goes on without us.
    """
    service, _, rpc = request.rpc.rpartition(".")
    package, kind = _CLIENTS[service]
    module = registry.need(package)
    from google.api_core import operation

    with told(endpoint.where(request.host)):
        only_grpc = service.startswith("notebooks_v1.")
        transport: Literal["rest", "grpc"] = "grpc" if only_grpc else "rest"
        client = endpoint.client(getattr(module, kind), request.host, transport)
        message = getattr(module, f"{rpc}Request").from_json(json.dumps(request.fields))
        answer = getattr(client, _snake(rpc))(request=message)
        if isinstance(answer, operation.Operation):
            if not wait:
                return {"operation": answer.operation.name}
            answer = _ended(answer, patience)
        return _listed(answer) if rpc.startswith("List") else _json(answer)


def _listed(pager: Any) -> list[Any]:
    """All items of a list. Raises StateError when a location has not answered: what is missing
    would look like what is not there.
    """
    items, silent = list[Any](), set[str]()
    for page in pager.pages:
        found = type(page).pb(page)
        items += _json(page).get(
            found.DESCRIPTOR.fields[0].json_name, []
        )  # AIP-132: they are first
        silent |= set(getattr(found, "unreachable", ()))
    if silent:
        raise StateError(
            f"{', '.join(sorted(silent))} did not answer, so the list would not be whole: "
            "name a --location, or try again"
        )
    return items


def _ended(operation: Any, patience: float) -> Any:
    from google.api_core.future.polling import DEFAULT_POLLING

    polling = DEFAULT_POLLING.with_delay(initial=0.25, maximum=10.0)
    going = f"{operation.operation.name} goes on at the service: `instances show` has the state"
    try:
        return operation.result(timeout=patience, polling=polling)
    except TimeoutError:  # an OSError as well, and no fault of the network's
        raise StateError(f"not done within {patience:.0f} s: {going}") from None
    except KeyboardInterrupt:
        raise KeyboardInterrupt(going) from None


def _snake(rpc: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", rpc).lower()


def _json(message: Any) -> Any:
    """A message as the reference writes it; nothing for Empty."""
    if not hasattr(type(message), "pb"):
        return {}
    from google.protobuf import json_format

    return json_format.MessageToDict(type(message).pb(message))
