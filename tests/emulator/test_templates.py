"""NotebookService: runtime templates, and what they have to do with jobs."""

import pytest
from google.api_core import exceptions
from google.cloud.aiplatform_v1 import types

from tests.emulator.test_notebooks import PARENT, asked, create, ended, results  # noqa: F401


def template(**more):
    return {
        "display_name": "small",
        "machine_spec": {"machine_type": "e2-standard-4"},
        "software_config": {"env": [{"name": "COLOUR", "value": "blue"}]},
        **more,
    }


@pytest.fixture
def make(notebooks):
    def make(id_=None, **more):
        made = notebooks.create_notebook_runtime_template(
            parent=PARENT,
            notebook_runtime_template=template(**more),
            notebook_runtime_template_id=id_,
        )
        return made.result()

    return make


@pytest.mark.parametrize("transport", ["rest", "grpc"])
def test_a_template_is_made_read_changed_and_deleted(notebooks, make):
    made = make("small-1", labels={"team": "a"})
    assert made.name == f"{PARENT}/notebookRuntimeTemplates/small-1"
    assert made.notebook_runtime_type == types.NotebookRuntimeType.USER_DEFINED
    assert made.etag
    assert notebooks.get_notebook_runtime_template(name=made.name) == made
    key = "projects/p/locations/l/keyRings/r/cryptoKeys/k"
    made.encryption_spec.kms_key_name = key
    changed = notebooks.update_notebook_runtime_template(
        notebook_runtime_template=made, update_mask={"paths": ["encryption_spec.kms_key_name"]}
    )
    assert changed.encryption_spec.kms_key_name == key
    assert changed.update_time >= made.update_time
    with pytest.raises((exceptions.Aborted, exceptions.Conflict)):  # made of another state
        notebooks.update_notebook_runtime_template(
            notebook_runtime_template=made, update_mask={"paths": ["encryption_spec.kms_key_name"]}
        )
    with pytest.raises(exceptions.BadRequest, match="nothing else changes"):
        notebooks.update_notebook_runtime_template(
            notebook_runtime_template=changed, update_mask={"paths": ["display_name"]}
        )
    with pytest.raises((exceptions.AlreadyExists, exceptions.Conflict)):
        make("small-1")
    assert notebooks.delete_notebook_runtime_template(name=made.name).done()
    with pytest.raises(exceptions.NotFound):
        notebooks.get_notebook_runtime_template(name=made.name)


def test_templates_are_listed_by_what_their_documentation_names(notebooks, make):
    make("one", labels={"team": "a"})
    make("two", display_name="large", machine_spec={"machine_type": "n1-standard-8",
         "accelerator_type": "NVIDIA_TESLA_T4", "accelerator_count": 1})  # fmt: skip

    def listed(filter="", **more):
        found = notebooks.list_notebook_runtime_templates(
            {"parent": PARENT, "filter": filter, **more}
        )
        return [one.name.rpartition("/")[2] for one in found]

    assert listed() == ["one", "two"]
    assert listed(order_by="display_name") == ["two", "one"]
    assert listed("notebookRuntimeTemplate=one") == ["one"]
    assert listed('displayName="large"') == ["two"]
    assert listed("machineType=e2-standard-4") == ["one"]
    assert listed("acceleratorType=NVIDIA_TESLA_T4") == ["two"]
    assert listed('labels.team="a"') == ["one"]
    assert listed("labels.team:*") == ["one"]
    assert listed("labels:team") == ["one"]
    assert listed("notebookRuntimeType=ONE_CLICK") == []
    assert listed(page_size=1) == ["one", "two"]
    (part, _) = notebooks.list_notebook_runtime_templates(
        {"parent": PARENT, "read_mask": {"paths": ["display_name"]}}
    )
    assert (part.display_name, part.etag) == ("small", "")


WRONG = [
    ({"display_name": ""}, "display_name is required"),
    ({"software_config": {"env": [{"name": "A B"}]}}, "no name of an environment variable"),
    ({"software_config": {"env": [{"name": "A"}] * 101}}, "at most 100"),
    ({"idle_shutdown_config": {"idle_timeout": "60s"}}, "idle_timeout"),
    ({"network_spec": {"network": "default"}}, "network is"),
    ({"network_spec": {"subnetwork": "default"}}, "subnetwork is"),
    ({"data_persistent_disk_spec": {"disk_type": "floppy"}}, "disk_type"),
]


@pytest.mark.parametrize(("more", "says"), WRONG, ids=[says for _, says in WRONG])
def test_what_is_wrong_is_said(notebooks, make, more, says):
    with pytest.raises(exceptions.BadRequest, match=says):
        make(**more)
    assert list(notebooks.list_notebook_runtime_templates(parent=PARENT)) == []


def test_its_environment_reaches_the_kernel(make, create, ended, emulator):  # noqa: F811
    named = {"notebook_runtime_template_resource_name": make().name}
    done = ended(create(asked("import os; print(os.environ['COLOUR'])", **named)).name)
    assert done.job_state == types.JobState.JOB_STATE_SUCCEEDED, done.status.message
    assert results(emulator, done).cells[-1].outputs[0].text == "blue\n"
    without = ended(create(asked("import os; print(os.environ.get('COLOUR'))")).name)
    assert results(emulator, without).cells[-1].outputs[0].text == "None\n"


def test_runtimes_are_refused(notebooks):
    with pytest.raises(exceptions.MethodNotImplemented, match="COVERAGE"):
        list(notebooks.list_notebook_runtimes(parent=PARENT))
