"""Learning curves: one chart a series, a line a run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from nbtools.figures.markup import Markup, element, faint, number, place
from nbtools.figures.scale import Scale, labels, spanning

WIDTH, HEIGHT = 640, 300
LEFT, RIGHT, TOP, BOTTOM = 64, 10, 10, 34
#: points of one curve at most, and of all curves of a chart together.
POINTS: Final = 500
ALL_POINTS: Final = 60_000


@dataclass(frozen=True)
class Curve:
    """One run's series."""

    run: int  #: the place of its run on the page
    label: str  #: the run's name
    colour: str
    points: Sequence[tuple[int, float]]  #: step and value, in the order of steps


def chart(name: str, curves: Sequence[Curve]) -> Markup:
    """The curves of one series. NaN and infinity are gaps."""
    limit = max(60, min(POINTS, ALL_POINTS // max(1, len(curves))))
    shown = [thinned(curve.points, limit) for curve in curves]  # with its ends and extremes
    values = [value for points in shown for _, value in points]
    steps = [float(step) for points in shown for step, _ in points]
    across = spanning(steps, LEFT, WIDTH - RIGHT)
    up = spanning(values, HEIGHT - BOTTOM, TOP, may_log=True)
    lines = [_line(*pair, across, up) for pair in zip(curves, shown, strict=True)]
    drawn = element(
        "svg",
        {
            "viewBox": f"0 0 {WIDTH} {HEIGHT}",
            "xmlns": "http://www.w3.org/2000/svg",
            "role": "img",
            "aria-label": f"{name} by step",
        },
        *_axes(across, up),
        *lines,
    )
    gaps = sum(_gaps(curve.points) for curve in curves)
    said = ["logarithmic"] * up.log + [f"{gaps} points are NaN or infinite: gaps"] * bool(gaps)
    caption = element("figcaption", {}, element("b", {}, name), *(f" · {text}" for text in said))
    return element("figure", {"class": "curves", "style": faint(len(curves))}, caption, drawn)


def thinned(points: Sequence[tuple[int, float]], limit: int) -> list[tuple[int, float]]:
    """At most `limit` points, of which each stretch keeps its lowest and its highest.

    So a spike is never lost; a stretch with a gap keeps one too.
    """
    if len(points) <= limit:
        return list(points)
    count = max(1, (limit - 2) // 3)
    kept: set[int] = {0, len(points) - 1}
    for i in range(count):
        begin, end = i * len(points) // count, (i + 1) * len(points) // count
        values = [value for _, value in points[begin:end]]
        if not math.isfinite(sum(values)):
            gaps = [p for p, value in enumerate(values) if not math.isfinite(value)]
            kept.update(begin + p for p in gaps[:1])
            if len(gaps) == len(values):
                continue
            least = next(value for value in values if math.isfinite(value))
            values = [value if math.isfinite(value) else least for value in values]
        kept.add(begin + values.index(min(values)))
        kept.add(begin + values.index(max(values)))
    return [points[p] for p in sorted(kept)]


def _gaps(points: Sequence[tuple[int, float]]) -> int:
    """How many of the values are no finite numbers."""
    if math.isfinite(sum(value for _, value in points)):
        return 0
    return sum(not math.isfinite(value) for _, value in points)


def _line(curve: Curve, points: Sequence[tuple[int, float]], across: Scale, up: Scale) -> Markup:
    ended = [value for _, value in points if math.isfinite(value)]
    title = f"{curve.label}: {number(ended[-1])}" if ended else f"{curve.label}: no number"
    return element(
        "path",
        {"d": "".join(_strokes(points, across, up)), "stroke": curve.colour,
         "data-run": curve.run},
        element("title", {}, title),
    )  # fmt: skip


def _strokes(points: Sequence[tuple[int, float]], across: Scale, up: Scale) -> Iterator[str]:
    open_ = False
    for i, (step, value) in enumerate(points):
        if not math.isfinite(value):
            open_ = False
            continue
        yield f"{'L' if open_ else 'M'}{place(across.at(step))} {place(up.at(value))}"
        alone = i + 1 == len(points) or not math.isfinite(points[i + 1][1])
        if not open_ and alone:
            yield "m-1.5 0h3m-1.5 0"  # a point with gaps on both sides: a dot, its ends are round
        open_ = True


def _axes(across: Scale, up: Scale) -> Iterator[Markup]:
    ticks = up.ticks()
    for value, label in zip(ticks, labels(ticks), strict=True):
        y = up.at(value)
        yield element(
            "line", {"x1": LEFT, "x2": WIDTH - RIGHT, "y1": place(y), "y2": place(y),
                     "class": "grid"},
        )  # fmt: skip
        yield element("text", {"x": LEFT - 6, "y": place(y + 4), "text-anchor": "end"}, label)
    ticks = [tick for tick in across.ticks() if tick == round(tick)]
    for value in ticks:
        yield element(
            "text", {"x": place(across.at(value)), "y": HEIGHT - BOTTOM + 16,
                     "text-anchor": "middle"}, f"{value:.9g}",
        )  # fmt: skip
    yield element(
        "text",
        {"x": place((LEFT + WIDTH - RIGHT) / 2), "y": HEIGHT - 4, "text-anchor": "middle"},
        "step",
    )
