"""Durations as people write them: 90, 90s, 15m, 2h, 1d."""

from __future__ import annotations

from nbtools.errors import RequestError

UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


def seconds(text: str) -> float:
    """The seconds that a duration is. Raises RequestError."""
    number = text.rstrip("abcdefghijklmnopqrstuvwxyz ")
    unit = text[len(number) :].strip() or "s"
    try:
        return float(number) * UNITS[unit]
    except (ValueError, KeyError):
        raise RequestError(f"{text!r} is no duration: write 90, 90s, 15m, 2h or 1d") from None
