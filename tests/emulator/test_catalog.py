"""What the installed SDK has is what is served: a release with other RPCs fails here."""

import subprocess
import sys

from nbtools.emulator import catalog, coverage, transcoding
from nbtools.emulator.handlers import HANDLERS


def test_every_handler_is_for_an_rpc_of_the_sdk(known):
    assert set(HANDLERS) <= set(known.methods)


def test_three_services_and_operations_are_served_whole(known):
    missing = {
        name
        for name in known.methods
        if name.startswith(
            (
                "MetadataService.",
                "TensorboardService.",
                "Operations.",
                "Locations.",
                "notebooks_v2.",
            )
        )
    } - set(HANDLERS)
    assert missing == set()


def test_the_coverage_that_is_written_down_is_true(known):
    assert coverage.FILE.read_text() == coverage.text(known), (
        "run python -m nbtools.emulator.coverage"
    )


def test_every_note_is_about_an_rpc_that_is_served():
    assert set(coverage.NOTES) <= set(HANDLERS)


def test_every_rpc_has_messages_and_a_route_that_finds_it(known):
    routes = transcoding.Routes(known.methods)
    assert len(known.methods) > 80
    for method in known.methods.values():
        assert method.request.DESCRIPTOR.full_name
        assert method.response.DESCRIPTOR.full_name
        service = catalog.SERVICES.get(method.name.rpartition(".")[0])
        if service and service.rest:
            (route,) = method.routes
            path = transcoding._VARIABLE.sub(
                lambda found: found[2].replace("*", "a1"), route.template
            )
            found, way = routes.find(route.verb, path)
            assert (found.name, way) == (method.name, route)
            holder = transcoding.request(method, route, path, "", b"{}")
            assert holder.ListFields()


def test_another_service_is_a_line(known):
    """One of another package, as Workbench's is: its routes and those that each service has."""
    schedule = catalog.SERVICES["ScheduleService"]
    found = {m.name: m for m in catalog._methods("other.ScheduleService", schedule)}
    assert found["other.ScheduleService.GetSchedule"].path == (
        "/google.cloud.aiplatform.v1.ScheduleService/GetSchedule"
    )
    assert "Operations.GetOperation" in found
    assert known.message("Context").DESCRIPTOR.full_name == "google.cloud.aiplatform.v1.Context"


def test_one_rpc_streams(known):
    streaming = {name for name, method in known.methods.items() if method.streams}
    assert streaming == {"TensorboardService.ReadTensorboardBlobData"}


def test_without_the_sdk_it_is_said_what_to_install():
    code = (
        "import sys; sys.modules['google.cloud.aiplatform_v1'] = None\n"
        "from nbtools.emulator import catalog\ncatalog.load()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "MissingDependency: the emulator needs google-cloud-aiplatform: pip install" in (
        done.stderr
    )


def test_without_workbenchs_client_the_rest_is_served():
    code = (
        "import sys; sys.modules['google.cloud.notebooks_v2'] = None\n"
        "sys.modules['google.cloud.notebooks_v1'] = None\n"
        "from nbtools.emulator import catalog\n"
        "print(sorted({name.partition('.')[0] for name in catalog.load().methods}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "MetadataService" in done.stdout
    assert "notebooks" not in done.stdout


def test_services_without_rest_have_no_routes_and_their_own_paths(known):
    method = known.methods["notebooks_v1.ManagedNotebookService.ListRuntimes"]
    assert method.path == "/google.cloud.notebooks.v1.ManagedNotebookService/ListRuntimes"
    assert method.routes == ()
    assert method.response.DESCRIPTOR.name == "ListRuntimesResponse"


def test_a_mixin_is_found_by_the_routes_of_every_service(known):
    routes = transcoding.Routes(known.methods)
    for version in ("v1", "v2"):
        found, _ = routes.find("GET", f"/{version}/projects/p/locations/l/operations/o")
        assert found.name == "Operations.GetOperation"
