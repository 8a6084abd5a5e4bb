"""`nbtools store`, as its user calls it."""

import json
import shutil

import pytest

from nbtools.nouns import Context, utc_now
from nbtools.store import Store


@pytest.fixture
def store(store_folder):
    store = Store(store_folder)
    with store.write():
        for n in range(200):
            meta = {"x": "y" * 200}
            store.add(Context(name=f"c{n:03d}", schema_title="t", metadata=meta), utc_now())
    store.close()
    return store_folder / "store.sqlite"


def test_check_backup_damage_repair_and_back(call, store, tmp_path):
    done = call("store", "check")
    assert done.returncode == 0
    assert "contexts" in done.stdout
    assert "200 readable" in done.stdout
    assert call("store", "repair").stdout == "the store is sound: nothing to repair\n"
    done = call("store", "backup", "copy.sqlite")
    assert done.returncode == 0
    assert done.stdout.startswith(f"{tmp_path}/copy.sqlite  ")
    again = call("store", "backup", "copy.sqlite")
    assert again.returncode == 2
    assert "--force" in again.stderr
    assert call("store", "backup", "copy.sqlite", "--force").returncode == 0

    data = store.read_bytes()
    at = data.index(b"c100t{")  # where the record lies, not an index's entry of it
    page = at - at % 4096
    store.write_bytes(data[:page] + b"\xa5" * 4096 + data[page + 4096 :])
    done = call("store", "check")
    assert done.returncode == 1
    assert "`nbtools store repair` saves what can be read" in done.stdout
    assert any(c["mend"] for c in json.loads(call("store", "check", "--json").stdout))
    assert call("store", "backup", "other.sqlite").returncode == 2
    done = call("store", "repair", "--json")
    assert done.returncode == 0, done.stderr
    account = json.loads(done.stdout)
    assert 150 < account["rows"]["contexts"] < 200
    assert account["rows"]["contexts"] + account["lost"]["contexts"] == 200
    assert call("store", "check").returncode == 0
    assert call("runs", "list").returncode == 0

    shutil.copy(tmp_path / "copy.sqlite", store)
    assert "200 readable" in call("store", "check").stdout
    forced = call("store", "repair", "--force").stdout
    assert "the damaged file is kept as store/store.sqlite.damaged-" in forced
    assert forced.splitlines()[0].split() == ["TABLE", "SAVED", "MENDED", "LOST", "ORPHANS"]


def test_without_a_store_none_is_made(call, store_folder):
    for command in (["check"], ["repair"], ["backup", "x"]):
        done = call("store", *command)
        assert done.returncode == 2
        assert "there is no store in" in done.stderr
    assert not store_folder.exists()
