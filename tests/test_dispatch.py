"""What is due becomes jobs, each once, and their ends have the consequences they shall."""

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import indent

import pytest

from nbtools.dispatch import Dispatcher
from nbtools.errors import NotFound, StateError
from nbtools.executor import Task
from nbtools.jobs import Jobs
from nbtools.nouns import JOB, Execution
from nbtools.schedule import Schedule, ScheduleState, TickState, job_of
from nbtools.schedules import Schedules
from nbtools.secrets import Secrets
from nbtools.settings import Settings
from nbtools.states import JobState
from nbtools.store import Store

pytestmark = pytest.mark.slow
NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
WRITE = "open(out, 'a').write(f'{when}\\n')"
#: until `World.go` is called.
WAIT = "import os, time\nwhile not os.path.exists(out):\n    time.sleep(0.05)"
PARAMETERS = "when: str = ''\nout: str = ''\nx: float = 0.0"


class World:
    """A store with its clock, and as many services as are asked for."""

    def __init__(self, folder, make_notebook):
        self.folder, self.make_notebook = folder, make_notebook
        self.settings = Settings(store=folder / "store")
        self.now = NOON - timedelta(seconds=30)
        self.schedules = Schedules(self.jobs())
        self.dispatcher = self.service()

    def jobs(self):
        return Jobs(Store(self.settings.store), self.settings, lambda: self.now)

    def service(self, parallel=0):
        return Dispatcher(self.jobs(), parallel)

    def create(self, name="s", *cells, **rules):
        notebook = self.make_notebook(f"{name}.ipynb", *(cells or [WRITE]), parameters=PARAMETERS)
        params = {"when": "{{ scheduled_time }}", "out": str(self.folder / "out.txt")}
        rules = {"cron": "" if "after" in rules else "* * * * *", "params": params, **rules}
        return self.schedules.create(Schedule(name=name, notebook=str(notebook), **rules))

    def round(self, now=None):
        self.now = now or self.now
        return self.dispatcher.round(self.now)

    def until_quiet(self, dispatcher=None):
        """Do rounds until nothing is at work; what waits for its time is left to wait."""
        dispatcher = dispatcher or self.dispatcher
        while working := dispatcher.round(self.now):
            dispatcher.jobs.wait([j for j in working if j.handle], 5.0)

    def history(self, name="s"):
        return [(t.time, t.state) for t in reversed(self.schedules.history(name))]

    def tick(self, name="s"):
        return self.schedules.history(name)[0]

    def go(self):
        """What waits goes on."""
        (self.folder / "out.txt").touch()

    def written(self):
        path = self.folder / "out.txt"
        return path.read_text().split() if path.exists() else []


@pytest.fixture
def world(tmp_path, make_notebook):
    return World(tmp_path, make_notebook)


def test_a_due_schedule_is_executed_with_its_time(world):
    world.create(output=str(world.folder / "out" / "{{ scheduled_time | %Y/%m }}" / "s.ipynb"))
    world.round()
    assert world.history() == []
    world.now = NOON
    world.until_quiet()
    assert world.history() == [(NOON, TickState.SUCCEEDED)]
    assert world.written() == ["2026-07-01T12:00:00+00:00"]
    assert world.tick().job == "s-20260701-120000"
    job = world.schedules.jobs.get("s-20260701-120000")
    assert job.schedule == "s"
    assert (world.folder / "out/2026/07/s.ipynb").exists()


def test_services_that_compete_make_one_job_a_tick(world):
    world.create(concurrency="allow", misfire="all")
    services = [world.service() for _ in range(4)]
    world.now = NOON + 4 * MINUTE
    start = threading.Barrier(4)

    def work(service):
        start.wait()
        world.until_quiet(service)

    threads = [threading.Thread(target=work, args=(s,)) for s in services]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    world.until_quiet()
    expected = [NOON + n * MINUTE for n in range(5)]
    assert world.history() == [(time, TickState.SUCCEEDED) for time in expected]
    assert sorted(world.written()) == [time.isoformat() for time in expected]
    assert len(world.schedules.store.select(Execution, JOB)) == 5


def test_never_more_jobs_than_the_service_may_and_the_important_first(world):
    world.create("low", "1", params={})
    world.create("high", WAIT, priority=5)
    service = world.service(parallel=1)
    world.now = NOON
    assert [job.schedule for job in service.round(NOON)] == ["high"]
    assert [job.schedule for job in service.round(NOON)] == ["high"]
    world.go()
    world.until_quiet(service)
    assert world.tick("low").state is TickState.SUCCEEDED


