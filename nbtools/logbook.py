"""A run's journal as one process writes it: it never stops who logs, and goes on after a fork.

What cannot be written, because the disk is full say, is held in memory and written as soon
as that is possible again; that is said once, loudly. A thread sees to it that the disk has
everything after a second, and notes what the machine does.
"""

from __future__ import annotations

import os
import threading
import time
import warnings
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nbtools import sampling
from nbtools.errors import StoreError
from nbtools.journal import Journal
from nbtools.secrets import own
from nbtools.summaries import SYSTEM

#: entries that are held when they cannot be written; the oldest give way.
HELD = 100_000
#: seconds between two looks of the thread: what power loss may take.
SECOND = 1.0
#: seconds between two notes of what the machine does.
SAMPLE = 15.0

Entry = Callable[[Journal], None]


class Logbook:
    """The writing end of a run. Safe to use from several threads."""

    def __init__(self, folder: Path, context: str, guest: bool, strict: bool) -> None:
        """Begin a journal in `folder`; `strict`: raise StoreError for what cannot be written.

        Raises OSError when the journal cannot be made.
        """
        self._folder, self._context, self._strict = folder, context, strict
        self._journal = Journal(folder, context, guest)
        self._masking = own().masking
        self._forked = False
        self._dirty = False
        self._held: deque[Entry] = deque(maxlen=HELD)
        self._lost = 0
        self._lock = threading.Lock()
        self._begin = time.monotonic()
        self._samples = 0
        _keeper.take(self)

    @property
    def path(self) -> Path:
        """The journal's file."""
        return self._journal.path

    def append(self, entry: Mapping[str, Any]) -> None:
        """Write one entry, secrets masked."""
        if self._masking:
            entry = self._masking.fields(entry)
        self._write(lambda journal: journal.append(entry))

    def point(self, values: Mapping[str, float], step: int, seconds: float) -> None:
        """Write the values of one step; raises as `Journal.point` for what is no number."""
        if self._masking:
            values = {self._masking.text(name): value for name, value in values.items()}
        if self._held or self._forked:
            kept = dict(values)  # the caller's own may change
            self._write(lambda journal: journal.point(kept, step, seconds))
            return
        try:
            self._journal.point(values, step, seconds)
        except OSError as error:
            kept = dict(values)
            self._hold(lambda journal: journal.point(kept, step, seconds), error)
        self._dirty = True

    def close(self) -> None:
        """Write what is held, if that is possible, and let go of the file."""
        _keeper.release(self)
        with self._lock:
            self._catch_up()
        lost = self._lost + len(self._held)
        self._journal.close()
        if lost:
            _shout(f"{lost} entries of run {self._context} could not be written and are lost")

    def keep(self, now: float) -> None:
        """What the thread does each second: let the disk have everything, note the machine."""
        if self._dirty:
            self._dirty = False
            self._journal.sync()
        if now - self._begin >= SAMPLE * (self._samples + 1):
            self._samples += 1
            values = {f"{SYSTEM}{key}": value for key, value in sampling.sample().items()}
            self.point(values, self._samples, time.time())

    def after_fork(self) -> None:
        """In the child: the parent's file is the parent's; ours is begun when it is needed."""
        self._lock = threading.Lock()
        self._held.clear()
        self._journal.close()
        self._forked = True

    # -- inside ---------------------------------------------------------------------

    def _write(self, entry: Entry) -> None:
        with self._lock:
            if self._forked:
                self._journal = Journal(self._folder, self._context, guest=True)
                self._forked = False
                _keeper.take(self)
            self._catch_up()
            if self._held:
                self._put_aside(entry)
                return
        try:
            entry(self._journal)
        except OSError as error:
            self._hold(entry, error)
        self._dirty = True

    def _hold(self, entry: Entry, error: OSError) -> None:
        reason = f"cannot log to {self.path}: {error.strerror}"
        advice = "free some space, or set NBTOOLS_STORE to another folder"
        if self._strict:
            raise StoreError(f"{reason}; {advice}") from error
        with self._lock:
            first = not self._held
            self._put_aside(entry)
        if first:
            _shout(f"{reason}; work goes on, and what is logged is held in memory: {advice}")

    def _put_aside(self, entry: Entry) -> None:
        self._lost += len(self._held) == HELD
        self._held.append(entry)

    def _catch_up(self) -> None:
        while self._held:
            try:
                self._held[0](self._journal)
            except OSError:
                return
            self._held.popleft()


class _Keeper:
    """The thread of this process that looks after its open logbooks."""

    def __init__(self) -> None:
        self._books: weakref.WeakSet[Logbook] = weakref.WeakSet()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def take(self, book: Logbook) -> None:
        with self._lock:
            self._books.add(book)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="nbtools", daemon=True)
                self._thread.start()

    def release(self, book: Logbook) -> None:
        with self._lock:
            self._books.discard(book)

    def after_fork(self) -> None:
        self._thread, self._lock = None, threading.Lock()
        books, self._books = list(self._books), weakref.WeakSet()
        for book in books:
            book.after_fork()

    def _work(self) -> None:
        while True:
            time.sleep(SECOND)
            with self._lock:
                books = list(self._books)
                if not books:
                    self._thread = None
                    return
            for book in books:
                try:
                    book.keep(time.monotonic())
                except (OSError, StoreError):
                    continue  # closed just now; or full, and whoever logs next is told


_keeper = _Keeper()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_keeper.after_fork)


def _shout(text: str) -> None:
    warnings.warn(text, RuntimeWarning, stacklevel=4)
