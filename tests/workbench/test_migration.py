"""Plans of realistic records, and of ones that nobody would send."""

import copy
import json
import subprocess

import pytest
import yaml

from nbtools.cloud import Place
from nbtools.errors import RequestError
from nbtools.workbench import instances, migration, spec
from tests.workbench.records import KEY, MANAGED, USER_MANAGED


def test_a_managed_notebook_is_an_instance_of_the_same_name():
    made = migration.plan(MANAGED)
    assert made.spec == {
        "name": "vision",
        "location": "us-central1-c",
        "machine_type": "n1-standard-8",
        "accelerator": {"type": "NVIDIA_TESLA_T4", "count": 1, "install_driver": True},
        "data_disk": {"type": "PD_SSD", "size_gb": 200, "kms_key": KEY},
        "boot_disk": {"kms_key": KEY},
        "network": {"tags": ["notebooks"], "public_ip": False},
        "owner": "alex@example.com",
        "idle_shutdown": 5400,
        "post_startup_script": "gs://lab/start.sh",
        "metadata": {
            "notebook-disable-root": "true",
            "notebook-disable-terminal": "true",
            "notebook-upgrade-schedule": "00 19 * * MON",
            "post-startup-script-behavior": "run_every_start",
        },
        "labels": {"team": "vision"},
    }
    lost = "\n".join(made.lost)
    for word in ("gcr.io/lab/vision:3, gcr.io/lab/other", "reservedIpRange", "guestAttributes",
                 "label Owner=A"):  # fmt: skip
        assert word in lost
    assert len(made.lost) == 4
    assert any("as the instance's service account" in note for note in made.notes)


def test_a_user_managed_notebook_gets_another_name_and_says_what_it_loses():
    made = migration.plan(USER_MANAGED)
    assert made.spec == {
        "name": "old-desk-new",
        "location": "europe-west4-b",
        "machine_type": "n1-standard-4",
        "boot_disk": {"type": "PD_STANDARD", "size_gb": 150},
        "data_disk": {"type": "PD_BALANCED", "size_gb": 100},
        "network": {
            "network": "projects/lab/global/networks/lab",
            "subnet": "projects/lab/regions/europe-west4/subnetworks/s",
            "nic_type": "GVNIC",
            "public_ip": False,
            "ip_forwarding": True,
        },
        "shielded": {"vtpm": True},
        "service_account": "bot@lab.iam.gserviceaccount.com",
        "scopes": ["https://www.googleapis.com/auth/cloud-platform"],
        "idle_shutdown": 3600,
        "metadata": {"my-key": "mine"},
        "labels": {"cost-center": "17"},
    }
    said = "\n".join(made.lost)
    for word in ("NVIDIA_TESLA_K80", "tf-latest-gpu", "https://example.com/x.sh", "startup-script",
                 "reservationAffinity", "noRemoveDataDisk", "1 more data disks"):  # fmt: skip
        assert word in said
    assert len(made.lost) == 7


@pytest.mark.parametrize("record", [MANAGED, USER_MANAGED])
def test_what_is_written_is_what_create_takes(record, tmp_path):
    made = migration.plan(record)
    file, script = migration.write([made], tmp_path / "plans", "lab-files")
    read = spec.checked(spec.read(file))
    assert read == made.spec
    request = instances.create(read, Place("lab", ""))
    assert request.fields["parent"] == f"projects/lab/locations/{made.spec['location']}"
    text = script.read_text()
    assert f"nbtools workbench instances create --file {file.name} --project lab" in text
    assert subprocess.run(["sh", "-n", script], check=False).returncode == 0
    assert all(f"no equivalent: {said}" in text for said in made.lost)
    (delete,) = (line for line in text.splitlines() if " delete " in line)
    assert delete.startswith("# gcloud notebooks ")
    with pytest.raises(RequestError, match="exists: name another folder"):
        migration.write([made], tmp_path / "plans", "lab-files")


def test_shutdown_that_was_off_stays_off_and_defaults_stay_defaults():
    record = copy.deepcopy(MANAGED)
    record["softwareConfig"] = {"idleShutdown": False}
    assert migration.plan(record).spec["idle_shutdown"] is False
    record["softwareConfig"] = {}
    assert "idle_shutdown" not in migration.plan(record).spec


