"""Notebooks that are large even without their outputs: what the hook `nbtools-large` refuses.

A picture pasted into a cell, or data in its source, stays in every clone for ever. Standard
library only.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from nbtools.git import codec
from nbtools.git.codec import NotANotebook
from nbtools.git.project import ProjectError, Projects
from nbtools.git.strip import Options, size, strip

#: What a notebook may have after cleaning, unless the command says otherwise.
LIMIT = "500K"


def large(data: bytes, name: str, limit: int, options: Options) -> str:
    """Why the notebook is too large, with file and line of its largest cell; empty: it is not.

    Raises NotANotebook for what cannot be cleaned.
    """
    clean = strip(data, options)
    if len(clean) <= limit:
        return ""
    line, what = _largest(data, clean)
    return (
        f"{name}:{line}: {_bytes(len(clean))} after cleaning, more than {_bytes(limit)}; {what}; "
        "move data out of the notebook, or allow more with --max-size"
    )


def _largest(data: bytes, clean: bytes) -> tuple[int, str]:
    notebook = codec.parse(clean)
    cells = notebook.get("cells") or []
    if not cells:
        return 1, "its metadata is what is large"
    parts = []
    for number, cell in enumerate(cells):
        parts.append((len(codec.dumps(cell)), number, "cell"))
        for key in ("attachments", "outputs", "source"):
            if cell.get(key):
                parts.append((len(codec.dumps(cell[key])), number, key))
    weight, number, _ = max(parts)
    # Of a cell that is large for one reason, say the reason.
    reasons = [p for p in parts if p[1] == number and p[2] != "cell" and p[0] > weight / 2]
    what = f"cell {number + 1}" + (f"'s {max(reasons)[2]}" if reasons else "")
    return codec.line_of_cell(data, number), f"the largest part is {what} with {_bytes(weight)}"


def _bytes(number: int) -> str:
    for unit, factor in (("MB", 10**6), ("KB", 10**3)):
        if number >= factor:
            return f"{number / factor:.3g} {unit}"
    return f"{number} bytes"


def main(arguments: Sequence[str]) -> int:
    """`[--max-size SIZE] FILES`; exit code 1 when one is too large or cannot be read."""
    names = list(arguments)
    limit = LIMIT
    for word in arguments:
        if word.startswith("--max-size"):
            at = names.index(word)
            _, given, limit = names.pop(at).partition("=")
            if not given:
                limit = names.pop(at) if at < len(names) else ""
    try:
        most = size(limit)
    except ValueError as error:
        sys.stderr.write(f"nbtools: --max-size: {error}\n")
        return 2
    projects = Projects()
    found = []
    for name in names:
        try:
            found.append(large(Path(name).read_bytes(), name, most, projects.options(name)))
        except NotANotebook as error:
            found.append(error.at(name))
        except ProjectError as error:
            found.append(str(error))
        except OSError as error:
            found.append(f"{name}: {error.strerror}")
    found = [line for line in found if line]
    for line in found:
        sys.stderr.write(f"{line}\n")
    return 1 if found else 0
