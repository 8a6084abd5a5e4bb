"""Long-running operations. What the emulator does is done when it answers, but for Workbench's
instances, whose operations take a moment so that programs see them go on.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

from nbtools.emulator import names, paging
from nbtools.emulator.call import Call, Handler, Refused
from nbtools.nouns import moment, stamp
from nbtools.resources import Resource

TYPE: Final = "Operation"
#: operations that are remembered.
KEPT: Final = 1_000


def done(call: Call, name: str, response: Any = None, metadata: Any = None) -> Any:
    """The operation, on the resource of that full name, that has ended with `response`.

    `metadata` is a message with `generic_metadata`; its times are set here.
    """
    from google.longrunning import operations_pb2
    from google.protobuf import empty_pb2

    location, rest = names.split(name)
    short = f"{rest}/operations/{uuid4().int % 10**18}".lstrip("/")
    operation = operations_pb2.Operation(name=f"{location}/{short}", done=True)
    operation.response.Pack(empty_pb2.Empty() if response is None else response)
    if metadata is None:
        metadata = call.new("DeleteOperationMetadata")
    metadata.generic_metadata.create_time.FromDatetime(call.now)
    metadata.generic_metadata.update_time.FromDatetime(call.now)
    operation.metadata.Pack(metadata)
    keep(call, short, operation)
    return operation


def begun(call: Call, location: str, response: Any, metadata: Any, end: datetime) -> Any:
    """The operation, of that location, that will have ended with `response` at `end`; Empty
    for None. `metadata` is a message with `create_time` and `end_time`, which are set here.
    """
    from google.longrunning import operations_pb2
    from google.protobuf import empty_pb2

    short = f"operations/operation-{uuid4()}"
    operation = operations_pb2.Operation(name=f"{location}/{short}", done=True)
    operation.response.Pack(empty_pb2.Empty() if response is None else response)
    metadata.create_time.FromDatetime(call.now)
    going = operations_pb2.Operation(name=operation.name)
    going.metadata.Pack(metadata)
    metadata.end_time.FromDatetime(end)
    operation.metadata.Pack(metadata)
    keep(call, short, operation, going, end)
    return going


def keep(
    call: Call, short: str, operation: Any, going: Any = None, end: datetime | None = None
) -> None:
    """Remember an operation that has ended; until `end`, if it is given, as the `going` one."""
    record: dict[str, str | None] = {"data": _text(operation)}
    if end is not None:
        record |= {"going": _text(going), "end": stamp(end)}
    call.store.resources.add(Resource(name=short, type=TYPE, record=record), call.now)
    if uuid4().int % 100 == 0:  # now and then
        call.store.resources.trim(TYPE, KEPT)


def _text(operation: Any) -> str:
    return base64.b64encode(operation.SerializeToString()).decode()


def _find(call: Call, name: str) -> Resource:
    _, short = names.split(name)
    found = call.store.resources.find(short)
    if found is None or found.type != TYPE:
        raise Refused("NOT_FOUND", f"Operation {name} is not found.")
    return found


def _message(resource: Resource, location: str, now: datetime) -> Any:
    from google.longrunning import operations_pb2

    operation = operations_pb2.Operation()
    end = moment(resource.record.get("end"))
    data = resource.record["going" if end is not None and now < end else "data"]
    operation.ParseFromString(base64.b64decode(data))
    operation.name = f"{location}/{resource.name}"
    return operation


def get(call: Call, request: Any) -> Any:
    """Also `WaitOperation`: it need not wait until the end."""
    return _message(_find(call, request.name), names.split(request.name)[0], call.now)


def list_(call: Call, request: Any) -> Any:
    from google.longrunning import operations_pb2

    if request.filter:
        raise Refused("UNIMPLEMENTED", "the emulator lists operations without a filter only")
    location, rest = names.split(request.name)
    of = f"{rest}/operations/".lstrip("/")
    found = [r for r in call.store.resources.select(TYPE) if r.name.startswith(of)]
    page = paging.page(request, call.now, default=100, most=1000)
    here, token = page.cut(found)
    operations = [_message(resource, location, call.now) for resource in here]
    return operations_pb2.ListOperationsResponse(operations=operations, next_page_token=token)


def delete(call: Call, request: Any) -> Any:
    from google.protobuf import empty_pb2

    call.store.resources.remove(_find(call, request.name).name)
    return empty_pb2.Empty()


def cancel(call: Call, request: Any) -> Any:
    """One that has ended stays as it is, as everywhere in Google's cloud; others go on here."""
    from google.protobuf import empty_pb2

    _find(call, request.name)
    return empty_pb2.Empty()


HANDLERS: Mapping[str, Handler] = {
    "Operations.GetOperation": get,
    "Operations.WaitOperation": get,
    "Operations.ListOperations": list_,
    "Operations.DeleteOperation": delete,
    "Operations.CancelOperation": cancel,
}
