"""Sends requests, by Google's own clients: the one place of `workbench` that imports them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final

from nbtools import registry
from nbtools.errors import AlreadyExists, NbtoolsError, NotFound, RequestError, StateError
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


@dataclass(frozen=True)
class Endpoint:
    """Where requests go; Google's own, with the user's credentials, if it says nothing."""

    rest: str = ""  #: http://127.0.0.1:PORT of an emulator
    grpc: str = ""  #: localhost:PORT of the same


def send(request: Request, endpoint: Endpoint, *, wait: bool = True) -> Any:
    """The answer as JSON: of a list all its items, of an operation what it has ended with, or
    the operation itself if we do not `wait`.

    Raises MissingDependency, NotFound, AlreadyExists, StateError and RequestError.
    """
    service, _, rpc = request.rpc.rpartition(".")
    package, kind = _CLIENTS[service]
    module = registry.need(package)
    from google.api_core import exceptions, operation
    from google.auth import exceptions as auth

    try:
        client = _client(getattr(module, kind), service, request, endpoint)
        message = getattr(module, f"{rpc}Request").from_json(json.dumps(request.fields))
        answer = getattr(client, _snake(rpc))(request=message)
        if isinstance(answer, operation.Operation):
            if not wait:
                return {"operation": answer.operation.name}
            answer = answer.result(timeout=PATIENCE)
        if rpc.startswith("List"):
            return [_json(item) for item in answer]
        return _json(answer)
    except exceptions.GoogleAPICallError as error:
        raise _said(error) from None
    except exceptions.RetryError as error:
        raise RequestError(f"{request.host} does not answer: {error.cause}") from None
    except OSError as error:  # what REST's transport says when there is no way there
        where = endpoint.rest or request.host
        raise RequestError(f"{where} cannot be reached: {_line(error)}") from None
    except auth.GoogleAuthError as error:
        raise RequestError(
            f"no credentials: gcloud auth application-default login ({_line(error)})"
        ) from None


def _client(kind: Any, service: str, request: Request, endpoint: Endpoint) -> Any:
    from google.api_core.client_options import ClientOptions

    transport = "grpc" if service.startswith("notebooks_v1.") else "rest"
    if not endpoint.rest:
        options = ClientOptions(api_endpoint=request.host)
        return kind(transport=transport, client_options=options)
    from google.auth.credentials import AnonymousCredentials

    where = endpoint.grpc if transport == "grpc" else endpoint.rest
    return kind(
        transport=transport,
        client_options=ClientOptions(api_endpoint=where),
        credentials=AnonymousCredentials(),
    )


def _snake(rpc: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", rpc).lower()


def _json(message: Any) -> Any:
    """A message as the reference writes it; nothing for Empty."""
    if not hasattr(type(message), "pb"):
        return {}
    from google.protobuf import json_format

    return json_format.MessageToDict(type(message).pb(message))


def _said(error: Any) -> NbtoolsError:
    """Google's error in ours."""
    said = re.sub(r"^[A-Z]+ https?://\S+: ", "", _line(error.message))  # REST's own preface
    status = getattr(error, "grpc_status_code", None)
    word = status.name if status is not None else ""
    for detail in getattr(error, "errors", ()) or ():
        if isinstance(detail, dict):  # REST maps several words to one class
            word = detail.get("status", word)
    if error.code == 404:
        return NotFound(said)
    if error.code == 409 and word != "ABORTED":
        return AlreadyExists(said)
    if word == "FAILED_PRECONDITION":
        return StateError(said)
    if error.code in (401, 403):
        return RequestError(f"{said}; ask for the role, `nbtools workbench access` names them")
    return RequestError(said or str(error))


def _line(error: object) -> str:
    return " ".join(str(error).split())
