"""What --dry-run shows is what Google's client would send; and what comes back of a list."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from nbtools.cloud import Endpoint
from nbtools.errors import StateError
from nbtools.workbench import client
from nbtools.workbench.request import RPCS, Request


def test_every_route_is_that_of_the_installed_client():
    from nbtools.emulator import catalog
    from nbtools.emulator.transcoding import _VARIABLE

    known = catalog.load().methods
    assert set(RPCS) <= set(known)
    compared = 0
    for name, (verb, path, body) in RPCS.items():
        for route in known[name].routes:  # notebooks_v1's client knows no REST
            plain = _VARIABLE.sub(lambda found: f"{{{found[1]}}}", route.template)
            camel = plain.replace("notebook_instance", "notebookInstance")
            field = "".join(w.title() if i else w for i, w in enumerate(route.body.split("_")))
            assert (verb, path, body) == (route.verb, camel, field), name
            compared += 1
    assert compared == len(RPCS) - 2


def test_fields_go_into_path_query_and_body():
    update = Request(
        "notebooks_v2.NotebookService.UpdateInstance",
        {"instance": {"name": "projects/p/locations/l/instances/i", "labels": {"a": "b"}},
         "updateMask": "labels"},
    )  # fmt: skip
    assert update.record() == {
        "method": "PATCH",
        "url": "https://notebooks.googleapis.com/v2/projects/p/locations/l/instances/i",
        "query": {"updateMask": "labels"},
        "body": {"labels": {"a": "b"}},
    }
    assert update.fields["instance"]["name"]  # what is shown is not taken from what is sent
    start = Request("notebooks_v2.NotebookService.StartInstance", {"name": "projects/p/x"})
    assert start.record()["body"] == {}
    check = {"diagnosticConfig": {"gcsBucket": "gs://b"}, "name": "projects/p/x"}
    record = Request("notebooks_v2.NotebookService.DiagnoseInstance", check).record()
    assert record["body"] == {"diagnosticConfig": {"gcsBucket": "gs://b"}}  # all but the path
    assert "query" not in record
    listed = Request(
        "NotebookService.ListNotebookRuntimeTemplates", {"parent": "projects/p/locations/eu-west1"}
    )
    assert listed.record() == {
        "method": "GET",
        "url": "https://eu-west1-aiplatform.googleapis.com/v1/projects/p/locations/eu-west1/"
        "notebookRuntimeTemplates",
    }


@pytest.fixture
def answering():
    """A service that answers with those pages, one after the other."""

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self):
            body = json.dumps(pages.pop(0)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    pages = []
    server = HTTPServer(("127.0.0.1", 0), Pages)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()

    def answering(*said):
        pages[:] = said
        return Endpoint(rest=f"http://127.0.0.1:{server.server_port}")

    yield answering
    server.shutdown()
    server.server_close()


LIST = Request("notebooks_v2.NotebookService.ListInstances", {"parent": "projects/p/locations/-"})


def test_a_list_is_of_all_its_pages(answering):
    one, two = ({"name": f"projects/p/locations/l/instances/{n}"} for n in ("one", "two"))
    endpoint = answering({"instances": [one], "nextPageToken": "x"}, {"instances": [two]})
    assert client.send(LIST, endpoint) == [one, two]
    assert client.send(LIST, answering({})) == []


def test_a_list_that_is_not_whole_is_none(answering):
    gone = "projects/p/locations/us-east1-b"
    endpoint = answering({"nextPageToken": "x", "unreachable": [gone]}, {})
    with pytest.raises(StateError, match=f"^{gone} did not answer, .* --location"):
        client.send(LIST, endpoint)


@pytest.mark.parametrize(
    "rpc, fields",
    [
        ("CreateInstance", {"parent": "projects/p/locations/l", "instanceId": "i"}),
        ("StartInstance", {"name": "projects/p/locations/l/instances/i"}),
        ("UpdateInstance", {"instance": {"name": "projects/p/locations/l/instances/i"}}),
        ("CheckInstanceUpgradability", {"notebookInstance": "projects/p/locations/l/instances/i"}),
    ],
)
def test_a_request_is_about_an_instance(rpc, fields):
    request = Request(f"notebooks_v2.NotebookService.{rpc}", fields)
    assert request.target == "projects/p/locations/l/instances/i"
