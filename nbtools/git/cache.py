"""Outputs remembered on this machine, so that git does not take them from the work tree.

Opt-in: `nbtools git install --keep-local-outputs`. When git takes a notebook in, each cell's
outputs are kept under the repository's .git folder, by path, cell and source; when git writes
the notebook, they are put back. They are no part of any commit and leave with no clone.
"""

from __future__ import annotations

import os
import subprocess
import sys

from nbtools.git import codec
from nbtools.git.codec import NotANotebook
from nbtools.git.strip import divide

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from nbtools.git.codec import Blob

#: At most this many bytes are kept, the longest unused go first; `git config nbtools.keepbytes`.
LIMIT = 500_000_000


class Cache:
    """The remembered outputs of one repository."""

    def __init__(self, folder: str, limit: int = LIMIT) -> None:
        self.folder, self.limit = folder, limit
        self._written = limit  # so that the first to be written looks at the whole

    @classmethod
    def here(cls) -> Cache | None:
        """That of the repository git works in; None when git cannot say which."""
        done = subprocess.run(
            ["git", "rev-parse", "--git-common-dir"], capture_output=True, text=True, check=False
        )
        if done.returncode:
            return None
        limit = subprocess.run(
            ["git", "config", "--type=int", "--get", "nbtools.keepbytes"],
            capture_output=True, text=True, check=False,
        ).stdout.strip()  # fmt: skip
        folder = os.path.join(os.path.abspath(done.stdout.strip()), "nbtools", "outputs")
        return cls(folder, int(limit) if limit else LIMIT)

    def remember(self, path: str, data: Blob, clean: bytes) -> None:
        """Keep the outputs in `data` that `clean`, its clean text, has not; forget cleared ones."""
        try:
            # A cell without an id has one in the clean text, and is asked for by it.
            for (_, cell), (key, stays) in zip(
                _cells(path, codec.parse(data)), _cells(path, codec.parse(clean)), strict=True
            ):
                if stays["outputs"]:
                    continue  # in git
                if cell["outputs"]:
                    self._write(key, cell)
                    self._prune()
                else:
                    self._forget(key)
        except (NotANotebook, ValueError):  # cells were dropped: not told apart, not kept
            return
        except OSError as error:  # a full disk must not keep anyone from committing
            sys.stderr.write(f"nbtools: outputs of {path} are not remembered: {error.strerror}\n")

    def restore(self, path: str, data: Blob) -> Blob:
        """The notebook with its remembered outputs; `data` itself when there are none."""
        try:
            nb = codec.parse(data)
            if codec.dumps(divide(nb)) != data:
                return data  # in another layout than ours: it would not come back the same
            found = 0
            for key, cell in _cells(path, nb):
                if not cell["outputs"] and (kept := self._read(key)):
                    cell["outputs"], cell["execution_count"] = kept
                    found += 1
            return codec.dumps(divide(nb)) if found else data
        except (NotANotebook, ValueError, OSError, KeyError, TypeError, AttributeError):
            return data  # what git holds is what git gets: never stop a checkout

    def used(self) -> int:
        """How many bytes are kept."""
        return sum(size for _, size, _ in self._entries())

    def _file(self, key: str) -> str:
        return os.path.join(self.folder, key[:2], key[2:])

    def _write(self, key: str, cell: dict[str, Any]) -> None:
        import zlib

        value = {"count": cell.get("execution_count"), "outputs": cell["outputs"]}
        packed = zlib.compress(codec.dumps(value), 1)
        path = self._file(key)
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        beside = f"{path}.{os.getpid()}"
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(packed)
        os.replace(beside, path)
        self._written += len(packed)

    def _read(self, key: str) -> tuple[list[Any], int | None] | None:
        import zlib

        try:
            with open(self._file(key), "rb") as file:
                value = codec.parse(zlib.decompress(file.read()))
            os.utime(self._file(key))
        except (FileNotFoundError, zlib.error):
            return None
        return value["outputs"], value["count"]

    def _forget(self, key: str) -> None:
        _unlink(self._file(key))

    def _entries(self) -> Iterator[tuple[float, int, str]]:
        for folder, _, names in os.walk(self.folder):
            for name in names:
                path = os.path.join(folder, name)
                try:
                    found = os.stat(path)
                except FileNotFoundError:
                    continue  # another git command was faster
                yield found.st_mtime, found.st_size, path

    def _prune(self) -> None:
        """Keep to the limit; looked at first, and for each twentieth of it that was written."""
        if self._written < self.limit // 20:
            return
        self._written = 0
        entries = sorted(self._entries())
        total = sum(size for _, size, _ in entries)
        for _, size, path in entries:
            if total <= self.limit:
                return
            _unlink(path)
            total -= size


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def _cells(path: str, nb: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each code cell with the key of its outputs: the same cell with the same source."""
    import hashlib

    if codec.version(nb) != 4:
        return
    seen: dict[str, int] = {}
    for cell in nb["cells"]:
        if cell.get("cell_type") != "code" or type(cell.get("outputs")) is not list:
            continue
        source = cell.get("source", "")
        text = source if isinstance(source, str) else "".join(source)
        name = f"{cell.get('id', '')}\0{text}"
        seen[name] = seen.get(name, 0) + 1
        whole = f"{path}\0{seen[name]}\0{name}".encode(errors="surrogatepass")
        yield hashlib.sha256(whole).hexdigest(), cell
