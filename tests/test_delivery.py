"""Outputs copied to folders and URIs: whole, under their own names, and nowhere else."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest

import nbtools
from nbtools.below import below, checked
from nbtools.delivery import deliver
from nbtools.errors import MissingDependency, RequestError
from nbtools.outputs import Outputs, _files

fsspec = pytest.importorskip("fsspec")
from fsspec.implementations.memory import MemoryFileSystem  # noqa: E402

HOSTILE = (
    "../x", "a/../../x", "..", "/etc/x", "//host/x", "C:\\x", "C:x", "c:/x", "\\\\host\\x", "..\\x",
    "a\\..\\..\\x", "a\0b", "", "x" * 300, f"a/{'ä' * 200}",
)  # fmt: skip


class Odd(MemoryFileSystem):
    """A remote that is no object store, and does what it is told to do wrong."""

    protocol = "odd"
    store: ClassVar = {}
    pseudo_dirs: ClassVar = [""]
    raises: ClassVar = None
    after: ClassVar = 0

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(path.removeprefix("odd://"))

    def put_file(self, lpath, rpath, **kwargs):
        if type(self).raises and not type(self).after:
            with self.open(rpath, "wb") as half:
                half.write(b"half")
            raise type(self).raises
        type(self).after -= 1
        super().put_file(lpath, rpath, **kwargs)


@pytest.fixture(autouse=True)
def clean():
    fsspec.register_implementation("odd", Odd, clobber=True)
    yield
    Odd.raises, Odd.after = None, 0
    for kind in (MemoryFileSystem, Odd):
        kind.store.clear()
        kind.pseudo_dirs[:] = [""]


@pytest.fixture
def files(tmp_path):
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "a.txt").write_text("one")
    (source / "sub/b.bin").write_bytes(bytes(range(256)) * 5000)
    return {"a.txt": source / "a.txt", "sub/b.bin": source / "sub/b.bin"}


def tree(root):
    return {str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_that_leads_elsewhere_is_refused_before_anything_is_copied(name, files, tmp_path):
    for to in (tmp_path / "to", f"file://{tmp_path}/to", "memory://bucket/to", "odd://bucket/to"):
        with pytest.raises(RequestError, match="leads out of|no name of a file|too long"):
            deliver({**files, name: files["a.txt"]}, to)
    assert not (tmp_path / "to").exists()
    assert MemoryFileSystem.store == Odd.store == {}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_notebook_cannot_write_elsewhere_by_the_name_of_an_output(name, store_folder):
    refused = pytest.raises(RequestError, match="leads out of|no name of a file|too long")
    with nbtools.start_run() as run, refused:
        run.output_path(name)


@pytest.mark.parametrize("name", ["a", "a/b", "...", "a..b", ".hidden", "a b", "ä", "x" * 255, "."])
def test_odd_names_that_lead_nowhere_else_are_taken(name, tmp_path):
    assert below(tmp_path, checked(name)).is_relative_to(tmp_path)


def test_a_link_in_the_target_does_not_lead_out_of_it(files, tmp_path):
    to, outside = tmp_path / "to", tmp_path / "outside"
    to.mkdir()
    outside.mkdir()
    (to / "sub").symlink_to(outside)
    with pytest.raises(RequestError, match="through a link that is there"):
        deliver(files, to)
    assert tree(outside) == tree(to) == set()
    (to / "sub").unlink()
    (outside / "precious").write_text("precious")
    (to / "a.txt").symlink_to(outside / "precious")
    with pytest.raises(RequestError, match="there already, and another"):
        deliver(files, to)
    deliver(files, to, overwrite=True)  # the link is replaced, not what it leads to
    assert (outside / "precious").read_text() == "precious"
    assert (to / "a.txt").read_text() == "one"
    assert not (to / "a.txt").is_symlink()


def test_links_out_of_a_job_s_folder_are_not_handed_out(tmp_path):
    root = tmp_path / "files"
    root.mkdir()
    (tmp_path / "secret").write_text("secret")
    (root / "own.txt").write_text("own")
    (root / "in").symlink_to("own.txt")
    (root / "out").symlink_to(tmp_path / "secret")
    (root / "folder").symlink_to("/etc")
    (root / "broken").symlink_to("nowhere")
    (root / "C:\\x").write_text("")
    os.mkfifo(root / "pipe")
    files, left_out = _files(root)
    assert set(files) == {"own.txt", "in"}
    assert set(left_out) == {"out", "folder", "C:\\x"}
    found = Outputs(None, None, files, {}, left_out)
    assert sorted(found.fetch(tmp_path / "to")) == [f"{tmp_path}/to/in", f"{tmp_path}/to/own.txt"]
    with pytest.raises(RequestError, match="a link that leads out of the job's folder"):
        found.fetch(tmp_path / "to", ["out"])


def test_a_file_called_as_the_notebook_is_not_lost(tmp_path):
    for name in ("work.ipynb", "own.ipynb"):
        (tmp_path / name).write_text(name)
    found = Outputs(tmp_path / "work.ipynb", None, {"work.ipynb": tmp_path / "own.ipynb"}, {})
    found.fetch(tmp_path / "to")
    assert (tmp_path / "to/work.ipynb").read_text() == "work.ipynb"
    assert (tmp_path / "to/files/work.ipynb").read_text() == "own.ipynb"


@pytest.mark.parametrize("uri", ["memory://bucket/deep/er", "odd://bucket/to", "file://{}/to"])
def test_files_arrive_at_a_uri_and_the_same_again_is_left(uri, files, tmp_path):
    uri = uri.format(tmp_path)
    there = deliver(files, uri)
    fs, root = fsspec.core.url_to_fs(uri)
    assert fs.cat_file(f"{root}/a.txt") == b"one"
    assert fs.cat_file(f"{root}/sub/b.bin") == files["sub/b.bin"].read_bytes()
    assert sorted(p.removeprefix(root).lstrip("/") for p in fs.find(root)) == ["a.txt", "sub/b.bin"]
    before = fs.modified(f"{root}/a.txt")
    assert deliver(files, uri) == there
    assert fs.modified(f"{root}/a.txt") == before
    files["a.txt"].write_text("two")
    with pytest.raises(RequestError, match="there already, and another; name another folder"):
        deliver(files, uri)
    assert fs.cat_file(f"{root}/a.txt") == b"one"
    deliver(files, uri, overwrite=True)
    assert fs.cat_file(f"{root}/a.txt") == b"two"


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (PermissionError("403 denied"), "you have no right to"),
        (ConnectionError("refused"), "it cannot be reached; the same command goes on"),
        (FileNotFoundError("bucket"), "there is no such bucket or folder"),
        (NotImplementedError("read only"), "it refuses"),
    ],
)
def test_what_a_remote_refuses_is_one_sentence_and_what_is_there_is_whole(error, says, files):
    Odd.raises, Odd.after = error, 1
    with pytest.raises(RequestError, match=says) as caught:
        deliver(files, "odd://bucket/to")
    assert "odd://bucket/to/sub/b.bin" in str(caught.value)
    assert "\n" not in str(caught.value)
    whole = [name for name in Odd.store if not name.endswith(".part")]
    assert whole == ["/bucket/to/a.txt"]
    Odd.raises = None
    deliver(files, "odd://bucket/to")  # and so it goes on
    assert sorted(Odd.store) == ["/bucket/to/a.txt", "/bucket/to/sub/b.bin"]


def test_a_package_that_is_missing_is_named_with_its_pip_line(files):
    with pytest.raises(MissingDependency, match="s3://bucket/to needs s3fs: pip install s3fs"):
        deliver(files, "s3://bucket/to")
    with pytest.raises(MissingDependency, match="needs paramiko: pip install paramiko"):
        deliver(files, "sftp://host/to")
    with pytest.raises(RequestError, match="give a URI that fsspec knows"):
        deliver(files, "moon://bucket/to")


def test_a_server_that_is_not_there_is_said_to_be_out_of_reach(files):
    with socket.socket() as taken:  # bound and not listening: nobody else can answer there
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(RequestError, match="cannot reach ftp://.*it cannot be reached"):
            deliver(files, f"ftp://127.0.0.1:{port}/to")


def test_a_folder_that_cannot_be_written(files, tmp_path):
    (tmp_path / "to").write_text("a file")
    with pytest.raises(RequestError, match="name a folder that can be written"):
        deliver(files, tmp_path / "to")
    (tmp_path / "folder/a.txt").mkdir(parents=True)
    with pytest.raises(RequestError, match="there already"):
        deliver(files, tmp_path / "folder")
    with pytest.raises(RequestError, match="cannot write .*a.txt: Is a directory"):
        deliver(files, tmp_path / "folder", overwrite=True)
    assert tree(tmp_path / "folder") == set()


KILLED = """
import os, signal, sys
from pathlib import Path
from nbtools.delivery import deliver
source, to, left = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
def hook(event, _):
    global left
    if event in ("os.rename", "shutil.copyfile", "shutil.copymode", "os.remove"):
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(hook)
deliver({p.name: p for p in sorted(source.iterdir()) if p.is_file()}, to)
"""


def test_killed_anywhere_what_is_there_is_whole_and_the_same_command_goes_on(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for name in "abc":
        (source / name).write_text(name * 100_000)
    for number in range(1, 100):
        to = tmp_path / str(number)
        command = [sys.executable, "-c", KILLED, source, to, str(number)]
        done = subprocess.run(command, check=False)
        there = [p for p in to.iterdir() if p.suffix != ".part"] if to.exists() else []
        assert all(p.read_text() == (source / p.name).read_text() for p in there)
        again = deliver({name: source / name for name in "abc"}, to)
        assert [Path(p).read_text()[0] for p in again] == ["a", "b", "c"]
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
    assert number > 5
