"""ScheduleService: schedules whose jobs are really executed; the clock is moved, not waited for."""

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from google.api_core import exceptions
from google.cloud.aiplatform_v1 import types

from nbtools.dispatch import Dispatcher
from nbtools.emulator import buckets, firing
from nbtools.jobs import Jobs
from nbtools.schedules import Schedules
from nbtools.settings import Settings
from tests.emulator.test_notebooks import PARENT, content

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
ACTIVE, PAUSED, COMPLETED = types.Schedule.State.ACTIVE, types.Schedule.State(2), 3


class Clock:
    """Stands still until it is moved."""

    def __init__(self):
        self.now = NOON

    def __call__(self):
        return self.now

    def move(self, **step):
        self.now += timedelta(**step)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def now(clock):
    return clock


@pytest.fixture
def service(make_client):
    from google.cloud.aiplatform_v1 import ScheduleServiceClient

    return make_client(ScheduleServiceClient)


@pytest.fixture
def jobs(emulator, clock):
    return Jobs(emulator.store, Settings(store=emulator.folder), clock)


@pytest.fixture
def fire(jobs, clock):
    """What a service does, until nothing is left to do."""

    def fire():
        dispatcher = Dispatcher(jobs, 2)
        limit = time.monotonic() + 120
        while dispatcher.round(clock()):
            assert time.monotonic() < limit
            time.sleep(0.02)

    return fire


def asked(*cells, job=None, **more):
    return {
        "display_name": "Nightly",
        "cron": "* * * * *",
        "max_concurrent_run_count": 1,
        "create_notebook_execution_job_request": {
            "parent": PARENT,
            "notebook_execution_job": {
                "display_name": "by night",
                "direct_notebook_source": {"content": content(*cells)},
                "gcs_output_uri": "gs://nightly",
                **(job or {}),
            },
        },
        **more,
    }


@pytest.fixture
def create(service):
    return lambda *cells, **more: service.create_schedule(
        parent=PARENT, schedule=asked(*(cells or ["1"]), **more)
    )


@pytest.mark.parametrize("transport", ["rest", "grpc"])
def test_each_time_is_a_job_that_is_executed(
    service, create, notebooks, emulator, fire, clock, jobs
):
    made = create("print('good night')", cron="TZ=Europe/Berlin 30 14 * * *")
    assert made.state == ACTIVE
    assert made.next_run_time == NOON + timedelta(minutes=30)
    assert (made.create_time, made.start_time) == (NOON, NOON)
    name = made.name.rpartition("/")[2]
    assert [s.name for s in Schedules(jobs).all()] == [name]
    fire()
    assert list(notebooks.list_notebook_execution_jobs(parent=PARENT)) == []
    clock.move(minutes=30)
    fire()
    (job,) = notebooks.list_notebook_execution_jobs(parent=PARENT)
    assert job.job_state == types.JobState.JOB_STATE_SUCCEEDED, job.status.message
    assert (job.schedule_resource_name, job.display_name) == (made.name, "by night")
    of = {"parent": PARENT, "filter": f'schedule="{name}"'}
    assert list(notebooks.list_notebook_execution_jobs(of)) == [job]
    id_ = job.name.rpartition("/")[2]
    executed = buckets.read(emulator.folder, f"gs://nightly/{id_}/content.ipynb")
    assert b"good night\\n" in executed
    after = service.get_schedule(name=made.name)
    assert after.started_run_count == 1
    assert after.next_run_time == NOON + timedelta(days=1, minutes=30)
    assert after.last_scheduled_run_response.scheduled_run_time == NOON + timedelta(minutes=30)
    assert after.last_scheduled_run_response.run_response == job.name
    notebooks.delete_notebook_execution_job(name=job.name)
    assert list(notebooks.list_notebook_execution_jobs(parent=PARENT)) == []  # it stays deleted
    assert jobs.get(id_).schedule == name


def test_missed_times_are_made_up_for_when_they_are_asked_for(
    service, create, notebooks, fire, clock, emulator
):
    made = create()
    service.pause_schedule(name=made.name)
    clock.move(minutes=3)
    fire()
    paused = service.get_schedule(name=made.name)
    assert (paused.state, paused.last_pause_time) == (PAUSED, NOON)
    assert paused.started_run_count == 0
    service.resume_schedule(request={"name": made.name, "catch_up": True})
    resumed = service.get_schedule(name=made.name)
    assert (resumed.state, resumed.catch_up) == (ACTIVE, True)
    assert resumed.last_resume_time == clock()
    fire()
    done = list(notebooks.list_notebook_execution_jobs(parent=PARENT))
    assert [j.job_state.name for j in done] == ["JOB_STATE_SUCCEEDED"] * 3
    assert service.get_schedule(name=made.name).started_run_count == 3
    service.pause_schedule(name=made.name)
    clock.move(minutes=5)
    service.resume_schedule(name=made.name)
    after = service.get_schedule(name=made.name)
    assert (after.catch_up, after.started_run_count) == (False, 3)
    assert after.next_run_time == clock() + timedelta(minutes=1)
    with pytest.raises(exceptions.BadRequest, match="not PAUSED"):
        service.resume_schedule(name=made.name)


