"""The door for `gs://`: Cloud Storage's JSON API, by the package gcp-storage-emulator.

Its routes and handlers answer; objects.py keeps what they are given. What is done here is what
a server of many clients owes them besides: a thread a connection, one change at a time and
whole, preconditions (`if_generation_match`), pages, ranges read from the file.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO, Final

from gcp_storage_emulator.exceptions import BadRequest, NotFound
from gcp_storage_emulator.handlers import buckets as bucket_handlers
from gcp_storage_emulator.handlers import objects as object_handlers
from gcp_storage_emulator.server import HANDLERS, Request, Response

from nbtools.emulator import buckets, conditions, loopback
from nbtools.emulator.objects import Objects
from nbtools.errors import RequestError

#: bytes of a request's body at most; clients send what is larger in several.
LARGEST: Final = 2**30
#: objects on a page at most, as with GCS.
PAGE: Final = 1000
#: that package's own calls, that no client of Google's makes, and one would delete everything.
OWN: Final = ("^/wipe$", "^/$")
_READS: Final = ("GET", "HEAD")
#: paths whose requests' bodies say something; that of any other is an object's content.
_JSON_API: Final = re.compile(r"(/upload|/download|/batch)?/storage/v1(/|$)|/b(/|$)")
_RANGE: Final = re.compile(r"\s*bytes=(\d*)-(\d*)\s*")


def move(request: Asked, response: Response, storage: Objects) -> None:
    """Give an object another name in its bucket: gcsfs' `mv`. Raises NotFound."""
    bucket, name = request.params["bucket_name"], request.params["object_id"]
    found = storage.get_file_obj(bucket, name)
    to = request.params["dest_object_id"]
    storage.create_file(bucket, to, storage.get_file(bucket, name), found | {"name": to})
    if to != name:
        storage.delete_file(bucket, name)
    response.json(storage.get_file_obj(bucket, to))


MOVE: Final = (
    r"(/storage/v1)?/b/(?P<bucket_name>[-.\w]+)/o/(?P<object_id>[^/]+)"
    r"/moveTo/o/(?P<dest_object_id>[^/]+)"
)
ROUTES: Final = [
    (re.compile(route), handlers)
    for route, handlers in ((MOVE, {"POST": move}), *HANDLERS)
    if route not in OWN
]


class Refused(Exception):
    """A request that is answered with an error of that status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Server(loopback.Server):
    """Serves the buckets in a folder."""

    def __init__(self, port: int, folder: Path) -> None:
        """Listen on `port` of 127.0.0.1, or on a free one for 0. Raises OSError."""
        super().__init__(port, Handler)
        self.folder = folder
        self.objects = Objects(folder, self.url)


class Asked(Request):  # type: ignore[misc]
    """A request whose body has come.

    Where that is an object's content it is taken as it is, also if it is JSON.
    """

    def __init__(self, handler: Handler, body: bytes) -> None:
        """That of a connection."""
        del handler.headers["Content-Length"], handler.headers["Transfer-Encoding"]
        handler.headers["Content-Length"] = str(len(body))
        super().__init__(handler, handler.command)
        self._body = body
        self._request_handler = SimpleNamespace(headers=handler.headers, rfile=io.BytesIO(body))

    @property
    def data(self) -> Any:
        """The body, parsed, if it is no object's content."""
        if self.get("uploadType") == "media" or not _JSON_API.match(self.path):
            return self._body
        return super().data

    def route(self) -> Any:
        """The handler that answers. Raises Refused when there is none."""
        asked = "GET" if self.method == "HEAD" else self.method
        for route, handlers in ROUTES:
            match = route.fullmatch(self.path)
            if match and (handlers is not HANDLERS[-1][1] or not _JSON_API.match(self.path)):
                self.set_match(match)
                if asked in handlers:
                    return handlers[asked]
                if asked == "POST" and self.get("uploadType") and self.path.endswith("/o"):
                    return object_handlers.insert  # some clients leave /upload away
                break
        raise Refused(501, f"{self.method} {self.path} is not served by the emulator")

    def get(self, name: str) -> str | None:
        """A value of the query."""
        return next(iter(self.query.get(name, [])), None)


