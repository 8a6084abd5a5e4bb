"""A process with modules loaded that forks a process for each that asks: the zygote.

A program of its own, run by the interpreter that the kernels shall have, which may know
nothing of nbtools: besides what it is told to load it imports the standard library and
the files beside it. What it forks behaves as `python -m MODULE ARGS` started anew.

    python zygote.py '{"listen": FD, "path": PATH, "base": [...], "preload": [...],
                       "idle": SECONDS}'

Whoever connects to the listening socket sends one request and hears `{"pid": ...}`, then
`{"exit": status}`; or why there is no process: `{"gone": ...}`, ask another zygote, or
`{"unfit": ...}`, start it without one. The connection is the process's lifeline: when it is
closed early the process is ended, unless it asked to be `detached`. `PATH.json` says how
the zygote stands, `PATH.learned` what its children had to import besides.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import importlib.util
import json
import os
import select
import selectors
import signal
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbtools.kernels import forked, halfway, loading, wire
else:

    def _beside(name: str) -> Any:
        """A module of this folder, under a name that no notebook will ask for."""
        file = Path(__file__).with_name(f"{name}.py")
        spec = importlib.util.spec_from_file_location(f"_nbtools_{name}", file)
        module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    forked, loading, wire = _beside("forked"), _beside("loading"), _beside("wire")
    halfway = _beside("halfway")

#: seconds that a process has between SIGTERM and SIGKILL when its lifeline is cut.
GRACE = 2.0


class Child:
    """A process that was forked."""

    def __init__(self, pid: int, connection: socket.socket, request: dict[str, Any]) -> None:
        self.pid, self.connection = pid, connection
        self.detached = request.get("detached")
        self.leavings = [Path(path) for path in request.get("leavings", ())]
        self.pidfd = os.pidfd_open(pid)

    def close(self) -> None:
        os.close(self.pidfd)
        self.connection.close()

    def signal(self, number: int) -> None:
        """To the process and all that it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)


