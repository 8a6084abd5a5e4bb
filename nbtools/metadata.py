"""Metadata as JSON text: what a dict holds in JSON's types comes back as it was.

JSON has no NaN and no infinity, and SQLite's own JSON functions, which filters use, read
no text that has them all the same. They are written as `{"$float": "nan"}`; a dict of the
user's that looks like this gets one more `$`, which reading takes away.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final

from nbtools.errors import RequestError

TAG: Final = "$float"
_TAGS = re.compile(r"\$+float")  #: the tag, or an escaped one


def dumps(metadata: Mapping[str, Any]) -> str:
    """The text of `metadata`; raises RequestError when JSON cannot hold it."""
    try:
        text = json.dumps(metadata, allow_nan=False)
    except (TypeError, ValueError):  # a NaN, or a mapping that is no dict
        text = TAG
    if TAG not in text:
        return text
    try:
        return json.dumps(_tagged(metadata), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise RequestError(f"metadata must be what JSON can hold: {error}") from None


def loads(text: str) -> dict[str, Any]:
    """The metadata that `dumps` wrote."""
    metadata: dict[str, Any] = json.loads(text, object_hook=_untagged)
    return metadata


def _tagged(value: Any) -> Any:
    if isinstance(value, Mapping):
        escape = "$" if len(value) == 1 and _TAGS.fullmatch(str(*value)) else ""
        return {f"{escape}{k}" if escape else k: _tagged(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_tagged(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return {TAG: str(float(value))}
    return value


def _untagged(pairs: dict[str, Any]) -> Any:
    if len(pairs) != 1:
        return pairs
    ((key, value),) = pairs.items()
    if key == TAG:
        return float(value) if value in ("nan", "inf", "-inf") else pairs
    return {key[1:]: value} if _TAGS.fullmatch(key) else pairs
