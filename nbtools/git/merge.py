"""Three-way merge of notebooks: cells by id, then by source; lines inside a cell.

Both sides are always present in the result, and it is always a valid notebook: what
conflicts stands in it twice, between marker cells.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from nbtools.git.ancestor import resolved
from nbtools.git.cells import changed, common_cell, merge_cell, plain
from nbtools.git.document import Cell, Document
from nbtools.git.markers import Labels, markers, metadata_marker, wrapped
from nbtools.git.matching import match, numbered
from nbtools.git.naming import Name, named, stem, twins, with_ids
from nbtools.git.order import merge_order, same_place
from nbtools.git.values import Clash, common_values, merge_values, ordered, same


@dataclass(slots=True)
class Merged:
    """A merged notebook, and what there is to say about it."""

    data: bytes
    conflicts: list[str] = field(default_factory=list)  #: one sentence each
    notes: list[str] = field(default_factory=list)  #: decided, but worth a look


def merge(
    base: bytes, ours: bytes, theirs: bytes, name: str = "notebook", labels: Labels | None = None
) -> Merged:
    """Merge two versions of a notebook; an empty `base` means that both sides made it.

    Raises BadNotebook, which names the side and the line, when one is not a notebook.
    """
    if theirs in (ours, base):
        return Merged(ours)
    if base == ours:
        return Merged(theirs)
    labels = labels or Labels()
    mine = Document.parse(ours, f"{name} ({labels.ours})")
    yours = Document.parse(theirs, f"{name} ({labels.theirs})")
    known = Document.parse(base, f"{name} (base)") if base.strip() else None
    if known and same(known.data, yours.data):
        return Merged(ours)
    known = known and resolved(known, mine, yours)
    return _Merge(known, mine, yours, labels).result()


class _Merge:
    """One merge under way: the cells of all three by name."""

    def __init__(
        self, base: Document | None, ours: Document, theirs: Document, labels: Labels
    ) -> None:
        self.ours, self.theirs, self.labels = ours, theirs, labels
        self.conflicts: list[str] = []
        self.notes: list[str] = []
        self.made_by_both = base is None
        if base is None:
            pairs = sorted((i, j) for j, i in match(ours.cells, theirs.cells).items())
            base_cells = [common_cell(ours.cells[i], theirs.cells[j]) for i, j in pairs]
            mine = {i: k for k, (i, _) in enumerate(pairs)}
            yours = {j: k for k, (_, j) in enumerate(pairs)}
            self.base_data = common_values(ours.data, theirs.data)
        else:
            base_cells = base.cells
            mine, yours = match(base_cells, ours.cells), match(base_cells, theirs.cells)
            self.base_data = base.data
        self.names = named(mine, len(ours.cells), "ours")
        own = named(yours, len(theirs.cells), "theirs")
        self.their_names = twins(ours.cells, self.names, theirs.cells, own)
        self.base: dict[Name, Cell] = dict(enumerate(base_cells))
        self.mine = dict(zip(self.names, ours.cells, strict=True))
        self.yours = dict(zip(self.their_names, theirs.cells, strict=True))

    def result(self) -> Merged:
        made = {name: cells for name in self._all() if (cells := self._cell(name))}
        base, mine, yours = list(self.base), self.names, self.their_names
        order, torn = merge_order(base, mine, yours, made)
        # Deleted by one side, a cell is a conflict of its own.
        for name in (name for name in torn if name in self.mine and name in self.yours):
            self.notes.append(f"both sides moved {_title(self.mine[name])}: it is where ours is")
        clashes: list[Clash] = []
        data = self._data(clashes)
        self._insertions(order, made)
        cells = [cell for name in order for cell in made[name]]
        if clashes:
            cells.insert(0, metadata_marker(clashes, "the notebook", self.labels, "notebook"))
            paths = ", ".join(clash.path for clash in clashes)
            self.conflicts.append(f"both sides changed the notebook's metadata: {paths}")
        wanted = any(cell.id for side in (self.ours, self.theirs) for cell in side.cells)
        if wanted:  # notebooks of format 4.4 with ids exist, and only 4.5 allows them
            data["nbformat_minor"] = max(data["nbformat_minor"], 5)
        counted = numbered(self.ours.cells) and numbered(self.theirs.cells)
        cells = with_ids(cells, data["nbformat_minor"] >= 5, counted)
        document = Document(data, cells, self.ours.style)
        return Merged(document.render(), self.conflicts, self.notes)

    def _all(self) -> Iterable[Name]:
        return dict.fromkeys([*self.base, *self.names, *self.their_names])

    def _cell(self, name: Name) -> list[Cell]:
        """What stands in the result for one cell: nothing, the cell, or a conflict."""
        base, mine, yours = self.base.get(name), self.mine.get(name), self.yours.get(name)
        if mine and yours:
            return self._both(base or common_cell(mine, yours), mine, yours)
        left = mine or yours
        if left is None:
            return []
        if base is None:
            return [plain(left)]
        if not changed(base, left):
            return []
        who = self.labels.ours if mine else self.labels.theirs
        why = f"{who} changed this cell"
        self.conflicts.append(f"{_title(left)} was changed by {who} and deleted by the other side")
        kept = [plain(left)]
        sides = (kept, []) if mine else ([], kept)
        return wrapped(*sides, why, self.labels, stem(left))

    def _both(self, base: Cell, mine: Cell, yours: Cell) -> list[Cell]:
        merged = merge_cell(base, mine, yours)
        cells = [merged.ours]
        name = stem(merged.ours)
        if merged.theirs:
            other = merged.theirs
            other.id = other.data["id"] = f"{name}-other"
            cells = wrapped([merged.ours], [other], merged.why, self.labels, name)
            self.conflicts.append(f"{_title(mine)}: {merged.why}")
        if merged.clashes:
            paths = ", ".join(clash.path for clash in merged.clashes)
            cells.insert(0, metadata_marker(merged.clashes, "the cell below", self.labels, name))
            self.conflicts.append(f"{_title(mine)}: both sides changed its metadata: {paths}")
        return cells

    def _insertions(self, order: list[Name], made: dict[Name, list[Cell]]) -> None:
        """Cells of both sides at one place: both are kept. Where they take the place of the
        same cells, or where no base says that they may stand together, that is a conflict.
        """
        places = same_place(list(self.base), self.names, self.their_names, made)
        for left, right, replaced in places:
            first = self.mine[left[0]]
            if not (self.made_by_both or replaced):
                self.notes.append(f"both sides inserted at {_title(first)}: ours comes first")
                continue
            why = "both sides made this notebook, and wrote other cells"
            if replaced:
                why = "both sides replaced the cells that were here, by others"
            self.conflicts.append(f"{_title(first)}: {why}")
            fence = markers(f"{why}; keep what you want of both,", self.labels, stem(first))
            at = order.index(left[0])
            if order[at : at + len(left) + len(right)] == [*left, *right]:
                made[left[0]].insert(0, fence[0])
                made[right[0]].insert(0, fence[1])
                made[right[-1]].append(fence[2])
            else:  # other cells came between: the markers cannot stand around both
                made[left[0]][:0] = fence

    def _data(self, clashes: list[Clash]) -> dict[str, Any]:
        """All of the notebook but its cells."""
        skip = {"cells", "nbformat_minor"}
        base, mine, yours = (
            {k: v for k, v in data.items() if k not in skip}
            for data in (self.base_data, self.ours.data, self.theirs.data)
        )
        merged: dict[str, Any] = merge_values(base, mine, yours, clashes)
        merged["nbformat_minor"] = max(self.ours.minor, self.theirs.minor)
        merged["cells"] = []
        in_order = {key: merged[key] for key in self.ours.data if key in merged}
        return ordered(self.ours.data, in_order | merged)


def _title(cell: Cell) -> str:
    first = next((line for line in cell.source.split("\n") if line.strip()), "(empty)")
    name = f" {cell.id}" if cell.id else ""
    title = f"{cell.kind} cell{name} `{first.strip()[:40]}`"
    return "".join(c if c.isprintable() else "?" for c in title)  # it goes to a terminal
