"""How a zygote and those who ask it talk: JSON behind its length, descriptors beside it.

Loaded by the zygote too, which may run in an environment without nbtools: it imports the
standard library only.
"""

import array
import json
import socket
import struct
from typing import Any

LENGTH = struct.Struct("!I")
#: the largest message; an environment may take two megabytes.
LIMIT = 16 << 20
#: descriptors in one message.
FDS = 16


def send(connection: socket.socket, message: object, fds: list[int] | None = None) -> None:
    """Send one message. Raises OSError when the other end is gone."""
    data = json.dumps(message).encode()
    data = LENGTH.pack(len(data)) + data
    beside = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    sent = connection.sendmsg([data], beside)
    if sent < len(data):  # whoever has all of it may have gone
        connection.sendall(data[sent:])


def receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Receive one message and its descriptors. Raises EOFError when there is none."""
    fds = array.array("i")
    space = socket.CMSG_SPACE(FDS * fds.itemsize)
    data, beside, _, _ = connection.recvmsg(65536, space, socket.MSG_CMSG_CLOEXEC)
    for level, kind, content in beside:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
    while len(data) < LENGTH.size or len(data) < LENGTH.size + LENGTH.unpack_from(data)[0]:
        if len(data) >= LENGTH.size and LENGTH.unpack_from(data)[0] > LIMIT:
            raise ValueError("the message is too long")
        more = connection.recv(1 << 20)
        if not more:
            raise EOFError("the other end is gone")
        data += more
    message: dict[str, Any] = json.loads(data[LENGTH.size :])
    return message, list(fds)
