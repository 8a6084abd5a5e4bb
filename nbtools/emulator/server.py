"""The emulator's process: both doors onto one store, until it is told to end."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import threading
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbtools.emulator import (
    buckets,
    catalog,
    executions,
    firing,
    handlers,
    loopback,
    rest,
    rpc,
)
from nbtools.emulator.lifecycle import Running, files, last
from nbtools.errors import MissingDependency, RequestError, StateError
from nbtools.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbtools.emulator.storage import Server as Storage


def run(
    store: Path,
    project: str,
    location: str,
    port: int,
    stop: threading.Event,
    clock: Callable[[], datetime],
    say: Callable[[Running], None],
) -> None:
    """Serve the store in that folder until `stop` is set; `say` hears when both doors are open.

    `port` is the one for HTTP; 0: the one of the last time, or one that is free. Raises
    StateError when another process serves this store, RequestError when a port is taken.
    """
    with only_one(store) as folder:
        before = last(store)
        (folder / "server.json").unlink(missing_ok=True)  # it is announced when all is open
        rpc.certificate(folder, clock())
        known = catalog.load()
        opened = Store(store)
        service = handlers.Service(known, opened, clock)
        open_at = _doors(folder, known, service.answer, port, before)
        http, grpc, grpc_port, gs = open_at
        running = Running(os.getpid(), http.port, grpc_port, project, location, gs.port)
        for server in (http, gs):
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        args = (store, clock, stop, service.hands.alone)
        fires = threading.Thread(target=firing.run, args=args, daemon=True)
        try:
            announce(store, running)
            executions.take_up(opened, service.hands)
            fires.start()
            say(running)
            stop.wait()
        finally:
            stop.set()
            if fires.ident:
                fires.join()
            for server in (http, gs):
                server.shutdown()
                server.server_close()
            grpc.stop(1.0).wait()
            opened.close()


def _doors(
    folder: Path, known: catalog.Catalog, answer: rest.Answer, port: int, before: Running | None
) -> tuple[rest.Server, Any, int, Storage]:
    """All doors, gRPC's with its port: where they were the last time, if no other is asked for."""
    said, storage = "", _storage()
    for http_port, grpc_port, gs_port in _places(folder, port, before):
        opened: list[loopback.Server] = []
        try:
            opened.append(http := rest.Server(http_port, known, answer))
            opened.append(gs := storage.Server(gs_port, buckets.folder(folder.parent)))
            grpc, bound = rpc.serve(grpc_port, known, answer, folder)
        except OSError as error:
            for server in opened:
                server.server_close()
            taken = (http_port, gs_port, 0)[len(opened)]
            said = f"port {taken} of 127.0.0.1: {error.strerror}" if taken else str(error)
            continue
        return http, grpc, bound, gs
    raise RequestError(f"the emulator cannot listen: {said}; name another --port, or 0 for any")


def _storage() -> Any:
    try:
        from nbtools.emulator import storage
    except ModuleNotFoundError as error:
        raise MissingDependency(f"the emulator needs {error.name}: {catalog.PIP}") from None
    return storage


def _places(folder: Path, port: int, before: Running | None) -> Iterator[tuple[int, int, int]]:
    """Ports to try: those of the last time, then some that are this store's own and that no
    system gives to outgoing connections, then any.
    """
    if before is not None and port in (0, before.port):
        yield before.port, before.grpc_port, before.storage_port
    if port:
        yield port, port + 1, port + 2
        yield port, 0, 0
        return
    first = int.from_bytes(hashlib.sha256(str(folder).encode()).digest()[:4])
    for number in range(10):
        own = 20_000 + (first + 37 * number) % 4_000 * 3
        yield own, own + 1, own + 2
    yield 0, 0, 0


@contextmanager
def only_one(store: Path) -> Iterator[Path]:
    """Hold the lock by which others know that this process serves; gives the emulator's folder.

    Raises StateError when another one does.
    """
    folder = files(store)
    folder.mkdir(parents=True, exist_ok=True)
    fd = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise StateError(
            "an emulator serves this store already: `nbtools emulator status` says where"
        ) from None
    try:
        yield folder
    finally:
        os.close(fd)


def announce(store: Path, running: Running) -> None:
    """Say to other programs where it answers, and with which credentials; see `only_one`."""
    _credentials(files(store), running)
    _write(files(store) / "server.json", asdict(running))


def _credentials(folder: Path, running: Running) -> None:
    """A service account of no project, for what insists on one; it signs in here."""
    _write(
        folder / "credentials.json",
        {
            "type": "service_account",
            "project_id": running.project,
            "private_key_id": "emulator",
            "private_key": (folder / "key.pem").read_text(),
            "client_email": f"emulator@{running.project}.iam.gserviceaccount.com",
            "client_id": "0",
            "token_uri": f"{running.url}/token",
        },
    )


def _write(path: Path, values: dict[str, Any]) -> None:
    beside = path.with_suffix(".part")
    beside.touch(mode=0o600)
    beside.write_text(json.dumps(values))
    beside.rename(path)
