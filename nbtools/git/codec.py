"""Notebook text to data and back, to the byte as nbformat reads and writes it.

nbformat is the reference, and a test holds us to it with thousands of mutated notebooks. It
is not imported, nor is json: git starts a filter for every command, and starting is its price.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from mmap import mmap
    from typing import Any, NoReturn, TypeAlias

    Blob: TypeAlias = bytes | bytearray | mmap

try:
    from _json import encode_basestring, encode_basestring_ascii, make_scanner, scanstring
except ImportError:  # another Python than CPython: slower, and the same bytes
    from json.decoder import scanstring  # type: ignore[attr-defined, no-redef]
    from json.encoder import encode_basestring, encode_basestring_ascii
    from json.scanner import make_scanner

BLANKS = " \t\n\r"
_BUNDLES = frozenset({"execute_result", "display_data"})
_WORDS = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
_V3_TEXTS = ("text", "html", "svg", "latex", "javascript", "json")


class NotANotebook(ValueError):
    """The text is no notebook: what is wrong, and in which line (0: all of it)."""

    def __init__(self, message: str, line: int = 0, column: int = 0) -> None:
        super().__init__(message)
        self.line, self.column = line, column

    def at(self, name: str) -> str:
        """`name:line:column: what is wrong`, as compilers say it."""
        where = f":{self.line}" if self.line else ""
        where += f":{self.column}" if self.line and self.column else ""
        return f"{name}{where}: {self}"


class _Grammar:
    """What a scanner of JSON is told: Python's own reading, NaN and big integers included."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int

    def __init__(self, minus_infinity: Callable[[], Any]) -> None:
        self.memo: dict[str, str] = {}
        known = {"NaN": float("nan"), "Infinity": float("inf")}
        self.parse_constant = lambda word: known[word] if word in known else minus_infinity()


def scanner(minus_infinity: Callable[[], Any]) -> Callable[[str, int], tuple[Any, int]]:
    """A function (text, place) -> (the JSON value there, where it ends)."""
    return make_scanner(_Grammar(minus_infinity))  # type: ignore[arg-type]


_LEAST = float("-inf")
scan = scanner(lambda: _LEAST)


def parse(data: Blob) -> Any:
    """The JSON value in `data`; raises NotANotebook with the line where it breaks."""
    try:
        text = str(data, "utf-8")
        value, end = scan(text, 0 if text[:1] == "{" else _blank(text, 0))
        if _blank(text, end) == len(text):
            return value
    # SystemError is how the C scanner fails while json.decoder is not imported.
    except (ValueError, StopIteration, RecursionError, SystemError):
        pass
    return _explain(bytes(data))


def _blank(text: str, at: int) -> int:
    while at < len(text) and text[at] in BLANKS:
        at += 1
    return at


def _explain(data: bytes) -> NoReturn:
    """Raise what is wrong with text that `parse` could not read."""
    import json

    if data.startswith(b"\xef\xbb\xbf"):
        raise NotANotebook("begins with a byte order mark; save it as UTF-8 without BOM", 1)
    if data.startswith(b"version https://git-lfs"):
        raise NotANotebook("is a Git LFS pointer, not a notebook; run git lfs pull", 1)
    if (at := data.find(b"\n<<<<<<< ")) >= 0:
        line = data.count(b"\n", 0, at) + 2
        raise NotANotebook("holds git's conflict markers; resolve the merge first", line)
    try:
        json.loads(data.decode())
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise NotANotebook(f"is not UTF-8 text: byte {data[error.start]:#04x}", line) from None
    except json.JSONDecodeError as error:
        raise NotANotebook(f"broken JSON: {error.msg}", error.lineno, error.colno) from None
    except ValueError as error:  # a number of more digits than Python reads
        raise NotANotebook(f"unreadable JSON: {error}", 1) from None
    except RecursionError:
        pass
    raise NotANotebook("broken JSON: nested too deeply", 1)


def version(nb: Any) -> int:
    """The major version of the format: 2, 3 or 4; raises NotANotebook for anything else."""
    if type(nb) is not dict:
        raise NotANotebook("is JSON but not a notebook: it is no object", 1)
    major, minor = nb.get("nbformat"), nb.get("nbformat_minor", 0)
    if type(major) is not int:
        raise NotANotebook("is JSON but not a notebook: it has no nbformat", 1)
    if major not in (2, 3, 4):
        raise NotANotebook(f"is of notebook format {major}; formats 2, 3 and 4 are known", 1)
    if not isinstance(minor, int | float):
        raise NotANotebook("is no valid notebook: nbformat_minor is not a number", 1)
    if type(nb.get("metadata")) is not dict:
        raise NotANotebook("is no valid notebook: it has no metadata object", 1)
    return major


def cells(nb: dict[str, Any], major: int) -> list[list[dict[str, Any]]]:
    """The lists of cells: one in format 4, one for each worksheet before."""
    if major == 4:
        lists = [nb.get("cells")]
    else:
        sheets = nb.get("worksheets")
        if type(sheets) is not list:
            raise NotANotebook("is no valid notebook: it has no list of worksheets", 1)
        lists = [sheet.get("cells") if type(sheet) is dict else None for sheet in sheets]
    for found in lists:
        if type(found) is not list:
            raise NotANotebook("is no valid notebook: it has no list of cells", 1)
    return lists  # type: ignore[return-value]


def join(cell: dict[str, Any], major: int) -> None:
    """Make a cell what nbformat reads it as; KeyError, TypeError… when it cannot be read."""
    if major < 4:
        _join_old(cell, major)
        return
    source = cell.get("source")
    if type(source) is list:
        cell["source"] = "".join(source)
    if "attachments" in cell:
        for bundle in cell["attachments"].values():
            _join_bundle(bundle)
    if cell["cell_type"] == "code":
        join_outputs(cell["outputs"])
    cell["metadata"].pop("trusted", None)


