"""Conflicts that a notebook still holds: what the hook `nbtools-conflicts` refuses.

Markers as text, which break the notebook; the marker cells of our merge and of nbdime's; and
markers inside a cell's source. Standard library only.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from nbtools.git import codec
from nbtools.git.codec import NotANotebook
from nbtools.git.document import BadNotebook, Cell, Document
from nbtools.git.markers import marked

#: Only the two ends: a row of equals signs is also a heading's underline.
_TEXT = re.compile(rb"^(<{7}|>{7}) ", re.MULTILINE)
_OPEN = re.compile(r"^(?:<span[^>]*>)?(?:\*\*|`)?<{7,} ", re.MULTILINE)
_CLOSE = re.compile(r"^(?:<span[^>]*>)?(?:\*\*|`)?>{7,} ", re.MULTILINE)


def conflicts(data: bytes, name: str) -> list[str]:
    """One sentence for each conflict in the notebook, with file and line; none: []."""
    if text := _TEXT.search(data):
        line = data.count(b"\n", 0, text.start()) + 1
        advice = f"run `nbtools git fix {name}`"
        return [f"{name}:{line}: holds git's conflict markers; {advice}"]
    # Most notebooks hold none, and then they need not be read.
    if not data.strip() or not any(sign in data for sign in (b"<<<<<<<", b">>>>>>>")):
        return []
    try:
        document = Document.parse(data, name)
    except BadNotebook as error:
        return [str(error)]
    found = []
    for number, cell in enumerate(document.cells):
        if what := _conflict(cell):
            line = codec.line_of_cell(data, number)
            found.append(f"{name}:{line}: cell {number + 1} {what}")
    return found


def _conflict(cell: Cell) -> str:
    """What is wrong with one cell; one sentence for the three markers of a conflict."""
    found = marked(cell.metadata)
    if found in ("ours", "metadata"):
        return "marks a conflict that is not resolved"
    if not found and _OPEN.search(cell.source):
        nbdime = cell.kind == "markdown" and "\n" not in cell.source.strip()
        if nbdime or _CLOSE.search(cell.source):
            return "holds conflict markers"
    return ""


def main(arguments: Sequence[str]) -> int:
    """Look at the files named; exit code 1 when one holds a conflict."""
    found = []
    for name in arguments:
        try:
            found += conflicts(Path(name).read_bytes(), name)
        except (OSError, NotANotebook) as error:
            found.append(f"{name}: {getattr(error, 'strerror', None) or error}")
    for line in found:
        sys.stderr.write(f"{line}\n")
    return 1 if found else 0
