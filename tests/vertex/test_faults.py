"""Whatever request meets whatever fault: in the end the graph is the same on both sides.

Each case is a push over a way there on which the n-th request meets a fault, for every n that
there is, and what a push after that makes of it.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import nbtools
from nbtools import exchange
from nbtools.cloud import Endpoint, Place
from nbtools.nouns import utc_now
from nbtools.store import Store
from nbtools.vertex.calls import Calls
from nbtools.vertex.form import form
from nbtools.vertex.service import Service
from tests.vertex.remotes import LOCATION, PROJECT, Faults, Remote, graph, settled

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    """A store with two runs of which one is in the other; each case gets a copy."""
    folder = tmp_path_factory.mktemp("logged") / "store"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBTOOLS_STORE", str(folder))
        nbtools.init("digits", mirrors=[])
        data = nbtools.lineage.artifact("gs://bucket/digits.csv", "system.Dataset")
        with nbtools.start_run("one") as run:
            run.use_artifact(data)
            run.log_params({"lr": 0.1})
            run.log_time_series_metrics({"loss": 0.5, "acc": 0.25}, step=1)
            run.log_text("note", "hello")
            with nbtools.start_run("inner", nested=True) as inner:
                inner.log_metrics({"score": 1})
        settled()
    store = Store(folder)
    yield folder, graph(store, lambda record: form(record, "")), ["digits-one", "digits-inner"]
    store.close()


@dataclass
class Waits:
    """Pauses that are noted, and not made."""

    seconds: list = field(default_factory=list)

    def calls(self, attempts=7):
        return Calls(attempts=attempts, timeout=20, sleep=self.seconds.append, chance=lambda: 0.5)


def pushed(folder, url, calls, runs):
    store = Store(folder)
    try:
        service = Service(Place(PROJECT, LOCATION), Endpoint(rest=url), calls)
        return list(exchange.push_runs(store, service, exchange.Way(), runs, utc_now()))
    finally:
        store.close()


def copy(logged, folder):
    shutil.copytree(logged[0], folder)
    return folder


@pytest.fixture(scope="module")
def requests(logged, tmp_path_factory):
    """How many requests a push without faults makes."""
    remote = Remote()
    way = Faults(remote.port)
    folder = copy(logged, tmp_path_factory.mktemp("plain") / "store")
    sent = pushed(folder, way.url, Calls(), logged[2])
    assert [s.left for s in sent] == ["", ""]
    assert graph(remote.store) == logged[1]
    way.close()
    remote.close()
    assert 15 < way.count < 40
    return way.count


@pytest.mark.parametrize("fault", ["drop before", "drop after", "429", "503"])
def test_a_fault_at_any_request_is_waited_for(fault, logged, requests, tmp_path):
    for at in range(1, requests + 1):
        remote, waits = Remote(), Waits()
        way = Faults(remote.port, fault, at)
        folder = copy(logged, tmp_path / str(at))
        sent = pushed(folder, way.url, waits.calls(), logged[2])
        assert [s.left for s in sent] == ["", ""], at
        assert graph(remote.store) == logged[1], at
        assert waits.seconds == [0.5], at
        way.close()
        remote.close()


@pytest.mark.parametrize("fault", ["drop before", "drop after"])
def test_a_push_that_gives_up_at_any_request_is_continued_by_another(
    fault, logged, requests, tmp_path
):
    for at in range(1, requests + 1):
        remote = Remote()
        way = Faults(remote.port, fault, at)
        folder = copy(logged, tmp_path / str(at))
        first = pushed(folder, way.url, Waits().calls(attempts=1), logged[2])
        assert any("cannot be reached" in s.left for s in first), at
        second = pushed(folder, way.url, Waits().calls(attempts=1), logged[2])
        assert [s.left for s in second] == ["", ""], at
        assert graph(remote.store) == logged[1], at
        way.close()
        remote.close()


#: forks a process for each line that it reads; Google's packages are imported once.
KILLABLE = """
import json, os, sys
from tests.vertex.test_faults import pushed
from nbtools.vertex.calls import Calls
from google.cloud.aiplatform_v1 import MetadataServiceClient, TensorboardServiceClient
for line in sys.stdin:
    folder, url, runs = json.loads(line)
    child = os.fork()
    if not child:
        sent = pushed(__import__("pathlib").Path(folder), url, Calls(), runs)
        os._exit(any(s.left for s in sent))
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture(scope="module")
def pusher():
    process = subprocess.Popen(
        [sys.executable, "-c", KILLABLE], cwd=ROOT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    yield process
    process.stdin.close()
    process.wait()


def test_a_push_that_is_killed_at_any_request_is_continued_by_another(
    logged, requests, pusher, tmp_path
):
    for moment in ("before", "after"):
        for at in range(1, requests + 1):
            remote, child = Remote(), []

            def kill(when, moment=moment, child=child):
                if when == moment:
                    while not child:
                        pass
                    os.kill(child[0], signal.SIGKILL)

            way = Faults(remote.port, kill, at)
            folder = copy(logged, tmp_path / f"{moment}-{at}")
            pusher.stdin.write(json.dumps([str(folder), way.url, logged[2]]) + "\n")
            pusher.stdin.flush()
            child.append(int(pusher.stdout.readline()))
            assert int(pusher.stdout.readline()) == -signal.SIGKILL, (moment, at)
            sent = pushed(folder, way.url, Waits().calls(), logged[2])
            assert [s.left for s in sent] == ["", ""], (moment, at)
            assert graph(remote.store) == logged[1], (moment, at)
            way.close()
            remote.close()


def test_pauses_grow_and_end(tmp_path, logged):
    waits = Waits()
    folder = copy(logged, tmp_path / "store")
    sent = pushed(folder, "http://127.0.0.1:9", waits.calls(), logged[2])
    assert ["cannot be reached" in s.left for s in sent] == [True, True]
    assert waits.seconds == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0]  # the second run waits for nothing
