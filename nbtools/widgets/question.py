"""What a page may ask of a view, checked before anything is done with it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from nbtools.errors import RequestError

#: characters of one text, and how many texts a list may have.
LONGEST: Final = 100_000
MOST: Final = 10_000
#: kinds of values: text, number, true or false, texts, texts by name.
TEXT, NUMBER, FLAG, TEXTS, FIELDS = "text", "number", "flag", "texts", "fields"


def checked(given: object, wanted: Mapping[str, str]) -> dict[str, Any]:
    """The arguments of a question, which are of these kinds and no others. Raises RequestError."""
    if not isinstance(given, dict) or given.keys() != wanted.keys():
        raise RequestError("the page asks for what is not known here: execute the cell again")
    for name, kind in wanted.items():
        if not _fits(given[name], kind):
            raise RequestError(f"the page sent something else than {kind} as {name}")
    return dict(given)


def _fits(value: object, kind: str) -> bool:
    if kind == TEXT:
        return isinstance(value, str) and len(value) <= LONGEST
    if kind == FLAG:
        return isinstance(value, bool)
    if kind == NUMBER:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and abs(value) <= 1e300 and math.isfinite(value)  # type: ignore[arg-type]
    if kind == TEXTS:
        return (
            isinstance(value, list)
            and len(value) <= MOST
            and all(_fits(one, TEXT) for one in value)
        )
    return (
        isinstance(value, dict)
        and len(value) <= MOST
        and all(_fits(one, TEXT) for pair in value.items() for one in pair)
    )
