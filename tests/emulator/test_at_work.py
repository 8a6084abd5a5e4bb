"""The emulator as a process of its own, killed and begun anew while it has jobs at work."""

import json
import os
import signal
import threading

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud.aiplatform_v1 import NotebookServiceClient, ScheduleServiceClient

from nbtools.emulator import lifecycle
from nbtools.service import running as services
from tests.cli.conftest import service, until  # noqa: F401 - a fixture
from tests.emulator.test_notebooks import PARENT, asked
from tests.emulator.test_schedules import asked as scheduled

pytestmark = pytest.mark.slow


@pytest.fixture
def start(call, store_folder):
    begun = []

    def start():
        done = call("emulator", "start")
        assert done.returncode == 0, done.stderr
        begun.append(lifecycle.running(store_folder))
        return begun[-1]

    yield start
    if lifecycle.running(store_folder):
        kill(begun[-1], store_folder)


def kill(running, store_folder):
    os.kill(running.pid, signal.SIGKILL)
    until(lambda: lifecycle.running(store_folder) is None)


def client(kind, running):
    return kind(
        transport="rest",
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": running.url},
    )


def state(notebooks, name):
    job = notebooks.get_notebook_execution_job(name=name)
    return job.job_state.name.removeprefix("JOB_STATE_")


def test_a_killed_emulator_loses_no_job_that_it_has_acknowledged(start, store_folder, tmp_path):
    running = start()
    gate = tmp_path / "gate"
    waits = f"import os, time\nwhile not os.path.exists({str(gate)!r}):\n    time.sleep(0.05)"
    acknowledged, ended = [], threading.Event()

    def create():
        mine = client(NotebookServiceClient, running)
        for _ in range(50):
            try:
                made = mine.create_notebook_execution_job(
                    parent=PARENT, notebook_execution_job=asked(waits), timeout=20, retry=None
                )
            except Exception:  # noqa: BLE001 - the emulator is gone
                break
            acknowledged.append(made.result().name)
        ended.set()

    thread = threading.Thread(target=create)
    thread.start()
    until(lambda: len(acknowledged) >= 2)
    kill(running, store_folder)  # wherever it is with the next
    assert ended.wait(120)
    thread.join()
    again = client(NotebookServiceClient, start())
    there = {job.name for job in again.list_notebook_execution_jobs(parent=PARENT)}
    assert set(acknowledged) <= there
    assert len(there) <= len(acknowledged) + 1
    gate.touch()
    for name in there:  # also one that was remembered, and neither begun nor acknowledged
        assert until(lambda name=name: (s := state(again, name)) not in (
            "QUEUED", "PENDING", "RUNNING"
        ) and s) == "SUCCEEDED"  # fmt: skip


def test_a_service_that_is_begun_takes_over(start, call, service, store_folder):  # noqa: F811
    running = start()
    client(ScheduleServiceClient, running).create_schedule(
        parent=PARENT, schedule=scheduled("1", cron="0 0 1 1 *")
    )

    def serve():
        return [one.pid for one in services(store_folder)]

    until(lambda: serve() == [running.pid])
    own = service()
    until(lambda: serve() == [own.pid])
    own.kill()
    own.wait()
    until(lambda: serve() == [running.pid])


def test_who_has_only_begun_the_emulator_has_schedules_that_fire(start, call):
    running = start()
    schedules = client(ScheduleServiceClient, running)
    logs = (
        "from google.cloud import aiplatform\n"
        "aiplatform.init(project='own', experiment='nightly')\n"
        "with aiplatform.start_run('one'):\n    aiplatform.log_params({'lr': 0.5})"
    )
    made = schedules.create_schedule(parent=PARENT, schedule=scheduled(logs, cron="0 0 1 1 *"))
    call("schedule", "run-now", made.name.rpartition("/")[2], check=True)
    until(lambda: json.loads(call("service", "status", "--json").stdout)["services"])
    notebooks = client(NotebookServiceClient, running)
    (job,) = until(lambda: list(notebooks.list_notebook_execution_jobs(parent=PARENT)))
    until(lambda: state(notebooks, job.name) == "SUCCEEDED")
    assert "one" in call("runs", "list", "--experiment", "nightly", check=True).stdout
    assert job.schedule_resource_name == made.name
