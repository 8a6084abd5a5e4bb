"""Resources as the messages of their types, and which of them a filter holds for."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from nbtools import filters
from nbtools.emulator import etags
from nbtools.emulator.call import Call, Refused
from nbtools.grammar import ATTRIBUTES
from nbtools.nouns import stamp
from nbtools.resources import Resource
from nbtools.terms import Comparison, Group, Not, Order, Text, Time, Tree

#: fields of a message that the store keeps in columns, or that are made when it is read.
APART: Final = ("name", "create_time", "update_time", "etag")
_OPERATORS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}


def record(sent: Any) -> dict[str, Any]:
    """What there is to keep of a message. Raises Refused when it is no JSON: an odd time, say."""
    from google.protobuf import json_format

    kept = type(sent)()
    kept.CopyFrom(sent)
    for name in APART:
        if name in kept.DESCRIPTOR.fields_by_name:
            kept.ClearField(name)
    try:
        values: dict[str, Any] = json_format.MessageToDict(kept, preserving_proto_field_name=True)
    except (ValueError, json_format.Error) as error:
        raise Refused("INVALID_ARGUMENT", str(error)) from None
    return values


def message(call: Call, found: Resource, location: str) -> Any:
    """A resource as its message; `location` is what stands before its name."""
    from google.protobuf import json_format

    made = call.new(found.type)
    json_format.ParseDict(found.record, made)
    made.name = f"{location}/{found.name}"
    known = made.DESCRIPTOR.fields_by_name
    if found.create_time and found.update_time and "create_time" in known:
        made.create_time.FromDatetime(found.create_time)
        if "update_time" in known:
            made.update_time.FromDatetime(found.update_time)
    if "etag" in known:
        made.etag = etags.text(found.etag)
    return made


def masked(made: Any, mask: Any) -> Any:
    """A message with the fields of a read mask, or whole without one."""
    if not mask.paths:
        return made
    if not mask.IsValidForDescriptor(made.DESCRIPTOR):
        raise Refused("INVALID_ARGUMENT", f"read_mask: no such fields: {', '.join(mask.paths)}")
    less = type(made)()
    mask.MergeMessage(made, less)
    less.name = made.name
    return less


def matching(found: list[Resource], filter: str, order_by: str) -> list[Resource]:
    """Those of the resources that a filter holds for, in an order. Raises RequestError."""
    wanted = filters.parse(filter, Resource)
    kept = [resource for resource in found if _holds(wanted.tree, resource)]
    orders: tuple[Order, ...] = filters.ordering(order_by, Resource)
    for order in reversed(orders):
        kept.sort(
            key=lambda one, name=order.field.attribute: _value(one, name),  # type: ignore[misc]
            reverse=order.descending,
        )
    return kept


def _holds(tree: Tree, resource: Resource) -> bool:
    if isinstance(tree, Group):
        holds = (_holds(part, resource) for part in tree.parts)
        return all(holds) if tree.word == "AND" else any(holds)
    if isinstance(tree, Not):
        return not _holds(tree.inner, resource)
    assert isinstance(tree, Comparison)  # resources have no edges
    value, wanted = _value(resource, tree.field.attribute), tree.value
    if isinstance(wanted, Time):
        wanted = wanted.stamp
    if isinstance(wanted, Text):
        if len(wanted.parts) > 1:
            pattern = ".*".join(re.escape(part) for part in wanted.parts)
            matched = re.fullmatch(pattern, value, re.DOTALL) is not None
            return matched is (tree.operator == "=")
        wanted = wanted.parts[0]
        if tree.field.attribute == "name":
            wanted = re.sub(r"projects/[^/]+/locations/[^/]+/", "", wanted)
    return bool(_OPERATORS[tree.operator](value, wanted))


def _value(resource: Resource, attribute: str) -> Any:
    if attribute == "schema_title":
        return resource.display_name
    if attribute in ("create_time", "update_time"):
        return stamp(getattr(resource, attribute))
    if attribute in ("name", "display_name"):
        return getattr(resource, attribute)
    empty: Any = False if ATTRIBUTES[Resource][attribute] == "bool" else ""
    return resource.record.get(attribute, empty)
