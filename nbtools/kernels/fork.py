"""A process that a zygote has forked, as those see it who asked for it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from nbtools.kernels import wire

#: the exit status of a process whose zygote ended before it: how, nobody knows.
UNKNOWN = 1
#: seconds that a zygote may take to say how a process ended.
PATIENCE = 30.0


@dataclass(frozen=True, kw_only=True)
class Program:
    """What a forked process is to be: `python -m module *argv`."""

    module: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    stdio: tuple[int | IO[bytes] | None, ...] = (None, None, None)  #: None: as here
    keep: tuple[int, ...] = ()  #: descriptors it is to have; their numbers go behind `argv`
    safe_path: bool = False  #: python's -P: the working directory is no place for modules
    detached: bool = False  #: lives on when whoever asked for it has ended
    leavings: tuple[str, ...] = ()  #: files to remove when whoever asked for it was killed
    #: more of its environment, which its zygote does not get to see
    sealed: Mapping[str, str] = field(default_factory=dict, repr=False)

    def request(self) -> dict[str, object]:
        """What a zygote is told; the descriptors go beside it."""
        return {
            "module": self.module,
            "argv": self.argv,
            "env": dict(self.env),
            "cwd": self.cwd,
            "safe_path": self.safe_path,
            "detached": self.detached,
            "lifeline": not self.detached,
            "leavings": self.leavings,
            "sealed": bool(self.sealed),
        }


class Unfit(Exception):
    """A fork would not be what a new process would be."""


class Fork:
    """A forked process; stands in for `subprocess.Popen`."""

    stdin = stdout = stderr = None

    def __init__(self, connection: socket.socket, pid: int, pidfd: int, lifeline: int) -> None:
        self._connection, self._lifeline = connection, lifeline
        self.pid, self.pidfd = pid, pidfd
        self.returncode: int | None = None
        self._end = 0.0  #: when its end was first seen

    @classmethod
    def ask(cls, connection: socket.socket, program: Program) -> Fork:
        """Ask a zygote for it. Raises LookupError when the zygote is out of date, Unfit when
        its forks would differ from what was asked for.
        """
        end, lifeline = os.pipe()
        sealed = _sealed(program.sealed)
        try:
            with open(os.devnull, "r+b", buffering=0) as null:  # noqa: PTH123
                streams = [_fileno(s, n, null.fileno()) for n, s in enumerate(program.stdio)]
                fds = [*streams, *([] if program.detached else [end]), *sealed, *program.keep]
                wire.send(connection, program.request(), fds)
            reply, passed = wire.receive(connection)
            pid = _pid(reply)
        except BaseException:
            os.close(lifeline)
            connection.close()
            raise
        finally:
            for fd in (end, *sealed):
                os.close(fd)
        connection.settimeout(0.5)
        return cls(connection, pid, passed[0], lifeline)

    def poll(self) -> int | None:
        """The exit status as `Popen.returncode` says it, or None while it runs."""
        if self.returncode is None and _readable(self.pidfd):
            self._end = self._end or time.monotonic()
            try:  # its zygote has seen the end too, or is about to
                self.returncode = int(wire.receive(self._connection)[0]["exit"])
            except TimeoutError:  # the zygote is loading something
                if time.monotonic() > self._end + PATIENCE:
                    self.returncode = UNKNOWN
            except (OSError, EOFError):
                self.returncode = UNKNOWN  # the zygote ended before
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end. Raises subprocess.TimeoutExpired."""
        if not _readable(self.pidfd, timeout):
            raise subprocess.TimeoutExpired(["fork"], timeout or 0.0)
        while (code := self.poll()) is None:
            pass
        return code

    def send_signal(self, number: int) -> None:
        """Send it a signal; does nothing when it has ended."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def __del__(self) -> None:
        for fd in (self._lifeline, self.pidfd):
            with contextlib.suppress(OSError):
                os.close(fd)
        self._connection.close()


async def ended(pid: int) -> None:
    """Wait until a process has ended, whosever child it is, without asking again and again."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop, end = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(pidfd, end.set)
    try:
        await end.wait()
    finally:
        loop.remove_reader(pidfd)
        os.close(pidfd)


def _sealed(env: Mapping[str, str]) -> list[int]:
    """A descriptor behind which these variables are, or none where there are none."""
    if not env:
        return []
    fd = os.memfd_create("sealed", os.MFD_CLOEXEC)  # zygotes are Linux's, and so is this
    with os.fdopen(os.dup(fd), "w") as file:
        json.dump(dict(env), file)
    os.lseek(fd, 0, os.SEEK_SET)
    return [fd]


def _pid(reply: Mapping[str, Any]) -> int:
    if "unfit" in reply:
        raise Unfit(reply["unfit"])
    return int(reply["pid"])


def _fileno(stream: int | IO[bytes] | None, number: int, null: int) -> int:
    if stream is None:
        return number if number else null
    if isinstance(stream, int):
        return null if stream < 0 else stream  # subprocess.DEVNULL, PIPE
    return stream.fileno()


def _readable(fd: int, timeout: float | None = 0.0) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(None if timeout is None else timeout * 1000))
