"""Instances as people write them, also people who mean no good."""

import json
import re

import pytest

from nbtools.cloud import Place
from nbtools.errors import RequestError, StateError
from nbtools.workbench import instances, spec

HERE = Place("lab", "us-central1-a")


def body(**said):
    return instances.create(spec.checked({"name": "desk", **said}), HERE).record()["body"]


def test_each_word_becomes_the_field_of_the_reference():
    made = body(
        machine_type="n1-standard-8",
        accelerator={"type": "NVIDIA_TESLA_T4", "count": 2, "install_driver": True},
        boot_disk={"size_gb": 150, "type": "PD_SSD"},
        data_disk={"kms_key": "projects/p/locations/l/keyRings/r/cryptoKeys/k"},
        network={"network": "lab", "subnet": "lab-central", "public_ip": False, "tags": ["nb"]},
        shielded={"secure_boot": True},
        service_account="bot@lab.iam.gserviceaccount.com",
        scopes=["https://www.googleapis.com/auth/cloud-platform"],
        idle_shutdown="90m",
        post_startup_script="gs://b/s.sh",
        proxy=False,
        labels={"team": "vision"},
        metadata={"notebook-disable-root": True, "answer": 42},
    )
    assert made == {
        "gceSetup": {
            "machineType": "n1-standard-8",
            "acceleratorConfigs": [{"type": "NVIDIA_TESLA_T4", "coreCount": "2"}],
            "gpuDriverConfig": {"enableGpuDriver": True},
            "bootDisk": {"diskType": "PD_SSD", "diskSizeGb": "150"},
            "dataDisks": [
                {
                    "kmsKey": "projects/p/locations/l/keyRings/r/cryptoKeys/k",
                    "diskEncryption": "CMEK",
                }
            ],
            "networkInterfaces": [
                {
                    "network": "projects/lab/global/networks/lab",
                    "subnet": "projects/lab/regions/us-central1/subnetworks/lab-central",
                }
            ],
            "disablePublicIp": True,
            "tags": ["nb"],
            "shieldedInstanceConfig": {"enableSecureBoot": True},
            "serviceAccounts": [
                {
                    "email": "bot@lab.iam.gserviceaccount.com",
                    "scopes": ["https://www.googleapis.com/auth/cloud-platform"],
                }
            ],
            "metadata": {
                "notebook-disable-root": "true",
                "answer": "42",
                "idle-timeout-seconds": "5400",
                "post-startup-script": "gs://b/s.sh",
            },
        },
        "disableProxyAccess": True,
        "labels": {"team": "vision"},
    }


def test_what_is_sent_is_what_googles_client_understands():
    from google.cloud import notebooks_v2

    made = body(
        owner="a@b.org", image={"project": "p", "family": "f"}, data_disk={"size_gb": 20},
        machine_type="g2-standard-4", accelerator={"type": "NVIDIA_L4"},
        network={"nic_type": "GVNIC", "ip_forwarding": True},
    )  # fmt: skip
    found = notebooks_v2.Instance.from_json(json.dumps(made))
    assert list(found.instance_owners) == ["a@b.org"]
    assert found.gce_setup.data_disks[0].disk_size_gb == 20
    assert found.gce_setup.accelerator_configs[0].core_count == 1
    assert found.gce_setup.network_interfaces[0].nic_type.name == "GVNIC"


def test_the_schema_has_the_accelerators_and_disks_of_the_installed_client():
    from google.cloud import notebooks_v2

    rules = json.loads(spec.SCHEMA.read_text())
    kinds = notebooks_v2.AcceleratorConfig.AcceleratorType
    assert set(rules["properties"]["accelerator"]["properties"]["type"]["enum"]) == {
        kind.name for kind in kinds if kind
    }
    assert set(spec.MACHINES) == {kind.name for kind in kinds if kind}
    assert set(rules["$defs"]["disk"]["properties"]["type"]["enum"]) == {
        kind.name for kind in notebooks_v2.DiskType if kind
    }


def test_what_is_not_said_is_the_services_to_decide():
    assert body() == {"gceSetup": {}}
    for network in ({"network": "n"}, {"network": "n", "public_ip": True}):
        assert set(body(network=network)["gceSetup"]) == {"networkInterfaces"}


def test_a_second_is_the_least_that_idle_may_be():
    assert spec.idle("1s") == "1"
    for none in ("0.5s", "100000d"):
        with pytest.raises(RequestError, match="no time to wait"):
            spec.idle(none)


def test_never_is_empty_and_nothing_said_is_the_services_default():
    assert body(idle_shutdown=False)["gceSetup"]["metadata"] == {"idle-timeout-seconds": ""}
    assert "metadata" not in body()["gceSetup"]


