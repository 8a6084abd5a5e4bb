"""Metadata as protobuf's Struct, and back. A Struct's numbers are all doubles."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from nbtools.emulator.call import Refused

MOST_BYTES: Final = 200 * 1024  #: of metadata, as on Vertex AI


def fill(struct: Any, values: Mapping[str, Any]) -> None:
    """Put values into a Struct. What is no number there, NaN and infinity, becomes a word."""
    for key, value in values.items():
        _set(struct.fields[str(key)], value)


def _set(into: Any, value: Any) -> None:
    if value is None:
        into.null_value = 0
    elif isinstance(value, bool):
        into.bool_value = value
    elif isinstance(value, int | float):
        number = _double(value) if isinstance(value, int) else value
        if math.isfinite(number):
            into.number_value = number
        else:
            into.string_value = str(number).replace("nan", "NaN").replace("inf", "Infinity")
    elif isinstance(value, str):
        into.string_value = value
    elif isinstance(value, Mapping):
        into.struct_value.SetInParent()
        fill(into.struct_value, value)
    else:
        into.list_value.SetInParent()
        for item in value:
            _set(into.list_value.values.add(), item)


def _double(number: int) -> float:
    """What a whole number is on the wire."""
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def read(struct: Any, before: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The values of a Struct. A number that was a whole one before, and is the same, stays one.

    Raises Refused when it is larger than Vertex AI takes.
    """
    if struct.ByteSize() > MOST_BYTES:
        raise Refused("INVALID_ARGUMENT", "The size of metadata should not exceed 200KB.")
    return {key.strip(): _get(value, (before or {}).get(key.strip())) for key, value in
            struct.fields.items()}  # fmt: skip


def _get(value: Any, before: Any) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        outer = before if isinstance(before, Mapping) else {}
        return {key: _get(v, outer.get(key)) for key, v in value.struct_value.fields.items()}
    if kind == "list_value":
        items = value.list_value.values
        known = before if isinstance(before, list) and len(before) == len(items) else items
        return [_get(v, b) for v, b in zip(items, known, strict=True)]
    if kind == "number_value":
        whole = isinstance(before, int) and not isinstance(before, bool)
        return before if whole and _double(before) == value.number_value else value.number_value
    if kind == "string_value":
        # what `fill` has made of a number is that number again
        words = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
        if isinstance(before, float) and value.string_value in words:
            return words[value.string_value]
        return value.string_value
    return value.bool_value if kind == "bool_value" else None
