"""Files shipped whole to a URI, through kill -9 and remotes that fail."""

import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import ClassVar

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

import nbtools
import nbtools.tensorboard
from nbtools import experiments
from nbtools.errors import RequestError
from nbtools.mirror import MirrorWarning
from nbtools.mirrors.event_files import read_scalars
from nbtools.nouns import utc_now
from nbtools.push import push
from nbtools.runs import find_run, run_folder
from nbtools.shipment import Shipment, Shipping, shipments
from nbtools.store import Store

KILLED = """
import os, signal, sys, time
from pathlib import Path
import nbtools, nbtools.tensorboard
nbtools.init("digits")
run = nbtools.start_run("one")
writer = nbtools.tensorboard.writer(log_dir=sys.argv[1])
remote = Path(sys.argv[1].removeprefix("file://"))
for step in range(1000):
    writer.add_scalar("loss", step / 8, step)
    if step == 400:
        writer.flush()
        while not list(remote.glob("*tfevents*")):
            time.sleep(0.05)
super(type(writer), writer).flush()  # written, and not shipped
os.kill(os.getpid(), signal.SIGKILL)
"""


class FlakyFileSystem(MemoryFileSystem):
    """A remote that is away while `down`."""

    protocol = "flaky"
    store: ClassVar = {}
    pseudo_dirs: ClassVar = [""]
    down = False

    def put_file(self, *args, **kwargs):
        if type(self).down:
            raise ConnectionError("nobody there")
        super().put_file(*args, **kwargs)


@pytest.fixture(autouse=True)
def fresh(store_folder, monkeypatch):
    monkeypatch.setattr(experiments, "_session", experiments._Session())
    fsspec.register_implementation("flaky", FlakyFileSystem, clobber=True)
    FlakyFileSystem.down = False
    yield
    for kind in (MemoryFileSystem, FlakyFileSystem):
        kind.store.clear()
        kind.pseudo_dirs[:] = [""]


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "logs"
    (folder / "sub").mkdir(parents=True)
    (folder / "events").write_bytes(b"one")
    (folder / "sub" / "more").write_bytes(b"two")
    return folder


def there(uri, to):
    """Everything that lies at a URI, fetched into the folder `to`."""
    fs, path = fsspec.url_to_fs(uri)
    to.mkdir(parents=True, exist_ok=True)
    for name in fs.find(path):
        target = to / Path(name).relative_to(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        fs.get_file(name, str(target))
    return to


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.02)
    return found


def test_whole_files_are_shipped_and_again_when_they_have_grown(store_folder, folder, tmp_path):
    shipment = Shipment.make(store_folder, folder, "memory://logs/one")
    assert shipment.ship() == 2
    assert shipment.ship() == 0
    with (folder / "events").open("ab") as file:
        file.write(b" and more")
    assert shipment.ship() == 1
    assert contents(there("memory://logs/one", tmp_path / "got")) == contents(folder)
    shipment.close()
    assert list(shipments(store_folder)) == []
    assert list((store_folder / "mirrors").rglob("*.*")) == []


def test_every_scalar_is_there_after_the_writer_closes(store_folder, tmp_path):
    nbtools.init("digits")
    run = nbtools.start_run("one")
    with nbtools.tensorboard.writer(log_dir="memory://bucket/logs") as writer:
        for step in range(2000):
            writer.add_scalar("loss", step / 8, step)
        writer.add_scalars("acc", {"val": 0.5}, 1)
    folder = nbtools.tensorboard.log_folder(run)
    run.end()
    got = there("memory://bucket/logs", tmp_path / "got")
    assert contents(got) == contents(folder)
    loss = read_scalars(got)["loss"]
    assert {step: value for step, (_, value) in loss.items()} == {s: s / 8 for s in range(2000)}
    assert (got / "acc_val").is_dir()
    assert list(shipments(store_folder)) == []


