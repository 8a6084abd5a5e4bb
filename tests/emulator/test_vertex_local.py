"""`--vertex local` on what begins jobs later or many of them: sweeps, schedules, retries."""

import json
import os
import signal

import pytest

from nbtools.cloud import Endpoint
from nbtools.emulator import lifecycle
from nbtools.nouns import RUN, Context
from nbtools.store import Store
from tests.cli.conftest import service, until  # noqa: F401 - a fixture

pytestmark = pytest.mark.slow
LOGS = """
from google.cloud import aiplatform
aiplatform.init(experiment="scripted")
with aiplatform.start_run(f"run-{width}"):
    aiplatform.log_params({"width": width})
"""
DECLARED = """
schedules:
  declared:
    cron: "0 0 1 1 *"
    notebook: train.ipynb
    params: {width: 7}
    vertex: local
"""


@pytest.fixture
def notebook(make_notebook, store_folder):
    yield make_notebook("train.ipynb", LOGS, parameters="width: int = 1")
    if found := lifecycle.running(store_folder):
        os.kill(found.pid, signal.SIGKILL)


def logged(store_folder):
    store = Store(store_folder)
    names = sorted(found.name for found in store.select(Context, RUN, parent="scripted"))
    store.close()
    return names


def ended(call, name):
    (tick,) = json.loads(call("schedule", "history", name, "--json").stdout)
    return tick["state"] not in ("QUEUED", "STARTED") and tick


def test_each_trial_of_a_sweep_talks_to_the_emulator(call, notebook, store_folder):
    done = call("sweep", notebook, "width=1,2", "-j", "1", "--vertex", "local")
    assert done.returncode == 0, done.stdout + done.stderr
    assert logged(store_folder) == ["scripted-run-1", "scripted-run-2"]


def test_a_schedules_job_begins_the_emulator_that_it_needs(
    call, service, notebook, store_folder, tmp_path  # noqa: F811
):  # fmt: skip
    (tmp_path / "nbtools.yaml").write_text(DECLARED)
    call("schedule", "apply", "--yes", check=True)
    made = call("schedule", "create", "made", "0 0 1 1 *", notebook, "--vertex", "--json")
    assert json.loads(made.stdout)["vertex"] == "local"
    assert lifecycle.running(store_folder) is None
    for name in ("declared", "made"):
        call("schedule", "run-now", name, check=True)
    service("-j", "1")  # the SDK may fail where two make one experiment at once

    for name in ("declared", "made"):
        tick = until(lambda name=name: ended(call, name))
        assert tick["state"] == "SUCCEEDED", tick["reason"]
    assert logged(store_folder) == ["scripted-run-1", "scripted-run-7"]


def test_a_schedule_that_the_sdk_has_made_fires_while_the_emulator_is_off(
    call, service, notebook, store_folder  # noqa: F811
):  # fmt: skip
    from google.cloud import aiplatform_v1

    job = {
        "display_name": "of the SDK",
        "direct_notebook_source": {"content": notebook.read_bytes()},
        "gcs_output_uri": "gs://mine/out",
    }
    parent = "projects/local/locations/us-central1"
    asked = {"parent": parent, "notebook_execution_job": job}
    call("emulator", "start", check=True)
    endpoint = Endpoint(rest=lifecycle.running(store_folder).url)
    made = endpoint.client(aiplatform_v1.ScheduleServiceClient, "").create_schedule(
        parent=parent,
        schedule={
            "display_name": "yearly",
            "cron": "0 0 1 1 *",
            "max_concurrent_run_count": 1,
            "create_notebook_execution_job_request": asked,
        },
    )
    call("emulator", "stop", check=True)
    name = made.name.rpartition("/")[2]
    call("schedule", "run-now", name, check=True)
    service("-j", "1")
    tick = until(lambda: ended(call, name))
    assert tick["state"] == "SUCCEEDED", tick["reason"]
    assert logged(store_folder) == ["scripted-run-1"]


def test_a_job_that_is_executed_again_talks_to_it_too(call, notebook, store_folder, tmp_path):
    """Also from a shell that knows nothing of it. Where it cannot begin, that is why it failed."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys; sys.modules['google.cloud.aiplatform_v1'] = None"
    )
    broken = call("run", notebook, "--vertex", env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert broken.returncode == 2
    assert "pip install 'nbtools-workflow[vertex]'" in broken.stderr
    (job,) = json.loads(call("jobs", "list", "--json").stdout)
    assert job["state"] == "FAILED"
    assert "nbtools-workflow[vertex]" in job["error"]
    assert call("jobs", "retry", job["name"]).returncode == 0
    assert logged(store_folder) == ["scripted-run-1"]
