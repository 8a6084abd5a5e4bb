"""Which notebooks changed, by git's account, and their two versions: `nbtools git diff`."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from nbtools.errors import RequestError
from nbtools.git.codec import NotANotebook
from nbtools.git.comparison import Line, compare, text_diff
from nbtools.git.document import BadNotebook, Document
from nbtools.git.project import ProjectError, Projects
from nbtools.git.repository import Repository
from nbtools.git.strip import strip


@dataclass(frozen=True, slots=True)
class Change:
    """A notebook in two versions; an empty one is not there."""

    path: str
    was: str  #: its path in the old version
    old: bytes
    new: bytes
    unmerged: bool = False


def changes(repository: Repository, arguments: Sequence[str]) -> Iterator[Change]:
    """The notebooks that `git diff ARGUMENTS` would show."""
    command = ("diff", "--raw", "-z", "-M", "--no-abbrev", "--no-ext-diff", "--no-relative")
    words = iter(repository.lines(*command, *arguments))
    root = Repository(repository.root)
    projects = Projects()
    unmerged: set[str] = set()
    for word in words:
        _, _, old, new, status = word.removeprefix(":").split(" ")
        was = path = next(words)
        if status[0] in "RC":
            path = next(words)
        if not path.endswith(".ipynb"):
            continue
        if path in unmerged:
            continue  # git lists it a second time, against ours
        if status[0] == "U":
            unmerged.add(path)
            yield Change(path, was, b"", b"", unmerged=True)
            continue
        yield Change(
            path,
            was,
            b"" if status[0] == "A" else root.blob(old),
            b"" if status[0] == "D" else _new(root, path, new, projects),
        )


def files(old: str, new: str) -> Change:
    """Two files, whatever git knows of them."""
    try:
        return Change(new, old, Path(old).read_bytes(), Path(new).read_bytes())
    except OSError as error:
        raise RequestError(f"{error.filename}: {error.strerror}; name two notebooks") from None


def lines(change: Change, nbdime: bool) -> Iterator[Line]:
    """The change as lines; through nbdime if asked."""
    name = change.path if change.path == change.was else f"{change.was} → {change.path}"
    if change.unmerged:
        yield Line("file", name)
        advice = f"decide between its marker cells, or nbtools git fix {change.path}"
        yield Line("note", f"is in conflict: {advice}")
        return
    what = "" if change.old and change.new else ", deleted" if change.old else ", new"
    body = list(_body(change, nbdime))
    if body or what or change.path != change.was:
        yield Line("file", name + what)
        yield from body


def has_nbdime() -> bool:
    """Whether nbdime is installed."""
    return find_spec("nbdime") is not None


def _body(change: Change, nbdime: bool) -> Iterator[Line]:
    empty = b'{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'
    old, new = change.old or empty, change.new or empty
    try:
        versions = Document.parse(old, f"{change.was} (old)"), Document.parse(new, change.path)
    except BadNotebook as error:
        yield Line("note", str(error))
        yield from text_diff(change.old, change.new)
        return
    if nbdime:
        yield from _by_nbdime(change.was, change.path, old, new)
    elif change.old and change.new:
        yield from compare(*versions)
    else:
        # Format and kernel of what is new or gone go without saying.
        yield from (line for line in compare(*versions) if line.kind != "note")


def _new(root: Repository, path: str, name: str, projects: Projects) -> bytes:
    """The new version; of a file in the work tree as git would store it."""
    if name.strip("0"):
        return root.blob(name)
    data = (root.folder / path).read_bytes()
    found = root.lines("check-attr", "-z", "filter", "--", path)[-1]
    if found == "nbtools":
        try:
            return strip(data, projects.options(str(root.folder / path)))
        except (NotANotebook, ProjectError):
            return data  # what is wrong with it is said where it is compared
    if found not in ("unspecified", "unset"):
        return root.blob(root.git("hash-object", "-w", "--", path).decode().strip())
    return data


def _by_nbdime(was: str, path: str, old: bytes, new: bytes) -> Iterator[Line]:
    import nbformat
    from nbdime.diffing.notebooks import diff_notebooks
    from nbdime.prettyprint import PrettyPrintConfig, pretty_print_notebook_diff

    a, b = (nbformat.reads(data.decode(), as_version=4) for data in (old, new))
    out = io.StringIO()
    found = diff_notebooks(a, b)
    pretty_print_notebook_diff(was, path, a, found, PrettyPrintConfig(out=out, use_color=False))
    for line in out.getvalue().splitlines():
        kind = line[0] if line[:1] in "-+" and line[1:2] != line[:1] else ""
        yield Line(kind or "note", line[1:] if kind else line)