def test_killed_in_the_middle_every_scalar_is_there_after_push(store_folder, tmp_path, call):
    remote = tmp_path / "remote"
    done = subprocess.run(
        [sys.executable, "-c", KILLED, f"file://{remote}"], capture_output=True, text=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    before = read_scalars(remote)["loss"]
    assert 400 < len(before) < 1000  # whole up to then: nothing was lost by writing again
    sent = call("push")
    assert sent.returncode == 0, sent.stdout + sent.stderr
    assert "all sent" in sent.stdout
    loss = read_scalars(remote)["loss"]
    assert {step: value for step, (_, value) in loss.items()} == {s: s / 8 for s in range(1000)}
    run = find_run(Store(store_folder), utc_now(), "one")
    folder = run_folder(store_folder, run) / "tensorboard"
    assert contents(remote) == contents(folder)
    assert call("push").stdout == "nothing is left to send\n"


def test_a_remote_that_is_away_costs_one_warning_and_is_sent_later(store_folder, tmp_path):
    FlakyFileSystem.down = True
    nbtools.init("digits")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with nbtools.start_run("one"):
            with nbtools.tensorboard.writer(log_dir="flaky://logs") as writer:
                for step in range(100):
                    writer.add_scalar("loss", step, step)
                    writer.flush()
            until(lambda: any(issubclass(w.category, MirrorWarning) for w in said))
    mine = [w for w in said if issubclass(w.category, MirrorWarning)]
    assert 1 <= len(mine) <= 2  # when it begins, and what is left at the end
    assert "ConnectionError: nobody there" in str(mine[0].message)
    (kept,) = push(Store(store_folder))
    assert kept.left == "ConnectionError: nobody there"
    FlakyFileSystem.down = False
    (sent,) = push(Store(store_folder))
    assert (sent.mirror, sent.left) == ("flaky://logs", "")
    assert len(read_scalars(there("flaky://logs", tmp_path / "got"))["loss"]) == 100
    assert list(push(Store(store_folder))) == []


def test_a_file_that_grows_while_it_is_shipped_arrives_whole_in_the_end(store_folder, tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    shipping = Shipping(Shipment.make(store_folder, folder, "memory://logs"))
    with (folder / "events").open("ab", buffering=0) as file:
        for i in range(300):
            file.write(b"%04d" % i * 1000)
            if i % 10 == 0:
                shipping.soon()
    shipping.end()
    assert contents(there("memory://logs", tmp_path / "got")) == contents(folder)


def test_the_tensorboard_mirror_ships_to_a_uri(store_folder, tmp_path):
    from nbtools.journal import Journal
    from nbtools.mirroring import Mirroring
    from nbtools.runs import open_run

    store = Store(store_folder)
    context = open_run(store, "digits", "one", utc_now())
    journal = Journal(store.journals, context.name)
    options = {"tensorboard": {"log_dir": "memory://bucket/logs"}}
    mirroring = Mirroring(
        store_folder, context, journal.path, tmp_path / "files", ["tensorboard"], options
    )
    mirroring.start(lambda: None)
    for step in range(100):
        journal.append({"series": {"loss": step / 8}, "step": step, "time": 1e9})
    journal.close()
    mirroring.end("COMPLETE")
    assert len(read_scalars(there("memory://bucket/logs", tmp_path / "got"))["loss"]) == 100
    assert list(shipments(store_folder)) == []


def test_while_a_process_ships_push_leaves_it_to_that(store_folder, folder):
    shipment = Shipment.make(store_folder, folder, "memory://logs")
    (kept,) = push(Store(store_folder))
    assert kept.left == "a process that is at work ships it"
    shipment.unlock()
    (sent,) = push(Store(store_folder))
    assert (sent.count, sent.left) == (2, "")


def test_a_fork_does_not_ship(store_folder, folder):
    shipping = Shipping(Shipment.make(store_folder, folder, "memory://logs"))
    if not (child := os.fork()):
        shipping.end(0.0)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    shipping.end()
    assert list(shipments(store_folder)) == []


def test_a_uri_that_nobody_knows_is_refused(store_folder, folder):
    with pytest.raises(RequestError, match="nowhere://x"):
        Shipment.make(store_folder, folder, "nowhere://x")
