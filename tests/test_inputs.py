"""What a notebook opens to read is its run's input; outside a run it is just opened."""

import hashlib

import fsspec
import pytest

import nbtools
from nbtools import experiments
from nbtools.errors import NotFound, RequestError
from nbtools.nouns import Artifact
from nbtools.store import Store


@pytest.fixture(autouse=True)
def fresh_session(store_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(experiments, "_session", experiments._Session())
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def remote():
    """A file system that is none of this machine's."""
    files = fsspec.filesystem("memory")
    yield files
    files.store.clear()


def inputs(store_folder, run):
    store = Store(store_folder)
    return [store.get(Artifact, e.artifact) for e in store.events(execution=run.id)]


def test_outside_a_run_a_file_is_just_opened(store_folder, tmp_path, remote):
    (tmp_path / "d.csv").write_bytes(b"\xc3\xa4\n")
    assert nbtools.open_input("d.csv").read() == b"\xc3\xa4\n"
    with nbtools.open_input(tmp_path / "d.csv", "r") as file:
        assert file.read() == "ä\n"
    assert nbtools.open_input("d.csv", "r", encoding="latin-1").read() == "Ã¤\n"
    remote.pipe("/x/d.csv", "ä".encode())
    assert nbtools.open_input("memory://x/d.csv").read() == "ä".encode()
    assert nbtools.open_input("memory://x/d.csv", "rt").read() == "ä"
    assert Store(store_folder).select(Artifact) == []


def test_in_a_run_a_file_is_remembered_by_its_content(store_folder, tmp_path):
    (tmp_path / "d.csv").write_text("1")
    with nbtools.start_run() as run:
        for _ in range(2):
            assert nbtools.open_input("d.csv").read() == b"1"
        (tmp_path / "d.csv").write_text("2")
        assert nbtools.open_input(f"file://{tmp_path}/d.csv", "r").read() == "2"
    found = inputs(store_folder, run)
    assert [a.metadata["sha256"] for a in found] == [
        hashlib.sha256(text).hexdigest() for text in (b"1", b"2")
    ]
    assert {(a.schema_title, a.uri) for a in found} == {("system.Dataset", str(tmp_path / "d.csv"))}


def test_a_model_that_is_opened_stays_a_model(store_folder, tmp_path):
    (tmp_path / "m.pt").write_text("1")
    with nbtools.start_run("one"):
        left = nbtools.log_model("m.pt")
    with nbtools.start_run("two") as run:
        nbtools.open_input("m.pt")
    (found,) = inputs(store_folder, run)
    assert (found.name, found.schema_title) == (left.name, "system.Model")


def test_a_remote_file_is_remembered_by_its_content_or_its_version(store_folder, remote):
    remote.pipe("/x/d.csv", b"1")
    with nbtools.start_run() as run:
        assert nbtools.open_input("memory://x/d.csv").read() == b"1"
    (found,) = inputs(store_folder, run)
    assert found.uri == "memory://x/d.csv"
    assert found.metadata == {"bytes": 1, "sha256": hashlib.sha256(b"1").hexdigest()}


def test_the_version_that_a_file_system_tells_saves_reading_it(store_folder, remote, monkeypatch):
    remote.pipe("/x/d.csv", b"1")
    told = {**remote.info("/x/d.csv"), "etag": "v7"}  # as object stores do
    monkeypatch.setattr(type(remote), "info", lambda self, path, **options: told)
    with nbtools.start_run() as run:
        nbtools.open_input("memory://x/d.csv")
    (found,) = inputs(store_folder, run)
    assert found.metadata == {"bytes": 1, "version": "v7"}


@pytest.mark.parametrize("mode", ["w", "a", "r+b", "wb", "x", ""])
def test_only_reading(mode):
    with pytest.raises(RequestError, match="opens to read: the mode is rb or r"):
        nbtools.open_input("x", mode)


@pytest.mark.parametrize("in_run", [False, True])
def test_what_is_not_there_is_told(tmp_path, remote, in_run):
    if in_run:
        nbtools.start_run()
    for path in ("none", tmp_path, "memory://none"):
        with pytest.raises(NotFound, match="no file .* to read: name one that is there"):
            nbtools.open_input(path)
    with pytest.raises(RequestError, match="strange://x: .*give a URI that fsspec knows"):
        nbtools.open_input("strange://x")
