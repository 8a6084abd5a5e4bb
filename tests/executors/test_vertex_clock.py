import json
import os
import subprocess
import sys

import pytest

from nbtools.cloud import Endpoint
from nbtools.declared import apply, difference
from nbtools.errors import AlreadyExists, NotFound, RequestError, StateError, Unavailable
from nbtools.executors import vertex_request
from nbtools.machine import Machine
from nbtools.schedule import Schedule, ScheduleState, TickState
from nbtools.schedules import Schedules
from tests.contracts.test_executor import until
from tests.executors.test_vertex import LOGS, nowhere

PARENT = "projects/test/locations/us-central1"


@pytest.fixture
def name(tmp_path):
    """One for each test: they have one cloud."""
    return f"s-{abs(hash(str(tmp_path))) % 10**9}"


@pytest.fixture
def schedules(cloud, store_folder):
    return Schedules.open()


@pytest.fixture
def client(cloud):
    from google.cloud import aiplatform_v1

    endpoint = Endpoint(rest=cloud.variables["NBTOOLS_VERTEX"])
    return endpoint.client(aiplatform_v1.ScheduleServiceClient, "")


def wanted(name, path, **values):
    cron = values.pop("cron", "TZ=Europe/Berlin 0 2 * * *")
    return Schedule(name=name, notebook=str(path), cron=cron, executor="vertex", **values)


def there(client, name):
    return [s for s in client.list_schedules(parent=PARENT) if s.display_name == name]


def test_it_is_made_there_and_known_here(schedules, client, name, make_notebook):
    path = make_notebook("work.ipynb", "1")
    made = schedules.create(
        wanted(name, path, params={"lr": 0.5}, machine=Machine(gpu="NVIDIA_L4"), max_run_count=9)
    )
    (found,) = there(client, name)
    assert (found.name, found.cron) == (made.handle, "TZ=Europe/Berlin 0 2 * * *")
    assert (found.max_run_count, found.max_concurrent_run_count) == (9, 1)
    job = found.create_notebook_execution_job_request.notebook_execution_job
    assert job.custom_environment_spec.machine_spec.accelerator_count == 1
    assert b"lr = 0.5" in job.direct_notebook_source.content
    assert made.next_run_time.timestamp() == found.next_run_time.timestamp()
    assert schedules.next(name, 1) == [made.next_run_time]
    assert schedules.get(name).machine == Machine(gpu="NVIDIA_L4")


def test_no_service_of_ours_fires_it(schedules, name, make_notebook):
    made = schedules.create(wanted(name, make_notebook("work.ipynb", "1"), cron="* * * * *"))
    assert schedules.timetable.due(made.next_run_time, 10) == []
    assert schedules.timetable.next_time() is None


def test_it_is_paused_and_resumed_there(schedules, client, name, make_notebook):
    schedules.create(wanted(name, make_notebook("work.ipynb", "1")))
    assert schedules.pause(name).state is ScheduleState.PAUSED
    (found,) = there(client, name)
    assert found.state.name == "PAUSED"
    assert schedules.resume(name, catch_up=True).state is ScheduleState.ACTIVE
    (found,) = there(client, name)
    assert (found.state.name, found.catch_up) == ("ACTIVE", True)


def test_a_list_shows_how_it_stands_there(schedules, client, name, make_notebook):
    schedules.create(wanted(name, make_notebook("work.ipynb", "1")))
    client.pause_schedule(name=schedules.get(name).handle)
    assert schedules.get(name).state is ScheduleState.ACTIVE
    (found,) = schedules.standing(schedules.all())
    assert (found.state, found.reason) == (ScheduleState.PAUSED, "")
    assert schedules.get(name).state is ScheduleState.PAUSED  # written down


def test_without_a_network_a_list_shows_how_it_stood(schedules, name, make_notebook, monkeypatch):
    schedules.create(wanted(name, make_notebook("work.ipynb", "1")))
    nowhere(monkeypatch)
    (found,) = Schedules.open().standing(Schedules.open().all())
    assert found.state is ScheduleState.ACTIVE
    assert found.reason.startswith("as it was when last seen: http")
    for what in ("pause", "delete"):
        with pytest.raises(Unavailable):
            getattr(Schedules.open(), what)(name)
    assert schedules.get(name).state is ScheduleState.ACTIVE


def test_one_that_was_deleted_there_says_so(schedules, client, name, make_notebook):
    made = schedules.create(wanted(name, make_notebook("work.ipynb", "1")))
    client.delete_schedule(name=made.handle).result()
    (found,) = schedules.standing(schedules.all())
    assert found.state is ScheduleState.COMPLETED
    assert "somebody has deleted it" in found.reason
    schedules.delete(name)
    assert schedules.all() == []


def test_deleted_it_is_gone_from_both(schedules, client, name, make_notebook):
    schedules.create(wanted(name, make_notebook("work.ipynb", "1")))
    schedules.delete(name)
    assert there(client, name) == []
    with pytest.raises(NotFound):
        schedules.get(name)


def test_one_that_a_crash_has_left_there_is_taken_over(schedules, client, name, make_notebook):
    asked = wanted(name, make_notebook("work.ipynb", "1"))
    schedules.delegation.put(schedules.checked([asked]))  # and no more: nobody has written it down
    assert schedules.all() == []
    made = schedules.create(asked)
    assert [found.name for found in there(client, name)] == [made.handle]


def test_one_of_somebody_else_is_left_alone(schedules, name, make_notebook, tmp_path, monkeypatch):
    asked = wanted(name, make_notebook("work.ipynb", "1"))
    schedules.delegation.put(schedules.checked([asked]))
    monkeypatch.setenv("NBTOOLS_STORE", str(tmp_path / "other"))
    with pytest.raises(AlreadyExists, match="not of this store"):
        Schedules.open().create(asked)
    assert Schedules.open().all() == []


