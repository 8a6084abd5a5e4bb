"""Google's cloud: a place in it, the way there, and its errors in our words.

    endpoint = Endpoint.of(settings)
    with told(endpoint.where(host)):
        client = endpoint.client(notebooks_v2.NotebookServiceClient, host)

Where an emulator of ours stands in for it (`nbtools emulator env`), all goes there. Nothing of
Google's is imported before a client is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final, Literal

from nbtools.errors import (
    Aborted,
    AlreadyExists,
    NbtoolsError,
    NotFound,
    RequestError,
    StateError,
    Unavailable,
)
from nbtools.settings import Settings

_URI: Final = re.compile(r"vertex://([a-z0-9:.-]+)/([a-z]+-[a-z]+\d+)")


@dataclass(frozen=True)
class Place:
    """A project, and a zone or region in it."""

    project: str
    location: str

    @classmethod
    def of(cls, settings: Settings, uri: str = "") -> Place:
        """What `vertex://PROJECT/REGION` names; without it, what the settings do."""
        if not uri:
            return cls(settings.project, settings.location)
        if found := _URI.fullmatch(uri):
            return cls(*found.groups())
        raise RequestError(f"{uri!r} is no place on Vertex AI: say vertex://PROJECT/us-central1")

    @property
    def parent(self) -> str:
        """As requests have it. Raises RequestError when there is nothing to say."""
        if not self.project:
            raise RequestError(
                "which project: say --project, or project = in [tool.nbtools] of pyproject.toml"
            )
        if not self.location:
            raise RequestError(
                "which location: say --location, or location =, or for machines zone =, "
                "in [tool.nbtools] of pyproject.toml"
            )
        return f"projects/{self.project}/locations/{self.location}"

    @property
    def region(self) -> str:
        """The region of a zone; of a region itself."""
        return re.sub(r"(?<=\d)-[a-z]$", "", self.location)

    @property
    def vertex(self) -> str:
        """The host that serves Vertex AI there."""
        return f"{self.region}-aiplatform.googleapis.com"

    def name(self, id: str, collection: str = "instances") -> str:
        """The full name of a resource there; one that is full already stays."""
        if re.fullmatch(rf"projects/[^/\s]+/locations/[^/\s]+/{collection}/[^/\s]+", id):
            return id
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]*", id):
            raise RequestError(f"{id!r} is no name of {collection}: see `list`")
        return f"{self.parent}/{collection}/{id}"


@dataclass(frozen=True)
class Endpoint:
    """Where requests go; Google's own hosts, with the user's credentials, if it says nothing."""

    rest: str = ""  #: http://127.0.0.1:PORT of an emulator
    grpc: str = ""  #: localhost:PORT of the same

    @classmethod
    def of(cls, settings: Settings) -> Endpoint:
        """That of these surroundings."""
        return cls(settings.vertex, settings.vertex_grpc)

    def where(self, host: str) -> str:
        """Whom a request for that host reaches."""
        return self.rest or host

    def client(self, kind: Any, host: str, transport: Literal["rest", "grpc"] = "rest") -> Any:
        """A client of that class of Google's. May raise Google's errors: see `told`."""
        from google.api_core.client_options import ClientOptions

        if not self.rest:
            return kind(transport=transport, client_options=ClientOptions(api_endpoint=host))
        from google.auth.credentials import AnonymousCredentials

        where = self.grpc if transport == "grpc" else self.rest
        return kind(
            transport=transport,
            client_options=ClientOptions(api_endpoint=where),
            credentials=AnonymousCredentials(),
        )


@contextmanager
def told(where: str) -> Iterator[None]:
    """Raise what Google's clients raise in here as ours: NotFound, AlreadyExists, Aborted,
    StateError, Unavailable, RequestError. `where` is whom they talk to.
    """
    from google.api_core import exceptions
    from google.auth import exceptions as auth

    try:
        yield
    except exceptions.GoogleAPICallError as error:
        raise _ours(error, where) from None
    except exceptions.RetryError as error:
        raise Unavailable(f"{where} does not answer: {error.cause}") from None
    except OSError as error:  # what REST's transport says when there is no way there
        raise Unavailable(f"{where} cannot be reached: {_reason(error)}") from None
    except auth.GoogleAuthError as error:
        raise RequestError(
            f"no credentials: gcloud auth application-default login ({_line(error)})"
        ) from None


def _ours(error: Any, where: str) -> NbtoolsError:
    """Google's error in ours."""
    said = re.sub(r"^[A-Z]+ https?://\S+: ", "", _line(error.message))  # REST's own preface
    status = getattr(error, "grpc_status_code", None)
    word = status.name if status is not None else ""
    for detail in getattr(error, "errors", ()) or ():
        if isinstance(detail, dict):  # REST maps several words to one class
            word = detail.get("status", word)
    if hasattr(error.response, "json"):  # of REST, which has Google's own word in its body
        with suppress(ValueError, KeyError, TypeError):
            word = error.response.json()["error"]["status"]
    if error.code == 404:
        return NotFound(said)
    if error.code == 409:
        return Aborted(said) if word == "ABORTED" else AlreadyExists(said)
    if word == "FAILED_PRECONDITION":
        return StateError(said)
    if error.code in (408, 429, 500, 502, 503, 504):
        return Unavailable(f"{where} does not answer: {said or error}")
    if error.code in (401, 403):
        return RequestError(f"{said}; ask whoever administers the project for the role")
    return RequestError(said or str(error))


def _reason(error: BaseException) -> str:
    """What is behind an error of requests, which tells of URLs and of attempts besides."""
    inner = getattr(error.args[0], "reason", None) if error.args else None
    return _line(inner or error).rpartition(": ")[2]


def _line(error: object) -> str:
    return " ".join(str(error).split())
