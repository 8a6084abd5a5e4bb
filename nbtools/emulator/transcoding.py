"""HTTP and JSON to protobuf and back, by the routes that each RPC has: `google.api.http`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

from nbtools.emulator.call import Refused
from nbtools.emulator.catalog import Method, Route

#: parameters of every Google API, which are no fields.
SYSTEM: Final = {"alt", "$alt", "key", "fields", "prettyPrint", "quotaUser", "access_token"}
_VARIABLE = re.compile(r"\{([\w.]+)=([^}]*)\}")
#: verb of HTTP, segments with * in place of the ids, verb behind the colon.
Shape = tuple[str, tuple[str, ...], str]


class Routes:
    """Finds the RPC that a request is for."""

    def __init__(self, methods: Mapping[str, Method]) -> None:
        self._known: dict[Shape, tuple[Method, Route]] = {}
        for method in methods.values():
            for route in method.routes:
                self._known[_shape(route)] = method, route

    def find(self, verb: str, path: str) -> tuple[Method, Route]:
        """The RPC, and which of its routes this is. Raises Refused."""
        segments, colon = _segments(path)
        blank = tuple(s if i % 2 or not i else "*" for i, s in enumerate(segments))
        found = self._known.get((verb, blank, colon))
        if found is None:
            raise Refused("UNIMPLEMENTED", f"the emulator knows no {verb} {path}: see COVERAGE.md")
        return found


def _shape(route: Route) -> Shape:
    segments, colon = _segments(_VARIABLE.sub(lambda found: found[2], route.template))
    return route.verb, tuple(segments), colon


def _segments(path: str) -> tuple[list[str], str]:
    path, _, colon = path.strip("/").partition(":")
    return path.split("/"), colon


def request(method: Method, route: Route, path: str, query: str, body: bytes) -> Any:
    """The message that a request is. Raises Refused when it is none."""
    from google.protobuf import json_format

    message = method.request()
    try:
        json_format.ParseDict(_fields(message.DESCRIPTOR, query), message)
        if route.body:
            into = message if route.body == "*" else getattr(message, route.body)
            json_format.Parse(body or b"{}", into)
            if route.body != "*":
                into.SetInParent()  # an empty one is there too
        for name, value in _variables(route.template, path):
            holder, _, field = name.rpartition(".")
            inner = message
            for part in filter(None, holder.split(".")):
                inner = getattr(inner, part)
            setattr(inner, field, value)
    except (json_format.ParseError, UnicodeDecodeError, RecursionError) as error:
        raise Refused("INVALID_ARGUMENT", f"Invalid JSON payload received. {error}") from None
    return message


def reply(message: Any, query: str) -> bytes:
    """A message as JSON, its enums as the query asks for them."""
    from google.protobuf import json_format

    numbers = "enum-encoding%3Dint" in query or "enum-encoding=int" in query
    text: str = json_format.MessageToJson(message, use_integers_for_enums=numbers, indent=None)
    return text.encode()


def failure(status: int, word: str, message: str) -> bytes:
    """What is wrong, as Google's APIs say it."""
    said = {"code": status, "message": message, "status": word, "details": []}
    return json.dumps({"error": said}).encode()


def _variables(template: str, path: str) -> Iterator[tuple[str, str]]:
    """What the path says of the fields that the template has in braces."""
    pattern, names, end = "", [], 0
    for found in _VARIABLE.finditer(template):
        pattern += re.escape(template[end : found.start()])
        pattern += "(" + re.escape(found[2]).replace(r"\*", "[^/]+") + ")"
        names.append(found[1])
        end = found.end()
    matched = re.fullmatch(pattern + re.escape(template[end:]), path)
    if matched is None:  # found by its shape
        raise Refused("INVALID_ARGUMENT", f"{path} is not {template}")
    yield from ((name, unquote(value)) for name, value in zip(names, matched.groups(), strict=True))


def _fields(descriptor: Any, query: str) -> dict[str, Any]:
    """The query's parameters as the JSON that they stand for."""
    whole: dict[str, Any] = {}
    for name, text in parse_qsl(query, keep_blank_values=True):
        if name in SYSTEM:
            continue
        place, kind = whole, descriptor
        *outer, last = name.split(".")
        for part in outer:
            field = _field(kind, part, name)
            place, kind = place.setdefault(field.name, {}), field.message_type
        field = _field(kind, last, name)
        value: Any = text
        if field.cpp_type == field.CPPTYPE_BOOL:
            value = {"true": True, "false": False}.get(text.lower(), text)
        if field.is_repeated:
            place.setdefault(field.name, []).append(value)
        else:
            place[field.name] = value
    return whole


def _field(descriptor: Any, name: str, whole: str) -> Any:
    found = descriptor and (
        descriptor.fields_by_camelcase_name.get(name) or descriptor.fields_by_name.get(name)
    )
    if not found:
        raise Refused("INVALID_ARGUMENT", f"Invalid JSON payload received. Unknown name {whole!r}")
    return found