@pytest.mark.parametrize(
    ("concurrency", "ends"),
    [
        ("skip", [TickState.SUCCEEDED, TickState.SKIPPED]),
        ("queue", [TickState.SUCCEEDED, TickState.SUCCEEDED]),
        ("allow", [TickState.SUCCEEDED, TickState.SUCCEEDED]),
        ("replace", [TickState.CANCELLED, TickState.SUCCEEDED]),
    ],
)
def test_due_again_while_at_work_each_policy_does_what_it_says(world, concurrency, ends):
    world.create("s", f"if '12:00' in when:\n{indent(WAIT, '    ')}", concurrency=concurrency)
    assert len(world.round(NOON)) == 1
    at_work = world.round(NOON + MINUTE)
    assert len(at_work) == (2 if concurrency == "allow" else 1)
    if concurrency != "replace":  # there the first ends though nothing lets it go on
        world.go()
    world.until_quiet()
    assert [state for _, state in world.history()] == ends


def test_a_failed_job_is_tried_again_after_its_pause_and_each_attempt_is_kept(world):
    fails = "import os\nif not os.path.exists(out):\n    open(out, 'w').close()\n    1/0"
    world.create("s", fails, retries=2, backoff=60.0)
    world.now = NOON
    world.until_quiet()
    tick = world.tick()
    assert (tick.state, tick.attempt) == (TickState.QUEUED, 2)
    assert "ZeroDivisionError" in tick.reason
    assert timedelta(seconds=44) < tick.not_before - NOON < timedelta(seconds=76)
    world.schedules.pause("s")
    world.now = NOON + timedelta(seconds=76)
    world.until_quiet()
    assert world.tick().state is TickState.SUCCEEDED
    first, second = (world.schedules.jobs.get(job_of("s", NOON, n)) for n in (1, 2))
    assert (first.state, second.state) == (JobState.FAILED, JobState.SUCCEEDED)
    assert (Path(first.folder) / "s.partial.ipynb").exists()


def test_attempts_come_to_an_end(world):
    world.create("s", "1/0", retries=1, backoff=0.0)
    world.now = NOON
    world.until_quiet()
    world.until_quiet()
    assert (world.tick().state, world.tick().attempt) == (TickState.FAILED, 2)


def test_a_notebook_that_is_gone_when_it_is_due_is_a_failure_with_its_reason(world):
    made = world.create(retries=1, backoff=0.0)
    Path(made.notebook).unlink()
    world.now = NOON
    world.until_quiet()
    world.until_quiet()
    assert world.tick().state is TickState.FAILED
    assert "no notebook at" in world.tick().reason


def test_one_schedule_that_cannot_be_understood_stops_no_other(world):
    broken = world.create("broken")
    world.create("s")
    with world.schedules.store.write():
        zone = replace(broken, cron="TZ=Mars/Olympus * * * * *")
        world.schedules.timetable.put(zone)
    world.now = NOON
    world.until_quiet()
    assert world.history() == [(NOON, TickState.SUCCEEDED)]
    assert world.schedules.get("broken").state is ScheduleState.PAUSED
    assert "Mars/Olympus" in world.schedules.get("broken").reason


def test_one_that_comes_after_gets_what_was_left(world):
    leaves = (
        "import nbtools\nnbtools.log_metrics({'acc': 0.75})\n"
        "p = nbtools.output_path('m.txt')\nopen(p, 'w').write(when)"
    )
    world.create("train", leaves)
    params = {"when": "{{ train.artifacts.m.txt }}", "x": "{{ train.outputs.acc }}",
              "out": str(world.folder / "out.txt")}  # fmt: skip
    world.create("check", "open(out, 'w').write(f'{open(when).read()} {x + 1}')",
                 after=("train",), params=params)  # fmt: skip
    world.now = NOON
    world.until_quiet()
    assert world.history("check") == [(NOON, TickState.SUCCEEDED)]
    assert world.written() == ["2026-07-01T12:00:00+00:00", "1.75"]
    job = world.schedules.jobs.get("check-20260701-120000")
    inputs = world.schedules.store.events(execution=job.name)
    assert len([e for e in inputs if e.type == "INPUT"]) == 2  # the notebook, and the file


