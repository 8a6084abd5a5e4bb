"""What can be logged. It is refused here, where it is logged, or it is kept.

A journal is read by every later command: what no store can hold must not get into it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from nbtools.errors import RequestError
from nbtools.value import MAX_BITS, plain, show

#: the largest step, SQLite's largest whole number.
LAST_STEP = 2**63 - 1


def scalars(named: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers, text and bools by name; RequestError names the first that is none."""
    return {_name(name): _scalar(name, value) for name, value in named.items()}


def numbers(named: Mapping[str, Any]) -> dict[str, float]:
    """Numbers by name, as points of time series."""
    return {_name(name): _number(name, value) for name, value in named.items()}


def step(given: Any) -> int:
    """A step of a time series."""
    try:
        number = int(given)
    except (TypeError, ValueError, OverflowError):
        number = LAST_STEP + 1
    if abs(number) > LAST_STEP:
        raise RequestError(f"step: {show(given)} is no step, give a whole number of 64 bits")
    return number


def wall_time(given: Any) -> float:
    """Seconds since the epoch."""
    seconds = _number("wall_time", given)
    if not math.isfinite(seconds):
        raise RequestError(f"wall_time: {seconds} is no time, give seconds since the epoch")
    return seconds


def _name(name: object) -> str:
    if not isinstance(name, str) or not name:
        raise RequestError(f"{name!r} cannot name a param or a metric: use text")
    return str(plain("a name", name))


def _scalar(name: str, value: Any) -> Any:
    """Also numpy's and torch's scalars, as the Python number they hold."""
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        value = value.item()
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise RequestError(f"{name}: a number of that many digits cannot be kept: log it as text")
    if isinstance(value, bool | int | float | str):
        return value
    raise RequestError(
        f"{name}: {type(value).__name__} cannot be logged: give a number, text or a bool"
    )


def _number(name: str, value: Any) -> float:
    try:
        return float(_scalar(name, value))
    except (ValueError, OverflowError):
        raise RequestError(f"{name}: {show(value)} is no number that a series can hold") from None


def classification(
    labels: Sequence[str] | None,
    matrix: Sequence[Sequence[int]] | None,
    fpr: Sequence[float] | None,
    tpr: Sequence[float] | None,
    threshold: Sequence[float] | None,
) -> dict[str, Any]:
    """A confusion matrix and a ROC curve as `google.ClassificationMetrics` has them."""
    made: dict[str, Any] = {}
    if (labels is None) != (matrix is None):
        raise RequestError("a confusion matrix needs both labels and matrix")
    if labels is not None and matrix is not None:
        names, rows = [str(label) for label in labels], [[*row] for row in matrix]
        if {len(rows), *map(len, rows)} - {len(names)}:
            raise RequestError(f"the matrix must be {len(names)} by {len(names)}, as the labels")
        made["confusionMatrix"] = {
            "annotationSpecs": [{"displayName": name} for name in names],
            "rows": [[_scalar("matrix", value) for value in row] for row in rows],
        }
    curve = [fpr, tpr, threshold]
    if any(part is not None for part in curve):
        parts = [[_number("curve", value) for value in part or ()] for part in curve]
        if len({len(part) for part in parts}) > 1:
            raise RequestError("a ROC curve needs fpr, tpr and threshold of one length")
        made["confidenceMetrics"] = [
            {"confidenceThreshold": at, "recall": right, "falsePositiveRate": wrong}
            for wrong, right, at in zip(*parts, strict=True)
        ]
    if not made:
        raise RequestError("give labels and matrix, or fpr, tpr and threshold")
    return made
