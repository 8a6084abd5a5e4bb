"""Has schedules executed when they are due, where nobody else does.

A service is what does that (`nbtools service run`). Whoever creates a schedule through the
emulator expects no more than the emulator to run: so it is a service itself, from its first
schedule on and for as long as no other runs on its store.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Final

from nbtools import service
from nbtools.batch import room
from nbtools.emulator import schedules
from nbtools.errors import NbtoolsError
from nbtools.jobs import Jobs
from nbtools.settings import Settings
from nbtools.store import Store

#: seconds between two looks whether another service runs.
LOOK: Final = 1.0


def run(
    folder: Path, clock: Callable[[], datetime], stop: threading.Event, alone: threading.Lock
) -> None:
    """See to it until `stop` is set; returns when what was begun for it has ended.

    `alone` is held while what a service needs is imported: others may need it too.
    """
    ended, at_work = threading.Event(), None
    with closing(Store(folder)) as store:
        while not stop.wait(LOOK):
            try:
                wanted = bool(store.resources.select(schedules.TYPE)) and not _others(folder)
            except NbtoolsError as error:  # a full disk, say: it may be mended by the next look
                _say(str(error))
                continue
            if at_work and not (wanted and at_work.is_alive()):
                ended.set()
                at_work.join()
                at_work = None
            elif wanted and not at_work:
                with alone:
                    import_module("nbtools.rehearsal")
                    import_module("nbtools.warming")
                ended = threading.Event()
                at_work = threading.Thread(target=_serve, args=(folder, clock, ended), daemon=True)
                at_work.start()
    ended.set()
    if at_work:
        at_work.join()


def _others(folder: Path) -> bool:
    """Whether a service runs that is not this process."""
    return any(one.pid != os.getpid() for one in service.running(folder))


def _serve(folder: Path, clock: Callable[[], datetime], ended: threading.Event) -> None:
    with closing(Store(folder)) as store:
        settings = replace(Settings.load(), store=folder)
        service.Service(Jobs(store, settings, clock), room(1000), _say).run(ended)


def _say(text: str) -> None:
    """Onto the emulator's log."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
