"""Files copied to a folder or to a URI: each whole or not at all, under its own name.

What is there already is left when it is the same, so a copy that was interrupted goes on
where it stopped.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from nbtools.below import below, checked
from nbtools.digests import digest
from nbtools.errors import NbtoolsError, RequestError
from nbtools.mirror import reason
from nbtools.nouns import place
from nbtools.shipment import put_whole, remote, remote_digest


class Target(Protocol):
    """Where files are delivered."""

    def where(self, name: str) -> str:
        """The path or URI of a file there. Raises RequestError when it would lie elsewhere."""

    def found(self, name: str, source: Path) -> str:
        """`same` when the file is there, `other` when another of its name is, or ""."""

    def put(self, name: str, source: Path) -> None:
        """Copy a file there; one of that name is replaced in one step. Raises RequestError."""


def deliver(files: Mapping[str, Path], to: str | Path, overwrite: bool = False) -> list[str]:
    """Copy files, by the names they are to have, into a folder or below a URI that fsspec
    knows (gs://bucket/path, s3://…, memory://…); returns the paths or URIs of the copies.

    Raises RequestError, before anything is copied, for names that would lead elsewhere, and
    when another file of a name is there and `overwrite` is not set; later when one cannot be
    written: those that were copied then stay. MissingDependency when a URI needs a package.
    """
    target = _target(to)
    where = {name: target.where(name) for name in files}
    found = {name: target.found(name, source) for name, source in files.items()}
    others = [where[name] for name, what in found.items() if what == "other"]
    if others and not overwrite:
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""
        raise RequestError(
            f"{', '.join(others[:3])}{more}: there already, and another; name another folder, "
            "or --force"
        )
    for name, source in files.items():
        if found[name] != "same":
            target.put(name, source)
    return list(where.values())


def _target(to: str | Path) -> Target:
    if "://" not in str(to):
        return Folder(place(to))
    with _said(str(to), "reach"):
        fs, root = remote(str(to))
    local = "file" in _protocols(fs)
    return Folder(Path(root or "/")) if local else Remote(fs, root, str(to).rstrip("/"))


class Folder:
    """A folder of this machine."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def where(self, name: str) -> str:
        return str(below(self._root, name))

    def found(self, name: str, source: Path) -> str:
        path = below(self._root, name)
        if not os.path.lexists(path):
            return ""
        there = path.is_file() and path.stat().st_size == source.stat().st_size
        return "same" if there and digest(path) == digest(source) else "other"

    def put(self, name: str, source: Path) -> None:
        path = below(self._root, name)
        beside = path.with_name(f".nbtools.{os.getpid()}.part")  # short, however long the name is
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                shutil.copy2(source, beside)
                beside.replace(path)
            finally:
                beside.unlink(missing_ok=True)
        except OSError as error:
            raise RequestError(
                f"cannot write {path}: {error.strerror}; name a folder that can be written"
            ) from None


class Remote:
    """A place that fsspec knows."""

    def __init__(self, fs: Any, root: str, uri: str) -> None:
        self._fs, self._root, self._uri = fs, root, uri

    def where(self, name: str) -> str:
        return f"{self._uri}/{checked(name)}"

    def found(self, name: str, source: Path) -> str:
        path = self._path(name)
        with _said(self.where(name), "look at"):
            try:
                size = self._fs.info(path).get("size")
            except FileNotFoundError:
                return ""
            if size not in (None, source.stat().st_size):
                return "other"
            return "same" if remote_digest(self._fs, path) == digest(source) else "other"

    def put(self, name: str, source: Path) -> None:
        with _said(self.where(name), "write"):
            put_whole(self._fs, source, self._path(name))

    def _path(self, name: str) -> str:
        return f"{self._root}/{checked(name)}"


def _protocols(fs: Any) -> tuple[str, ...]:
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)


@contextmanager
def _said(uri: str, what: str) -> Iterator[None]:
    """What a remote raises, as one sentence that says what to do."""
    try:
        yield
    except NbtoolsError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever the library of that remote raises
        raise RequestError(f"cannot {what} {uri}: {_why(error)} ({reason(error)})") from None


def _why(error: Exception) -> str:
    code = getattr(error, "code", None) or getattr(error, "status", None)
    if isinstance(error, PermissionError) or code in (401, 403):
        return "you have no right to; log in, or ask for it, and give the same command again"
    if isinstance(error, FileNotFoundError) or code == 404:
        return "there is no such bucket or folder; make it first"
    if isinstance(error, ConnectionError | TimeoutError | OSError):
        return "it cannot be reached; the same command goes on when it can"
    return "it refuses; mend that, and give the same command again"
