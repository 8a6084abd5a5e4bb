"""What a mirror has still to hear of: kept on disk until it is safe elsewhere.

A run's journal is removed once the store has read it. The spool holds on to the same
file by a second name, so nothing is written twice and what a killed process has logged is
here as well. Beside it lies a small JSON: which mirror, which run, and how far it is.

    <store>/mirrors/<mirror>/<journal>          what was logged
    <store>/mirrors/<mirror>/<journal>.json     how far it was sent
    <store>/mirrors/<mirror>/<journal>.lock     locked by the process that sends it
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbtools import journal
from nbtools.mirror import MirroredRun
from nbtools.nouns import slug

FOLDER = "mirrors"


@dataclass
class Spool:
    """What one mirror has to hear of one journal."""

    path: Path  #: the journal by its second name
    mirror: str  #: the name of the mirror
    run: MirroredRun
    options: Mapping[str, Any]  #: what the mirror is made with; JSON
    position: int = 0  #: bytes of the journal that are safe elsewhere
    source: Path | None = None  #: the journal, where it cannot have a second name
    shown: str = ""  #: as what the run is shown there until its job has ended; "": that is told
    _lock: int = field(default=-1, repr=False)

    @classmethod
    def make(
        cls, store: Path, mirror: str, run: MirroredRun, log: Path, options: Mapping[str, Any]
    ) -> Spool:
        """Begin to keep the journal `log` for `mirror`. Raises OSError."""
        folder = store / FOLDER / slug(mirror)
        folder.mkdir(parents=True, exist_ok=True)
        spool = cls(folder / log.name, mirror, run, options)
        spool.lock()
        try:
            os.link(log, spool.path)
        except OSError:  # a file system that gives a file one name only: keep a copy
            spool.path.touch(mode=0o600)
            spool.source = log
        spool.save()
        return spool

    @classmethod
    def load(cls, state: Path) -> Spool:
        """The spool that `save` wrote. Raises OSError, or ValueError when it is damaged."""
        values = json.loads(state.read_text())
        run = MirroredRun.loads(values["run"])
        path = state.with_name(state.name.removesuffix(".json"))
        told = values["position"], None, values.get("shown", "")
        return cls(path, values["mirror"], run, values["options"], *told)

    def save(self) -> None:
        """Write down how far it is; a crash leaves the old state or the new. Raises OSError."""
        values = {
            "mirror": self.mirror,
            "run": self.run.dumps(),
            "options": dict(self.options),
            "position": self.position,
            "shown": self.shown,
        }
        write_whole(self._beside(".json"), json.dumps(values))

    def read(self, position: int) -> tuple[list[dict[str, Any]], int]:
        """The entries behind `position`, and the position behind them. Raises OSError."""
        if self.source is not None:
            self._copy(self.source)
        return journal.read(self.path, position)

    def lock(self) -> bool:
        """Whether this process may send it now: no other does. Again is the same."""
        if self._lock < 0:
            self._lock = take_lock(self._beside(".lock"))
        return self._lock >= 0

    def unlock(self) -> None:
        """Let another process send it."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def current(self) -> bool:
        """Whether it is still kept, after `lock`: another process may have sent it meanwhile."""
        there = self._beside(".json").exists()
        if there:
            now = Spool.load(self._beside(".json"))
            self.position, self.shown = now.position, now.shown
        else:
            self._beside(".lock").unlink(missing_ok=True)
        return there

    def written_to(self) -> bool:
        """Whether a process may still log to it."""
        return not journal.abandoned(self.source or self.path)

    def remove(self) -> None:
        """Everything is safe elsewhere: forget it."""
        for path in (self._beside(".json"), self.path, self._beside(".lock")):
            path.unlink(missing_ok=True)
        self.unlock()

    def _copy(self, source: Path) -> None:
        try:
            with source.open("rb") as log, self.path.open("ab") as copy:
                log.seek(copy.tell())
                copy.write(log.read())
        except FileNotFoundError:
            self.source = None  # the store has it all; so has the copy, but for the last moment

    def _beside(self, suffix: str) -> Path:
        return self.path.with_name(self.path.name + suffix)


def spools(store: Path, mirror: str = "") -> Iterator[Spool]:
    """What is kept for that mirror, or for all, oldest first; damaged ones are passed over."""
    found = (store / FOLDER).glob(f"*/*{journal.SUFFIX}.json")
    for state in sorted(found, key=_changed):
        try:
            spool = Spool.load(state)
        except (OSError, ValueError, KeyError, TypeError):
            continue  # sent meanwhile by another process, or no file of ours
        if mirror in ("", spool.mirror):
            yield spool


def _changed(path: Path) -> float:
    """When; 0.0 where it was sent, and removed, meanwhile."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def write_whole(path: Path, text: str) -> None:
    """Write a file so that a reader, or a crash, never meets half of it. Raises OSError."""
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    new.write_text(text)
    new.replace(path)


def take_lock(path: Path) -> int:
    """A file descriptor that holds a lock until it is closed; -1 when another has it."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return -1
    return fd
