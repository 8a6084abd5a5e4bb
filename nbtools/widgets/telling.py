"""What Python tells a page: values as JSON takes them, curves as packed numbers."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from nbtools.figures.curves import thinned
from nbtools.journal import Series
from nbtools.nouns import stamp

#: whole numbers beyond it are not exact in JavaScript.
EXACT: Final = 1 << 53
#: characters of one value.
LONGEST: Final = 10_000


def told(value: Any) -> Any:
    """A value as JSON takes it: NaN, infinity and very large numbers as text."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value) if abs(value) <= EXACT else str(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    if isinstance(value, str):
        return str(value)[:LONGEST]
    if isinstance(value, datetime):
        return stamp(value)
    if isinstance(value, Mapping):
        return {str(k): told(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [told(v) for v in value]
    return str(value)[:LONGEST]


def curve(series: Series, limit: int, low: float = -math.inf, high: float = math.inf) -> Curve:
    """A series between two steps as at most `limit` points; see `thinned` for which."""
    pairs = [p for p in zip(series.steps, series.values, strict=True) if low <= p[0] <= high]
    return Curve(pairs, thinned(pairs, limit))


class Curve:
    """What is drawn of a series, and of how much that is the picture."""

    def __init__(
        self, whole: Sequence[tuple[int, float]], drawn: Sequence[tuple[int, float]]
    ) -> None:
        self.count, self.drawn = len(whole), drawn
        self.gaps = sum(not math.isfinite(value) for _, value in whole)

    @property
    def packed(self) -> dict[str, bytes]:
        """Steps and values, 64 bit floating point each, in this machine's order of bytes."""
        steps = array("d", [step for step, _ in self.drawn])
        return {
            "steps": steps.tobytes(),
            "values": array("d", [v for _, v in self.drawn]).tobytes(),
        }

    @property
    def about(self) -> dict[str, Any]:
        """How many points there are, how many of them are drawn, and how many are no numbers."""
        return {"count": self.count, "drawn": len(self.drawn), "gaps": self.gaps}