def test_what_comes_after_a_failure_is_skipped_with_the_reason_down_the_line(world):
    world.create("a", "1/0")
    world.create("b", after=("a",), params={})
    world.create("c", after=("b",), params={})
    world.now = NOON
    world.until_quiet()
    assert [world.tick(n).state for n in "bc"] == [TickState.SKIPPED] * 2
    assert "schedule a has not succeeded" in world.tick("b").reason


def test_one_that_comes_after_two_waits_for_both_and_comes_once(world):
    world.create("a", "import time; time.sleep(1)", params={})
    world.create("b", "1", params={})
    world.create("c", "1", after=("a", "b"), params={})
    world.now = NOON
    world.until_quiet()
    assert world.history("c") == [(NOON, TickState.SUCCEEDED)]


def test_a_job_that_nobody_has_begun_is_begun_by_the_next_service(world, monkeypatch):
    """As a service leaves it that dies between remembering a job and beginning it."""
    world.create()
    dying = world.service()
    monkeypatch.setattr(dying.jobs, "hand_over", lambda task: dying.jobs.look(task.job)[0])
    world.now = NOON
    dying.round(NOON)
    world.round(NOON + timedelta(seconds=1))
    assert world.written() == []  # it may be about to begin it
    world.schedules.pause("s")
    world.now = NOON + timedelta(hours=10)
    assert world.schedules.jobs.get("s-20260701-120000").state is JobState.QUEUED
    world.until_quiet()
    assert world.history() == [(NOON, TickState.SUCCEEDED)]
    assert world.written() == ["2026-07-01T12:00:00+00:00"]


def test_a_job_whose_beginning_was_not_written_down_is_not_begun_twice(world):
    """As a service leaves it that dies after beginning a job."""
    world.create()
    dying = world.service()
    dying.jobs.hand_over = lambda task: (
        dying.jobs._executor("local").start(task, Secrets()) and (dying.jobs.look(task.job)[0])
    )
    world.now = NOON
    dying.round(NOON)
    world.schedules.pause("s")
    world.now = NOON + timedelta(hours=10)
    world.until_quiet()
    assert world.history() == [(NOON, TickState.SUCCEEDED)]
    assert world.written() == ["2026-07-01T12:00:00+00:00"]


def test_a_job_may_be_handed_over_again_at_any_time(world):
    world.create()
    world.now = NOON
    world.until_quiet()
    task = Task.loads((world.settings.store / "jobs/s-20260701-120000/task.json").read_text())
    assert world.service().jobs.hand_over(task).state is JobState.SUCCEEDED
    assert world.written() == ["2026-07-01T12:00:00+00:00"]


def test_a_cancelled_job_is_not_tried_again(world):
    world.create("s", "import time; time.sleep(60)", retries=3)
    job = world.round(NOON)[0]
    world.schedules.jobs.cancel(job.name)
    world.until_quiet()
    assert world.tick().state is TickState.CANCELLED


def test_what_was_cancelled_before_it_was_begun_ends_cancelled(world, monkeypatch):
    world.create()
    dying = world.service()
    monkeypatch.setattr(dying.jobs, "hand_over", lambda task: dying.jobs.look(task.job)[0])
    world.now = NOON
    job = dying.round(NOON)[0]
    world.schedules.jobs.cancel(job.name)
    world.schedules.pause("s")
    world.now = NOON + timedelta(seconds=1)
    world.until_quiet()
    assert world.tick().state is TickState.CANCELLED
    assert world.written() == []


def test_what_waits_and_what_is_at_work_is_cancelled(world):
    world.create("s", "import time; time.sleep(600)", params={}, concurrency="queue")
    world.create("next", "1", after=("s",), params={})
    working = world.round(NOON)
    world.round(NOON + MINUTE)
    assert world.history() == [(NOON, TickState.STARTED), (NOON + MINUTE, TickState.QUEUED)]
    world.schedules.pause("s")
    one = world.tick().name
    assert [t.name for t in world.schedules.cancel(one)] == [one]
    assert (world.tick().state, world.tick().reason) == (
        TickState.CANCELLED, "cancelled before it began"
    )  # fmt: skip
    with pytest.raises(StateError, match=f"nothing of '{one}' waits or is at work"):
        world.schedules.cancel(one)
    assert [t.name for t in world.schedules.cancel("s")] == [working[0].name]
    world.until_quiet()
    assert [state for _, state in world.history()] == [TickState.CANCELLED] * 2
    assert [state for _, state in world.history("next")] == [TickState.SKIPPED] * 2
    with pytest.raises(NotFound, match="no schedule 'other-20260701-120000'"):
        world.schedules.cancel("other-20260701-120000")


