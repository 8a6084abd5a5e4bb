"""The HTTP door, spoken to without the SDK."""

import http.client
import json
import socket
import threading

import pytest

from nbtools.emulator import rest
from nbtools.nouns import RUN, Context

PATH = "/v1/projects/p/locations/us-central1/metadataStores/default/contexts"


@pytest.fixture
def ask(emulator):
    def ask(verb, path, body=None, headers=(), host=None):
        connection = http.client.HTTPConnection("127.0.0.1", emulator.http.port, timeout=30)
        sent = {"Host": host or f"127.0.0.1:{emulator.http.port}", **dict(headers)}
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection.request(verb, path, body, sent)
        answer = connection.getresponse()
        found = answer.status, json.loads(answer.read())
        connection.close()
        return found

    return ask


def test_a_resource_is_made_and_read_as_google_says_it(ask):
    status, made = ask(
        "POST", f"{PATH}?contextId=exp", {"schemaTitle": "system.Experiment", "displayName": "e"}
    )
    assert status == 200
    assert made["name"] == f"{PATH[4:]}/exp"
    assert made["createTime"].endswith("Z")
    assert made["etag"] == "1000000000001"
    assert ask("GET", f"{PATH}/exp") == (200, made)
    _, listed = ask("GET", f"{PATH}?filter=display_name%3D%22e%22&pageSize=5&$alt=json")
    assert listed == {"contexts": [made]}


def test_errors_have_googles_shape(ask):
    status, said = ask("GET", f"{PATH}/none")
    assert status == 404
    assert said["error"]["code"] == 404
    assert said["error"]["status"] == "NOT_FOUND"
    assert "contexts/none" in said["error"]["message"]


@pytest.mark.parametrize(
    ("verb", "path", "body", "status", "word"),
    [
        ("GET", "/v1/projects/p/locations/us-central1/endpoints", None, 501, "UNIMPLEMENTED"),
        ("GET", "/v1/projects/p/locations/l/notebookRuntimes", None, 501, "UNIMPLEMENTED"),
        ("GET", "/v1beta1/projects/p/locations/l/metadataStores", None, 501, "UNIMPLEMENTED"),
        ("POST", f"{PATH[:-9]}:setIamPolicy", {}, 501, "UNIMPLEMENTED"),
        ("POST", f"{PATH[:-9]}:getIamPolicy", {}, 501, "UNIMPLEMENTED"),
        ("GET", "/etc/passwd", None, 501, "UNIMPLEMENTED"),
        ("PUT", f"{PATH}/a", {}, 501, "UNIMPLEMENTED"),
        ("POST", PATH, b"{", 400, "INVALID_ARGUMENT"),
        ("POST", PATH, {"schema": 5}, 400, "INVALID_ARGUMENT"),
        ("POST", PATH, {"displayName": 5}, 400, "INVALID_ARGUMENT"),
        ("GET", f"{PATH}?color=red", None, 400, "INVALID_ARGUMENT"),
        ("GET", f"{PATH}?filter=color%3D1", None, 400, "INVALID_ARGUMENT"),
        ("GET", f"{PATH}?pageSize=many", None, 400, "INVALID_ARGUMENT"),
        ("POST", f"{PATH}?contextId=Not_an_Id", {}, 400, "INVALID_ARGUMENT"),
    ],
)
def test_what_is_not_understood_is_refused(ask, verb, path, body, status, word):
    found, said = ask(verb, path, body)
    assert (found, said["error"]["status"]) == (status, word)


@pytest.mark.parametrize(
    ("host", "headers"),
    [
        ("evil.example", ()),
        ("evil.example:80", ()),
        ("127.0.0.1", ()),  # without the port that a program names
        (None, (("Origin", "https://evil.example"),)),
        (None, (("Origin", "null"),)),
    ],
)
def test_web_pages_are_refused(ask, emulator, host, headers):
    status, said = ask("POST", f"{PATH}?contextId=exp", {}, headers, host)
    assert (status, said["error"]["status"]) == (403, "PERMISSION_DENIED")
    assert emulator.store.select(Context) == []


def test_a_form_of_a_web_page_is_refused(ask, emulator):
    status, _ = ask("POST", f"{PATH}?contextId=exp", b"{}", (("Content-Type", "text/plain"),))
    assert status == 400
    assert emulator.store.select(Context) == []


