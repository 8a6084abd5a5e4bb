"""What other trackers keep, as the values that a run can hold."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nbtools.importer import ImportedFile, Remarks
from nbtools.nouns import FILE
from nbtools.value import MAX_BITS


def scalar(value: Any) -> Any:
    """A number, text or bool as it is; None, lists and dicts as text."""
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        return hex(value)
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return value.encode(errors="replace").decode()  # half of a surrogate pair
    return str(value) if value is None else json.dumps(value, default=str)


def read_text(text: str) -> Any:
    """The number or bool of which `text` is exactly how Python writes it, else the text.

    Trackers that keep everything as text give `0.001` back as a number, `1e-3` as they got it.
    """
    if text in ("True", "False"):
        return text == "True"
    for kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            continue
        if str(value) == text:
            return scalar(value)
    return text


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dicts as names with dots; empty ones as text."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{name}.")
        else:
            found[name] = scalar(value)
    return found


def time_of(seconds: float | None) -> datetime | None:
    """A time from seconds since the epoch; None for 0, None and what is no time."""
    try:
        return datetime.fromtimestamp(seconds, UTC) if seconds and math.isfinite(seconds) else None
    except (ValueError, OverflowError, OSError):
        return None


def files_below(
    folder: Path, remarks: Remarks, *, prefix: str = "", schema_title: str = FILE
) -> list[ImportedFile]:
    """Every file in `folder` and below, by its path there, behind `prefix`."""
    found = []
    for path in sorted(folder.rglob("*")):
        name = f"{prefix}{path.relative_to(folder).as_posix()}"
        if not path.is_file():
            continue
        try:
            str(path).encode()
        except UnicodeEncodeError:
            remarks["files whose names are no Unicode text"] += 1
            continue
        found.append(ImportedFile(name=name, uri=str(path), schema_title=schema_title))
    return found
