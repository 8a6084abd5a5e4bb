"""Names that others have given to files, as paths below a folder and nowhere else."""

from __future__ import annotations

import os
import re
from pathlib import Path, PureWindowsPath

from nbtools.errors import RequestError

LONGEST = 255  #: bytes of one part of a path; disks take no more


def checked(name: str) -> str:
    """The name, when it is one below whatever folder it is put into, on any system.

    Raises RequestError for an empty one, an absolute one, one with a drive, with `..`, with
    NUL, or with a part that is too long.
    """
    parts = re.split(r"[/\\]", name)
    if not name or ".." in parts or name.startswith("/") or PureWindowsPath(name).anchor:
        raise RequestError(f"{name!r} leads out of the folder: give a name below it")
    if "\0" in name:
        raise RequestError(f"{name!r} is no name of a file: leave out the NUL")
    if max(len(os.fsencode(part)) for part in name.split("/")) > LONGEST:
        raise RequestError(f"{name[:40]!r}… is too long: use at most {LONGEST} letters")
    return name


def below(folder: Path, name: str) -> Path:
    """The path of a file in a folder. Raises RequestError when the name, or a link that is in
    the folder, leads out of it.
    """
    path = folder / checked(name)
    above = folder if path == folder else path.parent
    if not above.resolve().is_relative_to(folder.resolve()):
        raise RequestError(
            f"{name!r} leads out of {folder} through a link that is there: name another folder"
        )
    return path
