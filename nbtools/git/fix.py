"""Mend a notebook that a merge has left broken: `nbtools git fix`.

git keeps all three versions of a file in conflict in its index, and those are merged anew.
Only where it has none are the versions read from the conflict markers in the file.
Standard library only.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from nbtools.errors import RequestError
from nbtools.git.conflicts import conflicts
from nbtools.git.document import BadNotebook, Document
from nbtools.git.driver import write_whole
from nbtools.git.markers import Labels
from nbtools.git.merge import Merged, merge
from nbtools.git.repository import GitFailed, Repository

_MARK = re.compile(rb"^(<{7,}|\|{7,}|={7,}|>{7,})(?: ([^\r\n]*))?\r?\n?$")


@dataclass(frozen=True, slots=True)
class Fixed:
    """What was done."""

    merged: Merged
    previous: str = ""  #: the git object that holds what the file held before


def fix(path: Path, again: bool = False) -> Fixed:
    """Merge the notebook at `path` anew and write it.

    `again` also where it was already merged and edited since. Raises RequestError when there
    is nothing to merge; the file then stays as it is.
    """
    try:
        held = path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise RequestError(f"{path}: {error.strerror}; name a notebook file") from None
    repository, stages = _stages(path)
    if stages:
        merged = _from_index(path, stages, held, again)
    elif marked(held):
        merged = _from_markers(path, held)
    else:
        raise RequestError(_nothing(path, held, bool(repository)))
    previous = repository.keep(held) if repository and held and held != merged.data else ""
    write_whole(path, merged.data)
    return Fixed(merged, previous)


def marked(data: bytes) -> bool:
    """Whether the bytes hold a textual conflict marker; a notebook's own text never does."""
    return data.startswith(b"<<<<<<< ") or b"\n<<<<<<< " in data


def _stages(path: Path) -> tuple[Repository | None, dict[int, bytes]]:
    """The versions in the index, by stage: 1 base, 2 ours, 3 theirs."""
    try:
        repository = Repository.at(path.absolute())
        # The name is a name, also where it holds the characters of a pattern.
        command = ("--literal-pathspecs", "ls-files", "--unmerged", "-z", "--")
        listed = repository.lines(*command, path.name)
    except GitFailed:
        return None, {}
    stages = {}
    for line in listed:
        _, name, stage = line.partition("\t")[0].split()
        stages[int(stage)] = repository.blob(name)
    return repository, stages


def _from_index(path: Path, stages: dict[int, bytes], held: bytes, again: bool) -> Merged:
    if not {2, 3} <= stages.keys():
        gone, kept = ("ours", "theirs") if 3 in stages else ("theirs", "ours")
        raise RequestError(
            f"{path}: {gone} deleted or renamed it and {kept} changed it; keep it with "
            f"`git add {shlex.quote(str(path))}`, or delete it with `git rm`"
        )
    labels = _labels(held)
    try:
        merged = merge(stages.get(1, b""), stages[2], stages[3], str(path), labels)
    except BadNotebook as error:
        sides = "git checkout --ours or --theirs"
        raise BadNotebook(f"{error}; take one side whole: {sides}") from None
    untouched = held in (b"", merged.data, stages[2], stages[3])
    if not (again or untouched or marked(held) or _broken(held, str(path))):
        raise RequestError(
            f"{path}: is merged already, and was edited since; finish it and git add it, "
            "or merge anew with --again"
        )
    return merged


def _from_markers(path: Path, held: bytes) -> Merged:
    base, ours, theirs = versions(held, str(path))
    if base and _broken(base, "base"):
        base = None  # git's style zdiff3 writes one that lacks lines
    merged = merge(base or b"", ours, theirs, str(path), _labels(held))
    if base is None:
        merged.notes.append(
            "its common base is not known: a cell or line that one side deleted is back"
        )
    return merged


def _broken(held: bytes, name: str) -> str:
    """Why the bytes are not a notebook; empty when they are."""
    try:
        Document.parse(held, name)
    except BadNotebook as error:
        return str(error)
    return ""


def versions(data: bytes, name: str) -> tuple[bytes | None, bytes, bytes]:
    """Base, ours and theirs from the text between conflict markers.

    The base is there when git wrote it (`merge.conflictStyle=diff3`), else it is None.
    """
    sides: dict[bytes, list[bytes]] = {b"|": [], b"<": [], b"=": []}
    at, opened, size, has_base = b"", 0, 0, False
    for number, line in enumerate(data.splitlines(keepends=True), 1):
        mark = _MARK.match(line)
        sign = mark[1][:1] if mark and (not at or len(mark[1]) == size) else b""
        if mark and sign == b"<" and not at:
            at, opened, size = sign, number, len(mark[1])
        elif sign == b"|" and at == b"<":
            at, has_base = sign, True
        elif sign == b"=" and at in (b"<", b"|"):
            at = sign
        elif sign == b">" and at == b"=":
            at = b""
        elif sign and (at or sign in b"<>"):
            raise BadNotebook(f"{name}:{number}: a conflict marker stands where none should")
        else:
            for side in (at,) if at else sides:
                sides[side].append(line)
    if at:
        raise BadNotebook(f"{name}:{opened}: the conflict that begins here does not end")
    base = b"".join(sides[b"|"]) if has_base else None
    return base, b"".join(sides[b"<"]), b"".join(sides[b"="])


def _labels(held: bytes) -> Labels:
    """The sides' names, where git has written them into the file."""
    found: dict[bytes, str] = {}
    for line in held.splitlines():
        mark = _MARK.match(line)
        if mark and mark[2] and mark[1][:1] in (b"<", b">"):
            found.setdefault(mark[1][:1], mark[2].decode(errors="replace").strip())
    return Labels(found.get(b"<", "ours"), found.get(b">", "theirs"))


def _nothing(path: Path, held: bytes, repository: bool) -> str:
    if not path.exists():
        return f"{path}: no such file, and git has no conflict of that name"
    if left := conflicts(held, str(path)):
        return f"{left[0]}; decide there, delete the marker cells, then git add it"
    if wrong := _broken(held, str(path)):
        return f"{wrong}; it holds no conflict, so bring it back with git"
    where = "git's index has no conflict for it" if repository else "it is in no git repository"
    return f"{path}: nothing to fix: it holds no conflict markers, and {where}"
