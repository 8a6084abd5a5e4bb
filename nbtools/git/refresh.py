"""Clear phantom changes: notebooks that git calls modified though it would store the same.

git compares sizes before it cleans, so a notebook that was only executed seems modified, and
blocks a merge or a rebase. Nothing of the work tree is added here: a notebook that is equal
after cleaning gets its own index entry again, which makes git look at its content.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from nbtools.git.repository import GitFailed, Repository


@dataclass(slots=True)
class Refreshed:
    """What became of the notebooks that git called modified; paths from the top."""

    cleared: list[str] = field(default_factory=list)
    modified: list[str] = field(default_factory=list)  #: truly
    refused: dict[str, str] = field(default_factory=dict)  #: path -> why it cannot be cleaned


def refresh(repository: Repository, paths: Sequence[str] = ()) -> Refreshed:
    """Look at the modified notebooks below `paths`, at all if there are none."""
    listed = repository.lines("diff-files", "-z", "--diff-filter=M", "--", *paths)
    root = Repository(repository.root)
    result = Refreshed()
    entries = {}
    for head, path in zip(listed[::2], listed[1::2], strict=True):
        before, after, stored, *_ = head.removeprefix(":").split(" ")
        if not path.endswith(".ipynb"):
            continue
        if before == after:
            entries[path] = (before, stored)
        else:
            result.modified.append(path)
    cleaned = _cleaned(root, list(entries), result)
    same = {path: entries[path] for path, name in cleaned.items() if name == entries[path][1]}
    result.cleared += same
    result.modified += [path for path in cleaned if path not in same]
    if same:
        lines = (f"{mode} {name}\t{path}\0" for path, (mode, name) in same.items())
        root.git("update-index", "-z", "--index-info", stdin=_encoded("".join(lines)))
        # 1: others are modified, which is why this looks at the named ones only.
        root.git("update-index", "-q", "--refresh", ok=(0, 1))
    return result


def _cleaned(root: Repository, paths: list[str], result: Refreshed) -> dict[str, str]:
    """The objects that git would store; git reads a line a path, so some go one by one."""
    plain = [path for path in paths if "\n" not in path and not path.startswith('"')]
    found = {}
    try:
        names = root.git("hash-object", "--stdin-paths", stdin=_encoded("\n".join(plain)))
        found = dict(zip(plain, names.decode().split(), strict=True))
    except GitFailed:
        pass  # one of them cannot be cleaned: ask for each
    for path in paths:
        if path in found:
            continue
        try:
            found[path] = root.git("hash-object", "--", path).decode().strip()
        except GitFailed as error:
            why = str(error).removeprefix("git: ").removeprefix("nbtools: ")
            result.refused[path] = why if path in why else f"{path}: {why}"
    return found


def _encoded(text: str) -> bytes:
    return text.encode(errors="surrogateescape")