@pytest.mark.parametrize("key", ["proxy-mode", "service-account-mode", "framework", "proxy-url"])
def test_reserved_metadata_is_refused_with_what_to_say_instead(key):
    with pytest.raises(RequestError, match=f"^instance: metadata.{key} is reserved, .*: .+"):
        spec.checked({"name": "desk", "metadata": {key: "x"}})


@pytest.mark.parametrize(
    "said, wrong",
    [
        ({"name": "Desk"}, "name: 'Desk' does not fit: a name has at most 63 small letters"),
        ({"location": "us-central1"}, "location: 'us-central1' does not fit: a zone, as"),
        ({"machine_type": "n1; rm -rf /"}, "machine_type: "),
        ({"accelerator": {"type": "NVIDIA_TESLA_K80"}}, "accelerator.type: "),
        ({"accelerator": {"count": 1}}, "accelerator: type is missing"),
        ({"image": {"project": "p"}}, "image: "),
        ({"data_disk": {"size_gb": 64_001}}, "data_disk.size_gb: 64001 does not fit: 10 to 64000"),
        ({"data_disk": {"size_gb": True}}, "data_disk.size_gb: True does not fit: 10 to 64000"),
        ({"post_startup_script": "https://x/y"}, "post_startup_script: "),
        ({"labels": {"Team": "x"}}, "labels: 'Team' does not fit: a label's key"),
        ({"metadata": {"a b": "c"}}, "metadata: 'a b' does not fit: a metadata key"),
        ({"metadata": {"a": {"b": 1}}}, "metadata.a: "),
        ({"idle_shutdown": "soon"}, "idle_shutdown: 'soon' is no duration"),
        ({"idle_shutdown": "0s"}, "idle_shutdown: 0s is no time to wait"),
        ({"idle_shutdown": 0}, "idle_shutdown: "),
        ({"owner": "everybody"}, "owner: 'everybody' does not fit: "),
        ({"scopes": ["x"]}, "scopes without a service_account"),
        ({"gpu": 1}, "there is no 'gpu' here: there are name, location, machine_type"),
        ({"machine-type": "n1-standard-4"}, "there is no 'machine-type' here: write machine_type"),
        ({"data_disk": 100}, "data_disk: 100 does not fit: a disk is written {size_gb: 200"),
        ({"accelerator": {"type": "NVIDIA_L4"}}, "machine_type is missing, and the default"),
        (
            {"machine_type": "e2-standard-4", "accelerator": {"type": "NVIDIA_TESLA_T4"}},
            "e2-standard-4 has no NVIDIA_TESLA_T4: it goes with a machine_type n1-…",
        ),
        (
            {
                "machine_type": "n1-standard-4",
                "accelerator": {"type": "NVIDIA_TESLA_T4", "count": 3},
            },
            "accelerator.count: 3 is none of 1, 2, 4, 8, 16",
        ),
        ({"image": {"project": "p", "family": "f"}, "container": {"repository": "a/b"}}, "exclude"),
        ({"idle_shutdown": "1h", "metadata": {"idle-timeout-seconds": 5}}, "say the same thing"),
    ],
)
def test_what_cannot_be_is_said_by_its_place(said, wrong):
    with pytest.raises(RequestError) as caught:
        spec.checked({"name": "desk", **said})
    assert str(caught.value).startswith("instance: ")
    assert wrong in str(caught.value)


def test_all_faults_are_said_at_once():
    with pytest.raises(RequestError) as caught:
        spec.checked({"name": "X", "machine_type": 4})
    assert len(str(caught.value).splitlines()) == 2


BOMB = "a: &a [x, x]\n" + "\n".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 9)}]" for i in range(20)
)


@pytest.mark.parametrize(
    "text, said",
    [
        (BOMB, "has YAML aliases"),
        ("name: &n [*n]", "has YAML aliases"),
        ("!!python/object/apply:os.system ['touch pwned']", "is not YAML"),
        ("name: [", "is not YAML"),
        ("name: \x00", "is not YAML"),
        ("- a\n- b", "is no instance"),
        ("", "is no instance"),
        ("[" * 1_000, "is not YAML"),
    ],
)
def test_hostile_yaml_is_one_sentence(tmp_path, text, said):
    path = tmp_path / "desk.yaml"
    path.write_text(text)
    with pytest.raises(RequestError) as caught:
        spec.read(path)
    assert str(caught.value).startswith(str(path))
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert not (tmp_path / "pwned").exists()


def test_a_file_that_is_no_text_or_is_not_there(tmp_path):
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00n")
    with pytest.raises(RequestError, match="is not YAML"):
        spec.read(tmp_path / "bytes")
    with pytest.raises(RequestError, match="cannot read .*none: No such file"):
        spec.read(tmp_path / "none")


