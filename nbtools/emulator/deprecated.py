"""notebooks_v1's managed and user-managed notebooks: kept and shown, for those who migrate.

Google creates none any more; here they can be, so that a migration can be tried.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from nbtools.emulator import names, operations, paging, wire
from nbtools.emulator.call import Call, Handler, Refused
from nbtools.resources import Resource

API: Final = "notebooks_v1"
PACKAGE: Final = f"google.cloud.{API}"


@dataclass(frozen=True)
class Kind:
    """One of the two."""

    message: str  #: `Runtime`
    collection: str  #: `runtimes`
    id: str  #: the field of a request that has its id

    @property
    def type(self) -> str:
        """As the store calls it."""
        return f"{API}.{self.message}"

    @property
    def field(self) -> str:
        """Where a request has it."""
        return self.message.lower()


RUNTIME: Final = Kind("Runtime", "runtimes", "runtime_id")
INSTANCE: Final = Kind("Instance", "instances", "instance_id")


def create(kind: Kind, call: Call, request: Any) -> Any:
    (location,) = names.ids(request.parent)
    id_ = getattr(request, kind.id)
    if not re.fullmatch(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", id_):
        raise Refused("INVALID_ARGUMENT", f"Invalid {kind.id} {id_!r}")
    sent = getattr(request, kind.field)
    record = {**wire.record(sent), "state": "ACTIVE"}
    name = f"{location}/{kind.collection}/{id_}"
    made = call.store.resources.add(Resource(name=name, type=kind.type, record=record), call.now)
    metadata = call.catalog.message("OperationMetadata", PACKAGE)(target=name, verb="create")
    return operations.begun(call, location, _message(call, kind, made), metadata, call.now)


def _message(call: Call, kind: Kind, found: Resource) -> Any:
    from google.protobuf import json_format

    made = call.catalog.message(kind.message, PACKAGE)()
    json_format.ParseDict(found.record, made)
    made.name = found.name
    return made


def get(kind: Kind, call: Call, request: Any) -> Any:
    names.ids(request.name, kind.collection)
    found = call.store.resources.find(request.name)
    if found is None or found.type != kind.type:
        raise Refused("NOT_FOUND", f"Resource '{request.name}' was not found")
    return _message(call, kind, found)


def list_(kind: Kind, call: Call, request: Any) -> Any:
    """Of all locations of a project for `locations/-`."""
    if getattr(request, "filter", "") or getattr(request, "order_by", ""):
        raise Refused("UNIMPLEMENTED", "the emulator lists notebooks without filter and order")
    (location,) = names.ids(request.parent)
    prefix = f"{location.removesuffix('-') if location.endswith('/-') else location + '/'}"
    page = paging.page(request, call.now, default=500, most=1000)
    there = [r for r in call.store.resources.select(kind.type) if r.name.startswith(prefix)]
    here, token = page.cut(there)
    answer = call.catalog.message(f"List{kind.message}sResponse", PACKAGE)(next_page_token=token)
    getattr(answer, kind.collection).extend(_message(call, kind, r) for r in here)
    return answer


HANDLERS: Mapping[str, Handler] = {
    f"{API}.{service}.{rpc}": partial(handler, kind)
    for kind, service in ((RUNTIME, "ManagedNotebookService"), (INSTANCE, "NotebookService"))
    for rpc, handler in (
        (f"Create{kind.message}", create),
        (f"Get{kind.message}", get),
        (f"List{kind.message}s", list_),
    )
}
