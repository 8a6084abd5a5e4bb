"""What an artifact came from and what came of it, as a picture to walk in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from nbtools import drawing, lineage, picture
from nbtools.figures.markup import Markup
from nbtools.nouns import Artifact
from nbtools.widgets import still
from nbtools.widgets.question import TEXT
from nbtools.widgets.view import View, script, style


class LineageView(View):
    """A part of the graph."""

    _esm, _css = script("lineage"), style()
    ASKED: ClassVar[Mapping[str, Mapping[str, str]]] = {"go": {"name": TEXT}}

    def __init__(self, start: str | Artifact, depth: int | None = None) -> None:
        """Raises NotFound, or RequestError for a negative depth."""
        super().__init__()
        self._start, self._depth = start, depth
        self.graph = lineage.subgraph(start, depth=depth)

    def look(self) -> None:
        """Tell the page the picture, and what is known of each node."""
        nodes = drawing.nodes(self.graph)
        self.told = {
            "start": self._name,
            "svg": picture.svg(self.graph),
            "nodes": [
                {"kind": n.key[0], "name": n.key[1], "title": n.lines[0], "said": n.said}
                for n in nodes
            ],
            "whole": self.graph.whole,
        }

    @property
    def _name(self) -> str:
        return self._start.name if isinstance(self._start, Artifact) else self._start

    def picture(self) -> Markup:
        """The same picture, and the events as a table."""
        names = {a.name: a.display_name or a.name for a in self.graph.artifacts}
        rows = [(e.type, names[e.artifact], e.execution) for e in self.graph.events]
        said = f"lineage of {self._name}: {len(self.graph)} nodes"
        return still.still(
            said,
            still.picture(picture.svg(self.graph), said),
            still.table(("event", "artifact", "execution"), rows),
        )

    def ask_go(self, name: str) -> None:
        """Look at it from another node."""
        self.graph = lineage.subgraph(name, depth=self._depth)
        self._start = name
        self.refresh()
