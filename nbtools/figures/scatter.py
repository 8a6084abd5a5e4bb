"""A dot a run: one of its values against another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from nbtools.figures.markup import Markup, element, number, place
from nbtools.figures.scale import FARTHEST, labels, spanning

WIDTH, HEIGHT = 640, 300
LEFT, RIGHT, TOP, BOTTOM = 64, 14, 12, 40
#: words on the lower axis; what comes after lies on one place.
MOST_WORDS: Final = 8
WIDEST: Final = 11  #: characters of such a word


@dataclass(frozen=True)
class Dot:
    """One run."""

    run: int  #: its place on the page
    label: str  #: its name
    colour: str
    across: Any  #: a param's value: numbers lie by size if all are numbers, else side by side
    up: float  #: finite


def chart(across: str, up: str, dots: Sequence[Dot]) -> Markup:
    """The dots, with the names of what lies on the two axes."""
    values = [dot.across for dot in dots]
    if all(_number(v) for v in values):
        scale = spanning(map(float, values), LEFT, WIDTH - RIGHT, may_log=True, ratio=50)
        places = [scale.at(float(v)) for v in values]
        ticks = scale.ticks()
        under = list(zip(map(scale.at, ticks), labels(ticks), strict=True))
    else:
        words = sorted({_word(v) for v in values})
        extra = words[MOST_WORDS - 1 :] if len(words) > MOST_WORDS else []
        shown = [w for w in words if w not in extra] + [f"{len(extra)} others"] * bool(extra)
        apart = (WIDTH - RIGHT - LEFT) / max(1, len(shown))
        at = {word: LEFT + (i + 0.5) * apart for i, word in enumerate(shown)}
        at |= dict.fromkeys(extra, LEFT + (len(shown) - 0.5) * apart)
        places = [at[_word(v)] for v in values]
        under = [(at[word], word) for word in shown if word in at]
    level = spanning([dot.up for dot in dots], HEIGHT - BOTTOM, TOP, may_log=True)
    ticks = level.ticks()
    parts = []
    for value, label in zip(ticks, labels(ticks), strict=True):
        y = place(level.at(value))
        line = {"x1": LEFT, "x2": WIDTH - RIGHT, "y1": y, "y2": y, "class": "grid"}
        parts.append(element("line", line))
        parts.append(_text(LEFT - 6, level.at(value) + 4, label, "end"))
    parts += [_text(x, HEIGHT - BOTTOM + 16, word[:WIDEST]) for x, word in under]
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, across, head=True))
    for dot, x in zip(dots, places, strict=True):
        title = f"{dot.label}: {across} {_word(dot.across)}, {up} {number(dot.up)}"
        round_ = {"cx": place(x), "cy": place(level.at(dot.up)), "r": 4, "fill": dot.colour,
                  "data-run": dot.run}  # fmt: skip
        parts.append(element("circle", round_, element("title", {}, title)))
    drawn = element(
        "svg",
        {"viewBox": f"0 0 {WIDTH} {HEIGHT}", "xmlns": "http://www.w3.org/2000/svg", "role": "img",
         "aria-label": f"{up} by {across}"},
        *parts,
    )  # fmt: skip
    return element("figure", {"class": "scatter"}, element("figcaption", {}, up), drawn)


def _text(x: float, y: float, text: str, anchor: str = "middle", *, head: bool = False) -> Markup:
    look = {"x": place(x), "y": place(y), "text-anchor": anchor, "class": "head" if head else None}
    return element("text", look, text)


def _word(value: Any) -> str:
    if value is None:
        return "not given"
    return number(value) if isinstance(value, float) else str(value)


def _number(value: Any) -> bool:
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return plain and -FARTHEST <= value <= FARTHEST