def test_it_listens_on_loopback_only(emulator):
    assert emulator.http.server_address[0] == "127.0.0.1"


def test_a_request_that_is_too_large_is_refused_before_it_is_read(emulator):
    with socket.create_connection(("127.0.0.1", emulator.http.port), 30) as one:
        one.sendall(
            f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1:{emulator.http.port}\r\n"
            f"Content-Length: {rest.LARGEST + 1}\r\n\r\n".encode()
        )
        assert one.recv(1000).startswith(b"HTTP/1.1 400 ")
        assert one.recv(1000) == b""  # and that was it


@pytest.mark.parametrize("line", ["Transfer-Encoding: chunked", "Content-Length: -5"])
def test_a_body_whose_length_is_not_said_is_refused(emulator, line):
    with socket.create_connection(("127.0.0.1", emulator.http.port), 30) as one:
        one.sendall(f"POST {PATH} HTTP/1.1\r\nHost: x\r\n{line}\r\n\r\n".encode())
        assert one.recv(1000).startswith(b"HTTP/1.1 400 ")


def test_a_reply_is_one_write_on_a_connection_that_stays(emulator, monkeypatch):
    """Two small writes would wait for each other's acknowledgement."""
    writes = []
    send = socket.socket.sendall

    def sendall(self, data, *more):
        writes.append((self.getsockname()[1] == emulator.http.port, bytes(data)))
        return send(self, data, *more)

    monkeypatch.setattr(socket.socket, "sendall", sendall)
    connection = http.client.HTTPConnection("127.0.0.1", emulator.http.port)
    for _ in range(3):
        connection.request("GET", "/")
        connection.getresponse().read()
        assert connection.sock is not None
    served = [data for ours, data in writes if ours]
    assert len(served) == 3
    assert all(data.endswith(b"}") for data in served)


def test_nagle_is_off(emulator):
    found = []
    finish = rest.Handler.setup

    class Noting(rest.Handler):
        def setup(self):
            finish(self)
            option = self.connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            found.append(option)

    emulator.http.RequestHandlerClass = Noting
    connection = http.client.HTTPConnection("127.0.0.1", emulator.http.port)
    connection.request("GET", "/")
    connection.getresponse().read()
    assert found and all(found)


def test_fifty_clients_at_once_lose_nothing(ask, emulator):
    ask("POST", f"{PATH}?contextId=exp", {"schemaTitle": "system.Experiment"})
    failures = []

    def client(number):
        for step in range(10):
            name = f"exp-r{number}-{step}"
            status, said = ask(
                "POST",
                f"{PATH}?contextId={name}",
                {
                    "schemaTitle": "system.ExperimentRun",
                    "displayName": name[4:],
                    "metadata": {"_params": {"n": number}},
                },
            )
            again, _ = ask("GET", f"{PATH}/{name}")
            if (status, again) != (200, 200):
                failures.append(said)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(emulator.store.select(Context, RUN)) == 500


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20 + b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n",
        b"GET /%ff%00?%ff=%00 HTTP/1.1\r\nHost: \xff\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 99\r\n\r\nshort",
        b"OPTIONS * HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_no_request_harms_nobody(ask, emulator, capfd, sent):
    with socket.create_connection(("127.0.0.1", emulator.http.port), 30) as one:
        one.sendall(sent)
        one.shutdown(socket.SHUT_WR)
        answer = one.makefile("rb").read()
    status = answer.partition(b"\r\n")[0]
    assert b" 200 " not in status
    assert b" 500 " not in status
    assert "Traceback" not in capfd.readouterr().err
    assert ask("GET", "/")[0] == 200


def test_an_odd_path_is_refused(ask):
    for path in (f"{PATH}/%2e%2e%2f", f"{PATH}/%ff", "/v1/projects/p//x", "/%7B%7D", "/v1:x:y"):
        assert ask("GET", path)[0] in (400, 404, 501)


def test_who_insists_on_signing_in_gets_a_token(ask):
    status, token = ask("POST", "/token", b"grant_type=x", (("Content-Type", "text/plain"),))
    assert status == 200
    assert token["token_type"] == "Bearer"
