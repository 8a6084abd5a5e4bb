"""A local folder shipped to a URI: whole files, again when they have grown, until all is there.

Event files cannot be appended to in a bucket: each write would replace the last. So they
are written locally, and shipped from there, whole. What is shipped is written down in the
store's folder, by which `nbtools push` goes on where a killed process stopped.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Lock, Thread
from typing import Any

from nbtools import registry
from nbtools.errors import MissingDependency, RequestError
from nbtools.mirror import reason, warn
from nbtools.spool import FOLDER, take_lock, write_whole

SHIPMENTS = "shipments"
INTERVAL = 30.0  #: seconds between two shipments at least
#: remotes where a file is there as soon as all of it is, and not before.
WHOLE = frozenset({
    "gs", "gcs", "s3", "s3a", "abfs", "abfss", "az", "adl", "oci", "oss", "memory"
})  # fmt: skip
KEPT = "it is kept; `nbtools push` ships what is left"
SHARE = 0.1  #: of the time that shipping may take: a large file is shipped less often


@dataclass
class Shipment:
    """One folder on its way. Not for several threads."""

    record: Path  #: where it is written down
    folder: Path
    uri: str  #: where its files go, under the same names
    shipped: dict[str, list[int]] = field(default_factory=dict)  #: file -> bytes, mtime in ns
    _lock: int = field(default=-1, repr=False)
    _due: float = field(default=0.0, repr=False)

    @classmethod
    def make(cls, store: Path, folder: Path, uri: str) -> Shipment:
        """Begin, or continue, to ship `folder` to `uri`. Raises RequestError, OSError."""
        remote(uri)  # refused here, where it is asked for
        token = hashlib.sha256(f"{folder}\n{uri}".encode()).hexdigest()[:16]
        record = store / FOLDER / SHIPMENTS / f"{token}.json"
        record.parent.mkdir(parents=True, exist_ok=True)
        made = cls.load(record) if record.exists() else cls(record, folder, uri)
        made.lock()
        made.save()
        return made

    @classmethod
    def load(cls, record: Path) -> Shipment:
        """The shipment that `save` wrote. Raises OSError, or ValueError when it is damaged."""
        values = json.loads(record.read_text())
        return cls(record, Path(values["folder"]), values["uri"], values["shipped"])

    def save(self) -> None:
        """Write down what is there. Raises OSError."""
        values = {"folder": str(self.folder), "uri": self.uri, "shipped": self.shipped}
        write_whole(self.record, json.dumps(values))

    def lock(self) -> bool:
        """Whether this process may ship it now: no other does. Again is the same."""
        if self._lock < 0:
            self._lock = take_lock(self.record.with_suffix(".lock"))
        return self._lock >= 0

    def ship(self) -> int:
        """Ship what is new or has grown; returns how many files. Raises what the remote raises."""
        begun = time.monotonic()
        count = 0
        for path in self.waiting():
            name = path.relative_to(self.folder).as_posix()
            size, changed = _look(path)
            _put(path, size, self.uri, name)
            self.shipped[name] = [size, changed]
            self.save()
            count += 1
        now = time.monotonic()
        self._due = now + max(INTERVAL, (now - begun) / SHARE)
        return count

    def ship_if_due(self) -> None:
        """Ship unless it was done a short while ago. Raises as `ship`."""
        if time.monotonic() >= self._due:
            self.ship()

    def waiting(self) -> Iterator[Path]:
        """The files that are not there as they are now."""
        for path in sorted(self.folder.rglob("*")):
            name = path.relative_to(self.folder).as_posix()
            if path.is_file() and self.shipped.get(name) != list(_look(path)):
                yield path

    def close(self) -> None:
        """Ship the rest, and forget it: nothing is written there any more. Raises as `ship`."""
        self.ship()
        self.record.unlink(missing_ok=True)
        self.record.with_suffix(".lock").unlink(missing_ok=True)
        self.unlock()

    def unlock(self) -> None:
        """Let another process ship it."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


