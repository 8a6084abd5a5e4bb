"""Items of W&B's config, summary and history: a name and a value each, and very many of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from nbtools.protowire import Value, double, fields, message, signed, text

#: a name by its parts: W&B nests values by dots of their own
Path = tuple[str, ...]
#: the key of the field that holds a value as JSON
_JSON_KEY: Final = b"\x82\x01"


class Items:
    """Reads them, and remembers the names that it has met: each comes again with each step."""

    def __init__(self) -> None:
        self._known: dict[bytes, Path] = {}  #: what stands before a value -> the name that it is

    def read(self, data: bytes) -> tuple[Path, Any]:
        """(name, value) of an item. Raises ValueError when it is none."""
        at = data.find(_JSON_KEY)
        path = self._known.get(data[:at])
        # One byte for its length, and nothing behind it, or it is read by the book.
        if path and at > 0 and data[at + 2] < 0x80 and at + 3 + data[at + 2] == len(data):
            return path, json.loads(data[at + 3 :].decode())
        path, value, typed = (), None, False
        names = 0  # bytes of the fields at the beginning that are the name
        for number, content in fields(data):
            if number in (1, 2):
                path += (text(content),)
                size = len(message(content))
                names += 1 + (size.bit_length() + 6) // 7 + size if size else 2
            elif number == 16 and not typed:
                value = _json(content)
            elif number in _TYPED:
                value, typed = _TYPED[number](content), True
        if path and data[names : names + 2] == _JSON_KEY:
            self._known[data[:names]] = path
        return path or ("",), value


def _json(content: Value) -> Any:
    return json.loads(message(content))  # its errors are ValueErrors


def _zigzag(content: Value) -> int:
    number = signed(content) & (1 << 64) - 1
    return number >> 1 ^ -(number & 1)


#: fields of an item whose value has its type -> how it is read
_TYPED: dict[int, Callable[[Value], Any]] = {
    3: lambda _: None, 4: bool, 5: _zigzag, 6: double, 7: text, 8: _json,
}  # fmt: skip
