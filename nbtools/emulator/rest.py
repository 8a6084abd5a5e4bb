"""The HTTP door: loopback only, for this machine's own programs and for no web page."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from nbtools import __version__
from nbtools.emulator import loopback, transcoding
from nbtools.emulator.call import STATUS, Refused, word
from nbtools.emulator.catalog import Catalog, Method
from nbtools.errors import NbtoolsError

#: bytes of a request's body at most.
LARGEST: Final = 64 * 2**20
JSON: Final = "application/json; charset=UTF-8"

#: answers a request for an RPC. Raises NbtoolsError.
Answer = Callable[[Method, Any], Any]


class Server(loopback.Server):
    """Serves the RPCs of a catalog; a thread a connection."""

    def __init__(self, port: int, catalog: Catalog, answer: Answer) -> None:
        """Listen on `port` of 127.0.0.1, or on a free one for 0. Raises OSError."""
        self.answer = answer
        self.routes = transcoding.Routes(catalog.methods)
        super().__init__(port, Handler)


class Handler(loopback.Handler):
    """One connection."""

    server: Server

    def _serve(self) -> None:
        status = 200
        try:
            body = self._answer()
        except NbtoolsError as error:
            google = word(error)
            status = STATUS[google][0]
            body = transcoding.failure(status, google, str(error))
        except Exception as error:  # noqa: BLE001 - a fault of ours is one request's, and is said
            self.close_connection = True
            body = transcoding.failure(500, "INTERNAL", f"{type(error).__name__}: {error}")
            status = 500
            self.log_error("%s %s: %r", self.command, self.path, error)
        self._reply(status, body)

    do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = _serve  # noqa: N815 - as the class wants it

    def _answer(self) -> bytes:
        body = self._body()  # first: what is not read would be taken for the next request
        self._from_here()
        try:
            url = urlsplit(self.path)
        except ValueError as error:
            raise Refused("INVALID_ARGUMENT", f"{self.path}: {error}") from None
        if self.command == "GET" and url.path == "/":
            return json.dumps({"nbtools": __version__}).encode()
        if self.command == "POST" and url.path == "/token":  # who signs in, is in
            return b'{"access_token": "emulator", "expires_in": 3600, "token_type": "Bearer"}'
        if body and "json" not in self.headers.get("Content-Type", ""):
            raise Refused("INVALID_ARGUMENT", "send JSON, and say so in Content-Type")
        method, route = self.server.routes.find(self.command, url.path)
        request = transcoding.request(method, route, url.path, url.query, body)
        answer = self.server.answer(method, request)
        if method.streams:
            return b"[" + b",".join(transcoding.reply(m, url.query) for m in answer) + b"]"
        return transcoding.reply(answer, url.query)

    def _body(self) -> bytes:
        if "Transfer-Encoding" in self.headers:
            self.close_connection = True
            raise Refused("INVALID_ARGUMENT", "send Content-Length, not chunks")
        try:
            length = int(self.headers.get("Content-Length") or 0)
        except ValueError:
            length = -1
        if not 0 <= length <= LARGEST:
            self.close_connection = True
            raise Refused("INVALID_ARGUMENT", f"a request has at most {LARGEST} bytes")
        body = self.rfile.read(length)
        if len(body) < length:
            self.close_connection = True
            raise Refused("INVALID_ARGUMENT", "the request was cut")
        return body

    def _from_here(self) -> None:
        """Refuse what a web page has sent, also one whose name was made to lead here."""
        if not self.from_here:
            self.close_connection = True
            raise Refused(
                "PERMISSION_DENIED", "the emulator serves this machine's programs, no web pages"
            )

    def _reply(self, status: int, body: bytes) -> None:
        """In one write: two of them would wait for each other."""
        lines = [
            f"HTTP/1.1 {status} {self.responses.get(status, ('Error',))[0]}",
            f"Server: {self.server_version}",
            f"Content-Type: {JSON}",
            f"Content-Length: {len(body)}",
            *["Connection: close"][: self.close_connection],
        ]
        self.wfile.write("\r\n".join([*lines, "", ""]).encode() + body)
