"""A server on real sockets, in this process, over a store of its own; and the SDK told of it."""

import os
import shutil
import threading
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from nbtools.emulator import catalog, handlers, lifecycle, rest, rpc, server, workbench
from nbtools.nouns import utc_now
from nbtools.store import Store


@pytest.fixture(scope="session")
def known():
    return catalog.load()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    rpc.certificate(folder, utc_now())
    # gRPC reads it once in a process, when it is first used.
    os.environ["GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"] = str(folder / "roots.pem")
    return folder


@pytest.fixture
def now():
    return utc_now


@dataclass
class Emulator:
    http: rest.Server
    grpc_port: int
    store: Store
    folder: Path
    service: handlers.Service

    @property
    def url(self):
        return f"http://127.0.0.1:{self.http.port}"


@pytest.fixture
def emulator(store_folder, known, certificates, now):
    """Other processes find it as they find one that was begun by `nbtools emulator start`."""
    with server.only_one(store_folder) as folder:
        shutil.copytree(certificates, folder, dirs_exist_ok=True)
        store = Store(store_folder)
        service = handlers.Service(known, store, now)
        http = rest.Server(0, known, service.answer)
        grpc, port = rpc.serve(0, known, service.answer, folder)
        running = lifecycle.Running(os.getpid(), http.port, port, "test", "us-central1")
        server.announce(store_folder, running)
        thread = threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield Emulator(http, port, store, store_folder, service)
        http.shutdown()
        http.server_close()
        grpc.stop(0).wait()
        store.close()


@pytest.fixture(scope="session")
def hook():
    """What Python begins with where the emulator's environment is."""
    spec = spec_from_file_location("hook", lifecycle.STARTUP / "sitecustomize.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def connect(emulator, hook, monkeypatch):
    """Tell the SDK where it is, as the start-up hook does; and have it forget afterwards."""
    from google.cloud import aiplatform
    from google.cloud.aiplatform import initializer
    from google.cloud.aiplatform.metadata.metadata import _experiment_tracker

    kind = type(initializer.global_config)

    def connect(transport="rest") -> Any:
        initializer.global_config.__class__ = kind
        monkeypatch.setenv("NBTOOLS_VERTEX", emulator.url)
        monkeypatch.setenv("NBTOOLS_VERTEX_GRPC", f"localhost:{emulator.grpc_port}")
        monkeypatch.setenv("NBTOOLS_VERTEX_PROJECT", "test")
        monkeypatch.setenv("NBTOOLS_VERTEX_LOCATION", "us-central1")
        monkeypatch.setenv("NBTOOLS_VERTEX_TRANSPORT", transport)
        hook.connect(aiplatform)
        return aiplatform

    yield connect
    _experiment_tracker.reset()
    initializer.global_config.__class__ = kind
    initializer.global_config.__dict__.clear()
    initializer.global_config.__init__()


@pytest.fixture(params=["rest", "grpc"])
def aiplatform(request, connect):
    return connect(request.param)


@pytest.fixture
def clients(connect):
    """The generated clients, of which every RPC is a method."""
    aiplatform = connect()
    from google.cloud.aiplatform import initializer, utils

    make = initializer.global_config.create_client

    @dataclass
    class Clients:
        aiplatform: Any
        metadata: Any
        tensorboard: Any
        parent: str = "projects/test/locations/us-central1"

        @property
        def store(self):
            return f"{self.parent}/metadataStores/default"

    return Clients(
        aiplatform,
        make(utils.MetadataClientWithOverride),
        make(utils.TensorboardClientWithOverride),
    )


@pytest.fixture
def transport():
    return "rest"


@pytest.fixture
def make_client(emulator, transport):
    """Makes a generated client of that class, which is told where the emulator is."""
    from google.auth.credentials import AnonymousCredentials

    def make(kind):
        where = emulator.url if transport == "rest" else f"localhost:{emulator.grpc_port}"
        return kind(
            transport=transport,
            credentials=AnonymousCredentials(),
            client_options={"api_endpoint": where},
        )

    return make


@pytest.fixture
def notebooks(make_client):
    from google.cloud.aiplatform_v1 import NotebookServiceClient

    return make_client(NotebookServiceClient)


class Clock:
    """The time as a test says it."""

    def __init__(self):
        self.now = utc_now()
        self.asked = 0  # how often: once for each RPC

    def __call__(self):
        self.asked += 1
        return self.now

    def pass_(self):
        self.now += 2 * workbench.TAKES


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def doors(store_folder, known, certificates, clock):
    """The ports, of REST and gRPC, of an emulator whose time stands still."""
    store = Store(store_folder)
    service = handlers.Service(known, store, clock)
    http = rest.Server(0, known, service.answer)
    grpc, port = rpc.serve(0, known, service.answer, certificates)
    threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True).start()
    yield http.port, port
    http.shutdown()
    http.server_close()
    grpc.stop(0).wait()
    store.close()


def connected(kind, transport, doors):
    """A client of that class of Google's, of what listens at `doors`."""
    from google.api_core.client_options import ClientOptions
    from google.auth.credentials import AnonymousCredentials

    http, grpc = doors
    endpoint = f"http://127.0.0.1:{http}" if transport == "rest" else f"localhost:{grpc}"
    return kind(
        credentials=AnonymousCredentials(),
        transport=transport,
        client_options=ClientOptions(api_endpoint=endpoint),
    )


@pytest.fixture(params=["rest", "grpc"])
def client(request, doors):
    from google.cloud import notebooks_v2

    return connected(notebooks_v2.NotebookServiceClient, request.param, doors)


@pytest.fixture
def over_rest(doors):
    from google.cloud import notebooks_v2

    return connected(notebooks_v2.NotebookServiceClient, "rest", doors)