def test_a_schedule_is_completed_after_its_last_run(service, create, fire, clock):
    made = create(max_run_count=1)
    clock.move(minutes=1)
    fire()
    done = service.get_schedule(name=made.name)
    assert (done.state, done.started_run_count) == (COMPLETED, 1)
    assert "next_run_time" not in done
    for change in (service.pause_schedule, service.resume_schedule):
        with pytest.raises(exceptions.BadRequest, match="COMPLETED"):
            change(name=made.name)
    with pytest.raises(exceptions.BadRequest, match="COMPLETED"):
        service.update_schedule(
            schedule={"name": made.name, "cron": "0 0 * * *"}, update_mask="cron"
        )


def test_an_object_is_executed_as_it_is_when_the_schedule_is_due(
    create, notebooks, emulator, fire, clock
):
    uri = "gs://sources/train.ipynb"
    buckets.write(emulator.folder, uri, content("print('first')"))
    pinned = str(buckets.path(emulator.folder, uri).stat().st_mtime_ns)
    create(job={"direct_notebook_source": None, "gcs_notebook_source": {"uri": uri}})
    create(
        display_name="pinned",
        job={
            "direct_notebook_source": None,
            "gcs_notebook_source": {"uri": uri, "generation": pinned},
            "display_name": "pinned",
        },
    )
    buckets.write(emulator.folder, uri, content("print('second')"))
    clock.move(minutes=1)
    fire()
    said = {
        job.display_name: buckets.read(
            emulator.folder, f"gs://nightly/{job.name.rpartition('/')[2]}/train.ipynb"
        )
        for job in notebooks.list_notebook_execution_jobs(parent=PARENT)
    }
    assert b"second\\n" in said["by night"]
    assert b"first\\n" in said["pinned"]


def test_an_update_changes_what_its_mask_names(service, create, clock, fire, notebooks):
    made = create(allow_queueing=True)
    clock.move(minutes=1)
    new = asked("print('new')", display_name="Weekly", cron="0 0 * * 1")
    new["name"] = made.name
    mask = {"paths": ["cron", "max_run_count"]}
    with pytest.raises(exceptions.BadRequest, match="cannot be unset"):
        service.update_schedule(schedule={"name": made.name}, update_mask=mask)
    mask = {"paths": ["display_name", "cron", "create_notebook_execution_job_request"]}
    changed = service.update_schedule(schedule=new, update_mask=mask)
    assert (changed.display_name, changed.cron, changed.allow_queueing) == (
        "Weekly", "0 0 * * 1", True
    )  # fmt: skip
    assert changed.next_run_time == datetime(2026, 7, 6, tzinfo=UTC)
    assert changed.name == made.name
    sent = changed.create_notebook_execution_job_request.notebook_execution_job
    assert b"new" in sent.direct_notebook_source.content
    assert changed == service.get_schedule(name=made.name)
    fire()
    assert list(notebooks.list_notebook_execution_jobs(parent=PARENT)) == []
    with pytest.raises(exceptions.BadRequest, match="update_mask"):
        service.update_schedule(schedule=new, update_mask={"paths": ["nothing"]})


def test_a_deleted_schedule_is_gone_and_its_jobs_stay(
    service, create, notebooks, fire, clock, jobs, emulator
):
    made = create()
    clock.move(minutes=1)
    fire()
    assert service.delete_schedule(name=made.name).done()
    for gone in (service.get_schedule, service.delete_schedule, service.pause_schedule):
        with pytest.raises(exceptions.NotFound):
            gone(name=made.name)
    assert Schedules(jobs).all() == []
    (job,) = notebooks.list_notebook_execution_jobs(parent=PARENT)
    assert job.job_state == types.JobState.JOB_STATE_SUCCEEDED
    assert list((emulator.folder / "emulator" / "schedules").iterdir()) == []


