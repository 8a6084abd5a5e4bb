"""A lineage graph as an SVG picture, whole in itself: no font, script or link from elsewhere."""

from __future__ import annotations

from html import escape
from unicodedata import east_asian_width

from nbtools.drawing import Edge, Node, edges, look, nodes
from nbtools.graph import Graph
from nbtools.layout import layers

#: pixels: of a node, its lines, and the gaps between nodes across and down.
WIDTH, LINE, PAD, ACROSS, DOWN = 230, 16, 10, 70, 16
MARGIN = 16

STYLE = """
.nbl{font:12px sans-serif;background:#fff}
.nbl rect{stroke-width:1.2}
.nbl .start rect{stroke-width:3}
.nbl .artifact rect{fill:#e8f0fe;stroke:#4878cf}
.nbl .execution rect{fill:#f4f4f4;stroke:#777}
.nbl .failed rect{fill:#fdecea;stroke:#c0392b}
.nbl text{fill:#1c2530}
.nbl .less{fill:#5a6572;font-size:11px}
.nbl path{fill:none;stroke:#8a94a0;stroke-width:1.3}
.nbl .tip{fill:#8a94a0;stroke:none}
@media (prefers-color-scheme:dark){
.nbl{background:#15191f}
.nbl .artifact rect{fill:#1b2a44}
.nbl .execution rect{fill:#262b33}
.nbl .failed rect{fill:#42201d}
.nbl text{fill:#e4e8ee}
.nbl .less{fill:#a3adba}
}
"""

Box = tuple[float, float, float]  #: x, y of the upper left corner, height


def svg(graph: Graph) -> str:
    """The picture, from left to right. A thousand nodes take well under a second."""
    drawn = {node.key: node for node in nodes(graph)}
    numbers = {key: number for number, key in enumerate(drawn)}
    ways = edges(graph)
    columns = layers(list(drawn), ways)
    boxes, width, height = _boxes([[drawn[key] for key in column] for column in columns])
    if not drawn:
        boxes, width, height = {}, WIDTH, LINE * 2
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="nbl" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}" role="img">',
        "<title>Lineage</title>",
        f"<style>{STYLE}</style>",
        '<defs><marker id="nbl-tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path class="tip" d="M0 0L8 4L0 8z"/></marker></defs>',
        *(_way(way, boxes) for way in ways),
        *(_node(drawn[key], box, numbers[key]) for key, box in boxes.items()),
    ]
    if not drawn:
        parts.append(f'<text x="{MARGIN}" y="{LINE + 4}">nothing is known of it</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _boxes(columns: list[list[Node]]) -> tuple[dict[tuple[str, str], Box], float, float]:
    """Where each node goes; the width and the height of it all."""
    heights: dict[tuple[str, str], float]
    heights = {node.key: len(node.lines) * LINE + 2 * PAD for c in columns for node in c}
    whole = [sum(heights[n.key] + DOWN for n in column) - DOWN for column in columns]
    tallest = max(whole, default=0)
    boxes = dict[tuple[str, str], Box]()
    for number, column in enumerate(columns):
        y = float(MARGIN) + (tallest - whole[number]) / 2
        for node in column:
            boxes[node.key] = (MARGIN + number * (WIDTH + ACROSS), y, heights[node.key])
            y += heights[node.key] + DOWN
    across = len(columns) * (WIDTH + ACROSS) - ACROSS + 2 * MARGIN
    return boxes, across, tallest + 2 * MARGIN


def _node(node: Node, box: Box, number: int) -> str:
    x, y, height = box
    less = ' class="less"'
    lines = "".join(
        f'<text x="{x + PAD:g}" y="{y + PAD + (i + 0.75) * LINE:g}"'
        f"{less if i else ''}{_fit(line)}>{_text(line)}</text>"
        for i, line in enumerate(node.lines)
    )
    corner = 4 if node.key[0] == "execution" else height / 2 if len(node.lines) < 2 else 14
    marks = f"{look(node)} start" if node.start else look(node)
    return (
        f'<g class="{marks}" data-node="{number}"><title>{_text(node.said)}</title>'
        f'<rect x="{x:g}" y="{y:g}" width="{WIDTH}" height="{height:g}" rx="{corner:g}"/>'
        f"{lines}</g>"
    )


def _way(way: Edge, boxes: dict[tuple[str, str], Box]) -> str:
    """A curve from the right side of one box to the left side of the other."""
    (x1, y1, h1), (x2, y2, h2) = boxes[way[0]], boxes[way[1]]
    x1, y1, y2 = x1 + WIDTH, y1 + h1 / 2, y2 + h2 / 2
    bend = max(ACROSS * 0.6, abs(x2 - x1) / 3)
    return (
        f'<path marker-end="url(#nbl-tip)" d="M{x1:g} {y1:g}C{x1 + bend:g} {y1:g} '
        f'{x2 - bend:g} {y2:g} {x2:g} {y2:g}"/>'
    )


def _fit(text: str) -> str:
    """What squeezes a line that is wider than its node; widths are those of common fonts."""
    wide = sum(12 if east_asian_width(c) in "WF" else 8.5 if c.isupper() else 6.4 for c in text)
    room = WIDTH - 2 * PAD
    return f' textLength="{room}" lengthAdjust="spacingAndGlyphs"' if wide > room else ""


def _text(text: str) -> str:
    """Escaped; what XML cannot hold at all is replaced."""
    return escape("".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in text))
