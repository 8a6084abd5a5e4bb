"""Schedules are created, found in order, changed and forgotten."""

from datetime import UTC, datetime, timedelta

import pytest

from nbtools.errors import AlreadyExists, NotFound, RequestError, StateError
from nbtools.jobs import Jobs
from nbtools.schedule import Schedule, ScheduleState, TickState
from nbtools.schedules import Schedules
from nbtools.settings import Settings
from nbtools.store import Store

NOW = datetime(2026, 7, 1, 11, 30, tzinfo=UTC)


class Clock:
    def __init__(self):
        self.now = NOW

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def schedules(tmp_path, clock):
    settings = Settings(store=tmp_path / "store")
    return Schedules(Jobs(Store(settings.store), settings, clock))


@pytest.fixture
def daily(make_notebook):
    notebook = make_notebook("train.ipynb", "1 + 1", parameters="lr: float = 1e-3\nday: str = ''")

    def daily(name="daily", **rules):
        rules = {
            "notebook": str(notebook),
            "cron": "" if rules.get("after") else "0 12 * * *",
        } | rules
        return Schedule(name=name, **rules)

    return daily


def test_a_schedule_is_kept_with_vertex_ais_field_names(schedules, daily):
    made = schedules.create(daily(params={"lr": 0.1}, max_run_count=3))
    assert schedules.get("daily") == made
    assert made.cron == "TZ=UTC 0 12 * * *"
    assert made.next_run_time == NOW.replace(hour=12, minute=0)
    assert made.state is ScheduleState.ACTIVE
    assert set(made.dumps()) > {
        "cron", "start_time", "end_time", "max_run_count", "max_concurrent_run_count", "state",
        "next_run_time", "started_run_count", "create_time", "update_time",
    }  # fmt: skip
    assert (made.allow_queueing, made.catch_up) == (False, False)


def test_its_next_times_are_told_up_to_its_end(schedules, daily):
    schedules.create(daily(end_time=NOW + timedelta(days=2, hours=12)))
    noon = NOW.replace(hour=12, minute=0)
    assert schedules.next("daily") == [noon + timedelta(days=n) for n in range(3)]
    schedules.create(daily("two", max_run_count=2))
    assert len(schedules.next("two")) == 2


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ({"cron": "0 26 * * *"}, "bad hour"),
        ({"cron": ""}, "one of the two"),
        ({"after": ("x",)}, "no such one"),
        ({"notebook": "nowhere.ipynb"}, "no notebook"),
        ({"params": {"rl": 1}}, "rl: no such parameter"),
        ({"params": {"lr": "much"}}, "does not fit"),
        ({"params": {"lr": "{{ scheduled_date }}"}}, "does not fit float"),
        ({"params": {"day": "{{ yesterday }}"}}, "no placeholder"),
        ({"output": "{{ train.outputs.path }}"}, "no placeholder"),
        ({"kernel": "cobol"}, "no kernel"),
        ({"executor": "moon"}, "no executor"),
        ({"concurrency": "perhaps"}, "allow, skip, queue, replace"),
        ({"misfire": "sometimes"}, "skip, latest, all"),
        ({"misfire": "all"}, "queue or allow"),
        ({"retries": -1}, "0 or more"),
        ({"timeout": float("nan")}, "0 or more"),
        ({"end_time": NOW - timedelta(days=1)}, "never be due"),
        ({"start_time": datetime(2026, 1, 1)}, "no time zone"),
        ({"notify": ("ftp://x",)}, "cannot notify"),
        ({"notify": ("mailto:nobody",)}, "cannot notify"),
        ({"name": "Nightly run"}, "'nightly-run'"),
        ({"name": "-a"}, "small letters"),
    ],
)
def test_what_is_wrong_is_refused_at_once_and_nothing_is_kept(schedules, daily, rules, says):
    with pytest.raises(RequestError, match=says):
        schedules.create(daily(**rules))
    assert schedules.all() == []


def test_a_name_is_taken_once(schedules, daily):
    schedules.create(daily())
    with pytest.raises(AlreadyExists, match="already a schedule 'daily'"):
        schedules.create(daily())
    with pytest.raises(NotFound, match="there is daily"):
        schedules.get("nightly")


def test_a_cycle_is_refused_with_its_way(schedules, daily):
    with pytest.raises(RequestError, match="a after c after b after a"):
        schedules.create_all(
            [daily("a", after=("c",)), daily("b", after=("a",)), daily("c", after=("b",))]
        )
    with pytest.raises(RequestError, match="a after a"):
        schedules.create_all([daily("a", after=("a",))])
    assert schedules.all() == []


def test_one_that_comes_after_names_what_it_gets(schedules, daily):
    schedules.create(daily("train"))
    schedules.create(daily("eval", after=("train",), params={"lr": "{{ train.outputs.lr }}"}))
    with pytest.raises(RequestError, match="rl: no such parameter"):
        schedules.create(daily("x", after=("train",), params={"rl": "{{ train.outputs.lr }}"}))
    with pytest.raises(RequestError, match="no placeholder"):
        schedules.create(daily("x", after=("train",), params={"lr": "{{ other.outputs.lr }}"}))
    with pytest.raises(StateError, match="eval comes after"):
        schedules.delete("train")
    schedules.delete("eval")
    schedules.delete("train")
    assert schedules.all() == []


def test_a_pause_drops_the_times_in_it_unless_they_are_to_be_made_up_for(schedules, daily, clock):
    schedules.create(daily())
    assert schedules.pause("daily").state is ScheduleState.PAUSED
    assert schedules.next("daily") == []
    clock.now += timedelta(days=3)
    resumed = schedules.resume("daily")
    assert resumed.next_run_time == NOW.replace(hour=12, minute=0) + timedelta(days=3)
    assert schedules.history("daily") == []
    schedules.pause("daily")
    clock.now += timedelta(days=3)
    resumed = schedules.resume("daily", catch_up=True)
    assert resumed.misfire == "latest"
    assert [t.state for t in schedules.history("daily")] == [TickState.QUEUED] * 3
    assert resumed.started_run_count == 3
    assert resumed.next_run_time == NOW.replace(hour=12, minute=0) + timedelta(days=6)


def test_run_now_queues_one_even_of_a_paused_schedule(schedules, daily):
    schedules.create(daily())
    schedules.pause("daily")
    tick = schedules.run_now("daily")
    assert schedules.history("daily")[0].time == tick.time == NOW
    assert schedules.get("daily").started_run_count == 1
    assert schedules.get("daily").state is ScheduleState.PAUSED


def test_many_schedules_are_kept_or_none(schedules, daily):
    many = [daily(f"s-{n}", cron=f"{n % 60} * * * *") for n in range(2000)]
    with pytest.raises(RequestError, match="bad minute"):
        schedules.create_all([*many, daily("wrong", cron="60 * * * *")])
    assert schedules.all() == []
    schedules.create_all(many)
    assert len(schedules.all()) == 2000
