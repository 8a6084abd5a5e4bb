"""Single numbers out of TensorFlow's `TensorProto`, and values out of protobuf's `Value`."""

from __future__ import annotations

import json
import struct
from typing import Any

from nbtools.protowire import Value, double, fields, message, signed, text, varints

#: TensorProto's dtype -> how one such number is packed; see `_half` for bfloat16.
_PACKED = {
    1: "<f", 2: "<d", 3: "<i", 4: "<B", 5: "<h", 6: "<b", 9: "<q", 10: "<?", 14: "<H", 17: "<H",
    19: "<e", 22: "<I", 23: "<Q",
}  # fmt: skip
_BFLOAT16, _HALF = 14, 19
#: fields of TensorProto that hold numbers one by one: floats, and whole numbers
_FLOATS, _WHOLES, _HALVES = (5, 6), (7, 10, 11, 16, 17), 13


def number(tensor: bytes) -> float | None:
    """The number of a tensor that is one; None when it is text, or holds several.

    Raises ValueError when the bytes are no tensor.
    """
    dtype, found = 0, list[float]()
    for field, value in fields(tensor):
        if field == 1:
            dtype = signed(value)
        elif field == 4:
            found += _content(dtype, message(value))
        elif field in _FLOATS:
            found += _floats(value, 4 if field == _FLOATS[0] else 8)
        elif field in _WHOLES:
            found += [float(signed(n)) for n in _wholes(value)]
        elif field == _HALVES:
            found += [_half(dtype, n) for n in _wholes(value)]
        elif field == 8:
            return None
    return found[0] if len(found) == 1 else None


def plain(value: bytes) -> Any:
    """What a `google.protobuf.Value` holds; a list or a struct as text. Raises ValueError."""
    for field, content in fields(value):
        if field == 2:
            whole = double(content)
            return int(whole) if whole.is_integer() and abs(whole) < 2**53 else whole
        if field == 3:
            return text(content)
        if field == 4:
            return bool(content)
        if field in (5, 6):
            return json.dumps(_nested(field, message(content)))
    return "None"


def _nested(field: int, content: bytes) -> Any:
    if field == 6:  # ListValue
        return [plain(message(item)) for _, item in fields(content)]
    pairs = (dict(fields(message(item))) for _, item in fields(content))
    return {text(p.get(1, b"")): plain(message(p.get(2, b""))) for p in pairs}


def _content(dtype: int, data: bytes) -> list[float]:
    form = _PACKED.get(dtype)
    if form is None or len(data) != struct.calcsize(form):
        return [] if form is None else [0.0, 0.0]  # several: no number
    value = struct.unpack(form, data)[0]
    return [_half(dtype, value) if dtype == _BFLOAT16 else float(value)]


def _floats(value: Value, size: int) -> list[float]:
    data = message(value)  # one number, or several packed: the same bytes
    return [double(data[at : at + size]) for at in range(0, len(data), size)]


def _wholes(value: Value) -> list[int]:
    return [value] if isinstance(value, int) else varints(value)


def _half(dtype: int, bits: int) -> float:
    """A float of 16 bits: IEEE's, or the upper half of one of 32."""
    packed = struct.pack("<H", bits & 0xFFFF)
    whole, form = (b"\0\0" + packed, "<f") if dtype == _BFLOAT16 else (packed, "<e")
    return float(struct.unpack(form, whole)[0])
