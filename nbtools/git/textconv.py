"""A notebook as text that people compare: what git's diff driver shows.

Standard library only, and quick: git starts it twice for every notebook in a diff.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from nbtools.git.document import BadNotebook, Cell, Document, text_of
from nbtools.git.markers import marked

#: Metadata that people mean when they set it; the rest is left out of the text.
TOLD = ("tags", "slideshow", "name", "keep_output", "init_cell")
#: Lines of an output that are shown.
LINES = 20


def text(document: Document) -> str:
    """The notebook in the percent format, its outputs as comments."""
    return "\n".join(line for part in _parts(document) for line in part) + "\n"


def _parts(document: Document) -> Iterator[Iterator[str]]:
    yield head(document.data)
    for cell in document.cells:
        yield iter(("", title(cell), *cell.source.split("\n")))
        yield _attached(cell)
        for output in cell.outputs:
            yield shown(output)


def title(cell: Cell) -> str:
    """The line above a cell: its type, its id and the metadata that people set.

    Never its number: one inserted cell would then change every line below it.
    """
    words = [f"# %% [{cell.kind}]", f"id={cell.id}" if cell.id else ""]
    words += [f"{key}={cell.metadata[key]}" for key in TOLD if key in cell.metadata]
    words.append(f"conflict={found}" if (found := marked(cell.metadata)) else "")
    return " ".join(word for word in words if word)


def head(data: dict[str, Any]) -> Iterator[str]:
    """What is said of the notebook as a whole: format and kernel."""
    metadata = data.get("metadata") or {}
    yield f"# nbformat {data.get('nbformat')}.{data.get('nbformat_minor', 0)}"
    kernel = metadata.get("kernelspec")
    if isinstance(kernel, dict):
        yield f"# kernel {kernel.get('name', '')}"
    for key in sorted(metadata.keys() - {"kernelspec", "language_info", "widgets"}):
        yield f"# {key}: {_short(metadata[key])}"


def shown(output: Any, limit: int = LINES) -> Iterator[str]:
    """An output as comments: its text, cut; of pictures and the like only type and size."""
    for kind, content in texts(output):
        if content is None:
            yield f"#> [{kind}]"
            continue
        lines = plain(content).rstrip("\n").split("\n")
        yield from (f"#> {line}".rstrip() for line in lines[:limit])
        if len(lines) > limit:
            yield f"#> … {len(lines) - limit} more lines"


def texts(output: Any) -> Iterator[tuple[str, str | None]]:
    """What an output holds: type and text, or None for what is not text for people."""
    if not isinstance(output, dict):
        return
    kind = output.get("output_type")
    if kind == "stream":
        yield str(output.get("name", "")), _joined(output.get("text", ""))
    elif kind == "error":
        trace = output.get("traceback")
        lines = trace if isinstance(trace, list) else []
        yield (
            "error",
            "\n".join([f"{output.get('ename')}: {output.get('evalue')}", *map(str, lines)]),
        )
    data = output.get("data")
    bundle = data if isinstance(data, dict) else {}
    if "text/plain" in bundle:
        yield "text/plain", _joined(bundle["text/plain"])
    for mime in sorted(bundle.keys() - {"text/plain"}):
        yield f"{mime}, {len(_joined(bundle[mime])):,} characters", None


def plain(content: str) -> str:
    """Text without a terminal's colours and without progress bars' earlier states."""
    content = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", content)
    return re.sub(r"[^\n]*\r(?!\n|$)", "", content)


def main(arguments: Sequence[str]) -> int:
    """`textconv FILE`: print it as text; what is not a notebook is printed as it is."""
    if len(arguments) != 1:
        sys.stderr.write("nbtools: textconv takes one file\n")
        return 2
    try:
        data = Path(arguments[0]).read_bytes()
    except OSError as error:
        sys.stderr.write(f"nbtools: {arguments[0]}: {error.strerror}\n")
        return 2
    # A diff must show a broken notebook too, or nobody sees how it broke.
    with suppress(BadNotebook):
        data = text(Document.parse(data, arguments[0])).encode(errors="replace")
    sys.stdout.buffer.write(data)
    return 0


def _attached(cell: Cell) -> Iterator[str]:
    for name, bundle in sorted(cell.attachments.items()):
        size = sum(len(_joined(value)) for value in bundle.values())
        yield f"# attachment {name}, {size:,} characters"


def _joined(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return text_of(value)
    return value if isinstance(value, str) else str(value)


def _short(value: Any, limit: int = 200) -> str:
    found = str(value)
    return found if len(found) <= limit else found[:limit] + "…"
