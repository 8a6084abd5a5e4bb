"""Cloud Storage's own clients and gcsfs, unmodified, over sockets."""

import ast
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import fsspec
import pandas as pd
import pytest
from google.api_core.exceptions import Conflict, NotFound, PreconditionFailed
from google.cloud import storage as gcs

from nbtools.emulator import buckets, lifecycle, storage
from nbtools.emulator.objects import Objects

ALONE = """
import sys
from pathlib import Path
from nbtools.emulator import storage
server = storage.Server(int(sys.argv[2]), Path(sys.argv[1]))
print(server.port, flush=True)
server.serve_forever()
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = storage.Server(0, buckets.folder(tmp_path_factory.mktemp("store")))
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", server.url)
        patch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
        patch.setenv("FSSPEC_GS_TOKEN", "anon")
        patch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
        yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def client(server):
    return gcs.Client(project="test")


@pytest.fixture
def gs(server):
    return fsspec.filesystem("gs", endpoint_url=server.url, token="anon", skip_instance_cache=True)


def md5(content):
    return b64encode(hashlib.md5(content).digest()).decode()


def test_blobs_are_written_read_listed_and_deleted(client, server):
    bucket = client.bucket("blobs")
    bucket.blob("dir/x.txt").upload_from_string("hello", content_type="text/plain")
    found = bucket.get_blob("dir/x.txt")
    assert (found.size, found.content_type, found.metageneration) == (5, "text/plain", 1)
    assert found.md5_hash == md5(b"hello")
    assert (server.folder / "blobs/dir/x.txt").read_bytes() == b"hello"
    assert found.generation == (server.folder / "blobs/dir/x.txt").stat().st_mtime_ns
    assert found.download_as_bytes(start=1, end=2) == b"el"
    found.metadata = {"step": "3"}
    found.patch()
    assert bucket.get_blob("dir/x.txt").metadata == {"step": "3"}
    assert bucket.get_blob("dir/x.txt").metageneration == 2
    found.delete()
    assert bucket.get_blob("dir/x.txt") is None
    with pytest.raises(NotFound, match="of blobs/dir/x.txt"):
        found.download_as_bytes()
    assert not (server.folder / "blobs/dir").exists()


@pytest.mark.parametrize("chunk", [None, 1 << 18])
def test_what_is_large_comes_in_parts(client, chunk):
    content = os.urandom(9_000_000)
    blob = client.bucket("large").blob("big", chunk_size=chunk)
    blob.upload_from_string(content)
    assert blob.md5_hash == md5(content)
    assert client.bucket("large").get_blob("big").download_as_bytes() == content
    with client.bucket("large").blob("streamed").open("wb", chunk_size=1 << 18) as file:
        for at in range(0, 1_000_000, 1000):
            file.write(content[at : at + 1000])
    assert client.bucket("large").blob("streamed").download_as_bytes() == content[:1_000_000]


@pytest.mark.parametrize("name", ["a %25?b#c&d", "a//b", "a/", "é/ü", "%", "x\\y", "a+b c"])
def test_any_name_comes_back(client, name):
    bucket = client.bucket("names")
    bucket.blob(name).upload_from_string(name.encode())
    assert bucket.get_blob(name).download_as_bytes().decode() == name
    assert name in [blob.name for blob in client.list_blobs("names", prefix=name[:1])]
    assert b"names" in urllib.request.urlopen(bucket.get_blob(name).self_link, timeout=30).read()


def test_objects_are_listed_by_pages_folders_and_globs(client):
    bucket = client.bucket("lists")
    for number in range(25):
        bucket.blob(f"part-{number:02}/x.csv").upload_from_string("")
    bucket.blob("top").upload_from_string("")
    assert len(list(client.list_blobs("lists", page_size=4))) == 26
    assert len(list(client.list_blobs("lists", max_results=3))) == 3
    found = client.list_blobs("lists", delimiter="/", page_size=7)
    assert [blob.name for blob in found] == ["top"]
    assert len(found.prefixes) == 25
    assert [b.name for b in client.list_blobs("lists", match_glob="*-03/*")] == ["part-03/x.csv"]
    between = client.list_blobs("lists", start_offset="part-03", end_offset="part-05")
    assert [blob.name for blob in between] == ["part-03/x.csv", "part-04/x.csv"]


def test_objects_are_copied_composed_renamed_and_deleted_together(client):
    bucket = client.bucket("copies")
    blob = bucket.blob("one")
    blob.upload_from_string("1")
    assert bucket.copy_blob(blob, client.bucket("copies-too"), "two").size == 1
    made = bucket.blob("both")
    made.compose([blob, blob])
    assert made.download_as_bytes() == b"11"
    bucket.rename_blob(made, "other")
    assert not made.exists()
    with client.batch():
        bucket.blob("one").delete()
        bucket.blob("other").delete()
    assert list(client.list_blobs("copies")) == []


def test_a_condition_holds_or_nothing_is_done(client):
    bucket = client.bucket("conditions")
    blob = bucket.blob("x")
    blob.upload_from_string("1", if_generation_match=0)
    for wrong in (0, 5):
        with pytest.raises(PreconditionFailed, match="generation of conditions/x"):
            bucket.blob("x").upload_from_string("2", if_generation_match=wrong)
        with pytest.raises(PreconditionFailed):
            bucket.blob("x").delete(if_generation_match=wrong)
    large = bucket.blob("x", chunk_size=1 << 18)
    with pytest.raises(PreconditionFailed):
        large.upload_from_string(b"2" * 600_000, if_generation_match=0)
    assert bucket.blob("x").download_as_bytes() == b"1"
    before = blob.generation
    bucket.blob("x").upload_from_string("2", if_generation_match=before)
    with pytest.raises(NotFound, match="no generation"):
        blob.download_as_bytes()  # that of the generation before


def test_a_bucket_is_there_when_it_is_named_until_it_is_deleted(client):
    assert client.get_bucket("staging").exists()
    bucket = client.bucket("staging")
    assert list(bucket.list_blobs()) == []
    bucket.blob("x").upload_from_string("")
    with pytest.raises(Conflict):
        bucket.delete()
    bucket.blob("x").delete()
    bucket.delete()
    assert not bucket.exists()
    with pytest.raises(NotFound):
        bucket.blob("x").upload_from_string("")
    assert client.create_bucket("staging").exists()
    with pytest.raises(Conflict):
        client.create_bucket("staging")
    assert "staging" in [found.name for found in client.list_buckets()]


def test_a_file_that_somebody_puts_there_is_an_object(client, server):
    bucket = client.bucket("dropped")
    bucket.blob("x.csv").upload_from_string("a,b", content_type="text/other")
    file = server.folder / "dropped/x.csv"
    file.write_bytes(b"changed")
    found = bucket.get_blob("x.csv")
    assert (found.md5_hash, found.content_type) == (md5(b"changed"), "text/csv")
    assert found.download_as_bytes() == b"changed"
    buckets.write(server.folder.parents[1], "gs://dropped/y/z", b"ours")
    assert bucket.blob("y/z").download_as_bytes() == b"ours"


def test_fsspec_reads_and_writes(gs):
    content = os.urandom(6_000_000)
    with gs.open("gs://files/dir/big", "wb", block_size=1 << 18) as file:
        file.write(content)
    with gs.open("gs://files/dir/big", "rb") as file:
        file.seek(1000)
        assert file.read(1000) == content[1000:2000]
    assert gs.cat("gs://files/dir/big") == content
    assert gs.cat_file("gs://files/dir/big", start=-5) == content[-5:]
    gs.pipe("gs://files/x.json", b'{"a": 1}')
    gs.mv("gs://files/x.json", "gs://files/dir/y.json")
    assert gs.find("files") == ["files/dir/big", "files/dir/y.json"]
    assert gs.cat("gs://files/dir/y.json") == b'{"a": 1}'
    gs.touch("gs://files/empty")
    assert gs.cat("gs://files/empty") == b""
    gs.rm("gs://files/dir", recursive=True)
    assert gs.find("files") == ["files/empty"]
    with pytest.raises(FileNotFoundError):
        gs.cat("gs://files/dir/y.json")


def test_pandas_reads_and_writes(server):
    options = {"endpoint_url": server.url, "token": "anon"}
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    frame.to_csv("gs://frames/x.csv", index=False, storage_options=options)
    assert pd.read_csv("gs://frames/x.csv", storage_options=options).equals(frame)


def raw(server, path, method="GET", body=None, **headers):
    host, port = server.server_address
    lines = {"Host": f"127.0.0.1:{port}", "Connection": "close", **headers}
    if body is not None:
        lines["Content-Length"] = str(len(body))
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    with socket.create_connection((host, port), timeout=30) as to:
        to.sendall(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + (body or b""))
        return b"".join(iter(lambda: to.recv(65536), b""))


def test_web_pages_and_what_would_leave_the_folder_are_refused(server, client):
    client.bucket("safe").blob("x").upload_from_string("1")
    for headers in ({"Host": "evil.example:80"}, {"Origin": "https://evil.example"}):
        assert raw(server, "/safe/x", **headers).startswith(b"HTTP/1.1 403 ")
    assert raw(server, "/wipe").startswith(b"HTTP/1.1 501 ")
    assert raw(server, "/storage/v1/b/safe/notification").startswith(b"HTTP/1.1 501 ")
    for name in ("..%2F..%2Fstore.sqlite", "..%2F.lock", "%2E%2E"):
        path = f"/storage/v1/b/safe/o/{name}"
        assert raw(server, f"{path}?alt=media").startswith(b"HTTP/1.1 404 ")
        upload = f"/upload/storage/v1/b/safe/o?uploadType=media&name={name}"
        assert raw(server, upload, "POST", b"x").startswith(b"HTTP/1.1 400 ")
    assert raw(server, "/storage/v1/b/.objects").startswith(b"HTTP/1.1 400 ")
    assert raw(server, "/safe/x", "PUT", **{"Content-Length": str(2**40)}).startswith(
        b"HTTP/1.1 413 "
    )
    assert raw(server, "/safe/x", Range="bytes=5-").startswith(b"HTTP/1.1 416 ")
    assert raw(server, "/safe/x").endswith(b"\r\n\r\n1")
    assert raw(server, "/safe/x", "HEAD").endswith(b"\r\n\r\n")


def test_a_body_is_an_objects_content_whatever_it_is(server, client):
    for name, kind in (("a.json", "application/json"), ("b.eml", "multipart/mixed; boundary=x")):
        said = {"Content-Type": kind}
        path = f"/upload/storage/v1/b/bodies/o?uploadType=media&name={name}"
        assert raw(server, path, "POST", b"{}", **said).startswith(b"HTTP/1.1 200 ")
        assert raw(server, f"/bodies/too-{name}", "PUT", b"{}", **said).startswith(b"HTTP/1.1 200 ")
        assert client.bucket("bodies").blob(name).download_as_bytes() == b"{}"
        assert client.bucket("bodies").blob(f"too-{name}").download_as_bytes() == b"{}"
    path = "/upload/storage/v1/b/bodies/o?uploadType=media&name=empty"
    assert raw(server, path, "POST", b"").startswith(b"HTTP/1.1 200 ")
    chunks = b"3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n"
    host, port = server.server_address
    with socket.create_connection((host, port), timeout=30) as to:
        head = f"Host: 127.0.0.1:{port}\r\nTransfer-Encoding: chunked\r\nConnection: close"
        to.sendall(f"PUT /bodies/chunked HTTP/1.1\r\n{head}\r\n\r\n".encode() + chunks)
        assert to.recv(100).startswith(b"HTTP/1.1 200 ")
    assert client.bucket("bodies").blob("chunked").download_as_bytes() == b"abcd"


def test_fifty_clients_at_once(server):
    """Each adds one to the same object; none is lost. And each has an object of its own."""
    gcs.Client(project="test").bucket("many").blob("count").upload_from_string("0")
    ready = threading.Barrier(50)

    def work(number):
        bucket = gcs.Client(project="test").bucket("many")
        ready.wait(60)
        bucket.blob(f"own/{number}").upload_from_string(bytes([number]) * 10_000)
        while True:
            blob = bucket.get_blob("count")
            try:
                found = int(blob.download_as_bytes())
                blob.upload_from_string(str(found + 1), if_generation_match=blob.generation)
                break
            except (PreconditionFailed, NotFound):  # another was faster
                continue
        return bucket.blob(f"own/{number}").download_as_bytes() == bytes([number]) * 10_000

    with ThreadPoolExecutor(50) as pool:
        assert all(pool.map(work, range(50)))
    bucket = gcs.Client(project="test").bucket("many")
    assert bucket.blob("count").download_as_bytes() == b"50"
    assert len(list(bucket.list_blobs(prefix="own/"))) == 50
    assert list((server.folder / ".parts").iterdir()) == []


def test_killed_while_it_writes_an_object_is_the_one_before_or_the_one_after(tmp_path):
    """Contents of one letter each, so that a mixture shows."""
    folder, acknowledged, port = buckets.folder(tmp_path), {}, 0
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", ALONE, str(folder), str(port)], stdout=subprocess.PIPE
        )
        port = int(process.stdout.readline())
        url, stop, enough = f"http://127.0.0.1:{port}", threading.Event(), threading.Event()

        def look(url=url):
            for name, (generation, _) in acknowledged.items():
                with urllib.request.urlopen(f"{url}/storage/v1/b/bucket/o/{name}") as answer:
                    told = json.load(answer)
                with urllib.request.urlopen(f"{url}/bucket/{name}") as answer:
                    content = answer.read()
                assert int(told["generation"]) >= generation
                assert told["md5Hash"] == md5(content)
                assert (len(set(content)), len(content)) == (1, int(told["size"]))
            listed = json.load(urllib.request.urlopen(f"{url}/storage/v1/b/bucket/o"))
            assert {item["name"] for item in listed.get("items", [])} >= set(acknowledged)

        def write(number, url=url, stop=stop, enough=enough):
            for step in range(10_000):
                content = bytes([65 + step % 26]) * (200_000 + step)
                name = f"x{number}-{step % 3}"
                path = f"/upload/storage/v1/b/bucket/o?uploadType=media&name={name}"
                try:
                    with urllib.request.urlopen(f"{url}{path}", content, timeout=30) as answer:
                        told = json.load(answer)
                except (OSError, ValueError):
                    return
                acknowledged[name] = int(told["generation"]), step
                if step > 20:
                    enough.set()

        look()
        threads = [threading.Thread(target=write, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        assert enough.wait(60)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        for thread in threads:
            thread.join()
    again = storage.Server(0, folder)
    threading.Thread(target=again.serve_forever, args=(0.02,), daemon=True).start()
    look(again.url)
    again.shutdown()
    again.server_close()


def test_what_nobody_has_ended_is_deleted_after_a_week(tmp_path):
    folder = buckets.folder(tmp_path)
    made = Objects(folder, "http://127.0.0.1:1")
    made.create_bucket("bucket", {"name": "bucket"})
    upload = made.create_resumable_upload("bucket", "x", {"name": "x", "bucket": "bucket"})
    part = buckets.spare(folder)
    part.write_bytes(b"1")
    assert Objects(folder, "").get_resumable_file_obj(upload)["name"] == "x"
    for left in (part, *(folder / ".uploads").iterdir()):
        os.utime(left, (time.time() - 8 * 86_400,) * 2)
    Objects(folder, "")
    assert not part.exists()
    assert list((folder / ".uploads").iterdir()) == []


def test_all_that_its_handlers_ask_is_there():
    """A new release of that package may ask more of where objects are kept."""
    folder = Path(find_spec("gcp_storage_emulator.handlers").submodule_search_locations[0])
    asked = {
        node.attr
        for path in folder.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "storage"
    }
    inherited = {"get_file_list", "wipe"}  # over what is ours
    assert asked - set(vars(Objects)) <= inherited
    assert len(asked) > 10


@pytest.mark.slow
def test_programs_of_the_environment_need_no_change(call, store_folder, make_notebook, tmp_path):
    """pandas, with pyarrow's own client, and nbtools' commands; and a script of Google's SDK."""
    assert call("emulator", "start").returncode == 0
    found = lifecycle.running(store_folder)
    try:
        env = {**os.environ, **lifecycle.variables(store_folder, found, "rest", os.environ)}
        code = """
import numpy, pandas, nbtools
from google.cloud import aiplatform, storage
from sklearn.linear_model import LinearRegression
frame = pandas.DataFrame({"a": [1, 2]})
frame.to_csv("gs://data/x.csv", index=False)
frame.to_parquet("gs://data/x.parquet")
assert pandas.read_csv("gs://data/x.csv").equals(frame)
assert pandas.read_parquet("gs://data/x.parquet").equals(frame)
assert storage.Client().bucket("data").get_blob("x.csv").size == 6
with nbtools.start_run("reads"):
    with nbtools.open_input("gs://data/x.csv") as file:
        assert file.read() == b"a\\n1\\n2\\n"
model = LinearRegression().fit([[0], [1]], [0, 2])
for transport in ("rest", "grpc"):
    aiplatform.init(experiment="models", staging_bucket="gs://stage", api_transport=transport)
    saved = aiplatform.save_model(model, f"saved-{transport}")
    assert round(saved.load_model().predict([[3]])[0], 6) == 6
    with aiplatform.start_run(f"run-{transport}") as run:
        aiplatform.log_model(model, f"logged-{transport}", input_example=numpy.array([[1]]))
        (logged,) = run.get_experiment_models()
        assert logged.resource_name.endswith(f"/artifacts/logged-{transport}")
    again = aiplatform.get_experiment_model(f"logged-{transport}")
    assert round(again.load_model().predict([[3]])[0], 6) == 6
    try:
        again.register_model(serving_container_image_uri="image")
    except Exception as error:
        print(error.code.value)
"""
        done = subprocess.run(
            [sys.executable, "-c", code], env=env, cwd=tmp_path, capture_output=True, text=True
        )
        assert done.stdout.split().count("501") == 2, done.stderr
        assert buckets.names(store_folder, "gs://data/") == [
            "gs://data/x.csv",
            "gs://data/x.parquet",
        ]
        notebook = make_notebook(
            "read.ipynb", "import pandas", "pandas.read_csv('gs://data/x.csv')"
        )
        done = call("run", notebook, "--vertex", "local")
        assert done.returncode == 0, done.stderr
        assert call("outputs", "fetch", "last", "--to", "gs://out/read", env=env).returncode == 0
        assert b"gs://data" in buckets.read(store_folder, "gs://out/read/read.ipynb")
        assert json.loads(call("emulator", "status", "--json").stdout)["storage"] == found.storage
    finally:
        os.kill(found.pid, signal.SIGKILL)
    with pytest.raises(OSError, match=r"refused|reset"):
        for _ in range(1000):  # it ends with it, at once
            urllib.request.urlopen(f"{found.storage}/data/x.csv", timeout=30).close()
            time.sleep(0.01)
    assert call("emulator", "start").returncode == 0
    again = lifecycle.running(store_folder)
    assert again.storage == found.storage
    with urllib.request.urlopen(f"{again.storage}/data/x.csv") as answer:
        assert answer.read() == b"a\n1\n2\n"
    call("emulator", "stop")
