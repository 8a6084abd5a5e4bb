"""Parallel coordinates: an axis a param, the metric last, a line a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from nbtools.figures.markup import Markup, element, faint, joined, number, place
from nbtools.figures.scale import FARTHEST, Scale, labels, spanning

HEIGHT: Final = 340
TOP, BOTTOM = 34, 16
APART: Final = 150  #: pixels between axes
SIDE: Final = 70
FEW: Final = 5
MOST_WORDS: Final = 20  #: of an axis of words; what comes after lies on one place
#: colours from the lowest to the highest metric.
RAMP: Final = ((110, 64, 170), (59, 110, 180), (33, 160, 150), (94, 200, 98), (225, 190, 30))
NONE: Final = "not given"
GAP: Final = 26  #: pixels between the numbers of an axis and the place of those that are not given


@dataclass(frozen=True)
class Line:
    """One run."""

    run: int  #: its place on the page
    label: str  #: its name
    params: Mapping[str, Any]
    metric: float  #: finite


class _Axis:
    """Where the values of one param lie: by size if all are numbers, else one by one; those
    that are not given lie below.
    """

    def __init__(self, name: str, values: Sequence[Any]) -> None:
        self.name = name
        there = [v for v in values if v is not None]
        self._scale: Scale | None = None
        self._few: list[float] = []  #: all values, where they are so few that each is written
        self._missing = len(there) < len(values)
        if there and all(_number(v) for v in there):
            bottom = HEIGHT - BOTTOM - (GAP if self._missing else 0)
            numbers = [float(v) for v in there]
            self._few = sorted(set(numbers)) if len(set(numbers)) <= FEW else []
            self._scale = spanning(numbers, bottom, TOP, may_log=True, ratio=50)
        self._words = sorted({self._word(v) for v in values})
        extra = self._words[MOST_WORDS:]
        self._words = self._words[:MOST_WORDS] + ([f"{len(extra)} others"] if extra else [])

    def at(self, value: Any) -> float:
        if self._scale:
            return HEIGHT - BOTTOM if value is None else self._scale.at(float(value))
        word = self._word(value)
        place_ = self._words.index(word) if word in self._words else len(self._words) - 1
        return self._height(place_)

    def ticks(self) -> list[tuple[float, str]]:
        if self._scale:
            values = self._few or self._scale.ticks()
            found = [(self._scale.at(v), text) for v, text in zip(values, labels(values),
                                                                  strict=True)]  # fmt: skip
            return [*found, (HEIGHT - BOTTOM, NONE)] if self._missing else found
        return [(self._height(i), word) for i, word in enumerate(self._words)]

    def _height(self, i: int) -> float:
        return HEIGHT - BOTTOM - (i + 0.5) / len(self._words) * (HEIGHT - BOTTOM - TOP)

    def _word(self, value: Any) -> str:
        if value is None:
            return NONE
        return number(value) if isinstance(value, float) else str(value)


def chart(params: Sequence[str], metric: str, lines: Sequence[Line]) -> Markup:
    """The lines through the axes of `params`, in that order, to the axis of `metric`."""
    axes = [_Axis(name, [line.params.get(name) for line in lines]) for name in params]
    axes.append(_Axis(metric, [line.metric for line in lines]))
    width = 2 * SIDE + APART * (len(axes) - 1)
    low, high = min(line.metric for line in lines), max(line.metric for line in lines)
    drawn = []
    for line in sorted(lines, key=lambda one: one.metric):
        values = [*(line.params.get(name) for name in params), line.metric]
        spots = [
            f"{SIDE + APART * i} {place(axis.at(v))}"
            for i, (axis, v) in enumerate(zip(axes, values, strict=True))
        ]
        said = ", ".join(f"{name} {_said(line.params.get(name))}" for name in params)
        title = f"{line.label}: {metric} {number(line.metric)}" + (f" ({said})" if said else "")
        drawn.append(
            element(
                "path",
                {"d": "M" + "L".join(spots), "stroke": colour(line.metric, low, high),
                 "data-run": line.run},
                element("title", {}, title),
            )
        )  # fmt: skip
    return element(
        "figure",
        {"class": "parallel", "style": faint(len(lines))},
        element(
            "svg",
            {"viewBox": f"0 0 {width} {HEIGHT}", "xmlns": "http://www.w3.org/2000/svg",
             "role": "img", "aria-label": f"params against {metric}",
             "style": f"min-width:{width * 0.7:.0f}px;max-width:{width * 1.2:.0f}px"},
            *drawn,
            *(_drawn(axis, SIDE + APART * i) for i, axis in enumerate(axes)),
        ),
    )  # fmt: skip


def colour(value: float, low: float, high: float) -> str:
    """A colour between the lowest's and the highest's."""
    width = high / 2 - low / 2  # halved: the whole may be beyond the largest double
    share = (value / 2 - low / 2) / width if width > 0 else 0.5
    at = min(max(share, 0.0), 1.0) * (len(RAMP) - 1)
    i = min(int(at), len(RAMP) - 2)
    mixed = (round(a + (b - a) * (at - i)) for a, b in zip(RAMP[i], RAMP[i + 1], strict=True))
    return "#" + "".join(f"{c:02x}" for c in mixed)


def _drawn(axis: _Axis, x: float) -> Markup:
    ticks = [
        element("text", {"x": x + 5, "y": place(y + 4), "class": "tick"}, _cut(text, 20))
        for y, text in axis.ticks()
    ]
    head = element("text", {"x": x, "y": TOP - 18, "text-anchor": "middle", "class": "head"},
                   element("title", {}, axis.name), _cut(axis.name, 22))  # fmt: skip
    line = element("line", {"x1": x, "x2": x, "y1": TOP - 8, "y2": HEIGHT - BOTTOM + 8,
                            "class": "axis"})  # fmt: skip
    return joined(line, head, *ticks)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _said(value: Any) -> str:
    return NONE if value is None else number(value) if isinstance(value, float) else str(value)


def _number(value: Any) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and -FARTHEST <= value <= FARTHEST
    )