def test_a_retry_that_waits_is_cancelled(world):
    world.create("s", "1/0", retries=5, backoff=3600.0)
    world.now = NOON
    world.until_quiet()
    world.schedules.pause("s")
    assert [t.name for t in world.schedules.cancel("s-20260701-120000-2")] == [
        "s-20260701-120000-2"
    ]
    world.now = NOON + timedelta(days=1)
    world.until_quiet()
    assert world.history() == [(NOON, TickState.CANCELLED)]


def test_services_together_begin_no_more_than_one_of_them_may(world):
    world.create("s", "import time; time.sleep(0.3)", params={}, concurrency="allow",
                 misfire="all")  # fmt: skip
    services = [world.service(parallel=2) for _ in range(3)]
    most = 0
    world.now = NOON + 5 * MINUTE
    while not world.history() or any(not state.final for _, state in world.history()):
        for service in services:
            working = service.round(world.now)
            most = max(most, len(world.schedules.timetable.in_state(TickState.STARTED)))
        services[-1].jobs.wait([j for j in working if j.handle], 0.05)
    assert most == 2
    assert [state for _, state in world.history()] == [TickState.SUCCEEDED] * 6


def test_the_queue_is_by_priority_then_by_time(world):
    for name, priority in (("low", -1), ("usual", 0), ("high", 7)):
        world.create(name, WRITE, priority=priority, concurrency="queue", misfire="all",
                     params={"when": name + " {{ scheduled_time | %M }}",
                             "out": str(world.folder / "out.txt")})  # fmt: skip
    service = world.service(parallel=1)
    world.now = NOON + MINUTE
    world.until_quiet(service)
    assert (world.folder / "out.txt").read_text().splitlines() == [
        f"{name} {minute}" for name in ("high", "usual", "low") for minute in ("00", "01")
    ]


@pytest.mark.parametrize(
    ("begin", "times"),
    [
        (datetime(2026, 3, 28, tzinfo=UTC), ["28 01:30", "29 01:00", "30 00:30"]),  # a gap
        (datetime(2026, 10, 24, tzinfo=UTC), ["24 00:30", "25 00:30", "26 01:30"]),  # an hour twice
    ],
)
def test_when_the_clocks_change_each_night_is_executed_once(world, begin, times):
    world.now = begin
    world.create(cron="TZ=Europe/Berlin 30 2 * * *", concurrency="queue", params={
        "when": "{{ scheduled_date }}", "out": str(world.folder / "out.txt")
    })  # fmt: skip
    for _ in range(3 * 24 * 2):
        world.now += timedelta(minutes=30)
        world.until_quiet()
    assert [f"{time:%d %H:%M}" for time, _ in world.history()] == times
    days = [begin.date() + timedelta(days=n) for n in range(3)]
    assert world.written() == [day.isoformat() for day in days]


def test_a_clock_that_was_ahead_and_is_put_back_repeats_nothing_and_goes_on(world):
    world.create("s", "1", params={}, cron="0 12 * * *", misfire="all", concurrency="queue")
    world.now = NOON + timedelta(days=2)
    world.until_quiet()
    assert len(world.history()) == 3
    world.now = NOON + timedelta(hours=1)  # the first was right, the others were not
    assert world.schedules.get("s").next_run_time == NOON + timedelta(days=3)
    assert world.dispatcher.clock_was_put_back(world.now) == 1
    assert world.schedules.get("s").next_run_time == NOON + timedelta(days=1)
    world.now = NOON + timedelta(days=3)
    world.until_quiet()
    assert [time for time, _ in world.history()] == [NOON + timedelta(days=n) for n in range(4)]
    assert len(world.schedules.store.select(Execution, JOB)) == 4
    assert world.schedules.get("s").started_run_count == 4


def test_a_deleted_schedule_leaves_nothing_that_is_begun(world):
    world.create()
    world.round(NOON)
    world.now = NOON + timedelta(seconds=1)
    world.schedules.run_now("s")
    world.schedules.delete("s")
    world.until_quiet()
    assert world.schedules.all() == []
    assert len(world.schedules.store.select(Execution, JOB)) == 1
