"""Bars, the longest first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from nbtools.figures.markup import Markup, element, place

WIDTH: Final = 640
LEFT: Final = 190
ROW: Final = 24


def chart(what: str, scores: Sequence[tuple[str, float]]) -> Markup:
    """A bar for each name, with its score behind it. Scores below zero have none."""
    top = max([score for _, score in scores] + [1e-9])
    rows = []
    for i, (name, score) in enumerate(scores):
        y, width = i * ROW, max(0.0, score / top) * (WIDTH - LEFT - 60)
        label = name if len(name) <= 26 else name[:25] + "…"
        rows += [
            element("text", {"x": LEFT - 8, "y": y + 16, "text-anchor": "end"},
                    element("title", {}, name), label),
            element("rect", {"x": LEFT, "y": y + 5, "width": place(width), "height": ROW - 10,
                             "class": "bar"}),
            element("text", {"x": place(LEFT + width + 6), "y": y + 16}, f"{score:.2f}"),
        ]  # fmt: skip
    return element(
        "figure",
        {"class": "bars"},
        element(
            "svg",
            {"viewBox": f"0 0 {WIDTH} {max(1, len(scores)) * ROW}", "role": "img",
             "xmlns": "http://www.w3.org/2000/svg", "aria-label": what},
            *rows,
        ),
    )  # fmt: skip
