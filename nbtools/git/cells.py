"""Three-way merge of one cell that both sides still have."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from nbtools.git.document import Cell, form_of
from nbtools.git.lines import common_text, merge_text
from nbtools.git.values import ABSENT, Clash, common_values, merge_values, ordered, same

#: Merged each in its own way; anything else in a cell is merged as a value.
OWN = frozenset(
    {"attachments", "cell_type", "execution_count", "id", "metadata", "outputs", "source"}
)


@dataclass(slots=True)
class MergedCell:
    """A cell merged: one, or when it conflicts one of each side."""

    ours: Cell
    theirs: Cell | None = None  #: ours has the clean changes of both sides too
    why: str = ""  #: what conflicts, as the end of a sentence
    clashes: list[Clash] = field(default_factory=list)  #: metadata; ours has ours


def merge_cell(base: Cell, ours: Cell, theirs: Cell) -> MergedCell:
    """Merge two changes of `base`."""
    theirs, attachments, replaced = _attachments(base, ours, theirs)
    text = merge_text(base.source, ours.source, theirs.source)
    kinds, why = _kinds(base, ours, theirs)
    if replaced:
        why = f"both sides replaced the attachment {replaced}"
    elif not text.clean:
        lines = ", ".join(f"{a}-{b}" if b > a else f"{a}" for a, b in text.conflicts)
        word = "lines" if len(text.conflicts) > 1 or "-" in lines else "line"
        why = f"both sides changed {word} {lines} of this cell"
    clashes: list[Clash] = []
    metadata = merge_values(base.metadata, ours.metadata, theirs.metadata, clashes, "")
    rest = merge_values(_rest(base), _rest(ours), _rest(theirs), clashes, "")
    name = merge_values(base.id, ours.id, theirs.id, [], "") or ours.id or theirs.id
    three = base, ours, theirs

    held = rest | {"metadata": metadata, "attachments": attachments}
    if name:
        held["id"] = name
    like = ours if kinds[0] == ours.kind else theirs
    merged = MergedCell(_built(like, kinds[0], text.ours, held, three), clashes=clashes)
    if why:
        merged.theirs = _built(theirs, kinds[1], text.theirs, held, three)
        merged.why = why
    return merged


def common_cell(ours: Cell, theirs: Cell) -> Cell:
    """What two cells have in common: a base for a cell that both sides made."""
    source = common_text(ours.source, theirs.source)
    kind = ours.kind if ours.kind == theirs.kind else ""
    data = {
        "cell_type": kind,
        "metadata": common_values(ours.metadata, theirs.metadata),
        "attachments": common_values(ours.attachments, theirs.attachments),
        "source": source,
    }
    return Cell(data, kind, source, ours.id if ours.id == theirs.id else "")


def changed(base: Cell, side: Cell) -> bool:
    """Whether a side wrote in a cell, rather than ran or showed it."""
    return (base.kind, base.source, base.attachments) != (side.kind, side.source, side.attachments)


def plain(cell: Cell) -> Cell:
    """A cell taken as it is; only what its session counted is forgotten."""
    if cell.kind != "code":
        return cell
    data = {**cell.data, "outputs": _uncounted(cell.outputs), "execution_count": None}
    return Cell(ordered(cell.data, data), cell.kind, cell.source, cell.id)


def _kinds(base: Cell, ours: Cell, theirs: Cell) -> tuple[tuple[str, str], str]:
    """The type for each side's version, and why there are two."""
    if ours.kind == theirs.kind:
        return (ours.kind, ours.kind), ""
    if base.kind not in (ours.kind, theirs.kind):
        return (ours.kind, theirs.kind), "both sides changed the type of this cell"
    kind = theirs.kind if ours.kind == base.kind else ours.kind
    if kind == "code" and (ours.attachments or theirs.attachments):
        # A code cell has no attachments: those of the other side would be lost.
        return (ours.kind, theirs.kind), "one side made it code, which has no attachments"
    return (kind, kind), ""


def _attachments(base: Cell, ours: Cell, theirs: Cell) -> tuple[Cell, dict[str, Any], str]:
    """Merged attachments; theirs, whose pictures of an equal name got another, and its text."""
    clashes: list[Clash] = []
    files: dict[str, Any] = {}
    source, replaced = theirs.source, ""
    mine, yours, known = ours.attachments, theirs.attachments, base.attachments
    for name in [*mine, *(n for n in yours if n not in mine)]:
        three = [side.get(name, ABSENT) for side in (known, mine, yours)]
        clashes.clear()
        # One picture is one value: its types are never taken from two sides.
        if three[1] is not ABSENT and three[2] is not ABSENT and _all_differ(*three):
            other = _free(name, {*mine, *yours, *files})
            files[name], files[other] = three[1], three[2]
            source = source.replace(f"attachment:{name}", f"attachment:{other}")
            replaced = name if three[0] is not ABSENT else replaced
            continue
        value = merge_values(three[0], three[1], three[2], clashes)
        if value is not ABSENT:
            files[name] = value
    if source != theirs.source:
        theirs = Cell(theirs.data, theirs.kind, source, theirs.id)
    return theirs, files, replaced


def _all_differ(a: Any, b: Any, c: Any) -> bool:
    return not (same(a, b) or same(a, c) or same(b, c))


def _free(name: str, taken: set[str]) -> str:
    path = PurePosixPath(name)
    number = 1
    while (found := f"{path.stem}-theirs{number if number > 1 else ''}{path.suffix}") in taken:
        number += 1
    return found


def _outputs(three: tuple[Cell, Cell, Cell], source: str, metadata: dict[str, Any]) -> list[Any]:
    """The outputs that belong to `source`: of the side that ran it; of none, if neither did."""
    base, ours, theirs = three
    if ours.source == theirs.source == source:
        rerun = same(base.outputs, ours.outputs)
        return _uncounted(theirs.outputs if rerun else ours.outputs)
    for side in (ours, theirs):
        if side.source == source and side.kind == "code":
            return _uncounted(side.outputs)
    return _uncounted(ours.outputs or theirs.outputs) if _asks_to_keep(metadata) else []


def _asks_to_keep(metadata: dict[str, Any]) -> bool:
    if "keep_output" in metadata:
        return bool(metadata["keep_output"])
    tags = metadata.get("tags")
    return isinstance(tags, list) and "keep_output" in tags


def _uncounted(outputs: list[Any]) -> list[Any]:
    return [
        {**output, "execution_count": None}
        if isinstance(output, dict) and output.get("execution_count") is not None
        else output
        for output in outputs
    ]


def _built(
    like: Cell, kind: str, source: str, held: dict[str, Any], three: tuple[Cell, Cell, Cell]
) -> Cell:
    """A cell laid out as `like`, with what else it holds and the outputs of its source."""
    data = {key: value for key, value in like.data.items() if key in OWN or key in held}
    data |= {"cell_type": kind, **held}
    if source != like.source:
        data["source"] = form_of(source, like.data["source"])
    if kind == "code":
        data["outputs"] = _outputs(three, source, held["metadata"])
        data["execution_count"] = None
    else:
        data.pop("outputs", None)
        data.pop("execution_count", None)
    if kind == "code" or not (held["attachments"] or "attachments" in like.data):
        del data["attachments"]
    return Cell(ordered(like.data, data), kind, source, held.get("id", ""))


def _rest(cell: Cell) -> dict[str, Any]:
    return {key: value for key, value in cell.data.items() if key not in OWN}
