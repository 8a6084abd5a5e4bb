"""The zygotes of this user on this machine: found, started, asked for a process, stopped.

Each is known by its key, a digest of what its children cannot change any more: the
interpreter, the modules loaded, and the environment they were loaded in. Its socket lies
in a folder that is this user's alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from nbtools.errors import RequestError
from nbtools.kernels import wire
from nbtools.kernels.fork import Fork, Program, Unfit

#: variables that differ from one terminal, job or kernel to the next and that no module
#: is known to read when it is imported; any other belongs to a zygote's key.
PASSING = re.compile(
    r"_|PWD|OLDPWD|SHLVL|COLUMNS|LINES|TERM.*|COLORTERM|PS[0-9]|WINDOWID|TTY|"
    r"SSH_.*|TMUX.*|STY|XDG_SESSION_.*|DBUS_.*|INVOCATION_ID|JOURNAL_STREAM|"
    r"JPY_.*|NBTOOLS(?!_VERTEX).*|PAPERMILL_.*|NO_COLOR|FORCE_COLOR|CLICOLOR.*|GIT_.*|PYTEST_.*|"
    r"VSCODE_.*|MAKE.*|MFLAGS"
)
#: zygotes at one time; the one that was idle for longest gives way.
LIMIT = 6
#: seconds after which a kernel's socket that nobody answers is a remnant.
STALE = 60.0


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What a zygote is: all that its children have in common."""

    python: str  #: the interpreter
    preload: tuple[str, ...]  #: modules, in the order in which they are imported
    env: tuple[tuple[str, str], ...]  #: the environment that modules may have read
    options: tuple[str, ...] = ()  #: the interpreter's own, such as -Xfrozen_modules=off
    base: tuple[str, ...] = ()  #: loaded first, by any such process, whatever its folder holds

    @classmethod
    def of(
        cls,
        python: str,
        preload: tuple[str, ...],
        env: Mapping[str, str],
        options: tuple[str, ...],
        base: tuple[str, ...] = (),
    ) -> Spec:
        """The zygote for a process that is to have this environment."""
        lasting = tuple(sorted((k, v) for k, v in env.items() if not PASSING.fullmatch(k)))
        return cls(python=python, preload=preload, env=lasting, options=options, base=base)

    @property
    def key(self) -> str:
        """Its name, the same for the same zygote."""
        parts = [self.python, self.base, self.preload, self.env, self.options, _place()]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A zygote as it stands now."""

    key: str
    pid: int
    python: str
    preload: tuple[str, ...]  #: what it has loaded
    refused: Mapping[str, str]  #: what it could not load, with the reason
    children: int  #: processes at work
    memory: int  #: bytes of its own and shared (PSS)
    idle: float  #: seconds without a request after which it ends


class Zygotes:
    """Those whose sockets lie in `folder`."""

    def __init__(self, folder: Path, idle: float = 300.0) -> None:
        self._folder, self._idle = folder, idle

    def fork(
        self, spec: Spec, program: Program, wait: float = 60.0, begin: bool = True
    ) -> Fork | None:
        """A process of `program`, forked; None when there is no zygote to do it.

        The first request begins a zygote, unless `begin` says not to. It may take `wait`
        seconds to load; with 0 it is left to load for the next request.
        """
        deadline = time.monotonic() + wait
        for _ in range(3):  # a zygote may just have ended, or find that it is out of date
            path = self._folder / f"{spec.key}.sock"
            connection = self._connect(spec) if begin else connected(path)
            loaded = (self._folder / f"{spec.key}.json").exists()
            if connection is None or (wait <= 0 and not loaded):
                return None
            connection.settimeout(max(5.0, deadline - time.monotonic()))
            try:
                return Fork.ask(connection, program)
            except (TimeoutError, Unfit):
                return None
            except (OSError, EOFError, LookupError):
                continue
        return None

    def warm(self, spec: Spec, wait: float = 0.0) -> Standing | None:
        """Begin a zygote, or find it; waits up to `wait` seconds until it has loaded."""
        connection = self._connect(spec)
        if connection:
            connection.close()
        deadline = time.monotonic() + wait
        while True:
            found = next((s for s in self.list() if s.key == spec.key), None)
            if found or time.monotonic() > deadline:
                return found
            time.sleep(0.05)

    def list(self) -> list[Standing]:
        """Those that are at work and have loaded."""
        return [s for file in sorted(self._folder.glob("*.json")) if (s := self._standing(file))]

    def stop(self, key: str = "") -> int:
        """End the zygote of that key, or all; processes at work go on. Returns how many."""
        stopped = 0
        for path in sorted(self._folder.glob(f"{key or '*'}.sock")):
            if connection := connected(path):
                with contextlib.suppress(OSError, EOFError, ValueError), connection:
                    connection.settimeout(60.0)
                    wire.send(connection, {"stop": True})
                    wire.receive(connection)
                    stopped += 1
            path.unlink(missing_ok=True)
            path.with_suffix(".json").unlink(missing_ok=True)
        return stopped

    # -- inside ---------------------------------------------------------------------

    def _connect(self, spec: Spec) -> socket.socket | None:
        path = self._folder / f"{spec.key}.sock"
        if found := connected(path):
            return found
        private(self._folder)
        with (self._folder / f"{spec.key}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two that start at the same time share one
            if found := connected(path):
                return found
            self._make_room()
            self._sweep()
            path.unlink(missing_ok=True)
            path.with_suffix(".json").unlink(missing_ok=True)
            with socket.socket(socket.AF_UNIX) as listen:
                listen.bind(str(path))
                path.chmod(0o600)
                listen.listen(128)
                with contextlib.suppress(OSError):  # what cannot be begun cannot be connected to
                    self._begin(spec, listen.fileno())
        return connected(path)

    def _begin(self, spec: Spec, listen: int) -> None:
        path = self._folder / spec.key
        path.with_suffix(".learned").touch()
        config = {
            "listen": listen,
            "path": str(path),
            "base": spec.base,
            "preload": spec.preload,
            "idle": self._idle,
            "detach": True,
        }
        program = Path(__file__).with_name("zygote.py")
        with path.with_suffix(".log").open("wb") as log:
            subprocess.run(
                [spec.python, *spec.options, str(program), json.dumps(config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                # 1: the kernel's parent is no process to watch; the lifeline does that.
                env={**dict(spec.env), "JPY_PARENT_PID": "1"},
                pass_fds=[listen],
                start_new_session=True,
                check=False,
            )

    def _make_room(self) -> None:
        standing = self.list()
        for old in sorted(standing, key=lambda s: (s.children, _touched(self._folder, s.key))):
            if len(standing) < LIMIT or old.children:
                return
            self.stop(old.key)
            standing.remove(old)

    def _sweep(self) -> None:
        """Remove sockets of kernels that were killed together with all who would have done it."""
        for path in self._folder.glob("k-*-1"):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime > time.time() - STALE:
                    continue
            if connection := connected(path):
                connection.close()
                continue
            for socket_ in self._folder.glob(f"{path.name[:-1]}*"):
                socket_.unlink(missing_ok=True)

    def _standing(self, file: Path) -> Standing | None:
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
            pid = found["pid"]
            if b"zygote.py" not in Path(f"/proc/{pid}/cmdline").read_bytes():
                return None
        except (OSError, ValueError, KeyError):
            return None
        return Standing(
            key=file.stem,
            pid=pid,
            python=found["python"],
            preload=tuple(found["preload"]),
            refused=found["refused"],
            children=len(list(_children(pid))),
            memory=_memory(pid),
            idle=found["idle"],
        )


def _place() -> list[object]:
    """What a process inherits besides its environment: who asks from elsewhere, say another
    container or a job of a batch system with limits of its own, must not get a process here.
    """
    import resource

    spaces = sorted(f"{ns.name} {ns.readlink()}" for ns in Path("/proc/self/ns").iterdir())
    kinds = sorted(name for name in vars(resource) if name.startswith("RLIMIT_"))
    limits = [resource.getrlimit(getattr(resource, name)) for name in kinds]
    status = Path("/proc/self/status").read_text()
    affinity = sorted(os.sched_getaffinity(0))
    cgroup = Path("/proc/self/cgroup").read_text()
    (mask,) = (x for x in status.splitlines() if x.startswith("Umask:"))
    return [spaces, limits, mask, affinity, cgroup, os.nice(0), os.getgroups()]


def can_fork() -> bool:
    """Whether this platform has what zygotes need."""
    return sys.platform == "linux" and hasattr(os, "pidfd_open")


def private(folder: Path) -> Path:
    """Make the folder, for this user alone. Raises RequestError if it is another's."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise RequestError(f"{folder} belongs to another user: remove it, or set XDG_RUNTIME_DIR")
    if found.st_mode & 0o077:
        folder.chmod(0o700)
    return folder


def connected(path: Path) -> socket.socket | None:
    """A connection to whoever listens at this socket, or None."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(str(path))
    except OSError:
        connection.close()
        return None
    return connection


def _touched(folder: Path, key: str) -> float:
    return (folder / f"{key}.learned").stat().st_mtime


def _children(pid: int) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            yield from map(int, (task / "children").read_text().split())


def _memory(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
