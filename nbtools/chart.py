"""Pictures of a sweep as SVG, drawn here: a page that holds them needs no script, no network."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from html import escape

from nbtools.design import Design
from nbtools.space import Choices, Dimension
from nbtools.trials import Trial, best

WIDTH, HEIGHT = 760, 300
#: room for words: left, right, above, below.
LEFT, RIGHT, TOP, BOTTOM = 70, 40, 30, 40
#: from the worst value to the best: red, green and blue at each end.
WORST, BEST = (68, 1, 84), (253, 190, 37)
GREY = "#999"

Scale = Callable[[float], float]


def objective(trials: Sequence[Trial], design: Design) -> str:
    """The objective of each trial, and the best so far as a line. "" when there is nothing."""
    shown = [t for t in trials if t.value is not None and math.isfinite(t.value)]
    if not shown:
        return ""
    last = max(2, *(t.number for t in trials))
    x = _scale(1, last, LEFT, WIDTH - RIGHT)
    values = [t.value or 0.0 for t in shown]
    y = _scale(min(values), max(values), HEIGHT - BOTTOM, TOP)
    parts = [_grid(y, min(values), max(values)), _words(WIDTH / 2, HEIGHT - 6, "trial")]
    parts += [
        _words(x(n), HEIGHT - BOTTOM + 16, str(n)) for n in sorted({1, (last + 1) // 2, last})
    ]
    parts.append(_words(LEFT, TOP - 12, design.objective, "start"))
    parts.append(_line_of_best(shown, design, x, y))
    for t in shown:
        look = 'fill="none" stroke="#999"' if t.state != "COMPLETE" else 'fill="#3b6fb5"'
        title = f"<title>{escape(_about(t))}</title>"
        parts.append(f'<circle cx="{x(t.number):.1f}" cy="{y(t.value or 0):.1f}" r="4" {look}>'
                     f"{title}</circle>")  # fmt: skip
    return _svg(parts, f"{design.objective} of each trial")


def parallel(trials: Sequence[Trial], design: Design) -> str:
    """A line a trial through its parameters and its objective. "" when there is nothing."""
    shown = [t for t in trials if t.counts and math.isfinite(t.value or 0.0)]
    if not shown:
        return ""
    values = [t.value or 0.0 for t in shown]
    low, high = min(values), max(values)
    names = [*design.space]
    gap = (WIDTH - 2 * LEFT) / len(names)
    axes = [_axis(design.space[n], [t.params[n] for t in shown]) for n in names]
    y = _scale(low, high, HEIGHT - BOTTOM, TOP)
    parts = []
    for number, (name, (_, ticks)) in enumerate(zip(names, axes, strict=True)):
        parts.append(_upright(LEFT + number * gap, name, ticks))
    end = LEFT + len(names) * gap
    parts.append(_upright(end, design.objective, _ticks(low, high, y), outer=True))
    winner = best(shown, design.direction)
    for t in sorted(shown, key=lambda t: t is winner):  # the best above all others
        places = [place(json.dumps(t.params[n])) for n, (place, _) in zip(names, axes, strict=True)]
        places.append(y(t.value or 0.0))
        points = " ".join(f"{LEFT + i * gap:.1f},{place:.1f}" for i, place in enumerate(places))
        share = (t.value or 0.0) - low if design.direction == "maximize" else high - (t.value or 0)
        colour = _colour(share / ((high - low) or 1.0))
        width = 3 if t is winner else 1.5
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" '
            f'stroke-width="{width}"><title>{escape(_about(t))}</title></polyline>'
        )
    return _svg(parts, f"parameters and {design.objective} of each completed trial")


def _line_of_best(shown: Sequence[Trial], design: Design, x: Scale, y: Scale) -> str:
    steps: list[str] = []
    so_far: list[Trial] = []
    for t in (t for t in shown if t.counts):
        so_far.append(t)
        top = best(so_far, design.direction)
        if top is not None and top.value is not None:
            if steps:
                steps.append(f"{x(t.number):.1f},{steps[-1].partition(',')[2]}")
            steps.append(f"{x(t.number):.1f},{y(top.value):.1f}")
    return f'<polyline points="{" ".join(steps)}" fill="none" stroke="#d9822b" stroke-width="2"/>'


def _axis(
    dimension: Dimension, values: Sequence[object]
) -> tuple[Callable[[str], float], list[tuple[float, str]]]:  # fmt: skip
    """Where a value, as JSON, lies on an upright axis, and the words beside it."""
    if isinstance(dimension, Choices):
        known = [json.dumps(v) for v in dimension.values]
        known += [t for t in dict.fromkeys(map(json.dumps, values)) if t not in known]
        of = _scale(0, max(1, len(known) - 1), HEIGHT - BOTTOM, TOP)
        places = {text: of(number) for number, text in enumerate(known)}
        return places.__getitem__, [(place, text.strip('"')) for text, place in places.items()]
    bend = math.log if dimension.log else float
    scale = _scale(bend(dimension.low), bend(dimension.high), HEIGHT - BOTTOM, TOP)
    ends = [dimension.low, dimension.high]
    return lambda text: scale(bend(float(text))), [(scale(bend(e)), f"{e:.4g}") for e in ends]


def _upright(x: float, name: str, ticks: list[tuple[float, str]], *, outer: bool = False) -> str:
    side, anchor = (6, "start") if outer else (-6, "end")
    words = "".join(_words(x + side, place + 4, text, anchor) for place, text in ticks)
    line = f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{HEIGHT - BOTTOM}" stroke="{GREY}"/>'
    return line + words + _words(x, HEIGHT - BOTTOM + 20, name)


def _grid(y: Scale, low: float, high: float) -> str:
    return "".join(
        f'<line x1="{LEFT}" y1="{place:.1f}" x2="{WIDTH - RIGHT}" y2="{place:.1f}" '
        f'stroke="{GREY}" stroke-opacity="0.3"/>{_words(LEFT - 8, place + 4, text, "end")}'
        for place, text in _ticks(low, high, y)
    )


def _ticks(low: float, high: float, y: Scale) -> list[tuple[float, str]]:
    numbers = [low + (high - low) * i / 4 for i in range(5)] if high > low else [low]
    return [(y(number), f"{number:.4g}") for number in numbers]


def _scale(low: float, high: float, start: float, end: float) -> Scale:
    span = high - low
    return lambda value: start + (end - start) * ((value - low) / span if span else 0.5)


def _colour(share: float) -> str:
    mixed = [round(a + (b - a) * share) for a, b in zip(WORST, BEST, strict=True)]
    return "#" + "".join(f"{part:02x}" for part in mixed)


def _words(x: float, y: float, text: str, anchor: str = "middle") -> str:
    short = text if len(text) <= 24 else f"{text[:21]}..."
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="12" '
        f'fill="currentColor">{escape(short)}</text>'
    )


def _about(t: Trial) -> str:
    params = "  ".join(f"{name}={value}" for name, value in t.params.items())
    return f"trial {t.number}: {t.value}  {params}"


def _svg(parts: Sequence[str], title: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'font-family="sans-serif" aria-label="{escape(title)}">{"".join(parts)}</svg>'
    )
