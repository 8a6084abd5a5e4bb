"""Colab Enterprise's runtime templates, as Google's client understands them."""

import json

import pytest

from nbtools.cloud import Place
from nbtools.errors import RequestError
from nbtools.workbench import templates

ZONE = Place("lab", "us-central1-a")


def test_a_spec_is_a_template_of_the_zones_region():
    from google.cloud import aiplatform_v1

    made = templates.create({
        "display_name": "t4", "machine_type": "n1-standard-4",
        "accelerator": {"type": "NVIDIA_TESLA_T4", "count": 2},
        "data_disk": {"size_gb": 100, "type": "pd-balanced"},
        "network": {"network": "lab", "subnet": "s", "internet": False, "tags": ["nb"]},
        "idle_shutdown": "2h", "user_credentials": False, "env": {"EPOCHS": 3, "DEBUG": True},
        "post_startup_script": "gs://b/s.sh", "labels": {"team": "x"},
    }, ZONE)  # fmt: skip
    assert made.record()["url"] == (
        "https://us-central1-aiplatform.googleapis.com/v1/projects/lab/locations/us-central1/"
        "notebookRuntimeTemplates"
    )
    kind = aiplatform_v1.CreateNotebookRuntimeTemplateRequest
    found = kind.from_json(json.dumps(made.fields)).notebook_runtime_template
    assert found.machine_spec.accelerator_count == 2
    assert found.machine_spec.accelerator_type.name == "NVIDIA_TESLA_T4"
    assert found.data_persistent_disk_spec.disk_size_gb == 100
    assert found.network_spec.subnetwork == "projects/lab/regions/us-central1/subnetworks/s"
    assert found.idle_shutdown_config.idle_timeout.total_seconds() == 7200
    assert found.euc_config.euc_disabled
    assert [(e.name, e.value) for e in found.software_config.env] == [
        ("EPOCHS", "3"), ("DEBUG", "true"),
    ]  # fmt: skip


@pytest.mark.parametrize("wait", ["10m", "24h"])
def test_idle_shutdown_is_at_least_and_at_most(wait):
    made = templates.create({"display_name": "x", "idle_shutdown": wait}, ZONE).fields
    seconds = {"10m": "600s", "24h": "86400s"}[wait]
    assert made["notebookRuntimeTemplate"]["idleShutdownConfig"] == {"idleTimeout": seconds}


def test_never_is_said_beside_the_time_that_is_required():
    made = templates.create({"display_name": "x", "idle_shutdown": False}, ZONE).fields
    assert made["notebookRuntimeTemplate"]["idleShutdownConfig"] == {
        "idleShutdownDisabled": True, "idleTimeout": "10800s",
    }  # fmt: skip


@pytest.mark.parametrize(
    "said, wrong",
    [
        ({}, "^template: display_name is missing$"),
        ({"display_name": "x", "idle_shutdown": "1m"}, "must be 10 minutes to 24 hours"),
        ({"display_name": "x", "env": {"a-b": "c"}}, "env: 'a-b' does not fit: a variable has"),
        ({"display_name": "x", "service_account": "a@b.org"}, "service_account"),
    ],
)
def test_what_no_template_can_be_is_said(said, wrong):
    with pytest.raises(RequestError, match=wrong):
        templates.create(said, ZONE)
