"""An emulator in the background: begun, ended, looked at, and how other programs find it.

Light: nothing of Google's is imported here.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from nbtools import journal
from nbtools.errors import RequestError, StateError
from nbtools.settings import environment

#: seconds that it may take until an emulator answers, or has ended.
PATIENCE: Final = 120.0
STARTUP: Final = Path(__file__).with_name("startup")
LOCAL: Final = ("127.0.0.1", "localhost")


@dataclass(frozen=True)
class Running:
    """An emulator that runs."""

    pid: int  #: its process
    port: int  #: of 127.0.0.1, for HTTP
    grpc_port: int  #: of localhost, for gRPC over TLS
    project: str  #: for programs that name none
    location: str  #: likewise
    storage_port: int = 0  #: of 127.0.0.1, for `gs://`

    @property
    def url(self) -> str:
        """Where it answers HTTP."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def grpc(self) -> str:
        """Where it answers gRPC."""
        return f"localhost:{self.grpc_port}"

    @property
    def storage(self) -> str:
        """Where it answers clients of Cloud Storage."""
        return f"http://127.0.0.1:{self.storage_port}"


def files(store: Path) -> Path:
    """Where an emulator of that store keeps its files."""
    return store / "emulator"


def last(store: Path) -> Running | None:
    """The emulator that has last served a store, whether it runs or not."""
    try:
        return Running(**json.loads((files(store) / "server.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None


def running(store: Path) -> Running | None:
    """The emulator that serves a store, or None. One that begins is not seen yet."""
    lock = files(store) / "lock"
    found = last(store)
    if found is None or not lock.exists() or journal.abandoned(lock):
        return None
    with suppress(OSError):
        os.kill(found.pid, 0)
        return found
    return None  # another one begins


def start(store: Path, project: str, location: str, port: int = 0) -> Running:
    """The emulator that serves a store; begun if there is none. Raises RequestError.

    Raises StateError when there is one with another project, location or port.
    """
    if found := running(store):
        same = (found.project, found.location, port or found.port)
        if same != (project, location, found.port):
            raise StateError(
                f"an emulator of {found.project} in {found.location} serves this store at "
                f"{found.url}: `nbtools emulator stop` ends it"
            )
        return found
    files(store).mkdir(parents=True, exist_ok=True)
    log = files(store) / "log"
    code = "from nbtools.command import main; main()"
    options = ("--project", project, "--location", location, "--port", str(port))
    with log.open("ab") as output:
        begun = log.stat().st_size
        process = subprocess.Popen(
            [sys.executable, "-c", code, "emulator", "run", *options],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**environment(), "NBTOOLS_STORE": str(store)},
            start_new_session=True,  # Ctrl-C in this terminal is not meant for it
        )
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        ended = process.poll() is not None
        if found := running(store):  # ours, or that of somebody who was faster
            return found
        if ended and journal.abandoned(files(store) / "lock"):  # nor does another one begin
            said = log.read_bytes()[begun:].decode(errors="replace").strip()
            raise RequestError(f"the emulator has ended: {said.removeprefix('nbtools: ')}")
        time.sleep(0.02)
    process.kill()
    raise RequestError(f"the emulator does not begin: see {log}")


def stop(store: Path) -> Running | None:
    """End the emulator that serves a store, and return what it was; None if there is none."""
    found = running(store)
    if found is None:
        return None
    with suppress(ProcessLookupError):
        os.kill(found.pid, signal.SIGTERM)
    end = time.monotonic() + PATIENCE
    while not journal.abandoned(files(store) / "lock"):
        if time.monotonic() > end:
            raise RequestError(f"process {found.pid} does not end: kill it")
        time.sleep(0.02)
    return found


def variables(
    store: Path, found: Running, transport: str, environ: Mapping[str, str]
) -> dict[str, str]:
    """What to put into the environment of a program so that Google's SDK talks to an emulator.

    `environ` is the environment so far, `transport` rest or grpc: what the SDK uses until it
    is told otherwise.
    """
    path = [str(STARTUP), *filter(None, environ.get("PYTHONPATH", "").split(os.pathsep))]
    made = {
        "NBTOOLS_VERTEX": found.url,
        "NBTOOLS_VERTEX_GRPC": found.grpc,
        "NBTOOLS_VERTEX_TRANSPORT": transport,
        "NBTOOLS_VERTEX_PROJECT": found.project,
        "NBTOOLS_VERTEX_LOCATION": found.location,
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(path)),
        "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(files(store) / "roots.pem"),
        "STORAGE_EMULATOR_HOST": found.storage,
        "CLOUD_STORAGE_EMULATOR_ENDPOINT": found.storage,  # for C++: pyarrow, so pandas' Parquet
        "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",  # it asks Google what kind a bucket is
        "FSSPEC_GS_TOKEN": "anon",
    }
    for name in ("NO_PROXY", "no_proxy"):  # programs read one or the other
        known = [host for host in environ.get(name, "").split(",") if host]
        made[name] = ",".join(dict.fromkeys([*known, *LOCAL]))
    if "GOOGLE_APPLICATION_CREDENTIALS" not in environ:
        made["GOOGLE_APPLICATION_CREDENTIALS"] = str(files(store) / "credentials.json")
    return made


def surroundings(
    store: Path, environ: Mapping[str, str], transport: str = "rest"
) -> dict[str, str]:
    """What a program needs in its environment; the emulator is begun if none runs, as it was."""
    found = running(store)
    if found is None:
        before = last(store)
        place = (before.project, before.location) if before else ("local", "us-central1")
        found = start(store, *place)
    return variables(store, found, transport, environ)


def record(found: Running) -> dict[str, object]:
    """What there is to say of one."""
    return {**asdict(found), "url": found.url, "grpc": found.grpc, "storage": found.storage}
