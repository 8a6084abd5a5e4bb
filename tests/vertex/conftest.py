"""Vertex AI, as an emulator of another store stands for it, and a run with one of everything."""

from dataclasses import dataclass, replace
from typing import Any

import pytest

import nbtools
from nbtools import exchange
from nbtools.nouns import utc_now
from nbtools.settings import Settings
from nbtools.store import Store
from nbtools.vertex.calls import Calls
from tests.vertex.remotes import LOCATION, PROJECT, TO, Remote, settled


@pytest.fixture
def remote(monkeypatch):
    made = Remote()
    monkeypatch.setenv("NBTOOLS_VERTEX", made.url)
    yield made
    made.close()


@pytest.fixture
def bucket(tmp_path):
    return f"file://{tmp_path}/bucket"


def log_run(name="one", experiment="digits"):
    """A run with params, metrics, series, files, inputs, and a run inside."""
    nbtools.init(experiment, experiment_description="of tests", mirrors=[])
    data = nbtools.lineage.artifact("gs://bucket/digits.csv", "system.Dataset")
    with nbtools.start_run(name, tags=["good"]) as run:
        run.use_artifact(data)
        run.log_params({"lr": 0.1, "layers": 3, "flag": True, "optimizer": "adam"})
        run.log_metrics({"accuracy": 0.9, "bad": float("nan")})
        for step in range(1, 6):
            run.log_time_series_metrics({"loss": 1 / step, "val/acc": step}, step=step)
        run.log_classification_metrics(labels=["a", "b"], matrix=[[1, 2], [3, 4]])
        run.log_text("note", f"of {name}")
        with nbtools.start_run(f"{name}-inner", nested=True) as inner:
            inner.log_params({"fold": 1})
    settled()
    return run


def theirs(context):
    """The run's context as somebody else leaves it."""
    params = {**context.metadata["_params"], "lr": 0.7}
    return replace(context, metadata={**context.metadata, "_params": params})


@dataclass
class Near:
    """The store of this machine, and what its user does."""

    store: Store
    way: exchange.Way

    def service(self, calls=None):
        return exchange.connect(Settings.load(), TO, calls or Calls(sleep=lambda _: None))

    def push(self, *runs, force=False, calls=None):
        way = exchange.Way(self.way.staging, force=force)
        runs = runs or [run.id for run in nbtools.runs.list_runs(self.store, utc_now())[::-1]]
        self.store.drain(utc_now())
        service = self.service(calls)
        return list(exchange.push_runs(self.store, service, way, runs, utc_now()))

    def pull(self, experiment="digits", force=False):
        way = exchange.Way(self.way.staging, force=force)
        return exchange.pull(self.store, self.service(), way, experiment, utc_now())


@pytest.fixture
def near(store_folder, bucket):
    import nbtools.runs  # noqa: F401 - reached as an attribute

    store = Store(store_folder)
    yield Near(store, exchange.Way(bucket))
    store.close()


@pytest.fixture
def aiplatform(remote, monkeypatch) -> Any:
    """The SDK, told of the remote as a user's start-up hook tells it; it forgets afterwards."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import aiplatform
    from google.cloud.aiplatform import initializer

    aiplatform.init(
        project=PROJECT, location=LOCATION, api_endpoint=remote.url, api_transport="rest",
        credentials=AnonymousCredentials(),
    )  # fmt: skip
    yield aiplatform
    initializer.global_config.__dict__.clear()
    initializer.global_config.__init__()