def test_what_an_instance_cannot_be_less_than():
    record = {**copy.deepcopy(USER_MANAGED), "bootDiskSizeGb": "5", "noProxyAccess": True}
    made = migration.plan(record).spec
    assert made["boot_disk"]["size_gb"] == 10
    assert made["proxy"] is False
    assert "proxy" not in migration.plan(USER_MANAGED).spec


@pytest.mark.parametrize("kind", ["NVIDIA_TESLA_K80", "TPU_V3", "NVIDIA_OF_TOMORROW"])
def test_an_accelerator_that_no_instance_has_is_lost_and_the_rest_is_planned(kind):
    record = copy.deepcopy(USER_MANAGED)
    record["acceleratorConfig"] = {"type": kind, "coreCount": "1"}
    made = migration.plan(record)
    assert "accelerator" not in made.spec
    assert any(said.startswith(f"accelerator {kind}: ") for said in made.lost)


def test_a_service_accounts_notebook_has_no_owner():
    record = copy.deepcopy(MANAGED)
    record["accessConfig"] = {
        "accessType": "SERVICE_ACCOUNT",
        "runtimeOwner": "bot@lab.iam.gserviceaccount.com",
    }
    made = migration.plan(record).spec
    assert made["service_account"] == "bot@lab.iam.gserviceaccount.com"
    assert "owner" not in made


def test_a_record_without_anything_but_its_name():
    made = migration.plan({"name": MANAGED["name"]})
    assert made.spec == {"name": "vision", "location": "us-central1-b"}
    assert any("us-central1-b is a guess" in note for note in made.notes)


def test_what_a_record_says_is_never_a_line_of_the_script(tmp_path):
    record = copy.deepcopy(MANAGED)
    record["softwareConfig"]["postStartupScript"] = "x\ntouch pwned\n"
    record["labels"] = {"A\nrm -rf /": "b"}
    _, script = migration.write([migration.plan(record)], tmp_path, "b; touch pwned2")
    lines = script.read_text().splitlines()
    commands = [line for line in lines if line and not line.startswith("#")]
    assert [line.split()[0] for line in commands] == ["gcloud", "nbtools", "nbtools", "gcloud"]
    assert "'gs://b; touch pwned2/vision'" in commands[0]


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"name": 5},
        [],
        "text",
        {"name": "projects/p/locations/l/runtimes/x; rm -rf ~"},
        {"name": "projects/p/locations/l/instances/x\ny"},
        {"name": MANAGED["name"], "virtualMachine": "no"},
        {"name": MANAGED["name"], "labels": [1]},
        {"name": MANAGED["name"], "softwareConfig": {"idleShutdownTimeout": "soon"}},
        {
            "name": MANAGED["name"],
            "virtualMachine": {"virtualMachineConfig": {"machineType": "$(x)"}},
        },
    ],
)
def test_what_is_no_notebook_is_one_error(record):
    with pytest.raises(RequestError):
        migration.plan(record)


def test_real_clients_messages_are_such_records():
    """The records of these tests have the field names that the installed client has."""
    from google.cloud import notebooks_v1

    runtime = copy.deepcopy(MANAGED)
    runtime.pop("labels")  # the service shows them, this client does not know them
    notebooks_v1.Runtime.from_json(json.dumps(runtime))
    notebooks_v1.Instance.from_json(json.dumps(USER_MANAGED))


def test_two_of_one_name_in_two_locations_are_two_files(tmp_path):
    other = {
        **copy.deepcopy(MANAGED),
        "name": "projects/lab/locations/europe-west4/runtimes/vision",
    }
    files = migration.write([migration.plan(MANAGED), migration.plan(other)], tmp_path, "b")
    assert [file.name for file in files] == ["vision.yaml", "vision-2.yaml", "migrate.sh"]
    assert yaml.safe_load(files[1].read_text())["name"] == "vision"
    assert "--file vision-2.yaml" in files[2].read_text()
