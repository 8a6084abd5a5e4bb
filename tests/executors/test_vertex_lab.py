"""What JupyterLab's screens ask for with Vertex AI as compute type, on an emulator."""

import pytest
from jupyter_scheduler.models import CreateJob, CreateJobDefinition, UpdateJobDefinition

from nbtools.errors import RequestError
from nbtools.executor import Task
from nbtools.jobs import Jobs
from nbtools.lab.jobs import LabJobs
from tests.contracts.test_executor import until

pytestmark = pytest.mark.slow
ASKED = {
    "name": "Far", "input_uri": "far.ipynb", "compute_type": "vertex", "parameters": {"lr": "0.5"},
    "runtime_environment_name": "the notebook's kernel",
}  # fmt: skip


@pytest.fixture
def lab(cloud, store_folder, tmp_path, make_notebook):
    make_notebook("far.ipynb", "print(lr)")
    return LabJobs(Jobs.open(), tmp_path, tmp_path / "jobs", "")


def test_a_job_is_executed_there_on_the_machine_of_the_settings(lab):
    name = lab.create(CreateJob(**ASKED))
    done = until(lambda: (job := lab.get(name)).end_time and job)
    assert (done.status, done.compute_type) == ("COMPLETED", "vertex")
    assert done.parameters == {"lr": "0.5"}
    assert Task.loads((lab.root / "store/jobs" / name / "task.json").read_text()).machine.type == (
        "n1-standard-8"
    )


def test_a_folder_is_refused_in_the_words_of_the_form(lab):
    with pytest.raises(RequestError, match="leave out 'Run job with input folder'"):
        lab.create(CreateJob(**ASKED, package_input_folder=True))
    assert lab.jobs.list() == []


def test_a_definition_is_fired_there_changed_and_paused(lab):
    made = lab.definitions.create(
        CreateJobDefinition(**ASKED, schedule="0 0 29 2 *", timezone="Europe/Berlin")
    )
    assert lab.definitions.schedules.get("far").handle
    change = UpdateJobDefinition(schedule="5 4 * * *", timezone="Asia/Tokyo", compute_type="vertex")
    lab.definitions.update(made, change)
    lab.definitions.update(made, UpdateJobDefinition(active=False))
    shown = lab.definitions.get(made)
    assert (shown.schedule, shown.timezone, shown.active) == ("5 4 * * *", "Asia/Tokyo", False)
    lab.definitions.delete(made)
    assert lab.definitions.schedules.all() == []
