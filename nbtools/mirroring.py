"""Mirrors at work: each hears of the run from a thread of its own.

The thread reads the run's journal from its spool, as the store does, and tells the mirror.
What a mirror raises ends that attempt: one warning is given, and a new mirror goes on from
the last safe position, at first soon, then less often. A mirror that hangs keeps its own
thread and nobody else. What is not safe when the run ends, `nbtools push` sends later.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any

from nbtools import registry
from nbtools.errors import RequestError
from nbtools.mirror import KeyedPoint, Mirror, MirroredRun, reason, warn
from nbtools.nouns import Context
from nbtools.spool import Spool

INTERVAL = 0.5  #: seconds between two looks at the journal
PATIENCE = 60.0  #: seconds between two attempts at most


class Feeder:
    """Tells one mirror what its spool holds. Raises whatever the mirror raises."""

    def __init__(self, spool: Spool) -> None:
        self.spool = spool
        self.told = 0  #: entries that the mirror has heard of, in this process
        self._mirror: Mirror | None = None
        self._position = spool.position
        self._state = ""  #: what the journal says of the run's end

    def feed(self) -> None:
        """Tell what is new."""
        mirror = self._begun()
        entries, position = self.spool.read(self._position)
        if entries:
            self._state = tell(mirror, entries) or self._state
            self.told += len(entries)
        unsaved = position != self.spool.position
        self._position = position
        if unsaved and mirror.flush():
            self.spool.position = position
            self.spool.save()

    def finish(self, state: str) -> None:
        """Tell the rest and how the run ended, and forget the spool: all is safe. Where its job
        is still to say how, it is kept for that.
        """
        self.feed()
        mirror = self._begun()
        state = self._state or state
        shown = mirror.end(state) or ""
        mirror.close()
        self._mirror = None
        self.spool.shown = "" if state else shown
        if self.spool.shown:
            self.spool.save()
            self.spool.unlock()
        else:
            self.spool.remove()

    def drop(self) -> None:
        """Let go of the mirror. What was not safe is told again, to the next one."""
        mirror, self._mirror = self._mirror, None
        if mirror is not None:
            mirror.close()

    def _begun(self) -> Mirror:
        if self._mirror is None:
            run = self.spool.run
            mirror = registry.mirror(self.spool.mirror, self.spool.options)
            self._position, self._mirror = self.spool.position, mirror
            mirror.start(run)
            if run.params:
                mirror.params(run.params)
            if run.metrics:
                mirror.metrics(run.metrics)
        return self._mirror


def tell(mirror: Mirror, entries: Sequence[Mapping[str, Any]]) -> str:
    """Tell a mirror what a journal says, in its order; returns the state at its end, if any.

    Points that follow each other are told together.
    """
    points: list[KeyedPoint] = []
    state = ""
    for entry in entries:
        if "series" in entry:
            step, wall_time = entry["step"], entry["time"]
            points += ((key, step, wall_time, value) for key, value in entry["series"].items())
            continue
        if points:
            mirror.points(points)
            points = []
        if entry.get("_params"):
            mirror.params(entry["_params"])
        if entry.get("_metrics"):
            mirror.metrics(entry["_metrics"])
        if artifact := entry.get("_artifact"):
            path = Path(artifact["path"])
            if path.exists():  # else it was removed since, and no repetition brings it back
                mirror.artifact(path, artifact["name"], artifact["schema_title"])
        state = entry.get("_state", state)
    if points:
        mirror.points(points)
    return state


class Mirroring:
    """The mirrors of the run that this process logs to."""

    def __init__(
        self,
        store: Path,
        context: Context,
        journal: Path,
        folder: Path,
        mirrors: Sequence[str],
        options: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        """Begin to keep what is logged to `journal`, for each of `mirrors`.

        `folder` is where the run's files lie, `options` holds by the mirror's name what it
        is made with. Raises RequestError for a mirror or an option that there is not,
        MissingDependency when its package is not installed, OSError when the store's
        folder cannot be written.
        """
        options = options or {}
        if unknown := set(options) - set(mirrors):
            raise RequestError(
                f"options for {', '.join(sorted(unknown))}, which is no mirror of this run: "
                f"name it in mirrors={[*mirrors]}"
            )
        for name in mirrors:
            registry.mirror(name, options.get(name, {}))  # refused here, not in its thread
        run = MirroredRun.of(context, store, folder, journal.name)
        self._process = os.getpid()
        self._threads = [
            _Thread(Spool.make(store, name, run, journal, options.get(name, {})))
            for name in dict.fromkeys(mirrors)
        ]

    def start(self, at_exit: Callable[[], object]) -> None:
        """Begin to tell them. `at_exit` shall end the run, and call `end`.

        It is called when this process ends, perhaps twice, while mirrors can still hear.
        """
        _at_exit(at_exit)
        for thread in self._threads:
            thread.start()

    def end(self, state: str = "", timeout: float = 30.0) -> None:
        """The journal is complete: wait until the mirrors have it, at most `timeout` seconds.

        `state` is how the run ended, where its journal does not say; "" when it has not.
        Warns of what is left for `nbtools push`. Never raises.
        """
        if os.getpid() != self._process:
            return  # a fork has none of our threads: its parent does this
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            thread.ending(state, deadline)
        for thread in self._threads:
            thread.wait(deadline)


def _at_exit(function: Callable[[], object]) -> None:
    """Have `function` called when this process ends, while mirrors can still hear.

    What `atexit` calls comes too late: no package can be imported there that has executors,
    and a mirror may have been told by its own `atexit` that all is over.
    """
    import concurrent.futures.thread  # noqa: F401 - its own end, registered first, comes later

    early = getattr(threading, "_register_atexit", None)  # private; executors use it
    if early is not None:
        early(function)
    atexit.register(function)


class _Thread:
    """One mirror's thread, and what the run's own thread may know of it."""

    def __init__(self, spool: Spool) -> None:
        self._feeder, self._spool = Feeder(spool), spool
        self._stop, self._state, self._deadline = Event(), "", 0.0
        self._warned, self._lock = False, Lock()
        self._done = False
        name = f"nbtools mirror {spool.mirror}"
        self._thread = Thread(target=self._work, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def ending(self, state: str, deadline: float) -> None:
        self._state, self._deadline = state, deadline
        self._stop.set()

    def wait(self, deadline: float) -> None:
        self._thread.join(max(0.0, deadline - time.monotonic()))
        if not self._done:
            self._warn("it did not take everything in time")

    def _work(self) -> None:
        failures = 0
        while True:
            ending = self._stop.is_set()  # asked before reading: nothing comes after
            try:
                if ending:
                    self._feeder.finish(self._state)
                    self._done = True
                    return
                self._feeder.feed()
                failures, pause = 0, INTERVAL
            except Exception as error:  # noqa: BLE001 - whatever a mirror raises is its own affair
                failures += 1
                pause = min(PATIENCE, INTERVAL * 2 ** min(failures, 10))
                self._warn(reason(error))
                self._drop()
            if not ending:
                self._stop.wait(pause)
            elif time.monotonic() + pause < self._deadline:
                time.sleep(pause)
            else:
                self._spool.unlock()  # for `nbtools push`
                return

    def _drop(self) -> None:
        with suppress(Exception):  # it has failed already, which was said
            self._feeder.drop()

    def _warn(self, why: str) -> None:
        with self._lock:
            if self._warned:
                return
            self._warned = True
        warn(
            f"{self._spool.mirror} does not hear of run {self._spool.run.name!r} ({why}): it is "
            "kept, and sent as soon as possible; `nbtools push` sends what is left"
        )