@pytest.mark.slow
def test_its_history_is_what_was_executed_there(schedules, cloud, name, make_notebook):
    made = schedules.create(wanted(name, make_notebook("work.ipynb", LOGS)))
    assert schedules.history(name) == []
    code = "from nbtools.command import main; main()"
    command = [sys.executable, "-c", code, "schedule", "run-now", made.handle.rpartition("/")[2]]
    env = {**os.environ, "NBTOOLS_STORE": str(cloud.store)}
    subprocess.run(command, env=env, check=True, capture_output=True)  # as Vertex AI's clock does
    until(lambda: any(t.state is TickState.SUCCEEDED for t in schedules.history(name)))
    (tick,) = schedules.history(name)
    assert (tick.schedule, tick.reason) == (name, "")
    assert schedules.standing([schedules.get(name)])[0].started_run_count == 1


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"retries": 1}, "--retries"),
        ({"priority": 1}, "--priority"),
        ({"notify": ("mailto:a@b.c",)}, "--notify"),
        ({"max_age": 1.0}, "--max-age"),
        ({"concurrency": "replace"}, "skip or queue"),
        ({"misfire": "all", "concurrency": "queue"}, "misfire all"),
        ({"max_concurrent_run_count": 0}, "1 or more"),
        ({"params": {"lr": "{{ scheduled_time }}"}}, "nobody there fills it in"),
        ({"output": "gs://b/{{ scheduled_date }}"}, "nobody there fills it in"),
        ({"memory": 1}, "--memory"),
        ({"cwd": "/"}, "--cwd"),
    ],
)
def test_what_its_clock_has_not_is_refused(schedules, client, name, make_notebook, values, said):
    path = make_notebook("work.ipynb", "1")
    with pytest.raises(RequestError, match=said):
        schedules.create(wanted(name, path, **values))
    assert (schedules.all(), there(client, name)) == ([], [])


def test_none_comes_after_it_and_it_after_none(schedules, name, make_notebook):
    path = make_notebook("work.ipynb", "1")
    schedules.create(wanted(name, path))
    with pytest.raises(RequestError, match="nobody here hears of it"):
        schedules.create(Schedule(name="later", notebook=str(path), after=(name,)))
    schedules.create(Schedule(name="first", notebook=str(path), cron="0 2 * * *"))
    with pytest.raises(RequestError, match="come after no others"):
        schedules.create(wanted("then", path, cron="", after=("first",)))


def test_it_cannot_be_fired_or_cancelled_from_here(schedules, name, make_notebook):
    schedules.create(wanted(name, make_notebook("work.ipynb", "1")))
    for what in (schedules.run_now, schedules.cancel):
        with pytest.raises(StateError, match="fired by vertex"):
            what(name)


def test_a_file_declares_both_kinds(schedules, client, name, make_notebook, tmp_path):
    make_notebook("work.ipynb", "1")
    path = tmp_path / "nbtools.yaml"
    both = (
        "schedules:\n"
        "  here: {notebook: work.ipynb, cron: 0 3 * * *}\n"
        f"  {name}:\n"
        "    {notebook: work.ipynb, cron: 0 2 * * *, executor: vertex, output: gs://bucket/out,\n"
        "     machine: {gpu: 'NVIDIA_L4:2'}}\n"
    )
    path.write_text(both)
    apply(path, schedules)
    (found,) = there(client, name)
    assert [bool(s.handle) for s in schedules.all()] == [False, True]
    assert {change.kind for change in difference(path, schedules)} == {"keep"}
    path.write_text(both.replace("0 2 * * *", "30 4 * * *"))
    (changed,) = [c for c in apply(path, schedules) if c.kind == "change"]
    assert [field for field, _, _ in changed.details] == ["cron"]
    (after,) = there(client, name)
    assert (after.name, after.cron) == (found.name, "TZ=UTC 30 4 * * *")
    path.write_text("schedules:\n  here: {notebook: work.ipynb, cron: 0 3 * * *}\n")
    apply(path, schedules)
    assert there(client, name) == []
    assert [s.name for s in schedules.all()] == ["here"]


def test_a_large_notebook_goes_by_way_of_the_bucket(
    schedules, client, name, make_notebook, monkeypatch
):
    monkeypatch.setattr(vertex_request, "DIRECT", 100)
    schedules.create(wanted(name, make_notebook("work.ipynb", "1")))
    (found,) = there(client, name)
    job = found.create_notebook_execution_job_request.notebook_execution_job
    where = f"gs://staging/of-tests/nbtools/notebooks/schedules/{name}/work.ipynb"
    assert job.gcs_notebook_source.uri == where


@pytest.mark.slow
def test_the_command_says_who_fires_it(cloud, call, name, make_notebook, monkeypatch):
    make_notebook("work.ipynb", "1")
    made = call("schedule", "create", name, "0 2 * * *", "work.ipynb", "--executor", "vertex")
    assert f"fired by vertex: {PARENT}/schedules/" in made.stdout
    assert made.stderr == ""  # nothing of a service that would have to run
    assert json.loads(call("schedule", "list", "--json").stdout)[0]["state"] == "ACTIVE"
    assert call("schedule", "pause", name).stdout == f"PAUSED  {name}\n"
    assert call("schedule", "history", name).stdout == "it was not due yet\n"
    nowhere(monkeypatch)
    listed = call("schedule", "list")
    assert "PAUSED" in listed.stdout
    assert listed.stderr.startswith(f"{name}: as it was when last seen: http")
