"""The cells that mark a conflict in a merged notebook, and how they are found again.

They are markdown cells: the notebook stays one that opens and runs, and each side's
version of a cell is whole beside the other.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nbtools.git.document import Cell
from nbtools.git.values import ABSENT, Clash

#: The key in a marker cell's metadata; its value says which marker it is.
KEY = "nbtools_conflict"
#: The key of the paths that clash, in a marker about metadata.
PATHS = "nbtools_conflict_paths"


@dataclass(frozen=True, slots=True)
class Labels:
    """What the sides are called, and how long a marker is."""

    ours: str = "ours"
    theirs: str = "theirs"
    size: int = 7


def wrapped(
    left: Sequence[Cell], right: Sequence[Cell], why: str, labels: Labels, name: str
) -> list[Cell]:
    """Both sides' cells between markers; an empty side deleted them."""
    advice = f"{why}; keep what you want of the two versions,"
    if not left or not right:
        gone = labels.ours if right else labels.theirs
        advice = f"{why}, which {gone} deleted; keep it or delete it,"
    first, between, last = markers(advice, labels, name)
    return [first, *left, between, *right, last]


def markers(advice: str, labels: Labels, name: str) -> list[Cell]:
    """The three cells that stand before, between and after both sides."""
    made = (("ours", "<", labels.ours), ("between", "=", ""), ("theirs", ">", labels.theirs))
    cells = []
    for side, sign, label in made:
        text = f"`{f'{sign * labels.size} {label}'.strip()}`"
        if side == "ours":
            text += f" {advice} then delete the three marker cells."
        cells.append(_cell(text, side, f"{name}-{side}"))
    return cells


def metadata_marker(clashes: Sequence[Clash], owner: str, labels: Labels, name: str) -> Cell:
    """One cell that shows what both sides made of the same metadata."""
    size = labels.size
    mine = _values([(clash.path, clash.ours) for clash in clashes])
    yours = _values([(clash.path, clash.theirs) for clash in clashes])
    text = (
        f"`{'<' * size} {labels.ours}` both sides changed the metadata of {owner}, which has "
        f"ours; correct it if you want theirs, then delete this cell.\n\n{mine}\n"
        f"`{'=' * size}`\n\n{yours}\n`{'>' * size} {labels.theirs}`"
    )
    made = _cell(text, "metadata", f"{name}-metadata")
    made.metadata[PATHS] = [clash.path for clash in clashes]
    return made


def marked(metadata: Any) -> str:
    """Which marker a cell with this metadata is; empty when it is none."""
    found = metadata.get(KEY) if isinstance(metadata, dict) else None
    return found if isinstance(found, str) else ""


def _cell(text: str, side: str, name: str) -> Cell:
    data = {
        "cell_type": "markdown",
        "id": name,
        "metadata": {KEY: side},
        "source": text.splitlines(keepends=True),
    }
    return Cell(data, "markdown", text, name)


def _values(named: Sequence[tuple[str, Any]]) -> str:
    held = {path: "(not there)" if value is ABSENT else value for path, value in named}
    text = json.dumps(held, indent=1, ensure_ascii=False)
    return f"```json\n{text}\n```\n"
