"""The commands, as their user calls them, against an emulator that runs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workbench.records import MANAGED, USER_MANAGED

ZONE = ("--location", "us-central1-a")
SPEC = """\
name: desk
location: us-central1-a
machine_type: n1-standard-4
service_account: bot@lab.iam.gserviceaccount.com
"""


@pytest.fixture(scope="module")
def emulator(tmp_path_factory):
    """One process for all of these tests, and the environment that leads to it."""
    folder = tmp_path_factory.mktemp("emulator")
    # Nothing is on PATH, no gcloud of this machine's either.
    environ = {"NBTOOLS_STORE": str(folder), "PATH": str(folder), "HOME": str(folder)}
    command = [str(Path(sys.executable).with_name("nbtools")), "emulator"]
    subprocess.run([*command, "start", "--project", "lab"], env=environ, check=True)
    said = subprocess.run(
        [*command, "env"], env=environ, check=True, capture_output=True, text=True
    )
    code = (
        f"{said.stdout}\n{sys.executable} -c 'import os, json; print(json.dumps(dict(os.environ)))'"
    )
    done = subprocess.run(
        ["/bin/sh", "-c", code], env=environ, check=True, capture_output=True, text=True
    )
    yield json.loads(done.stdout)
    subprocess.run([*command, "stop"], env=environ, check=True)


@pytest.fixture
def workbench(emulator, tmp_path):
    def workbench(*words, env=emulator, code=0):
        command = [str(Path(sys.executable).with_name("nbtools")), "workbench", *map(str, words)]
        done = subprocess.run(
            command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout if code == 0 else done.stderr

    return workbench


def test_an_instances_life(workbench, tmp_path):
    (tmp_path / "desk.yaml").write_text(SPEC)
    made = json.loads(
        workbench("instances", "create", "-f", "desk.yaml", "--idle-shutdown", "90m", "--json")
    )
    assert made["state"] == "ACTIVE"
    assert made["gceSetup"]["metadata"]["idle-timeout-seconds"] == "5400"
    assert "desk      ACTIVE  us-central1-a  n1-standard-4" in workbench("instances", "list")
    assert "already exists" in workbench("instances", "create", "-f", "desk.yaml", code=2)
    assert "bot@lab.iam.gserviceaccount.com" in workbench("instances", "show", "desk", *ZONE)
    address = workbench("instances", "open", "desk", "--print", *ZONE)
    assert address.startswith("https://") and address.strip().endswith("googleusercontent.com")
    said = workbench("instances", "start", "desk", *ZONE, code=2)
    assert (
        said == "nbtools: cannot start instance desk: it is ACTIVE; allowed: STOPPED, SUSPENDED\n"
    )
    assert "STOPPED  desk" in workbench("instances", "stop", "desk", *ZONE)
    assert "desk is STOPPED" in workbench("instances", "open", "desk", *ZONE, code=2)
    changed = workbench(
        "instances", "update", "desk", "--machine-type", "e2-standard-2", "--label", "team=vision",
        "--idle-shutdown", "off", "--json", *ZONE,
    )  # fmt: skip
    after = json.loads(changed)
    assert after["gceSetup"]["machineType"] == "e2-standard-2"
    assert after["gceSetup"]["metadata"] == {"idle-timeout-seconds": ""}
    assert after["labels"] == {"team": "vision"}
    assert "ACTIVE  desk" in workbench("instances", "start", "desk", *ZONE)
    assert "ACTIVE  desk" in workbench("instances", "reset", "desk", *ZONE)
    assert "gs://" in workbench("instances", "diagnose", "desk", "gs://", *ZONE, code=2)
    said = workbench("instances", "diagnose", "desk", "gs://b/f", *ZONE)
    assert said == "ACTIVE  desk\n  its report goes to gs://b/f\n"
    assert "DELETED  desk" in workbench("instances", "delete", "desk", "--yes", *ZONE)
    assert json.loads(workbench("instances", "list", "--json")) == []
    assert "desk' was not found" in workbench("instances", "show", "desk", *ZONE, code=2)


def test_an_upgrade_is_checked_first_and_can_be_taken_back(workbench):
    said = workbench("instances", "create", "box", *ZONE)
    next_ = "nbtools workbench instances open box --location us-central1-a"  # no setting says it
    assert said == f"ACTIVE  box\n  {next_}\n"
    assert "never been upgraded" in workbench("instances", "rollback", "box", *ZONE, code=2)
    assert "can be upgraded to v2" in workbench("instances", "upgrade", "box", "--check", *ZONE)
    assert "ACTIVE  box" in workbench("instances", "upgrade", "box", *ZONE)
    assert "nothing newer" in workbench("instances", "upgrade", "box", *ZONE)
    request = json.loads(workbench("instances", "rollback", "box", "--dry-run", *ZONE))
    assert request["url"].endswith("/instances/box:rollback")
    assert "no snapshot 'x'" in workbench("instances", "rollback", "box", "--snapshot", "x", *ZONE,
                                          code=2)  # fmt: skip
    assert "ACTIVE  box" in workbench("instances", "rollback", "box", *ZONE)
    said = workbench("instances", "rollback", "box", *ZONE, code=2)
    assert "has been taken back already: --snapshot names another" in said
    begun = workbench("instances", "delete", "box", "--yes", "--async", *ZONE).splitlines()
    assert begun[0].startswith("begun: projects/lab/locations/us-central1-a/operations/")
    assert begun[1] == "  nbtools workbench instances show box --location us-central1-a"


def test_delete_asks(workbench):
    workbench("instances", "create", "kept", *ZONE)
    workbench("instances", "delete", "kept", *ZONE, code=130)  # nobody answers
    assert "kept" in workbench("instances", "list")
    workbench("instances", "delete", "kept", "--yes", *ZONE)


def test_who_may_open_it_is_shown_and_planned(workbench):
    workbench("instances", "create", "ours", "--service-account", "bot@lab.iam.gserviceaccount.com",
              *ZONE)  # fmt: skip
    workbench("instances", "create", "mine", "--owner", "a@b.org", *ZONE)
    assert "roles/iam.serviceAccountUser" in workbench("access", "ours", *ZONE)
    assert "nobody else can open it" in workbench("access", "mine", *ZONE)
    plan = workbench("share", "ours", "c@d.org", *ZONE)
    assert plan.count("gcloud ") == 2
    assert plan.endswith("# nothing is granted yet: read it, then again with --apply\n")
    bindings = json.loads(workbench("share", "ours", "c@d.org", "--json", "--manage", *ZONE))
    assert [b["role"] for b in bindings] == [
        "roles/iam.serviceAccountUser", "roles/notebooks.admin",
    ]  # fmt: skip
    assert "a@b.org's alone" in workbench("share", "mine", "c@d.org", *ZONE, code=2)
    assert "grant this? [y/N]" in workbench("share", "ours", "c@d.org", "--apply", *ZONE, code=130)
    assert "gcloud is not on PATH" in workbench(
        "share", "ours", "c@d.org", "--apply", "--yes", *ZONE, code=2
    )


def test_deprecated_notebooks_are_read_and_planned(workbench, emulator, tmp_path):
    assert "nothing is migrated" in workbench("migrate", code=2)
    code = (
        "import os, sys, json\n"
        "from google.cloud import notebooks_v1 as v1\n"
        "from google.auth.credentials import AnonymousCredentials as Anonymous\n"
        "def client(kind):\n"
        "    return kind(credentials=Anonymous(), client_options={'api_endpoint': "
        "os.environ['NBTOOLS_VERTEX_GRPC']})\n"
        "managed, own = json.load(sys.stdin)\n"
        "managed.pop('labels')\n"
        "for kind, said, parent, make in (\n"
        "    (v1.ManagedNotebookServiceClient, managed, 'runtime', v1.Runtime),\n"
        "    (v1.NotebookServiceClient, own, 'instance', v1.Instance)):\n"
        "    where, id = said['name'].rsplit('/', 2)[0], said['name'].rsplit('/', 1)[1]\n"
        "    call = getattr(client(kind), 'create_' + parent)\n"
        "    call({'parent': where, parent + '_id': id, "
        "parent: make.from_json(json.dumps(said))}).result()\n"
    )
    subprocess.run(
        [sys.executable, "-c", code], env=emulator, check=True, text=True,
        input=json.dumps([MANAGED, USER_MANAGED]),
    )  # fmt: skip
    plans = json.loads(workbench("migrate", "--plan", "--json"))
    assert [(p["kind"], p["spec"]["name"]) for p in plans] == [
        ("managed", "vision"), ("user-managed", "old-desk-new"),
    ]  # fmt: skip
    said = workbench("migrate", "--plan", "vision", "-o", "plans", "--bucket", "files")
    assert "no equivalent: reservedIpRange" in said
    assert {p.name for p in (tmp_path / "plans").iterdir()} == {"vision.yaml", "migrate.sh"}
    made = json.loads(workbench("instances", "create", "-f", "plans/vision.yaml", "--json"))
    assert made["instanceOwners"] == ["alex@example.com"]
    assert "no notebook nobody" in workbench("migrate", "--plan", "nobody", code=2)


def test_plans_of_files_need_no_service(workbench, tmp_path):
    (tmp_path / "old.json").write_text(json.dumps([MANAGED, USER_MANAGED]))
    environ = {"PATH": str(tmp_path), "HOME": str(tmp_path)}
    said = workbench("migrate", "--plan", "--from", "old.json", env=environ)
    assert said.count("becomes") == 2
    (tmp_path / "bad.json").write_text("{")
    assert "is not JSON" in workbench(
        "migrate", "--plan", "--from", "bad.json", env=environ, code=2
    )


def test_a_dry_run_needs_neither_network_nor_googles_packages(workbench, tmp_path):
    (tmp_path / "desk.yaml").write_text(SPEC)
    (tmp_path / "t4.yaml").write_text("display_name: t4\nmachine_type: n1-standard-4\n")
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nfor name in ('google', 'google.cloud', 'google.auth', 'grpc'):\n"
        "    sys.modules[name] = None\n"
    )
    environ = {"PATH": str(tmp_path), "HOME": str(tmp_path), "PYTHONPATH": str(tmp_path)}
    for words, url in (
        (("instances", "create", "-f", "desk.yaml"), "us-central1-a/instances"),
        (("instances", "list"), "locations/-/instances"),
        (("instances", "stop", "desk", *ZONE), "instances/desk:stop"),
        (("instances", "delete", "desk", *ZONE), "instances/desk"),
        (("templates", "create", "t4.yaml", *ZONE), "us-central1/notebookRuntimeTemplates"),
    ):
        said = workbench(*words, "--project", "lab", "--dry-run", env=environ)
        assert json.loads(said)["url"].endswith(url)
    said = workbench("instances", "list", "--project", "lab", env=environ, code=2)
    assert said.startswith("nbtools: this needs google")
    assert said.endswith(": pip install 'nbtools-workflow[workbench]'\n")
    assert "which project" in workbench("instances", "list", "--dry-run", env=environ, code=2)


def test_project_and_zone_may_stand_in_the_projects_settings(workbench, tmp_path):
    (tmp_path / "pyproject.toml").write_text(
        '[tool.nbtools]\nproject = "lab"\nzone = "europe-west4-b"\n'
    )
    environ = {"PATH": str(tmp_path), "HOME": str(tmp_path)}
    said = json.loads(workbench("instances", "start", "desk", "--dry-run", env=environ))
    assert "/projects/lab/locations/europe-west4-b/instances/desk:start" in said["url"]
    said = json.loads(workbench("templates", "list", "--dry-run", env=environ))
    assert said["url"].startswith("https://europe-west4-aiplatform.googleapis.com/")


def test_a_template_that_is_not_there_is_said(workbench):
    """As anything that the service refuses: in its own words."""
    said = workbench("templates", "show", "x", *ZONE, code=2)
    assert said.startswith("nbtools: ")
    assert "Notebook" in said
