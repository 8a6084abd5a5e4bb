"""What git starts to merge a notebook: `merge %O %A %B %L %P`, and what it leaves behind.

Standard library only. Whatever goes wrong, git's file is left as it is, which is ours, and
the exit code says conflict: git then keeps all three versions in its index.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from nbtools.git.document import BadNotebook
from nbtools.git.markers import Labels
from nbtools.git.merge import Merged, merge


def run(base: str, ours: str, theirs: str, path: str, labels: Labels) -> int:
    """Merge three files into `ours`; 0 when clean, 1 when there is something to decide."""
    three = [Path(name).read_bytes() for name in (base, ours, theirs)]
    try:
        merged = merge(three[0], three[1], three[2], path, labels)
    except BadNotebook as error:
        say(f"{error}\nnbtools: {path} was not merged: it is as {labels.ours} has it, and git "
            f"keeps the other version: git show :3:{path}")  # fmt: skip
        return 1
    write_whole(Path(ours), merged.data)
    report(path, merged)
    return 1 if merged.conflicts else 0


def report(path: str, merged: Merged) -> None:
    """Say on standard error what is to decide, and what was decided."""
    for note in merged.notes:
        say(f"{path}: {note}")
    for conflict in merged.conflicts:
        say(f"{path}: conflict: {conflict}")


def say(text: str) -> None:
    """One message for people: git shows a driver's standard error."""
    sys.stderr.write(f"nbtools: {text}\n")


def write_whole(path: Path, data: bytes) -> None:
    """Write so that `path` never holds a part of it, and keeps its permissions."""
    path = path.resolve()
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            beside.chmod(path.stat().st_mode)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def labels(size: str, names: Sequence[str] = ()) -> Labels:
    """Labels from git's words; a git older than 2.44 leaves `%X` and `%Y` as they are."""
    found = [name for name in names if name and not name.startswith("%")]
    length = int(size) if size.isdecimal() else 7
    ours, theirs = found[:2] if len(found) >= 2 else ("ours", "theirs")
    return Labels(ours, theirs, length)


def main(arguments: Sequence[str]) -> int:
    """`merge BASE OURS THEIRS [SIZE [PATH [OUR_LABEL THEIR_LABEL]]]`."""
    if len(arguments) < 3:
        say("merge is started by git: merge %O %A %B %L %P")
        return 2
    base, ours, theirs, size, path, *names = [*arguments, *("", "")[len(arguments) - 3 :]]
    try:
        return run(base, ours, theirs, path or ours, labels(size, names))
    except OSError as error:
        say(f"{error.filename}: {error.strerror}")
        return 1
