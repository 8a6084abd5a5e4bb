"""The service: does what is due, for as long as it runs.

Any number of them may run on one store of one machine; each may be killed at any moment.
What makes that safe is in `dispatch.py`; here are the loop and the file by which a service
shows that it lives: it holds a lock on it, which ends with the process, however that ends.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from importlib import import_module
from pathlib import Path

from nbtools import disposal, notices
from nbtools.dispatch import Dispatcher
from nbtools.errors import NbtoolsError, RequestError
from nbtools.jobs import Jobs, SubmittedJob
from nbtools.nouns import moment, stamp
from nbtools.retention import Rules
from nbtools.schedule import Schedule, TickState
from nbtools.store import Store

#: seconds between two looks when nothing is due: what the command line asks for is seen then.
PAUSE = 0.1
#: seconds between two signs of life.
BEAT = 5.0
#: seconds without one after which a service that lives is said to hang.
HANGS = 30.0
#: seconds between two looks for notices to send.
POST = 1.0
#: kernels are warmed so long before they are due, for so many schedules that are next.
AHEAD, AT_ONCE = timedelta(seconds=45), 8
#: seconds between two prunings.
DAY = 86_400.0
#: a clock that differs from what a stopwatch says by so many seconds was set.
STEP = 5.0


@dataclass(frozen=True)
class Running:
    """A service that runs."""

    host: str  #: name of its machine
    pid: int  #: its process there
    parallel: int  #: jobs at a time; 0: no limit
    start_time: datetime  #: UTC
    beat: datetime  #: UTC; its last sign of life
    begun: int  #: jobs that it has begun
    error: str  #: what was wrong in its last round; empty: nothing


@dataclass(frozen=True)
class Status:
    """How the services of a store stand."""

    services: tuple[Running, ...]  #: those that run
    queued: int  #: ticks that wait
    working: int  #: ticks whose job is at work
    next_time: datetime | None  #: UTC; when the next schedule is due
    waiting_notices: tuple[str, ...]  #: what could not be sent so far, and why
    lost_notices: int  #: notices that were given up


class Service:
    """One service. Its loop is `run`."""

    def __init__(self, jobs: Jobs, parallel: int, say: Callable[[str], None]) -> None:
        """`parallel`: jobs of schedules at a time; 0: no limit. `say` hears what happens."""
        self.jobs, self.parallel, self.say = jobs, parallel, say
        self.dispatcher = Dispatcher(jobs, parallel)
        self._begun, self._error = 0, ""
        self._unseen = ""  #: what kept the last look at all jobs from its end
        self._start = jobs.clock()

    def run(self, stop: threading.Event) -> None:
        """Do what is due until `stop` is set. Jobs at work then go on by themselves, and the
        next service sees to their end. Raises RequestError without a place for its file.
        """
        lock = self._sign_in()
        # What beginning a job needs, before one is due, and before there are threads: two that
        # import the same at the same time may find it half done.
        for name in ("rehearsal", "warming"):
            import_module(f"nbtools.{name}")
        post = threading.Thread(target=self._post, args=(stop,), daemon=True)
        post.start()
        threading.Thread(target=self._warm, args=(stop,), daemon=True).start()
        threading.Thread(target=self._prune, args=(stop,), daemon=True).start()
        clock = _Stopwatch(self.jobs.clock())
        beat = -BEAT
        try:
            while not stop.is_set():
                now = self.jobs.clock()
                if time.monotonic() - beat >= BEAT:
                    beat = time.monotonic()
                    self._sign(lock, now)
                    self._reconcile()
                self._wait(self._round(clock, now), stop)
        finally:
            stop.set()
            lock.unlink()
            post.join(2.0)  # a notice that is being sent meanwhile is sent once more by the next

    def _round(self, clock: _Stopwatch, now: datetime) -> list[SubmittedJob]:
        """One round; returns the jobs at work."""
        try:
            if clock.was_set(now) and (changed := self.dispatcher.clock_was_put_back(now)):
                self.say(f"the clock was put back: {changed} schedules are due anew")
            made = self.dispatcher.take(now)
            working = self.dispatcher.settle(now)
            begun = self.dispatcher.begin(now)
        except NbtoolsError as error:  # a full disk, say: the next round may find it mended
            if str(error) != self._error:
                self.say(str(error))
            self._error = str(error)
            return []
        self._error = ""
        self._begun += len(begun)
        if made or begun:
            names = ", ".join(job.name for job in begun) or "none"
            self.say(f"{made} due; begun: {names}; {len(working) + len(begun)} at work")
        return working + begun

    def _reconcile(self) -> None:
        """See to the end of every job of the store, whoever began it: perhaps nobody looks."""
        try:
            self.jobs.reconcile()
        except NbtoolsError as error:
            if str(error) != self._unseen:
                self.say(str(error))
            self._unseen = str(error)

    def _wait(self, working: list[SubmittedJob], stop: threading.Event) -> None:
        pause = PAUSE
        with suppress(NbtoolsError):  # said by the round
            if next_time := self.jobs.store.timetable.next_time():
                pause = min(pause, (next_time - self.jobs.clock()).total_seconds())
            if working and pause > 0 and not self._error:
                self.jobs.wait([job for job in working if job.handle], pause)
                return
        stop.wait(max(pause, 0.0) if not self._error else 1.0)

    # -- notices ----------------------------------------------------------------------

    def _post(self, stop: threading.Event) -> None:
        """Send notices, in a thread: nobody waits for a server that does not answer."""
        store = Store(self.jobs.store.folder)
        try:
            while not stop.wait(POST):
                with suppress(NbtoolsError):  # the loop says what is wrong with the store
                    notices.send_all(store, self.jobs.settings, self.jobs.clock())
        finally:
            store.close()

    # -- kernels ----------------------------------------------------------------------

    def _warm(self, stop: threading.Event) -> None:
        """Have kernels warm when they are due, in a thread: loading takes seconds, cold."""
        store = Store(self.jobs.store.folder)
        seen: dict[str, datetime | None] = {}
        try:
            while not stop.wait(POST):
                with suppress(NbtoolsError):  # a notebook that is gone: said when it is due
                    for schedule in store.timetable.due(self.jobs.clock() + AHEAD, AT_ONCE):
                        if seen.get(schedule.name) != schedule.next_run_time:
                            seen[schedule.name] = schedule.next_run_time
                            self._warm_for(schedule)
        finally:
            store.close()

    def _warm_for(self, schedule: Schedule) -> None:
        settings = self.jobs.settings
        if (schedule.executor or settings.executor) == "local" and settings.warm:
            from nbtools.warming import warm, warm_runner

            warm_runner()
            warm(schedule.notebook, schedule.kernel, schedule.cwd)

    # -- retention --------------------------------------------------------------------

    def _prune(self, stop: threading.Event) -> None:
        """Remove old jobs once a day, in a thread, where the settings say what to keep."""
        while not stop.is_set():
            try:
                rules = Rules.of(self.jobs.settings)
                if rules is None:
                    return
                with closing(Store(self.jobs.store.folder)) as store:
                    jobs = Jobs(store, self.jobs.settings, self.jobs.clock)
                    gone = disposal.prune(jobs, rules, jobs.clock())
                if not gone.nothing:
                    self.say(f"pruned {len(gone.jobs)} jobs: {gone.bytes:,} bytes")
            except NbtoolsError as error:
                self.say(f"not pruned: {error}")
            stop.wait(DAY)

    # -- the sign of life -------------------------------------------------------------

    def _sign_in(self) -> _Sign:
        folder = self.jobs.settings.store / "services"
        path = folder / f"{socket.gethostname()}-{os.getpid()}.json"
        try:
            folder.mkdir(exist_ok=True)
            return _Sign(path)
        except OSError as error:
            raise RequestError(f"cannot write {path}: {error.strerror}") from None

    def _sign(self, sign: _Sign, now: datetime) -> None:
        running = Running(socket.gethostname(), os.getpid(), self.parallel, self._start, now,
                          self._begun, self._error)  # fmt: skip
        values = asdict(running)
        values.update(start_time=stamp(self._start), beat=stamp(now))
        with suppress(OSError):  # a full disk: the lock still says that it lives
            sign.write(json.dumps(values))


class _Sign:
    """A file that is locked for as long as this process lives."""

    def __init__(self, path: Path) -> None:
        self._path = path
        beside = path.with_suffix(".part")
        self._fd = os.open(beside, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        beside.rename(path)  # locked before anybody sees it: none takes it for a dead one's

    def write(self, text: str) -> None:
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, text.encode(), 0)

    def unlink(self) -> None:
        self._path.unlink(missing_ok=True)
        os.close(self._fd)


class _Stopwatch:
    """Says when the clock was set, and now and then for safety."""

    def __init__(self, now: datetime) -> None:
        self._ahead = now - timedelta(seconds=time.monotonic())
        self._looked = 0.0

    def was_set(self, now: datetime) -> bool:
        ahead = now - timedelta(seconds=time.monotonic())
        stepped = abs((ahead - self._ahead).total_seconds()) > STEP
        self._ahead = ahead
        if stepped or not self._looked:  # at the beginning: it may have been set before
            self._looked = time.monotonic()
            return True
        return False


def status(jobs: Jobs) -> Status:
    """How the services of the store stand."""
    timetable = jobs.store.timetable
    waiting = timetable.notices("WAITING")
    return Status(
        services=tuple(running(jobs.settings.store)),
        queued=timetable.count(TickState.QUEUED),
        working=timetable.count(TickState.STARTED),
        next_time=timetable.next_time(),
        waiting_notices=tuple(
            f"{n.schedule} {n.kind} to {notices.shown(n.target)}, attempt {n.attempt}: {n.error}"
            for n in waiting if n.error
        ),
        lost_notices=len(timetable.notices("LOST")),
    )  # fmt: skip


def running(store: Path) -> list[Running]:
    """The services that run on a store; what those that were killed have left is removed."""
    found = []
    for path in sorted((store / "services").glob("*.json")):
        try:
            with path.open() as file:
                if _free(file.fileno()):
                    path.unlink(missing_ok=True)
                    continue
                values = json.loads(file.read())
        except (OSError, ValueError):  # just ending, or being written
            continue
        values.update(start_time=moment(values["start_time"]), beat=moment(values["beat"]))
        found.append(Running(**values))
    return found


def _free(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
