"""What stands for Vertex AI: an emulator of a store of its own; and the faulty way there."""

import socket
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from nbtools.emulator import catalog, handlers, rest
from nbtools.nouns import RUN, Artifact, Context, Execution, utc_now
from nbtools.settings import Settings
from nbtools.store import Store
from nbtools.vertex.form import BOARD_RUN, fingerprint

PROJECT, LOCATION = "far", "europe-west4"
TO = f"vertex://{PROJECT}/{LOCATION}"
_known = []


class Remote:
    """A server on a real socket, over a store of its own."""

    def __init__(self):
        if not _known:
            _known.append(catalog.load())
        self.calls = Counter()
        self._folder = tempfile.TemporaryDirectory(prefix="nbt-")
        self.store = Store(Path(self._folder.name))
        service = handlers.Service(_known[0], self.store, utc_now)

        def answer(method, request):
            self.calls[method.name.rpartition(".")[2]] += 1
            return service.answer(method, request)

        self.http = rest.Server(0, _known[0], answer)
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def port(self):
        return self.http.port

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def close(self):
        self.http.shutdown()
        self.http.server_close()
        self.store.close()
        self._folder.cleanup()

    def amend(self, kind, name, change):
        """As somebody else would."""
        return self.store.amend(kind, name, change, utc_now())


def settled():
    """Wait until what runs are executed with, which a thread finds out, is written."""
    store = Store(Settings.load().store)
    deadline = time.monotonic() + 60
    while not all("_about" in run.metadata for run in store.select(Context, RUN)):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    store.drain(utc_now())
    store.close()


def graph(store, form=lambda record: record):
    """All that a store says: records by name, what joins them, and points."""
    found = {"events": set(), "children": set(), "within": set(), "points": {}}
    for kind in (Context, Execution, Artifact):
        records = [r for r in store.select(kind) if r.schema_title != "nbtools.TensorboardRun"]
        shown = {r.name: fingerprint(form(r)) for r in records if r.schema_title != BOARD_RUN}
        found[kind.__name__] = shown
    for execution in found["Execution"]:
        seen = set()
        for event in store.events(execution=execution):
            if event.artifact not in seen:  # Vertex AI keeps the first of two
                found["events"].add((execution, event.artifact, event.type))
                seen.add(event.artifact)
    for context in found["Context"]:
        found["children"] |= {(context, c.name) for c in store.select(Context, parent=context)}
        for kind in (Execution, Artifact):
            names = store.select(kind, context=context)
            found["within"] |= {(context, r.name) for r in names if r.schema_title != BOARD_RUN}
        points = {
            key: [(step, round(time * 1e6), str(value)) for step, time, value in series]
            for key, series in store.points(context).items()
            if not key.startswith("system/")
        }
        if points:
            found["points"][context] = points
    return found


class Faults:
    """The way to a remote on which the n-th request (from 1) meets a fault.

    `drop before` and `drop after` break the connection before, or after, the request was
    carried out; `429` and `503` answer in its place; `late` answers too late; or a function
    that is called with `before` and `after`.
    """

    def __init__(self, port, fault="", at=0):
        self.fault, self.at, self.count = fault, at, 0
        self._upstream, self._lock = port, threading.Lock()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self._server.shutdown(socket.SHUT_RDWR)  # who waits for a connection is told
        self._server.close()

    def cut(self):
        """From now on there is no way."""
        self.fault, self.at = "drop before", 0
        self.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection, socket.create_connection(("127.0.0.1", self._upstream)) as up:
            up.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while request := _message(connection):
                with self._lock:
                    self.count += 1
                    fault = self.fault if self.at in (0, self.count) else ""
                if fault == "drop before":
                    return
                if fault in ("429", "503"):
                    body = b'{"error": {"code": %s, "message": "not now"}}' % fault.encode()
                    head = f"HTTP/1.1 {fault} No\r\nContent-Length: {len(body)}\r\n"
                    kind = "Content-Type: application/json\r\n\r\n"
                    connection.sendall((head + kind).encode() + body)
                    continue
                if callable(fault):
                    fault("before")
                up.sendall(request.replace(b":%d" % self.port, b":%d" % self._upstream, 1))
                reply = _message(up)
                if callable(fault):
                    fault("after")
                if fault == "drop after":
                    return
                try:
                    connection.sendall(reply)
                except OSError:
                    return


def _message(connection):
    """One HTTP message, whole; empty when the connection ends."""
    data = b""
    try:
        while b"\r\n\r\n" not in data:
            if not (part := connection.recv(65536)):
                return b""
            data += part
        head, _, body = data.partition(b"\r\n\r\n")
        length = 0
        for line in head.split(b"\r\n"):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        while len(body) < length:
            if not (part := connection.recv(65536)):
                return b""
            body += part
    except OSError:
        return b""
    return head + b"\r\n\r\n" + body