class Shipping:
    """A shipment at work in the background: at intervals, when asked, and at the end."""

    def __init__(self, shipment: Shipment, advice: str = KEPT) -> None:
        """Begin. What the remote raises is warned of once, with `advice`, and tried again."""
        self._shipment, self._advice = shipment, advice
        self._turn = Lock()  # held by the thread that ships
        self._wake, self._stop = Event(), Event()
        self._done, self._error = False, ""
        self._warned = False
        self._process = os.getpid()
        self._thread = Thread(target=self._work, name="nbtools shipping", daemon=True)
        self._thread.start()

    def soon(self) -> None:
        """Ship now, without waiting for it."""
        self._wake.set()

    def settle(self) -> str:
        """Ship now, and wait until all is there; returns why it is not, or ""."""
        with self._turn:
            self._error = ""
            self._tried(self._shipment.ship)
            return self._error

    def end(self, timeout: float = 30.0) -> None:
        """Ship the rest; wait for it at most `timeout` seconds. Warns of what is left."""
        if os.getpid() != self._process:
            return  # a fork has no thread: its parent does this
        self._stop.set()
        self._wake.set()
        self._thread.join(timeout)
        if not self._done:
            self._warned = False
            self._warn(self._error or "it did not take everything in time")

    def _work(self) -> None:
        while True:
            self._wake.wait(INTERVAL)
            self._wake.clear()
            ending = self._stop.is_set()
            with self._turn:
                well = self._tried(self._shipment.close if ending else self._shipment.ship)
            if ending:
                self._done = well
                self._shipment.unlock()  # for `nbtools push`
                return

    def _tried(self, ship: Callable[[], object]) -> bool:
        try:
            ship()
        except Exception as error:  # noqa: BLE001 - a remote's failure must not end a training
            self._error = reason(error)
            self._warn(self._error)
            return False
        return True

    def _warn(self, why: str) -> None:
        if self._warned:
            return
        self._warned = True
        warn(
            f"{self._shipment.folder} is not shipped to {self._shipment.uri} ({why}): "
            f"{self._advice}"
        )


def shipments(store: Path) -> Iterator[Shipment]:
    """What is on its way; damaged records are passed over."""
    for record in sorted((store / FOLDER / SHIPMENTS).glob("*.json")):
        try:
            yield Shipment.load(record)
        except (OSError, ValueError, KeyError, TypeError):
            continue  # shipped meanwhile by another process, or no file of ours


def remote(uri: str) -> tuple[Any, str]:
    """The fsspec file system of a URI, and the path in it. Raises RequestError."""
    fsspec = registry.need("fsspec.core")
    try:
        fs, path = fsspec.url_to_fs(uri)
    except ImportError as error:
        missing = getattr(error.__cause__ or error, "name", None)
        hint = f"needs {missing}: pip install {missing}" if missing else str(error)
        raise MissingDependency(f"{uri} {hint}") from None
    except ValueError as error:
        raise RequestError(f"{uri}: {error}; give a URI that fsspec knows, as gs://…") from None
    return fs, str(path).rstrip("/")


def put_whole(fs: Any, path: Path, target: str) -> None:
    """Put a file to where nobody ever meets half of it. Raises what the remote raises."""
    folder, _, name = target.rpartition("/")
    fs.makedirs(folder, exist_ok=True)
    protocols = {fs.protocol} if isinstance(fs.protocol, str) else set(fs.protocol)
    if protocols & WHOLE:
        fs.put_file(str(path), target)
        return
    beside = f"{folder}/.{name[:100]}.part"
    fs.put_file(str(path), beside)
    if fs.exists(target):
        fs.rm_file(target)  # not every remote renames onto what is there
    fs.mv(beside, target)


def remote_digest(fs: Any, path: str) -> str:
    """The SHA-256 of what an fsspec file system holds at a place."""
    found = hashlib.sha256()
    with fs.open(path, "rb") as file:
        while block := file.read(1 << 20):
            found.update(block)
    return found.hexdigest()


def _put(path: Path, size: int, uri: str, name: str) -> None:
    """Ship the first `size` bytes: the file may be growing, and no remote takes one that does."""
    fs, root = remote(uri)
    with TemporaryDirectory(prefix="nbtools-") as folder:
        still = Path(folder, path.name)
        with path.open("rb") as source, still.open("wb") as copy:
            shutil.copyfileobj(source, copy)
            copy.truncate(size)
        put_whole(fs, still, f"{root}/{name}")


def _look(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns
