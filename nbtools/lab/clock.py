"""Has a service execute what is scheduled for as long as the server runs.

Where none runs on the store, and something is scheduled there, one is begun as a process of
the server's: it ends when its standard input does, however the server ends.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from nbtools.errors import NbtoolsError
from nbtools.jobs import Jobs
from nbtools.service import Service, running, status
from nbtools.settings import Settings, environment
from nbtools.store import Store

#: seconds between two looks whether one runs.
PAUSE = 5.0


class Clock:
    """Looks after the service of one store, in a thread."""

    def __init__(self, root: Path) -> None:
        """`root` is the server's folder, from which the store is found."""
        self._root = root
        self._wanted = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin to look."""
        threading.Thread(target=self._watch, name="nbtools-clock", daemon=True).start()

    def look(self) -> None:
        """Look at once: something was scheduled."""
        self._wanted.set()

    def _watch(self) -> None:
        while True:
            if self._child is not None and self._child.poll() is not None:
                self._child = None
            try:
                store = Settings.load(self._root).store
                if self._child is None and self._needed(store):
                    self._child = self._begin(store)
            except (NbtoolsError, OSError) as error:  # a full disk, say: it may be mended
                print(f"nbtools: no service could be begun: {error}", file=sys.stderr)  # noqa: T201
            self._wanted.wait(PAUSE)
            self._wanted.clear()

    def _needed(self, folder: Path) -> bool:
        if not (folder / "store.sqlite").exists() or running(folder):
            return False
        with closing(Store(folder)) as store:
            found = status(Jobs(store, Settings.load(self._root)))
        return bool(found.next_time or found.queued or found.working)

    def _begin(self, store: Path) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "nbtools.lab.clock"],
            stdin=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the server
            cwd=self._root,
            env={**environment(), "NBTOOLS_STORE": str(store)},
        )


def until_left(stop: threading.Event, read: Callable[[], bytes]) -> None:
    """Set `stop` when whoever holds the other end of standard input is gone."""
    read()
    stop.set()


def main() -> None:
    """A service that ends with the process that has begun it."""
    from nbtools.batch import room

    jobs, stop = Jobs.open(), threading.Event()
    threading.Thread(target=until_left, args=(stop, sys.stdin.buffer.read), daemon=True).start()

    def say(sentence: str) -> None:
        print(f"nbtools: {sentence}", file=sys.stderr, flush=True)  # noqa: T201

    Service(jobs, room(1000), say).run(stop)


if __name__ == "__main__":
    main()