def join_outputs(outputs: list[dict[str, Any]]) -> None:
    """Join the lines of format 4's outputs."""
    for output in outputs:
        kind = output.get("output_type", "")
        if kind in _BUNDLES:
            _join_bundle(output.get("data", {}))
        elif kind and type(output.get("text")) is list:
            output["text"] = "".join(output["text"])


def check_outputs(outputs: list[dict[str, Any]]) -> None:
    """Raise what `join_outputs` would raise; for outputs that are about to be dropped."""
    for output in outputs:
        kind = output.get("output_type", "")
        if kind in _BUNDLES:
            if "data" in output:
                output["data"].items()
        elif kind and type(output.get("text")) is list:
            "".join(output["text"])


def _join_bundle(bundle: dict[str, Any]) -> None:
    for mime, value in bundle.items():
        if type(value) is list and not (
            mime == "application/json"
            or (mime.startswith("application/") and mime.endswith("+json"))
        ):
            try:
                bundle[mime] = "".join(value)
            except TypeError:
                continue  # not lines of text: it stays a list


def _join_old(cell: dict[str, Any], major: int) -> None:
    def lines(parts: list[str]) -> str:
        # Old notebooks come from splitlines() with and without its ends.
        if major == 3 and parts and parts[0].endswith(("\n", "\r")):
            return "".join(parts)
        return "\n".join(parts)

    def joined(holder: dict[str, Any], keys: tuple[str, ...]) -> None:
        for key in keys:
            if type(holder.get(key)) is list:
                holder[key] = lines(holder[key])

    if cell["cell_type"] == "code":
        joined(cell, ("input",))
        for output in cell["outputs"]:
            joined(output, _V3_TEXTS)
            for image in ("png", "jpeg"):
                if major == 2 and image in output:
                    output[image].encode("ascii")
    else:
        joined(cell, ("source", "rendered"))
    if major == 3:
        cell.get("metadata", {}).pop("trusted", None)
        cell.pop("trusted", None)


def split(cell: dict[str, Any], major: int) -> None:
    """Make a cell what nbformat writes it as: text in lines."""
    if major < 4:
        _split_old(cell, major)
        return
    source = cell.get("source")
    if type(source) is str:
        cell["source"] = source.splitlines(keepends=True)
    if "attachments" in cell:
        for bundle in cell["attachments"].values():
            _split_bundle(bundle)
    if cell["cell_type"] == "code":
        for output in cell["outputs"]:
            kind = output["output_type"]
            if kind in _BUNDLES:
                _split_bundle(output.get("data", {}))
            elif kind == "stream" and type(output["text"]) is str:
                output["text"] = output["text"].splitlines(keepends=True)


def _split_bundle(bundle: dict[str, Any]) -> None:
    for mime, value in bundle.items():
        if type(value) is str and (
            mime.startswith("text/") or mime in ("application/javascript", "image/svg+xml")
        ):
            bundle[mime] = value.splitlines(keepends=True)


def _split_old(cell: dict[str, Any], major: int) -> None:
    def divided(holder: dict[str, Any], keys: tuple[str, ...]) -> None:
        for key in keys:
            if type(holder.get(key)) is str:
                holder[key] = holder[key].splitlines(major == 3)

    if cell["cell_type"] == "code":
        divided(cell, ("input",))
        for output in cell["outputs"]:
            divided(output, _V3_TEXTS)
    else:
        divided(cell, ("source", "rendered"))


def dumps(value: Any, ascii_only: bool = False) -> bytes:
    """`value` as nbformat writes it; raises UnicodeEncodeError for a lone surrogate."""
    quote = encode_basestring_ascii if ascii_only else encode_basestring

    def text(value: Any, margin: str) -> str:
        kind = type(value)
        if kind is str:
            return quote(value)
        inner = margin + " "
        if kind is dict:
            if not value:
                return "{}"
            pairs = [f"{quote(key)}: {text(item, inner)}" for key, item in sorted(value.items())]
            return "{" + inner + ("," + inner).join(pairs) + margin + "}"
        if kind is list:
            if not value:
                return "[]"
            try:  # nearly every list holds lines of text
                items = ("," + inner).join(map(quote, value))
            except TypeError:
                items = ("," + inner).join([text(item, inner) for item in value])
            return "[" + inner + items + margin + "]"
        if value is None:
            return "null"
        if kind is bool:
            return "true" if value else "false"
        plain = repr(value)
        return _WORDS.get(plain, plain)

    return (text(value, "\n") + "\n").encode()


def line_of_cell(data: bytes, number: int) -> int:
    """In which line the cell begins, counted from 0, of a notebook that is sound JSON."""

    def steps(at: int, keyed: bool) -> Iterator[tuple[str, int]]:
        """Each item's key and place in the object or list that begins at `at`."""
        at = _blank(text, at + 1)
        while text[at] not in "}]":
            key = ""
            if keyed:
                key, at = scanstring(text, at + 1, True)  # noqa: FBT003 - C takes no names
                at = _blank(text, _blank(text, at) + 1)
            yield key, at
            at = _blank(text, scan(text, at)[1])
            at = _blank(text, at + 1) if text[at] == "," else at

    text = data.decode()
    line = 1
    for key, at in steps(_blank(text, 0), keyed=True) if text.strip() else ():
        if key == "cells" and text[at] == "[":
            for index, (_, begin) in enumerate(steps(at, keyed=False)):
                if index == number:
                    line = text.count("\n", 0, begin) + 1
    return line
