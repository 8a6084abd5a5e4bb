"""A notebook as text that people compare: what git's diff driver shows.

git starts it twice for every notebook in a diff, so it imports as little as it can: no
dataclasses, no pathlib, and re only for outputs that need it.
"""

from __future__ import annotations

import sys

from nbtools.git import codec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

#: Metadata that people mean when they set it; the rest is left out of the text.
TOLD = ("tags", "slideshow", "name", "keep_output", "init_cell", "nbtools_conflict")
#: Lines of an output that are shown.
LINES = 20


def text(notebook: dict[str, Any]) -> str:
    """A notebook of format 4 in the percent format, its outputs as comments."""
    lines = [*_head(notebook)]
    for cell in notebook["cells"]:
        lines += ["", _title(cell), *joined(cell["source"]).split("\n")]
        for name, bundle in sorted(cell.get("attachments", {}).items()):
            size = sum(len(joined(value)) for value in bundle.values())
            lines.append(f"# attachment {name}, {size:,} characters")
        for output in cell.get("outputs", ()):
            lines += shown(output)
    return "\n".join(lines) + "\n"


def _title(cell: dict[str, Any]) -> str:
    """The line above a cell: its type, its id and the metadata that people set.

    Never its number: one inserted cell would then change every line below it.
    """
    metadata = cell.get("metadata", {})
    words = [f"# %% [{cell['cell_type']}]", f"id={cell['id']}" if "id" in cell else ""]
    words += [f"{key}={metadata[key]}" for key in TOLD if key in metadata]
    return " ".join(word for word in words if word)


def _head(notebook: dict[str, Any]) -> Iterator[str]:
    """What is said of the notebook as a whole: format, kernel, what else people set."""
    metadata = notebook.get("metadata") or {}
    yield f"# nbformat {notebook['nbformat']}.{notebook.get('nbformat_minor', 0)}"
    kernel = metadata.get("kernelspec")
    if isinstance(kernel, dict):
        yield f"# kernel {kernel.get('name', '')}"
    for key in sorted(metadata.keys() - {"kernelspec", "language_info", "widgets"}):
        value = str(metadata[key])
        yield f"# {key}: {value[:200]}{'…' * (len(value) > 200)}"


def shown(output: Any, limit: int = LINES) -> Iterator[str]:
    """An output as comments: its text, cut; of pictures and the like only type and size."""
    for kind, content in _texts(output):
        if content is None:
            yield f"#> [{kind}]"
            continue
        lines = plain(content).rstrip("\n").split("\n")
        yield from (f"#> {line}".rstrip() for line in lines[:limit])
        if len(lines) > limit:
            yield f"#> … {len(lines) - limit} more lines"


def plain(content: str) -> str:
    """Text without a terminal's colours and without progress bars' earlier states."""
    if "\x1b" not in content and "\r" not in content:
        return content
    import re

    content = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", content)
    return re.sub(r"[^\n]*\r(?!\n|$)", "", content)


def joined(value: Any) -> str:
    """A value of a notebook as text: lines are one string."""
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "".join(value)
    return value if isinstance(value, str) else str(value)


def _texts(output: Any) -> Iterator[tuple[str, str | None]]:
    """What an output holds: type and text, or None for what is not text for people."""
    if not isinstance(output, dict):
        return
    kind = output.get("output_type")
    if kind == "stream":
        yield str(output.get("name", "")), joined(output.get("text", ""))
    elif kind == "error":
        trace = output.get("traceback")
        lines = map(str, trace) if isinstance(trace, list) else ()
        name = f"{output.get('ename')}: {output.get('evalue')}"
        yield "error", "\n".join([name, *lines])
    data = output.get("data")
    bundle = data if isinstance(data, dict) else {}
    if "text/plain" in bundle:
        yield "text/plain", joined(bundle["text/plain"])
    for mime in sorted(bundle.keys() - {"text/plain"}):
        yield f"{mime}, {len(joined(bundle[mime])):,} characters", None


def main(arguments: Sequence[str]) -> int:
    """`textconv FILE`: print it as text; what is not a notebook is printed as it is."""
    if len(arguments) != 1:
        sys.stderr.write("nbtools: textconv takes one file\n")
        return 2
    try:
        with open(arguments[0], "rb") as file:  # noqa: PTH123 - pathlib is a third of the start
            data = file.read()
    except OSError as error:
        sys.stderr.write(f"nbtools: {arguments[0]}: {error.strerror}\n")
        return 2
    try:
        notebook = codec.parse(data)
        if codec.version(notebook) == 4:
            data = text(notebook).encode(errors="replace")
    except (codec.NotANotebook, KeyError, TypeError, AttributeError):
        pass  # a diff must show a broken notebook too, or nobody sees how it broke
    sys.stdout.buffer.write(data)
    return 0
