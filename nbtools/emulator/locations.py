"""The regions that there are: those that the SDK knows. Each is served."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from nbtools.emulator import names, paging
from nbtools.emulator.call import Call, Handler, Refused


def _regions() -> list[str]:
    return sorted(import_module("google.cloud.aiplatform.constants.base").SUPPORTED_REGIONS)


def _message(call: Call, project: str, region: str) -> Any:
    from google.cloud.location import locations_pb2

    return locations_pb2.Location(
        name=f"{project}/locations/{region}",
        location_id=region,
        labels={"cloud.googleapis.com/region": region},
    )


def get(call: Call, request: Any) -> Any:
    location, rest = names.split(request.name)
    project, _, region = location.partition("/locations/")
    if rest or region not in _regions():
        raise Refused("NOT_FOUND", f"Location {request.name} is not found.")
    return _message(call, project, region)


def list_(call: Call, request: Any) -> Any:
    from google.cloud.location import locations_pb2

    if not re.fullmatch(r"projects/[^/]+", request.name):
        raise Refused("INVALID_ARGUMENT", f"Invalid resource name: {request.name!r} is no project")
    if request.filter:
        raise Refused("UNIMPLEMENTED", "the emulator lists locations without a filter only")
    page = paging.page(request, call.now, default=100, most=1000)
    here, token = page.cut(_regions())
    found = [_message(call, request.name, region) for region in here]
    return locations_pb2.ListLocationsResponse(locations=found, next_page_token=token)


HANDLERS: Mapping[str, Handler] = {
    "Locations.GetLocation": get,
    "Locations.ListLocations": list_,
}
