"""Two jobs beside each other: what differs in what came out, and what that may come from."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from nbtools import comparison
from nbtools.card import MIME as CARD
from nbtools.evidence import DIGITS, Evidence
from nbtools.git.comparison import Line, text_diff
from nbtools.git.document import Cell, Document
from nbtools.git.matching import match
from nbtools.git.textconv import joined, plain
from nbtools.jobs import Jobs
from nbtools.nouns import Job
from nbtools.resume import INJECTED, NOTE

#: lines of an output that are compared; of more only the digest.
LINES = 2_000
_ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]{4,}")


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One thing that is not the same."""

    kind: str  #: param, input, package, code, option, machine; state, metric, series, file
    name: str
    before: Any  #: in the first job; None where it has none
    after: Any  #: in the second


@dataclass(frozen=True, kw_only=True)
class CellDifference:
    """A cell of which source or outputs are not the same."""

    before: int  #: its number in the first notebook as executed, from 1; 0: not there
    after: int  #: in the second
    id: str  #: empty: it has none
    kind: str  #: code, markdown or raw
    source: tuple[str, ...]  #: unified diff, without the lines that name files
    outputs: tuple[str, ...]  #: the same of what it showed


@dataclass(frozen=True, kw_only=True)
class JobDifference:
    """All that differs between two jobs; empty where nothing does."""

    before: Job
    after: Job
    causes: tuple[Difference, ...]  #: what went in, the likeliest reason first
    cells: tuple[CellDifference, ...]
    results: tuple[Difference, ...]  #: what came out
    unknown: tuple[str, ...]  #: what was not compared, and why

    @property
    def differs(self) -> bool:
        """Whether there is any difference."""
        return bool(self.causes or self.cells or self.results)

    @property
    def verdict(self) -> str:
        """What a person wants to know first, in a sentence or two."""
        shown = sum(bool(c.outputs) for c in self.cells)
        out = _counted(self.results, ("state", "metric", "series", "file"))
        out += [f"output of {_count(shown, 'cell')}"] if shown else []
        edited = sum(bool(c.source) for c in self.cells)
        went = _counted(self.causes, ("param",))
        went += [f"source of {_count(edited, 'cell')}"] if edited else []
        went += _counted(self.causes, ("input", "package", "code", "option", "machine"))
        if out and went:
            return f"What came out differs: {', '.join(out)}. So does what went in: {_and(went)}."
        if out:
            return (
                f"What came out differs: {', '.join(out)}. Nothing that is known of what went in "
                "does: look for random numbers without a seed, for the time, and for data that "
                "is read without nbtools.open_input."
            )
        if went:
            return f"What went in differs: {_and(went)}. What came out is the same."
        return "Nothing that is known of them differs."


def difference(jobs: Jobs, before: Job, after: Job) -> JobDifference:
    """Compare two jobs as they stand now."""
    a, b = Evidence.of(jobs, before), Evidence.of(jobs, after)
    one_run = a.run is not None and b.run is not None and a.run.id == b.run.id
    unknown = [f"{job.name}: {why}" for e, job in ((a, before), (b, after)) for why in e.unknown]
    params = (before.params, after.params) if one_run else (a.params, b.params)
    causes = [*_of("param", *params), *_of("input", a.inputs, b.inputs)]
    if a.packages and b.packages:
        causes += _of("package", a.packages, b.packages)
    if a.code and b.code:
        causes += _of("code", a.code, b.code)
    causes += _of("option", a.options, b.options)
    both = a.around.keys() & b.around.keys()
    causes += _of("machine", *({k: e.around[k] for k in e.around if k in both} for e in (a, b)))
    results = [*_of("state", _end(before), _end(after))]
    if one_run:
        unknown.append(f"metrics: both belong to run {before.run}, which has one value of each")
    else:
        results += [*_of("metric", a.metrics, b.metrics), *_of("series", a.series, b.series)]
    results += _of("file", a.files, b.files)
    cells = tuple(_cells(a, b)) if a.notebook and b.notebook else ()
    return JobDifference(
        before=before, after=after, causes=tuple(causes), cells=cells, results=tuple(results),
        unknown=tuple(unknown),
    )  # fmt: skip


def _of(kind: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Difference]:
    for name, (a, b) in comparison.differing([before, after]).items():
        yield Difference(kind=kind, name=name, before=a, after=b)


def _end(job: Job) -> dict[str, str]:
    return {"state": str(job.state), "reason": job.error} if job.error else {"state": job.state}


# -- cells ------------------------------------------------------------------------------


