"""MetadataService: the metadata store, of which there is one, and the schemas in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from nbtools.emulator import names, paging, wire
from nbtools.emulator.call import Call, Handler, Refused
from nbtools.resources import Resource

SCHEMA: Final = "MetadataSchema"
_VERSION = re.compile(r"[0-9]+[.][0-9]+[.][0-9]+")


def create_store(call: Call, request: Any) -> Any:
    location, _ = names.split(request.parent)
    if request.metadata_store_id != names.STORE:
        raise Refused(
            "UNIMPLEMENTED", f"the emulator has one metadata store, which is {names.STORE!r}"
        )
    raise Refused(
        "ALREADY_EXISTS", f"MetadataStore {location}/metadataStores/default already exists."
    )


def _store(call: Call, location: str) -> Any:
    made = call.new("MetadataStore", name=f"{location}/metadataStores/{names.STORE}")
    made.description = "the store of nbtools"
    if call.store.folder is not None:
        used = (call.store.folder / "store.sqlite").stat().st_size
        made.state.disk_utilization_bytes = used
    return made


def get_store(call: Call, request: Any) -> Any:
    name = names.metadata_store(request.name)
    return _store(call, names.split(name)[0])


def list_stores(call: Call, request: Any) -> Any:
    location, _ = names.split(request.parent)
    page = paging.page(request, call.now, default=100, most=1000, strict=True)
    here, token = page.cut([_store(call, location)])
    return call.new("ListMetadataStoresResponse", metadata_stores=here, next_page_token=token)


def delete_store(call: Call, request: Any) -> Any:
    name = names.metadata_store(request.name)
    raise Refused(
        "FAILED_PRECONDITION",
        f"{name} is the store of nbtools, and its jobs and schedules are in it: delete what is "
        "in it, or remove its folder",
    )


# -- schemas -----------------------------------------------------------------------------


def create_schema(call: Call, request: Any) -> Any:
    import yaml

    store = names.metadata_store(request.parent)
    sent = request.metadata_schema
    id_ = names.new_id(request.metadata_schema_id, SCHEMA)
    if sent.schema_version and not _VERSION.fullmatch(sent.schema_version):
        raise Refused("INVALID_ARGUMENT", f"schema_version {sent.schema_version!r} is no 1.0.0")
    try:
        said = yaml.safe_load(sent.schema)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise Refused("INVALID_ARGUMENT", f"schema is no YAML: {error}") from None
    title = said.get("title") if isinstance(said, Mapping) else None
    if not isinstance(title, str) or not title:
        raise Refused("INVALID_ARGUMENT", "schema needs a title, as in `title: my.Dataset`")
    for other in call.store.resources.select(SCHEMA, display_name=title):
        if other.record.get("schema_version", "") == sent.schema_version:
            raise Refused(
                "ALREADY_EXISTS",
                f"MetadataSchema {title} {sent.schema_version} already exists: {other.id}",
            )
    new = Resource(
        name=f"metadataSchemas/{id_}", type=SCHEMA, display_name=title, record=wire.record(sent)
    )
    return _schema(call, call.store.resources.add(new, call.now), store)


def get_schema(call: Call, request: Any) -> Any:
    store, id_ = names.in_store(request.name, "metadataSchemas")
    found = call.store.resources.find(f"metadataSchemas/{id_}")
    if found is None:
        raise Refused("NOT_FOUND", f"MetadataSchema {request.name} is not found.")
    return _schema(call, found, store)


def list_schemas(call: Call, request: Any) -> Any:
    store = names.metadata_store(request.parent)
    page = paging.page(request, call.now, default=100, most=1000, strict=True)
    found = wire.matching(call.store.resources.select(SCHEMA), request.filter, "")
    here, token = page.cut(found)
    schemas = [_schema(call, schema, store) for schema in here]
    return call.new("ListMetadataSchemasResponse", metadata_schemas=schemas, next_page_token=token)


def _schema(call: Call, found: Resource, store: str) -> Any:
    return wire.message(call, found, store)


HANDLERS: Mapping[str, Handler] = {
    "MetadataService.CreateMetadataStore": create_store,
    "MetadataService.GetMetadataStore": get_store,
    "MetadataService.ListMetadataStores": list_stores,
    "MetadataService.DeleteMetadataStore": delete_store,
    "MetadataService.CreateMetadataSchema": create_schema,
    "MetadataService.GetMetadataSchema": get_schema,
    "MetadataService.ListMetadataSchemas": list_schemas,
}
