"""Finds values that must not be shown in what is about to be, and shows `***` instead.

A value is also found as repr, JSON, HTML, CSV and URLs write it, and by its lines where it
has several. What has been changed otherwise (encoded, reversed, cut short) is not found.
"""

from __future__ import annotations

import html
import json
import os
import re
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterable, Iterator, Mapping
from threading import Thread
from typing import Any
from urllib.parse import quote, quote_plus

MASK = "***"
#: so much of the beginning of a value is masked where nobody knows yet whether the rest follows.
BEGINNING = 4
#: a line of a value is looked for by itself from this length on.
LINE = 8


class Masking:
    """Of some values. False when there are none."""

    def __init__(self, values: Iterable[str]) -> None:
        found = {form for value in values for form in _forms(value)}
        self._forms = sorted(found, key=lambda form: (-len(form), form))
        forms = "|".join(map(re.escape, self._forms)) or "(?!)"
        self._pattern = re.compile(f"(?=({forms}))")  # looks ahead: two may overlap

    def __bool__(self) -> bool:
        return bool(self._forms)

    def text(self, text: str) -> str:
        """`text` with `***` in the place of each value."""
        shown, at = [], 0
        for begin, end in self.spans(text):
            shown += [text[at:begin], MASK]
            at = end
        return "".join(shown) + text[at:]

    def data(self, data: bytes) -> bytes:
        """The same of UTF-8."""
        text = data.decode(errors="surrogateescape")
        return self.text(text).encode(errors="surrogateescape")

    def plain(self, value: Any) -> Any:
        """The same of what JSON can hold, to its depth, names included."""
        if not self._forms:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.plain(k): self.plain(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [self.plain(v) for v in value]
        return value

    def fields(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """The same of the values of a record, whose own names stay what they are."""
        return {name: self.plain(value) for name, value in record.items()}

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Where values begin and end; what overlaps is one."""
        if not any(form in text for form in self._forms):  # as mostly: pictures are long
            return
        begin = end = 0
        for found in self._pattern.finditer(text):
            if found.start() >= end:
                if end:
                    yield begin, end
                begin = found.start()
            end = max(end, found.end(1))
        yield begin, end

    def open(self, text: str) -> int:
        """Where a value begins of which `text` does not hold the end yet; its length if none."""
        begin, last = len(text), text[-1:]
        for form in self._forms:
            for length in range(min(len(form) - 1, len(text)), len(text) - begin, -1):
                if form[length - 1] == last and text.endswith(form[:length]):
                    begin = len(text) - length
                    break
        return begin


class Stream:
    """Text that comes in pieces, over which a value may be spread.

    What may be the beginning of a value is held until more has come.
    """

    def __init__(self, masking: Masking) -> None:
        self._masking = masking
        self._passed = ""  #: the end of what was given out that may be a value's beginning
        self._held = ""

    def add(self, text: str) -> str:
        """The next piece; what can be shown by now."""
        whole = self._passed + self._held + text
        open_at = self._masking.open(whole)
        shown, at = self._shown(whole, open_at)
        kept = max(at, open_at)
        self._passed, self._held = whole[min(open_at, kept) : kept], whole[kept:]
        return shown + whole[at:kept]

    def release(self) -> str:
        """What is held, where it cannot be held any longer."""
        whole = self._passed + self._held
        shown, at = self._shown(whole, len(whole))
        held, self._passed, self._held = self._held, whole, ""
        if held and not shown and len(whole) >= BEGINNING:
            return MASK
        return shown + whole[at:]

    def _shown(self, whole: str, end: int) -> tuple[str, int]:
        """What to show of the values that begin before `end`, and of the text between them;
        and where that ends.
        """
        shown, at = [], len(self._passed)
        for begin, behind in self._masking.spans(whole):
            if begin < end and behind > at:
                shown += [whole[at:begin], MASK]
                at = behind
        return "".join(shown), at


class Pipe:
    """What is written into `end` goes to this process's standard error, masked."""

    def __init__(self, masking: Masking) -> None:
        self._begin, self.end = os.pipe()
        self._target = os.dup(2)  # of now: it may become another's
        self._stream = Stream(masking)
        self._thread = Thread(target=self._work, name="nbtools mask", daemon=True)
        self._thread.start()

    def given(self) -> None:
        """Whoever is to write into it has it."""
        os.close(self.end)

    def wait(self, seconds: float = 1.0) -> None:
        """Wait, not for long, until all has been passed on of those who have ended."""
        self._thread.join(seconds)

    def _work(self) -> None:
        decoder = getincrementaldecoder("utf-8")("backslashreplace")
        try:
            while data := os.read(self._begin, 65536):
                self._write(self._stream.add(decoder.decode(data)))
            self._write(self._stream.release())
        finally:
            os.close(self._begin)
            os.close(self._target)

    def _write(self, text: str) -> None:
        data = text.encode(errors="replace")
        while data:
            data = data[os.write(self._target, data) :]


def _forms(value: str) -> Iterator[str]:
    """The ways in which a value may be written."""
    written: tuple[Callable[[str], str], ...] = (
        str,
        lambda text: repr(text)[1:-1],
        lambda text: json.dumps(repr(text))[2:-2],
        lambda text: repr(text.encode(errors="surrogateescape"))[2:-1],
        lambda text: json.dumps(text)[1:-1],
        lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
        html.escape,
        lambda text: html.escape(text, quote=False),
        lambda text: html.escape(text).replace("&#x27;", "&#39;"),
        lambda text: text.replace('"', '""'),
        lambda text: quote(text, safe=""),
        quote,
        quote_plus,
    )
    lines = [line.strip() for line in value.splitlines()]
    for part in (value, value.strip(), *lines):
        if part and (part is value or len(part) >= LINE or part == value.strip()):
            yield from (write(part) for write in written)
