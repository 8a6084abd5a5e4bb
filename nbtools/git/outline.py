"""Reading a large notebook without its outputs: what is cut out is never parsed twice.

Outputs are found by their brackets' indentation, and each is parsed with its long strings
shrunk. What remains is parsed with a mark in each output's place. A file that is not laid
out as notebooks are gives None, and the caller reads the whole of it.
"""

from __future__ import annotations

from nbtools.git.codec import NotANotebook, parse, scan, scanner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from nbtools.git.codec import Blob

#: A run of characters without quote, backslash and control shrinks when it is longer.
LONG = 1000
_WINDOW = 1 << 15  # fits the first cache, which is looked through 31 times
_MARK = b"-Infinity"  # a token that the scanner hands to us each time that it meets one
_KEY = b'"outputs": ['
_CONTROLS = [code for code in range(32) if code != 10]  # a run lies in one line


class _Mark:
    """Stands where an output was cut out."""


def outline(data: Blob) -> tuple[Any, dict[int, tuple[int, int]]] | None:
    """The notebook with shrunk outputs, and for each such cell where its outputs lie in `data`.

    None when the file is laid out otherwise; the answer is never a guess.
    """
    spans = list(_spans(data))
    if not spans:
        return None
    marks: list[_Mark] = []

    def mark() -> _Mark:
        marks.append(_Mark())
        return marks[-1]

    parts, at = [], 0
    for begin, end in spans:
        parts += [data[at:begin], _MARK]
        at = end
    parts.append(data[at:])
    try:
        text = str(b"".join(parts), "utf-8")
        nb, end = scanner(mark)(text, 0)
        if text[end:].strip(" \t\r\n") or type(nb) is not dict or type(nb.get("cells")) is not list:
            return None
        owners = {
            id(cell["outputs"]): (number, cell)
            for number, cell in enumerate(nb["cells"])
            if type(cell) is dict and type(cell.get("outputs")) is _Mark
        }
        if not len(marks) == len(spans) == len(owners):
            return None
        where = {}
        for made, (begin, end) in zip(marks, spans, strict=True):
            number, cell = owners[id(made)]
            cell["outputs"] = _shrunk(data, begin, end)
            where[number] = (begin, end)
    except (ValueError, StopIteration, RecursionError, KeyError, SystemError):
        return None
    return nb, where


def whole(data: Blob, span: tuple[int, int]) -> Any:
    """The outputs at `span` as they are, for a cell that keeps them."""
    return parse(data[span[0] : span[1]])


def _spans(data: Blob) -> Any:
    """Where the lists of outputs lie, brackets included, those that are empty left out."""
    at = data.find(_KEY)
    while at >= 0:
        begin = at + len(_KEY) - 1
        line = data.rfind(b"\n", max(at - 64, 0), at)
        margin = bytes(data[line:at])
        if line < 0 or margin.strip() or data[begin + 1 : begin + 2] == b"]":
            at = data.find(_KEY, begin)
            continue
        end = _end(data, begin, margin + b"]")
        if end < 0:
            return
        yield begin, end
        at = data.find(_KEY, end)


def _end(data: Blob, at: int, closing: bytes) -> int:
    """Where `closing`, which begins with a newline, ends; -1 when it does not come.

    Looking for one byte is ten times as fast as looking for several: long lines are hopped.
    """
    while at >= 0:
        if (found := data.find(closing, at, at + 4 * LONG)) >= 0:
            return found + len(closing)
        if at + 4 * LONG >= len(data):
            return -1
        newline = data.rfind(b"\n", at + 1, at + 4 * LONG)
        at = newline if newline > 0 else data.find(b"\n", at + 4 * LONG)
    return -1


def _shrunk(data: Blob, begin: int, end: int) -> Any:
    """Parse a list of outputs with its long strings cut; raises ValueError when it is none."""
    parts, done, at = [], begin, begin
    while end - at > LONG:
        # A stretch that holds a newline has short lines, which the scanner reads faster.
        if (newline := data.rfind(b"\n", at, at + LONG)) >= 0:
            at = newline + 1
            continue
        line_end = data.find(b"\n", at + LONG, end)
        line_end = end if line_end < 0 else line_end
        while (quote := data.find(b'"', at, line_end)) >= 0:
            at = quote + 1
            closing = data.find(b'"', at, line_end)
            closing = line_end if closing < 0 else closing
            backslash = data.find(b"\\", at, closing)
            stop = closing if backslash < 0 else backslash
            if stop - at > LONG and _sound(data, at, stop):
                # `~` is text inside a string and an error outside: if this run lies between
                # two strings, not in one, the scanner says so.
                parts += [data[done:at], b"~"]
                done = stop
            at = max(stop, at) if backslash < 0 else closing
        at = line_end
    parts.append(data[done:end])
    text = str(b"".join(parts), "utf-8")
    value, length = scan(text, 0)
    if length != len(text):
        raise NotANotebook("more than a list of outputs")
    return value


def _sound(data: Blob, begin: int, end: int) -> bool:
    """Whether a run could stand in a string of JSON: UTF-8, and no control characters."""
    for at in range(begin, end, _WINDOW):
        window = data[at : min(at + _WINDOW, end)]
        if not window.isascii():
            # A character may lie across two windows: such a run is read the long way.
            return False
        for control in _CONTROLS:
            if control in window:
                return False
    return True
