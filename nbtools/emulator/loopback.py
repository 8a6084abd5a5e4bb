"""A server on this machine's loopback: for its own programs, and for no web page."""

from __future__ import annotations

import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from nbtools import __version__

#: seconds that a connection may be silent.
SILENT: Final = 300.0


class Server(ThreadingHTTPServer):
    """Listens on 127.0.0.1; a thread a connection."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, handler: type[Handler]) -> None:
        """Listen on `port`, or on a free one for 0. Raises OSError."""
        super().__init__(("127.0.0.1", port), handler)
        self.hosts = {f"{host}:{self.port}" for host in ("127.0.0.1", "localhost")}

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        """Likewise, for clients."""
        return f"http://127.0.0.1:{self.port}"

    def server_bind(self) -> None:
        socket.socket.setsockopt(self.socket, socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)  # without asking a name server who we are
        self.server_address = self.socket.getsockname()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Onto the emulator's log; not that a client has gone."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Server
    protocol_version = "HTTP/1.1"
    server_version = f"nbtools/{__version__}"
    disable_nagle_algorithm = True  # a reply waits for no acknowledgement of the one before
    timeout = SILENT

    @property
    def from_here(self) -> bool:
        """Whether no web page has sent this, nor one whose name was made to lead here."""
        return self.headers.get("Host") in self.server.hosts and not self.headers.get("Origin")

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing of what went well; `log_error` comes here too."""

    def log_error(self, format: str, *args: Any) -> None:
        """Onto the emulator's log."""
        BaseHTTPRequestHandler.log_message(self, format, *args)
