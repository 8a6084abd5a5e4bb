"""What stripping a repository's history would save, and how to do it.

Nothing is rewritten here: git-filter-repo does that, in a fresh clone, with `rewrite` below
as its callback.
"""

from __future__ import annotations

import hashlib
import shlex
import subprocess
import sys
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nbtools.errors import RequestError
from nbtools.git.codec import NotANotebook
from nbtools.git.project import ProjectError, Projects
from nbtools.git.repository import Repository
from nbtools.git.strip import strip

#: What a notebook's mode can be; a link or a submodule of that name is none.
FILES = (b"100644", b"100755")


@dataclass(slots=True)
class Saving:
    """The notebooks of all refs, before and after; sizes in bytes."""

    commits: int = 0
    versions: int = 0
    files: set[str] = field(default_factory=set)
    size: int = 0
    disk: int = 0  #: what they take in git's store now
    stripped_versions: int = 0
    stripped_size: int = 0
    stripped_disk: int = 0  #: about: compressed, not yet as deltas
    by_file: Counter[str] = field(default_factory=Counter)  #: bytes saved
    unreadable: dict[str, str] = field(default_factory=dict)  #: they would stay as they are


def saving(repository: Repository) -> Saving:
    """Strip every version of every notebook in memory, and add up."""
    root = Repository(repository.root)
    found = Saving(commits=int(root.git("rev-list", "--all", "--count")))
    projects = Projects()
    seen: set[bytes] = set()
    for name, path, disk, data in _notebooks(root):
        found.versions += 1
        found.files.add(path)
        found.size += len(data)
        found.disk += disk
        try:
            clean = strip(data, projects.options(str(root.folder / path)))
        except ProjectError as error:
            raise RequestError(str(error)) from None
        except NotANotebook as error:
            found.unreadable[f"{name[:10]} {path}"] = str(error)
            clean = data
        digest = hashlib.sha256(clean).digest()
        if digest in seen:  # versions that differed by their outputs become one
            found.by_file[path] += len(data)
            continue
        seen.add(digest)
        found.stripped_versions += 1
        found.stripped_size += len(clean)
        found.stripped_disk += disk if clean == data else len(zlib.compress(clean))
        found.by_file[path] += len(data) - len(clean)
    return found


def command() -> str:
    """The command that rewrites the history of the clone it is run in."""
    package = str(Path(__file__).resolve().parents[2])
    body = (
        f"import sys; sys.path.append({package!r}); from nbtools.git.history import rewrite; "
        "return rewrite(filename, mode, blob_id, value)"
    )
    program = "git filter-repo"
    if find_spec("git_filter_repo"):
        program = f"{shlex.quote(sys.executable)} -m git_filter_repo"
    return f"{program} --file-info-callback {shlex.quote(body)}"


def rewrite(filename: bytes, mode: bytes, blob_id: Any, value: Any) -> tuple[bytes, bytes, Any]:
    """git-filter-repo's callback for a file: the stripped notebook in its place.

    What cannot be read stays as it is, byte for byte.
    """
    if not filename.endswith(b".ipynb") or mode not in FILES:
        return filename, mode, blob_id
    if blob_id not in value.data:
        options = value.data.setdefault("projects", Projects()).options(
            filename.decode(errors="surrogateescape")
        )
        data = value.get_contents_by_identifier(blob_id)
        try:
            clean = strip(data, options)
        except NotANotebook:
            clean = data
        value.data[blob_id] = blob_id if clean == data else value.insert_file_with_contents(clean)
    return filename, mode, value.data[blob_id]


def _notebooks(root: Repository) -> Iterator[tuple[str, str, int, bytes]]:
    """Every version in any ref: object, path, size in the store, bytes; one in memory at a time."""
    listed = root.git("rev-list", "--objects", "--all").decode(errors="surrogateescape")
    paths = {}
    for line in listed.split("\n"):
        name, _, path = line.partition(" ")
        if path.endswith(".ipynb"):
            paths[name] = path
    fields = "%(objectname) %(objecttype) %(objectsize) %(objectsize:disk)"
    batch = ["git", "cat-file", f"--batch={fields}"]
    pipe = subprocess.PIPE
    with subprocess.Popen(batch, cwd=root.folder, stdin=pipe, stdout=pipe) as process:
        assert process.stdin
        assert process.stdout
        for name, path in paths.items():
            process.stdin.write(f"{name}\n".encode())
            process.stdin.flush()
            _, kind, size, disk = process.stdout.readline().decode().split()
            data = process.stdout.read(int(size) + 1)[:-1]
            if kind == "blob":  # a folder may have such a name
                yield name, path, int(disk), data