def _cells(a: Evidence, b: Evidence) -> Iterator[CellDifference]:
    old, new = _read(a), _read(b)
    found = match([cell for _, cell in old], [cell for _, cell in new])
    back = {i: j for j, i in found.items()}
    gone = 0
    for j, (number, cell) in enumerate(new):
        i = found.get(j)
        if i is not None:
            yield from (_one(old[k], None) for k in range(gone, i) if k not in back)
            gone = max(gone, i + 1)
            made = _one(old[i], (number, cell))
        else:
            made = _one(None, (number, cell))
        if made.source or made.outputs:
            yield made
    yield from (_one(old[k], None) for k in range(gone, len(old)) if k not in back)


def _read(evidence: Evidence) -> list[tuple[int, Cell]]:
    """The cells of people, by the numbers that errors call them by."""
    path = evidence.notebook
    assert path is not None
    document = Document.parse(path.read_bytes(), str(path))
    tags = [cell.metadata.get("tags") or [] for cell in document.cells]
    own = [
        (cell, mark) for cell, mark in zip(document.cells, tags, strict=True) if NOTE not in mark
    ]
    return [(n, cell) for n, (cell, mark) in enumerate(own, 1) if INJECTED not in mark]


def _one(old: tuple[int, Cell] | None, new: tuple[int, Cell] | None) -> CellDifference:
    there = new or old
    assert there is not None
    kinds = {pair[1].kind for pair in (old, new) if pair}
    sources = [pair[1].source.split("\n") if pair else [] for pair in (old, new)]
    shown = [list(_shown(pair[1])) if pair else [] for pair in (old, new)]
    source = _diff(*sources)
    if len(kinds) > 1 and old and new:
        source = (f" type: {old[1].kind} → {new[1].kind}", *source)
    return CellDifference(
        before=old[0] if old else 0, after=new[0] if new else 0, id=there[1].id,
        kind=there[1].kind, source=source, outputs=_diff(*shown),
    )  # fmt: skip


def _diff(old: Sequence[str], new: Sequence[str]) -> tuple[str, ...]:
    if old == new:
        return ()
    old, new = _few(old), _few(new)
    lines = text_diff("\n".join(old).encode(), "\n".join(new).encode())
    return tuple(_signed(line) for line in lines)


def _signed(line: Line) -> str:
    return line.text if line.kind == "note" else line.kind + line.text


def _few(lines: Sequence[str]) -> list[str]:
    if len(lines) <= LINES:
        return list(lines)
    rest = hashlib.sha256("\n".join(lines[LINES:]).encode(errors="replace")).hexdigest()
    more = f"… {len(lines) - LINES:,} more lines, sha256 {rest[:DIGITS]}"
    return [*lines[:LINES], more]


def _shown(cell: Cell) -> Iterator[str]:
    """What a cell showed, by lines: text as it is, anything else by its digest.

    Addresses of objects, which no two processes have in common, are left out, and so is the
    card of the run.
    """
    for output in cell.outputs:
        kind = output.get("output_type")
        if kind == "stream":
            yield from _lines(output.get("text", ""))
        elif kind == "error":
            yield f"{output.get('ename')}: {plain(str(output.get('evalue')))}"
        data = output.get("data") or {}
        if CARD in data:
            continue
        if "text/plain" in data:
            yield from _lines(data["text/plain"])
        for mime in sorted(data):
            if mime != "text/plain" and not (mime == "text/html" and "text/plain" in data):
                yield f"[{mime}, {_content(mime, data[mime])}]"


def _lines(text: Any) -> list[str]:
    said = plain(joined(text)).rstrip("\n")
    return _ADDRESS.sub("at 0x…", said).split("\n")


def _content(mime: str, value: Any) -> str:
    data = joined(value).encode() if isinstance(value, str | list) else json.dumps(
        value, sort_keys=True
    ).encode()  # fmt: skip
    if mime.startswith("image/") and mime != "image/svg+xml":
        with suppress(binascii.Error):  # damaged: as it is
            data = base64.b64decode(data, validate=False)
    return f"{len(data):,} bytes, sha256 {hashlib.sha256(data).hexdigest()[:DIGITS]}"


# -- words ------------------------------------------------------------------------------


def _counted(found: Sequence[Difference], kinds: Sequence[str]) -> list[str]:
    """`2 params (lr, width)` of each kind that there is."""
    said = []
    for kind in kinds:
        names = [d.name for d in found if d.kind == kind]
        if names:
            few = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
            plural = kind if len(names) == 1 or kind in ("series", "code") else f"{kind}s"
            said.append(few if kind == "state" else f"{plural} {few}")
    return said


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def _and(parts: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))
