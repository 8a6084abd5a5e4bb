"""A server on real sockets, in this process, over a store of its own; and the SDK told of it."""

import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nbtools.emulator import catalog, handlers, rest, rpc
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
    os.environ["GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"] = str(folder / "certificate.pem")
    return folder


@dataclass
class Emulator:
    http: rest.Server
    grpc_port: int
    store: Store
    folder: Path

    @property
    def url(self):
        return f"http://127.0.0.1:{self.http.port}"


@pytest.fixture
def emulator(store_folder, known, certificates):
    store = Store(store_folder)
    service = handlers.Service(known, store, utc_now)
    http = rest.Server(0, known, service.answer)
    grpc, port = rpc.serve(0, known, service.answer, certificates)
    thread = threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield Emulator(http, port, store, store_folder)
    http.shutdown()
    http.server_close()
    grpc.stop(0).wait()
    store.close()


@pytest.fixture
def connect(emulator):
    """Tell the SDK where it is, as the start-up hook does; and have it forget afterwards."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import aiplatform
    from google.cloud.aiplatform import initializer
    from google.cloud.aiplatform.metadata.metadata import _experiment_tracker

    def connect(transport="rest") -> Any:
        aiplatform.init(
            project="test",
            location="us-central1",
            api_endpoint=emulator.url if transport == "rest" else f"localhost:{emulator.grpc_port}",
            api_transport=transport,
            credentials=AnonymousCredentials(),
        )
        return aiplatform

    yield connect
    _experiment_tracker.reset()
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
