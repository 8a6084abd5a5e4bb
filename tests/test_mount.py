"""Where a store may not share memory with other hosts."""

import sqlite3
from pathlib import Path

import pytest

from nbtools import mount
from nbtools.store import Store

MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
server:/home /home nfs4 rw 0 0
/dev/sdb1 /home/me/fast ext4 rw 0 0
bucket /gcs/my\\040bucket fuse.gcsfuse rw 0 0
overlay /layers fuse.fuse-overlayfs rw 0 0
broken
"""


@pytest.mark.parametrize(
    ("folder", "shared"),
    [
        ("/var/store", False),
        ("/home/me", True),
        ("/home/me/fast/x", False),
        ("/homes", False),
        ("/gcs/my bucket/x", True),
        ("/layers/x", False),
    ],
)
def test_the_innermost_mount_says_it(folder, shared):
    assert mount.is_shared(Path(folder), MOUNTS) is shared


def test_without_a_list_of_mounts_a_folder_is_local():
    assert mount.is_shared(Path("/x"), "") is False
    assert mount.is_shared(Path("/proc")) is False


@pytest.mark.parametrize(("shared", "mode"), [(True, "delete"), (False, "wal")])
def test_a_shared_store_has_no_memory_beside_it(tmp_path, monkeypatch, shared, mode):
    monkeypatch.setattr(mount, "is_shared", lambda folder: shared)
    store = Store(tmp_path)
    assert (tmp_path / "store.sqlite-shm").exists() is not shared
    store.close()
    (found,) = sqlite3.connect(tmp_path / "store.sqlite").execute("PRAGMA journal_mode").fetchone()
    assert found == mode
