"""git's long-running filter protocol, version 2, and its single-file forms.

One process serves a whole git command. What cannot be cleaned is refused with its file and
line on stderr and `status=error`: git then stages nothing, and nothing is lost.
https://git-scm.com/docs/gitattributes#_long_running_filter_process
"""

from __future__ import annotations

import os
import sys

from nbtools.git.codec import NotANotebook
from nbtools.git.project import ProjectError, Projects
from nbtools.git.strip import strip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbtools.git.codec import Blob
    from nbtools.git.memory import Room

PACKET = 65516  #: the most that a packet carries
_FLUSH = b"0000"
_READ = 1 << 18
_PIPE = 1 << 20
_ROOM = 1 << 24  #: what malloc gives again and again is faster below
_SET_PIPE_SIZE = 1031  # Linux's F_SETPIPE_SZ: fewer turns between git and us


class Hangup(Exception):
    """git has closed the pipe, or does not speak the protocol."""


class Cleaner:
    """Turns one blob into another; knows the projects' options, and the outputs kept here."""

    def __init__(self, keep_outputs: bool) -> None:
        self.projects = Projects()
        self.cache = None
        if keep_outputs:
            from nbtools.git.cache import Cache

            self.cache = Cache.here()

    def run(self, command: str, path: str, data: Blob) -> Blob:
        """The blob that `command` makes of `data`; raises NotANotebook or ProjectError."""
        if command == "clean":
            options = self.projects.options(path)
            clean = strip(data, options)
            if self.cache:
                self.cache.remember(path, data, clean)
            return clean
        return self.cache.restore(path, data) if self.cache else data


def main(arguments: list[str]) -> int:
    """Serve `process`, or one `clean PATH` or `smudge PATH` on stdin and stdout."""
    keep = "--keep-local-outputs" in arguments
    command, *rest = [a for a in arguments if not a.startswith("--")] or [""]
    try:
        if command == "process":
            serve(Cleaner(keep))
            return 0
        if command in {"clean", "smudge"}:
            path = rest[0] if rest else "notebook"
            data = sys.stdin.buffer.read()
            return _single(Cleaner(keep), command, path, data)
    except KeyboardInterrupt:
        return 130
    except (Hangup, BrokenPipeError) as error:
        if str(error):
            _say(str(error))
        return 1
    _say("this is what git runs for notebooks; see nbtools git status")
    return 2


def _single(cleaner: Cleaner, command: str, path: str, data: Blob) -> int:
    try:
        result = cleaner.run(command, path, data)
    except (NotANotebook, ProjectError) as error:
        _say(_sentence(path, error))
        return 1
    sys.stdout.buffer.write(result)
    sys.stdout.buffer.flush()
    return 0


def serve(cleaner: Cleaner) -> None:
    """Answer git until it closes the pipe; raises Hangup when it does not speak as expected."""
    pipe = _Pipe()
    if pipe.texts() != ["git-filter-client", "version=2"]:
        raise Hangup("this is what git runs for notebooks; see nbtools git status")
    pipe.write(_packet(b"git-filter-server\n") + _packet(b"version=2\n") + _FLUSH)
    offered = pipe.texts()
    known = [name for name in ("capability=clean", "capability=smudge") if name in offered]
    pipe.write(b"".join(_packet(name.encode() + b"\n") for name in known) + _FLUSH)
    while header := pipe.texts():
        asked = dict(line.split("=", 1) for line in header)
        path = asked.get("pathname", "notebook")
        data = pipe.content()
        try:
            result = cleaner.run(asked["command"], path, data)
        except (NotANotebook, ProjectError) as error:
            _say(_sentence(path, error))
            pipe.write(_packet(b"status=error\n") + _FLUSH)
            continue
        pipe.answer(result)


def _sentence(path: str, error: NotANotebook | ProjectError) -> str:
    return error.at(path) if isinstance(error, NotANotebook) else str(error)


def _say(sentence: str) -> None:
    text = f"nbtools: {sentence}\n".encode(errors="backslashreplace")
    os.write(2, text)


def _packet(payload: bytes | memoryview) -> bytes:
    return b"%04x" % (len(payload) + 4) + payload


class _Pipe:
    """Packets from stdin and to stdout."""

    def __init__(self) -> None:
        self._buffer = memoryview(b"")  # what was read and not yet taken
        self._large = False

    def _take(self, length: int) -> memoryview:
        """At most `length` bytes, at least one; raises EOFError at the end."""
        if not self._buffer:
            self._buffer = memoryview(os.read(0, _READ))
            if not self._buffer:
                raise EOFError
        taken, self._buffer = self._buffer[:length], self._buffer[length:]
        return taken

    def _append(self, data: bytearray, length: int) -> None:
        """Append `length` bytes to `data`; raises EOFError."""
        while length:
            taken = self._take(length)
            data += taken
            length -= len(taken)

    def _length(self) -> int:
        """The length of the next packet's payload, -1 for a flush; raises EOFError."""
        head = bytes(self._take(4))
        while len(head) < 4:
            head += self._take(4 - len(head))
        try:
            length = int(head, 16)
        except ValueError:
            raise Hangup("this is what git runs for notebooks; see nbtools git status") from None
        return length - 4 if length else -1

    def texts(self) -> list[str]:
        """The lines up to the next flush; none when git has closed the pipe."""
        lines = []
        try:
            while (length := self._length()) >= 0:
                line = bytearray()
                self._append(line, length)
                lines.append(os.fsdecode(bytes(line)).removesuffix("\n"))
        except EOFError:
            if lines:
                raise Hangup from None
        return lines

    def content(self) -> Blob:
        """A blob, in one piece of memory: joining packets would need twice as much."""
        data, limit = bytearray(), _ROOM
        room = None
        try:
            while (length := self._length()) >= 0:
                while length:
                    taken = self._take(length)
                    length -= len(taken)
                    if room:
                        room.append(taken)
                    else:
                        data += taken
                if len(data) > _PIPE and not self._large:
                    self._enlarge()
                if len(data) > limit:
                    limit = sys.maxsize
                    room = _room(data)
        except EOFError:
            raise Hangup from None
        return room.whole() if room else data

    def _enlarge(self) -> None:
        self._large = True
        try:
            import fcntl

            fcntl.fcntl(0, _SET_PIPE_SIZE, _PIPE)
        except (ImportError, OSError):
            return  # not Linux, or not allowed: only slower

    def answer(self, result: Blob) -> None:
        """Send a blob."""
        if len(result) <= PACKET:
            content = _packet(memoryview(result)) if result else b""
            self.write(_packet(b"status=success\n") + _FLUSH + content + _FLUSH + _FLUSH)
            return
        self.write(_packet(b"status=success\n") + _FLUSH)
        for piece in _pieces(memoryview(result)):
            self.write(_packet(piece))
        self.write(_FLUSH + _FLUSH)

    def write(self, data: bytes) -> None:
        """Write all of it."""
        view = memoryview(data)
        while view:
            view = view[os.write(1, view) :]


def _room(begun: bytearray) -> Room | None:
    """Room for a large blob, as far as it has come; None where the system offers nothing."""
    from nbtools.git import memory

    if not memory.available():
        return None
    room = memory.Room()
    room.append(begun)
    begun.clear()
    return room


def _pieces(view: memoryview) -> Iterator[memoryview]:
    for at in range(0, len(view), PACKET):
        yield view[at : at + PACKET]
