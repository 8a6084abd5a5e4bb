"""What `gs://` URIs are on disk."""

import pytest

from nbtools.emulator import buckets
from nbtools.errors import NotFound, RequestError

NAMES = ["a", "a/b", "a/b/c", "a//b", "a/", "a%", "a%25", "%", "%/%", "/", "//", "é/ü.csv", ".x"]


def test_an_object_is_a_file_and_a_file_an_object(tmp_path):
    buckets.write(tmp_path, "gs://bucket/data/x.csv", b"1,2")
    file = tmp_path / "emulator/buckets/bucket/data/x.csv"
    assert file == buckets.path(tmp_path, "gs://bucket/data/x.csv")
    assert file.read_bytes() == b"1,2"
    file.with_name("y.csv").write_bytes(b"3")
    assert buckets.read(tmp_path, "gs://bucket/data/y.csv") == b"3"
    assert buckets.names(tmp_path, "gs://bucket/data/") == [
        "gs://bucket/data/x.csv", "gs://bucket/data/y.csv",
    ]  # fmt: skip


@pytest.mark.parametrize("names", [NAMES, NAMES[::-1]], ids=["up", "down"])
def test_any_name_beside_any_other(tmp_path, names):
    for name in names:
        buckets.write(tmp_path, f"gs://bucket/{name}", name.encode())
    listed = buckets.names(tmp_path, "gs://bucket/")
    assert listed == sorted(f"gs://bucket/{name}" for name in names)
    for uri in listed:
        assert buckets.read(tmp_path, uri).decode() == uri.removeprefix("gs://bucket/")
    for uri in listed:
        buckets.remove(tmp_path, uri)
        assert uri not in buckets.names(tmp_path, "gs://bucket/")
    assert buckets.names(tmp_path, "gs://bucket/") == []
    assert list((buckets.folder(tmp_path) / "bucket").iterdir()) == []


@pytest.mark.parametrize(
    "uri",
    ["gs://bucket/../other/x", "gs://bucket/a/..", "gs://bucket/./x", "gs://bucket/", "gs://bucket",
     "gs://../x", "gs://.parts/x", "gs://B/x", "gs:///x", "s3://bucket/x", "/bucket/x", "",
     "gs://bucket/a\nb", "gs://bucket/" + "x" * 300, "gs://bucket/" + "x/" * 600 + "x"],
)  # fmt: skip
def test_what_would_lie_elsewhere_is_refused(tmp_path, uri):
    with pytest.raises(RequestError):
        buckets.path(tmp_path, uri)
    with pytest.raises(RequestError):
        buckets.write(tmp_path, uri, b"")
    assert not buckets.folder(tmp_path).exists()


def test_an_object_that_is_not_there(tmp_path):
    buckets.write(tmp_path, "gs://bucket/a", b"")
    for uri in ("gs://bucket/b", "gs://bucket/a/b", "gs://other/a"):
        with pytest.raises(NotFound, match="no object"):
            buckets.read(tmp_path, uri)
        with pytest.raises(NotFound, match="no object"):
            buckets.remove(tmp_path, uri)
