"""How one notebook stands in git, and what a commit would hold of it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

from nbtools.errors import RequestError
from nbtools.git.codec import NotANotebook
from nbtools.git.install import git
from nbtools.git.project import ProjectError, Projects
from nbtools.git.strip import strip
from nbtools.nouns import place

#: what git says in two letters, in words.
_WORDS = {
    "": "as committed", "??": "not in git yet: git add it", "A": "added, not committed yet",
    "M": "changed since the last commit", "UU": "in conflict: nbtools git fix mends it",
    "!!": "ignored by git",
}  # fmt: skip


def look(path: Path) -> Iterator[str]:
    """Sentences about a notebook. Raises RequestError when there is no such, or no git."""
    path = place(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RequestError(f"cannot read {path}: {error.strerror}; name a notebook") from None
    at = ("-C", str(path.parent))
    branch = git(*at, "rev-parse", "--abbrev-ref", "HEAD", check=False)
    commit = git(*at, "log", "-1", "--format=%h %s", "--", _literal(path), check=False)
    git(*at, "rev-parse", "--show-toplevel")  # raises where there is no repository
    yield f"{path.name}: {_state(at, _literal(path))}; on {branch or 'a new branch'}"
    yield f"last commit: {commit or 'none yet'}"
    try:
        clean = strip(data, Projects().options(str(path)))
    except (NotANotebook, ProjectError) as error:
        raise RequestError(f"{path.name} cannot be cleaned: {error}") from None
    filtered = git(*at, "check-attr", "filter", "--", path.name).endswith(": nbtools")
    if clean == data:
        yield f"saved without outputs: would be committed as it is, {len(data):,} bytes"
    elif filtered:
        yield (
            f"would be committed without its outputs: {len(clean):,} of {len(data):,} bytes; "
            "your file keeps them"
        )
    else:
        yield (
            f"would be committed with its outputs, {len(data):,} bytes where {len(clean):,} "
            "would do: nbtools git install"
        )
    committed = clean if filtered else data
    before = _committed(at, path.name)
    if before is not None:
        same = "the same as" if before == committed else "different from"
        yield f"that is {same} the last commit's"


def _literal(path: Path) -> str:
    """Its name, as git takes it for a name whatever is in it."""
    return f":(literal){path.name}"


def _state(at: tuple[str, str], name: str) -> str:
    said = git(*at, "status", "--porcelain", "--ignored", "--", name, check=False)
    letters = said[:2].strip()
    return _WORDS.get(letters, _WORDS["M"] if "M" in letters else f"git says {letters}")


def _committed(at: tuple[str, str], name: str) -> bytes | None:
    done = subprocess.run(
        ["git", *at, "cat-file", "blob", f"HEAD:./{name}"], capture_output=True, check=False
    )  # bytes: a notebook need not be UTF-8 to be compared
    return done.stdout if done.returncode == 0 else None