def test_schedules_are_listed_by_what_their_documentation_names(service, create, clock):
    names = []
    for number, more in enumerate(({}, {"end_time": NOON + timedelta(days=9)}, {})):
        clock.move(seconds=1)
        names.append(create(display_name=f"my_schedule_{number}", **more).name)
    service.pause_schedule(name=names[2])

    def listed(filter="", order_by=""):
        request = {"parent": PARENT, "filter": filter, "order_by": order_by}
        return [names.index(found.name) for found in service.list_schedules(request)]

    assert listed() == [2, 1, 0]
    assert listed(order_by="create_time") == [0, 1, 2]
    assert listed('state="ACTIVE" AND display_name:"my_schedule_*"') == [1, 0]
    assert listed("state=PAUSED") == [2]
    assert listed('NOT display_name="my_schedule_0"') == [2, 1]
    assert listed('create_time>"2021-05-18T00:00:00Z"') == [2, 1, 0]
    assert listed('end_time>"2021-05-18T00:00:00Z"') == [1]
    assert listed('end_time>"2031-05-18T00:00:00Z" OR NOT end_time:*') == [2, 0]
    assert listed("create_pipeline_job_request:*") == []
    assert listed("create_notebook_execution_job_request:*", "end_time desc, create_time") == [
        1, 0, 2,
    ]  # fmt: skip
    pages = service.list_schedules({"parent": PARENT, "page_size": 2})
    assert [len(page.schedules) for page in pages.pages] == [2, 1]
    for wrong in ("state>ACTIVE", "labels.a=b", 'start_time>"yesterday"', 'max_run_count="1"'):
        with pytest.raises(exceptions.BadRequest):
            listed(wrong)


WRONG = [
    ({"cron": "0 26 * * *"}, "bad hour"),
    ({"cron": "TZ=Nowhere/City 0 2 * * *"}, "no time zone"),
    ({"cron": ""}, "cron is required"),
    ({"display_name": ""}, "display_name is required"),
    ({"max_concurrent_run_count": 0}, "max_concurrent_run_count is required"),
    ({"end_time": NOON - timedelta(days=1)}, "never be due"),
    ({"max_concurrent_active_run_count": 2}, "create_pipeline_job_request only"),
    ({"job": {"direct_notebook_source": {"content": b"x"}}}, "JSON is broken"),
    ({"job": {"kernel_name": "cobol"}}, "no kernel"),
]


@pytest.mark.parametrize(("more", "says"), WRONG, ids=[says for _, says in WRONG])
def test_what_is_wrong_is_said_and_nothing_is_created(emulator, create, jobs, more, says):
    with pytest.raises(exceptions.BadRequest, match=says):
        create("1", **more)
    assert Schedules(jobs).all() == []
    assert not list(emulator.folder.rglob("content.ipynb"))


def test_pipelines_are_refused(service):
    job = {"parent": PARENT, "pipeline_job": {}}
    wanted = {**asked("1"), "create_pipeline_job_request": job}
    del wanted["create_notebook_execution_job_request"]
    with pytest.raises(exceptions.MethodNotImplemented, match="no pipelines"):
        service.create_schedule(parent=PARENT, schedule=wanted)


def test_the_emulator_fires_by_itself_while_no_service_does(
    service, create, notebooks, emulator, clock, jobs
):
    made = create("print('by itself')")
    clock.move(minutes=1)
    stop = threading.Event()
    fires = threading.Thread(
        target=firing.run, args=(emulator.folder, clock, stop, threading.Lock())
    )
    fires.start()
    try:
        limit = time.monotonic() + 120
        while service.get_schedule(name=made.name).started_run_count < 1:
            assert time.monotonic() < limit
            time.sleep(0.05)
        while True:
            found = list(notebooks.list_notebook_execution_jobs(parent=PARENT))
            if found and found[0].job_state == types.JobState.JOB_STATE_SUCCEEDED:
                break
            assert time.monotonic() < limit, found
            time.sleep(0.05)
    finally:
        stop.set()
        fires.join()


def test_the_sdks_own_class_lists_schedules(connect, create):
    aiplatform = connect()
    made = create(display_name="shown")
    from google.cloud.aiplatform import schedules

    found = schedules._Schedule.get(made.name)
    assert (found.display_name, found.cron, found.max_concurrent_run_count) == (
        "shown", "* * * * *", 1
    )  # fmt: skip
    found.pause()
    found.resume(catch_up=True)
    assert found.state == ACTIVE
    listed = aiplatform.PipelineJobSchedule.list(filter="create_pipeline_job_request:*")
    assert listed == []
    found.delete()
