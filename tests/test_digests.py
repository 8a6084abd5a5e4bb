"""Digests of files: remembered for large ones, and never those of something else."""

import hashlib
import os
import subprocess
import sys
import time

import pytest

from nbtools import digests
from nbtools.digests import Digests
from nbtools.errors import RequestError

LARGE = b"x" * digests.WORTH
LATER = time.time_ns() + 10**12  # a file of today was settled long before this


@pytest.fixture
def reads(monkeypatch):
    """The files whose bytes were read."""
    seen, real = [], hashlib.file_digest
    monkeypatch.setattr(
        hashlib, "file_digest", lambda file, name: seen.append(file.name) or real(file, name)
    )
    return seen


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def test_a_large_file_is_read_once(tmp_path, reads):
    path = tmp_path / "large"
    path.write_bytes(LARGE)
    for _ in range(3):  # each as a process of its own would
        assert Digests(tmp_path / "store", lambda: LATER).of(path) == sha256(LARGE)
    assert len(reads) == 1


def test_a_small_file_and_one_without_a_store_leave_nothing(tmp_path):
    (tmp_path / "small").write_bytes(b"1")
    (tmp_path / "large").write_bytes(LARGE)
    assert Digests(tmp_path / "store").of(tmp_path / "small") == sha256(b"1")
    assert Digests(None).of(tmp_path / "large") == sha256(LARGE)
    assert not (tmp_path / "store").exists()


def rewritten(path):
    path.write_bytes(b"y" + LARGE[1:])


def rewritten_with_its_old_times(path):
    before = path.stat()
    rewritten(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replaced_with_its_old_times(path):
    beside = path.with_name("beside")
    beside.write_bytes(b"z" + LARGE[1:])
    os.utime(beside, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    beside.replace(path)


def appended(path):
    path.write_bytes(LARGE + b"1")


@pytest.mark.parametrize(
    "change", [rewritten, rewritten_with_its_old_times, replaced_with_its_old_times, appended]
)
def test_a_changed_file_is_read_again(tmp_path, change):
    path = tmp_path / "large"
    path.write_bytes(LARGE)
    known = Digests(tmp_path / "store", lambda: LATER)
    known.of(path)
    time.sleep(0.02)  # the file system's clock moves in steps
    change(path)
    assert known.of(path) == sha256(path.read_bytes()) != sha256(LARGE)


def test_a_file_written_a_moment_ago_is_not_remembered(tmp_path, reads):
    path = tmp_path / "large"
    path.write_bytes(LARGE)
    for _ in range(2):
        Digests(tmp_path / "store", lambda: path.stat().st_mtime_ns + digests.TICK).of(path)
    assert len(reads) == 2


def test_a_damaged_memory_is_not_believed(tmp_path):
    path = tmp_path / "large"
    path.write_bytes(LARGE)
    known = Digests(tmp_path / "store", lambda: LATER)
    known.of(path)
    (note,) = (tmp_path / "store/digests").iterdir()
    for damage in (b"", b"\xff\xfe", note.read_bytes()[:-30], b"1 2 3"):
        note.write_bytes(damage)
        assert known.of(path) == sha256(LARGE)


def test_a_memory_that_cannot_be_written_is_no_failure(tmp_path):
    (tmp_path / "store").touch()
    (tmp_path / "large").write_bytes(LARGE)
    known = Digests(tmp_path / "store", lambda: LATER)
    assert known.of(tmp_path / "large") == sha256(LARGE)


def test_several_processes_remember_at_once(tmp_path):
    path = tmp_path / "large"
    path.write_bytes(LARGE)
    code = (
        "import sys; from pathlib import Path; from nbtools.digests import Digests\n"
        f"d = Digests(Path(sys.argv[2]), lambda: {LATER})\n"
        "print({d.of(Path(sys.argv[1])) for _ in range(50)} or 0)"
    )
    command = [sys.executable, "-c", code, str(path), str(tmp_path / "store")]
    several = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert {p.communicate()[0].strip() for p in several} == {str({sha256(LARGE)})}
    assert len(list((tmp_path / "store/digests").iterdir())) == 1


def test_what_cannot_be_read_is_told(tmp_path):
    with pytest.raises(RequestError, match="cannot read .*: No such file or directory; mend"):
        Digests(tmp_path).of(tmp_path / "nothing")
    with pytest.raises(RequestError, match="cannot read .*: Is a directory"):
        digests.digest(tmp_path)
