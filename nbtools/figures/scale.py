"""From values to places on an axis, and the round values that are written beside it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

#: a range beyond this is cut: its width could not be computed.
FARTHEST: Final = 1e300


@dataclass(frozen=True)
class Scale:
    """An axis from `low` to `high`, drawn from `begin` to `end` (pixels)."""

    low: float
    high: float
    begin: float
    end: float
    log: bool = False  #: by powers of ten

    def at(self, value: float) -> float:
        """Where a finite value lies; what is beyond the axis lies at its end."""
        value = min(max(value, self.low), self.high)
        low, high, value = (self._even(v) for v in (self.low, self.high, value))
        return self.begin + (value - low) / (high - low) * (self.end - self.begin)

    def ticks(self) -> list[float]:
        """Round values on the axis, a few."""
        if self.log:
            low, high = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
            apart = max(1, (high - low) // 6)
            powers = [10.0**p for p in range(low, high + 1, apart) if -300 < p < 300]
            found = [p for p in powers if self.low <= p <= self.high]
            return found if len(found) > 1 else [self.low, self.high]
        rough = (self.high - self.low) / 5
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough * 0.999)
        first = math.ceil(self.low / step)
        count = int((self.high - first * step) / step + 1e-9) + 1
        return [(first + i) * step for i in range(max(0, count))]

    def _even(self, value: float) -> float:
        return math.log10(value) if self.log else value


def spanning(
    values: Iterable[float], begin: float, end: float, *, may_log: bool = False, ratio: float = 1e3
) -> Scale:
    """An axis that holds the finite ones of `values`; of none it is from 0 to 1.

    With `may_log` it goes by powers of ten where all are above zero and the largest is more
    than `ratio` times the smallest.
    """
    finite = [v for v in values if math.isfinite(v)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
    if may_log and low > 0 and high / low >= ratio:
        return Scale(low, high, begin, end, log=True)
    low, high = (max(-FARTHEST, min(FARTHEST, end)) for end in (low, high))
    if high - low <= max(abs(low), abs(high)) * 1e-9:  # one value, or what looks like one
        width = abs(high) * 0.05 or 0.5
        low, high = low - width, high + width
    return Scale(low, high, begin, end)


def labels(values: Sequence[float]) -> list[str]:
    """The values as texts that tell them apart, as short as that can be."""
    for digits in (3, 6, 9, 12):
        texts = [_text(value, digits) for value in values]
        if len(set(texts)) == len(texts):
            break
    return texts if values else []


def _text(value: float, digits: int) -> str:
    if 1 <= abs(value) < 1e6 and value == round(value):
        return f"{value:.0f}"
    return f"{value:.{digits}g}"