class Zygote:
    """Serves one request after the other, in one thread: nothing else may run at a fork."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._config = config
        self._listen = socket.socket(fileno=config["listen"])
        self._idle = float(config["idle"])
        self._refused: dict[str, str] = dict(config.get("refused", {}))
        self._modules = loading.Modules(f"{config['path']}.learned")
        self._selector = selectors.DefaultSelector()
        self._children: dict[int, Child] = {}
        self._doomed: dict[int, float] = {}  # pid -> when to kill it
        self._open = True
        self._news = False  # whether a child has ended since we asked what is to be learned
        self._last = time.monotonic()

    # -- loading --------------------------------------------------------------------

    def load(self) -> None:
        """Import what was asked for and what was learned; refuse what does not stand a fork."""
        self._import(self._config["base"])
        self._modules.note_base()
        loading.widen()
        self._modules.note(halfway.begin())
        self._import(self._config["preload"])
        self._import(self._modules.learned())
        self._settle()

    def _import(self, names: list[str]) -> None:
        names = [name for name in names if name not in self._refused]
        with loading.noting_who_asks(self._modules.askers):
            refused = loading.load(names)
        self._refused.update(refused)
        unforkable = loading.canary() if names else ""
        if unforkable:
            self._start_over(list(refused)[-1] if refused else names[-1], unforkable)
        elif names and loading.once_only(self._modules.askers):
            packages = {asker.partition(".")[0] for asker in self._modules.askers}
            theirs = [name for name in names if name.partition(".")[0] in packages]
            self._start_over((theirs or names)[-1], loading.ONCE)

    def _start_over(self, name: str, reason: str) -> None:
        """A thread cannot be undone: begin again without the module that started it."""
        if self._children:  # theirs is this process; whoever asks next begins another
            self._close()
            return
        config = {**self._config, "refused": {**self._refused, name: reason}}
        os.set_inheritable(self._listen.fileno(), True)  # noqa: FBT003
        os.execv(sys.executable, [*sys.orig_argv[:-1], json.dumps(config)])  # noqa: S606

    def _settle(self) -> None:
        """Be ready for the next fork, and say so."""
        loading.rehearse()
        self._modules.note_files()
        gc.collect()
        gc.freeze()  # collecting in a child shall not touch, and so copy, what is here
        status = {
            "pid": os.getpid(),
            "python": sys.executable,
            "preload": [n for n in self._config["preload"] if n not in self._refused],
            "refused": self._refused,
            "idle": self._idle,
        }
        path = Path(f"{self._config['path']}.json")
        path.with_suffix(".part").write_text(json.dumps(status), encoding="utf-8")
        path.with_suffix(".part").replace(path)

    # -- serving --------------------------------------------------------------------

    def serve(self) -> None:
        """Fork until nobody has asked for `idle` seconds and every process has ended."""
        self._listen.setblocking(False)  # noqa: FBT003
        self._selector.register(self._listen, selectors.EVENT_READ, self._accept)
        while self._open or self._children:
            now = time.monotonic()
            self._kill(now)
            if self._children:
                self._last = now
            left = self._last + self._idle - now
            if left <= 0 and self._vanish():
                return
            events = self._selector.select(self._patience(max(left, 0.1)))
            for key, _ in events:
                key.data()
            if not events:
                self._learn()

    def _patience(self, left: float) -> float:
        if self._news:
            return 0.0  # who waits for a fork, or to hear of an end, goes first
        return 0.1 if self._doomed else left

    def _learn(self) -> None:
        if self._news and (names := self._modules.learned()):
            self._import(names)
            self._settle()
        self._news = False

    def _vanish(self) -> bool:
        """Remove the socket, unless somebody is just about to use it."""
        path = Path(self._config["path"])
        with path.with_suffix(".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            if self._selector.select(0):
                return False
            for suffix in (".sock", ".json", ".log"):
                path.with_suffix(suffix).unlink(missing_ok=True)
            self._close()
        return True

    def _kill(self, now: float) -> None:
        for pid in [pid for pid, when in self._doomed.items() if when <= now]:
            del self._doomed[pid]
            if pid in self._children:
                self._children[pid].signal(signal.SIGKILL)

    def _close(self) -> None:
        """Be found no more; processes at work go on."""
        if self._open:
            self._open = False
            self._selector.unregister(self._listen)
            self._listen.close()

    def _accept(self) -> None:
        try:
            connection, _ = self._listen.accept()
        except OSError:
            return  # gone again
        try:
            connection.settimeout(5.0)
            request, fds = wire.receive(connection)
        except (OSError, ValueError, EOFError):
            connection.close()
            return
        if not ("stop" in request or (set(request) >= forked.NEEDED and len(fds) >= 3)):
            connection.close()
            return
        self._last = time.monotonic()
        answer = {"gone": "asked to stop"} if request.get("stop") else self._unfit(request)
        if not answer and not _closed(connection):
            self._fork(connection, request, fds)
            return
        with contextlib.suppress(OSError):
            wire.send(connection, answer)
        connection.close()
        for fd in fds:
            os.close(fd)
        if "gone" in answer:
            self._close()

    def _unfit(self, request: dict[str, Any]) -> dict[str, str]:
        """Why a fork of this process is not what was asked for, or {}."""
        if changed := self._modules.changed():
            return {"gone": changed}
        if not os.path.isdir(request["cwd"]):  # noqa: PTH112 - the error is for Popen to raise
            return {"unfit": f"there is no folder {request['cwd']}"}
        own = forked.beside(forked.in_front(request))
        shadowed = self._modules.shadowed(own)
        return {"unfit": f"{shadowed} lies in {request['cwd']}"} if shadowed else {}

    def _fork(self, connection: socket.socket, request: dict[str, Any], fds: list[int]) -> None:
        pid = os.fork()
        if pid == 0:
            self._selector.close()
            self._listen.close()
            connection.close()
            for other in self._children.values():
                other.close()
            try:
                loading.forget(self._modules.askers)
                forked.become(request, fds, self._modules.path)
            finally:  # a child never goes on here, whatever happens to it
                os._exit(1)
        for fd in fds:
            os.close(fd)
        child = Child(pid, connection, request)
        self._children[pid] = child
        self._selector.register(child.pidfd, selectors.EVENT_READ, lambda: self._ended(child))
        self._selector.register(connection, selectors.EVENT_READ, lambda: self._cut(child))
        try:
            wire.send(connection, {"pid": pid}, [child.pidfd])
        except OSError:
            self._cut(child)

    def _cut(self, child: Child) -> None:
        """The other end of the connection is closed."""
        self._selector.unregister(child.connection)
        child.connection.close()
        if not child.detached:
            child.signal(signal.SIGTERM)
            self._doomed[child.pid] = time.monotonic() + GRACE

    def _ended(self, child: Child) -> None:
        _, status = os.waitpid(child.pid, 0)
        del self._children[child.pid]
        self._selector.unregister(child.pidfd)
        for path in filter(Path.is_socket, child.leavings):
            path.unlink(missing_ok=True)  # first: who hears of the end may use the name again
        try:
            if child.connection.fileno() >= 0:
                self._selector.unregister(child.connection)
            wire.send(child.connection, {"exit": os.waitstatus_to_exitcode(status)})
        except OSError:  # whoever asked has gone, and nobody else is left to tidy up
            for path in () if child.detached else child.leavings:
                path.unlink(missing_ok=True)
        child.close()
        self._news = True


def _closed(connection: socket.socket) -> bool:
    """Whether whoever asked has given up waiting: the process would be nobody's."""
    return bool(select.select([connection], [], [], 0)[0])  # it has nothing more to say


def main() -> None:
    """Load, serve, end."""
    if not sys.flags.safe_path:
        sys.path.pop(0)  # this folder: its files are no modules for notebooks
    gc.disable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    config = json.loads(sys.argv[-1])
    if config.pop("detach", False) and os.fork():
        os._exit(0)  # whoever began this has no child to wait for
    zygote = Zygote(config)
    zygote.load()
    zygote.serve()


if __name__ == "__main__":
    main()