class Handler(loopback.Handler):
    """One connection."""

    server: Server

    def _serve(self) -> None:
        response = Response(self)
        stream: tuple[BinaryIO, int] | None = None
        try:
            stream = self._answer(response)
        except NotFound as error:
            self._say(response, 404, str(error))
        except (RequestError, BadRequest, ValueError, KeyError) as error:
            self._say(response, 400, str(error))
        except Refused as error:
            self._say(response, error.status, str(error))
        except Exception as error:  # noqa: BLE001 - a fault of ours is one request's, and is said
            self.close_connection = True
            self._say(response, 500, f"{type(error).__name__}: {error}")
            self.log_error("%s %s: %r", self.command, self.path, error)
        if response.status >= HTTPStatus.BAD_REQUEST and not response._content:
            self._say(response, response.status, f"{response.status.phrase}: {self.path}")
        try:
            self._reply(response, stream)
        finally:
            if stream:
                stream[0].close()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - as the class wants it

    def _answer(self, response: Response) -> tuple[BinaryIO, int] | None:
        """Fill in the response; what is streamed after it, and its length, or None."""
        storage = self.server.objects
        body = self._read_body()  # first: what is not read would be taken for the next request
        if not self.from_here:
            self.close_connection = True
            raise Refused(403, "the emulator serves this machine's programs, no web pages")
        request = Asked(self, body)
        answer = request.route()
        if self.command in _READS:
            self._name_bucket(request)
            if answer is object_handlers.ls:
                self._list(request, response)
                return None
            self._check(request)
            if answer is object_handlers.download or request.get("alt") == "media":
                return self._download(request, response)
            answer(request, response, storage)
            return None
        request.data  # noqa: B018 - parsed before the others have to wait
        with buckets.held(self.server.folder):
            if answer is not bucket_handlers.delete:
                self._name_bucket(request)
            self._check(request)
            answer(request, response, storage)
        return None

    def _check(self, request: Asked) -> None:
        if said := conditions.failed(request, self.server.objects):
            unchanged = self.command in _READS and "NotMatch" in said
            raise Refused(304 if unchanged else 412, said)

    def _name_bucket(self, request: Asked) -> None:
        """A bucket is there when it is named: who is offline has nobody who makes them."""
        for key in ("bucket_name", "dest_bucket_name"):
            if name := request.params.get(key):
                self.server.objects.name_bucket(name)

    def _list(self, request: Asked, response: Response) -> None:
        """A page of a bucket's objects."""
        bucket, size = request.params["bucket_name"], int(request.get("maxResults") or PAGE)
        items, prefixes = self.server.objects.get_file_list(
            bucket,
            request.get("prefix"),
            request.get("delimiter"),
            request.get("matchGlob"),
            (request.get("softDeleted") or "").lower() == "true",
        )
        after, least = request.get("pageToken") or "", request.get("startOffset") or ""
        beyond = request.get("endOffset")
        entries = sorted([(item["name"], item) for item in items] + [(p, None) for p in prefixes])
        entries = [
            (name, item)
            for name, item in entries
            if name > after and name >= least and (not beyond or name < beyond)
        ]
        page = entries[: min(size, PAGE) or PAGE]
        answer = {
            "kind": "storage#objects",
            "prefixes": [name for name, item in page if item is None],
            "items": [item for _, item in page if item is not None],
        }
        if len(page) < len(entries):
            answer["nextPageToken"] = page[-1][0]
        response.json(answer)

    def _download(self, request: Asked, response: Response) -> tuple[BinaryIO, int]:
        """An object's content, or the range of it that is asked for."""
        file, found = self.server.objects.open(
            request.params["bucket_name"], request.params["object_id"]
        )
        size = int(found["size"])
        first, last = _range(self.headers.get("Range"), size)
        response["Content-Type"] = found.get("contentType") or "application/octet-stream"
        response["Accept-Ranges"] = "bytes"
        response["ETag"] = found["etag"]
        for name in ("generation", "metageneration"):
            response[f"X-Goog-{name.capitalize()}"] = found[name]
        for name, value in (found.get("metadata") or {}).items():
            response[f"X-Goog-Meta-{name}"] = str(value).replace("\r", " ").replace("\n", " ")
        if self.headers.get("Range") and (first, last) != (0, size - 1):
            response.status = HTTPStatus.PARTIAL_CONTENT
            response["Content-Range"] = f"bytes {first}-{last}/{size}"
        else:
            response["X-Goog-Hash"] = f"crc32c={found['crc32c']},md5={found['md5Hash']}"
        file.seek(first)
        return file, last - first + 1

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            found = b"".join(self._chunks())
        else:
            length = int(self.headers.get("Content-Length") or 0)
            if not 0 <= length <= LARGEST:
                self._too_large()
            found = self.rfile.read(length)
            if len(found) < length:
                self.close_connection = True
                raise Refused(400, "the request was cut")
        return found

    def _chunks(self) -> Iterator[bytes]:
        whole = 0
        while size := int(self.rfile.readline(100).partition(b";")[0], 16):
            whole += size
            if whole > LARGEST or size < 0:
                self._too_large()
            yield self.rfile.read(size)
            self.rfile.readline(100)
        while self.rfile.readline(1000).strip():  # what may come after the last one
            pass

    def _too_large(self) -> None:
        self.close_connection = True
        raise Refused(413, f"a request has at most {LARGEST} bytes: send it in several")

    @staticmethod
    def _say(response: Response, status: int, message: str) -> None:
        response.status = HTTPStatus(status)
        error = {"code": status, "message": message, "errors": [{"message": message}]}
        response.json({"error": error})

    def _reply(self, response: Response, stream: tuple[BinaryIO, int] | None) -> None:
        content = response._content
        content = content.encode() if isinstance(content, str) else content
        length = stream[1] if stream else len(content)
        lines = [f"HTTP/1.1 {response.status.value} {response.status.phrase}"]
        for name, value in response._headers.items():
            lines.append(" ".join(f"{name}: {value}".split()))  # one line, whatever a client sent
        lines += [f"Content-Length: {length}", *["Connection: close"][: self.close_connection]]
        head = "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")
        if self.command == "HEAD" or response.status == HTTPStatus.NOT_MODIFIED:
            content, stream = b"", None
        if stream is None:
            self.wfile.write(head + content)  # in one write: two of them would wait
            return
        self.wfile.write(head)
        while length and (block := stream[0].read(min(length, 1 << 20))):
            self.wfile.write(block)
            length -= len(block)
        self.close_connection |= bool(length)  # somebody has cut the file meanwhile


def _range(asked: str | None, size: int) -> tuple[int, int]:
    """The first and the last byte of a range, or of the whole. Raises Refused if it is beyond."""
    match = _RANGE.fullmatch(asked or "")
    if match is None or match[0].strip() == "bytes=-":
        return 0, size - 1
    if not match[1]:
        return max(0, size - int(match[2])), size - 1
    first, last = int(match[1]), int(match[2] or size - 1)
    if first >= size or last < first:
        raise Refused(416, f"the object has {size} bytes")
    return first, min(last, size - 1)
