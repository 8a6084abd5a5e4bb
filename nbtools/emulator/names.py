"""Resource names: what is in them, and which ids there may be."""

from __future__ import annotations

import re
from typing import Final
from uuid import uuid4

from nbtools.emulator.call import Refused

STORE: Final = "default"  #: the one metadata store that there is
_ID: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,127}")
_LOCATION: Final = re.compile(r"(projects/[^/]+/locations/[^/]+)(?:/(.*))?")


def split(name: str) -> tuple[str, str]:
    """The location, `projects/P/locations/L`, and what comes behind it. Raises Refused."""
    found = _LOCATION.fullmatch(name)
    if not found:
        raise Refused("INVALID_ARGUMENT", f"Invalid resource name: {name!r}")
    return found[1], found[2] or ""


def ids(name: str, *collections: str) -> tuple[str, ...]:
    """The location, and the id in each collection. Raises Refused when it is no such name."""
    location, rest = split(name)
    parts = rest.split("/") if rest else []
    if tuple(parts[::2]) != collections or len(parts) % 2 or not all(parts):
        wanted = "/".join(f"{word}/*" for word in collections)
        raise Refused("INVALID_ARGUMENT", f"Invalid resource name: {name!r} is no {wanted}")
    return location, *parts[1::2]


def in_store(name: str, collection: str) -> tuple[str, str]:
    """The metadata store's full name, and the id of what is in it. Raises Refused."""
    location, store, id_ = ids(name, "metadataStores", collection)
    return metadata_store(f"{location}/metadataStores/{store}"), id_


def metadata_store(name: str) -> str:
    """The full name of a metadata store that there is. Raises Refused."""
    _, store = ids(name, "metadataStores")
    if store != STORE:
        raise Refused("NOT_FOUND", f"MetadataStore {name} is not found.")
    return name


def new_id(asked: str, what: str) -> str:
    """The id that is asked for, or a new one. Raises Refused when there can be no such id."""
    if not asked:
        return str(uuid4())
    if not _ID.fullmatch(asked):
        raise Refused(
            "INVALID_ARGUMENT",
            f"Invalid {what} ID {asked!r}: use at most 128 small letters, digits and hyphens, "
            "and no hyphen first",
        )
    return asked
