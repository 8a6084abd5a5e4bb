"""Three-way merge of JSON values: metadata, and what else a notebook keeps by name."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan
from typing import Any


class Absent:
    """The value of a key that is not there."""


ABSENT = Absent()

#: Taken whole and from ours when both sides changed them: tools write them, people do not.
WHOLE = frozenset(
    {"kernelspec", "language_info", "widgets", "execution", "ExecuteTime", "papermill"}
)
#: Taken from ours when both sides changed them: how a cell happened to be shown.
SHOWN = frozenset({"collapsed", "scrolled", "source_hidden", "outputs_hidden", "autoscroll"})


@dataclass(frozen=True, slots=True)
class Clash:
    """One value that both sides changed, each in its own way."""

    path: str  #: keys joined by dots
    ours: Any
    theirs: Any


def merge_values(base: Any, ours: Any, theirs: Any, clashes: list[Clash], path: str = "") -> Any:
    """Merge key by key; what clashes is taken from ours and added to `clashes`."""
    if same(ours, theirs) or same(base, theirs):
        return ours
    if same(base, ours):
        return theirs
    if isinstance(ours, dict) and isinstance(theirs, dict) and _last(path) not in WHOLE:
        known = base if isinstance(base, dict) else {}
        return _merge_keys(known, ours, theirs, clashes, path)
    if _texts(ours) and _texts(theirs) and (_texts(base) or base is ABSENT):
        return _merge_lists([] if base is ABSENT else base, ours, theirs)
    if _last(path) not in WHOLE | SHOWN:
        clashes.append(Clash(path, ours, theirs))
    return theirs if ours is ABSENT else ours


def same(a: Any, b: Any) -> bool:
    """Equality as JSON means it: 1, 1.0 and true are three values."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        if a and len(a) == len(b) and set(map(type, a)) == {str}:
            return bool(a == b)  # nearly every list holds lines of text
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b) or (isinstance(a, float) and isnan(a) and isnan(b))


def common_values(ours: Any, theirs: Any) -> Any:
    """What both have: a base for two values that have none."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        both = {k: common_values(v, theirs[k]) for k, v in ours.items() if k in theirs}
        return {k: v for k, v in both.items() if v is not ABSENT}
    if _texts(ours) and _texts(theirs):
        return [item for item in ours if item in theirs]
    return ours if same(ours, theirs) else ABSENT


def ordered(like: dict[str, Any], merged: dict[str, Any]) -> dict[str, Any]:
    """`merged` with its keys sorted where `like` has them sorted, as nbformat writes."""
    keys = list(like)
    return dict(sorted(merged.items())) if keys == sorted(keys) else merged


def _merge_keys(
    base: dict[str, Any],
    ours: dict[str, Any],
    theirs: dict[str, Any],
    clashes: list[Clash],
    path: str,
) -> dict[str, Any]:
    merged = {}
    for key in [*ours, *(k for k in theirs if k not in ours)]:
        known, mine, yours = (side.get(key, ABSENT) for side in (base, ours, theirs))
        value = merge_values(known, mine, yours, clashes, f"{path}.{key}" if path else key)
        if value is not ABSENT:
            merged[key] = value
    return ordered(ours, merged)


def _merge_lists(base: list[str], ours: list[str], theirs: list[str]) -> list[str]:
    """Sets of words, such as tags: what either side added or took away."""
    kept = [item for item in ours if item in theirs or item not in base]
    return kept + [item for item in theirs if item not in base and item not in ours]


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _last(path: str) -> str:
    return path.rpartition(".")[2]