def test_flags_come_on_top_and_what_they_do_not_say_stays():
    made = spec.merged(
        {"name": "a", "network": {"network": "n", "public_ip": False}, "labels": {"x": "1"}},
        {"name": "b", "network": {"network": "m"}},
    )
    assert made == {
        "name": "b", "network": {"network": "m", "public_ip": False}, "labels": {"x": "1"},
    }  # fmt: skip


def test_an_instance_is_in_a_zone_of_a_project():
    with pytest.raises(RequestError, match="us-central1 is a region, and an instance is in a zone"):
        instances.create({"name": "desk"}, Place("lab", "us-central1"))
    with pytest.raises(RequestError, match="which project"):
        instances.create({"name": "desk"}, Place("", "us-central1-a"))
    with pytest.raises(RequestError, match="which location"):
        instances.create({"name": "desk"}, Place("lab", ""))
    for wrong in ("../x", "", "projects/lab/instances/desk", f"{HERE.name('desk')}/x", "a b"):
        with pytest.raises(RequestError, match=f"^{re.escape(repr(wrong))} is no name"):
            HERE.name(wrong)
    full = "projects/other/locations/europe-west4-b/instances/desk"
    assert HERE.name(full) == full


def test_a_change_keeps_what_it_does_not_name():
    now = {
        "gceSetup": {"metadata": {"a": "1", "proxy-mode": "mail", "idle-timeout-seconds": "60"}},
        "labels": {"team": "x", "old": "y"},
    }
    changes = {"metadata": {"a": "", "b": "2"}, "idle_shutdown": False, "labels": {"old": ""}}
    made = instances.update(HERE.name("desk"), changes, now).record()
    assert made["query"] == {"updateMask": "gceSetup.metadata,labels"}
    assert made["body"] == {
        "gceSetup": {"metadata": {"proxy-mode": "mail", "idle-timeout-seconds": "", "b": "2"}},
        "labels": {"team": "x"},
    }
    with pytest.raises(RequestError, match="nothing to change"):
        instances.update(HERE.name("desk"), {}, now)
    made = instances.update(HERE.name("desk"), {"machine_type": "e2-standard-4"}, now).record()
    assert made["query"] == {"updateMask": "gceSetup.machineType"}
    assert made["body"] == {"gceSetup": {"machineType": "e2-standard-4"}}


def test_going_back_is_to_a_snapshot_of_an_upgrade():
    upgrades = [{"snapshot": f"projects/lab/global/snapshots/{n}", "action": "UPGRADE"}
                for n in ("one", "two")]  # fmt: skip
    name = HERE.name("desk")

    def body(history, snapshot=""):
        return instances.rollback(name, {"upgradeHistory": history}, snapshot).record()["body"]

    last = {"targetSnapshot": "projects/lab/global/snapshots/two", "revisionId": "2"}
    assert body(upgrades) == last
    assert body(upgrades, "one")["revisionId"] == "1"
    back = [*upgrades, {"snapshot": upgrades[1]["snapshot"], "action": "ROLLBACK"}]
    with pytest.raises(StateError, match=r"taken back already: .* of \S+/one, \S+/two$"):
        body(back)
    assert body(back, "two") == last
    with pytest.raises(RequestError, match="no snapshot 'three': there is .*/one, .*/two"):
        body(upgrades, "three")
    with pytest.raises(RequestError, match="has never been upgraded"):
        body([])


def test_a_report_goes_where_it_is_said_with_what_is_asked_for():
    def config(*words, **options):
        return instances.diagnose(HERE.name("desk"), *words, **options).fields["diagnosticConfig"]

    assert config("b") == {"gcsBucket": "gs://b"}
    assert config("gs://b/a/f/", repair=True) == {
        "gcsBucket": "gs://b", "relativePath": "a/f", "enableRepairFlag": True,
    }  # fmt: skip
    assert config("b", home=True) == {"gcsBucket": "gs://b", "enableCopyHomeFilesFlag": True}


def test_an_address_is_of_an_active_instance_with_a_proxy():
    there = {"name": HERE.name("desk"), "state": "ACTIVE", "proxyUri": "x.example.com"}
    assert instances.address(there) == "https://x.example.com"
    for state, then in (("STOPPED", "start it"), ("STARTING", "wait until it is ACTIVE")):
        with pytest.raises(StateError, match=f"desk is {state}: {then}"):
            instances.address({**there, "state": state})
    with pytest.raises(RequestError, match="gcloud compute ssh"):
        instances.address({**there, "disableProxyAccess": True})
