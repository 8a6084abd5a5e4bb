"""What is decided when a schedule is due: each policy, after each kind of trouble."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from nbtools.due import LONGEST, MOST, decide, first_time, retry_time
from nbtools.schedule import Schedule, ScheduleState, Tick, TickState

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
DAYS = timedelta(days=1)


def daily(**rules):
    return Schedule(
        name="daily", notebook="n.ipynb", cron="TZ=UTC 0 12 * * *", next_run_time=NOON, **rules
    )


def states(decision):
    return [(tick.time, tick.state) for tick in decision.ticks]


def test_nothing_is_done_before_its_time():
    decision = decide(daily(), 0, NOON - timedelta(microseconds=1))
    assert decision.ticks == ()
    assert decision.schedule == daily()


def test_what_is_due_is_due_once():
    decision = decide(daily(), 0, NOON)
    assert states(decision) == [(NOON, TickState.QUEUED)]
    assert decision.schedule.next_run_time == NOON + DAYS
    assert decision.schedule.started_run_count == 1
    assert decide(decision.schedule, 1, NOON).ticks == ()


def test_a_clock_that_goes_back_makes_nothing_due_again():
    after = decide(daily(), 0, NOON).schedule
    assert decide(after, 0, NOON - 3 * DAYS).ticks == ()


@pytest.mark.parametrize(
    ("misfire", "executed"),
    [("skip", [3]), ("latest", [3]), ("all", [0, 1, 2, 3])],
)
def test_after_three_days_of_sleep_each_policy_does_what_it_says(misfire, executed):
    """It wakes at noon of the fourth day, when it is just due again."""
    decision = decide(daily(misfire=misfire, concurrency="allow"), 0, NOON + 3 * DAYS)
    assert [tick.time for tick in decision.ticks] == [NOON + n * DAYS for n in range(4)]
    queued = [n for n, tick in enumerate(decision.ticks) if tick.state is TickState.QUEUED]
    assert queued == executed
    assert all(tick.reason for tick in decision.ticks if tick.state is TickState.SKIPPED)
    assert decision.schedule.next_run_time == NOON + 4 * DAYS
    assert decision.schedule.started_run_count == len(executed)


@pytest.mark.parametrize(
    ("misfire", "executed"), [("skip", []), ("latest", [2]), ("all", [0, 1, 2])]
)
def test_woken_an_hour_late_only_a_policy_that_makes_up_executes(misfire, executed):
    late = NOON + 2 * DAYS + timedelta(hours=1)
    decision = decide(daily(misfire=misfire, concurrency="allow"), 0, late)
    queued = [n for n, tick in enumerate(decision.ticks) if tick.state is TickState.QUEUED]
    assert queued == executed


def test_what_was_missed_longer_ago_than_max_age_is_not_made_up_for():
    rules = {"misfire": "all", "concurrency": "allow", "max_age": 30 * 3600.0}
    decision = decide(daily(**rules), 0, NOON + 2 * DAYS + timedelta(hours=1))
    assert [t.state for t in decision.ticks] == [TickState.SKIPPED, *[TickState.QUEUED] * 2]
    assert "max-age" in decision.ticks[0].reason


def test_a_long_sleep_is_taken_in_parts_and_only_the_very_last_is_executed():
    schedule = replace(daily(), cron="TZ=UTC * * * * *")
    now, made = NOON + timedelta(minutes=2.5 * MOST), []
    while (decision := decide(schedule, 0, now)).ticks:
        made += decision.ticks
        schedule = decision.schedule
    assert [t.time for t in made] == [NOON + timedelta(minutes=n) for n in range(2501)]
    assert [t.state for t in made].count(TickState.QUEUED) == 1
    assert made[-1].state is TickState.QUEUED


def test_skip_drops_a_run_while_another_is_at_work_and_the_others_do_not():
    assert decide(daily(concurrency="skip"), 1, NOON).ticks[0].state is TickState.SKIPPED
    for concurrency in ("allow", "queue", "replace"):
        tick = decide(daily(concurrency=concurrency), 1, NOON).ticks[0]
        assert tick.state is TickState.QUEUED
    two = daily(concurrency="skip", max_concurrent_run_count=2)
    assert decide(two, 1, NOON).ticks[0].state is TickState.QUEUED


def test_a_skipped_run_does_not_count_towards_max_run_count():
    decision = decide(daily(max_run_count=1), 1, NOON)
    assert decision.schedule.state is ScheduleState.ACTIVE
    assert decision.schedule.started_run_count == 0


def test_it_is_completed_with_its_last_run():
    schedule = daily(max_run_count=2, misfire="all", concurrency="queue")
    decision = decide(schedule, 0, NOON + 5 * DAYS)
    assert len(decision.ticks) == 2
    assert decision.schedule.state is ScheduleState.COMPLETED
    assert decision.schedule.next_run_time is None


def test_it_is_completed_at_its_end():
    ends = daily(end_time=NOON + DAYS)
    decision = decide(ends, 0, NOON)
    assert decision.schedule.next_run_time == NOON + DAYS  # the end itself belongs to it
    decision = decide(decision.schedule, 0, NOON + 4 * DAYS)
    assert [t.time for t in decision.ticks] == [NOON + DAYS]
    assert decision.schedule.state is ScheduleState.COMPLETED


def test_the_start_time_itself_belongs_to_it():
    starts = daily(start_time=NOON + 2 * DAYS)
    assert first_time(starts, NOON - DAYS) == NOON + 2 * DAYS
    assert first_time(daily(), NOON) == NOON + DAYS


def test_the_pauses_before_retries_double_to_an_hour_and_differ():
    schedule = daily(retries=20, backoff=10.0)
    pauses = []
    for attempt in range(1, 21):
        tick = Tick(schedule="daily", time=NOON, attempt=attempt)
        pauses.append((retry_time(schedule, tick, NOON) - NOON).total_seconds())
    for number, pause in enumerate(pauses):
        whole = min(10.0 * 2**number, LONGEST)
        assert 0.75 * whole <= pause <= 1.25 * whole
    assert len({round(p / min(10.0 * 2**n, LONGEST), 4) for n, p in enumerate(pauses)}) > 10
    last = Tick(schedule="daily", time=NOON, attempt=21)
    assert retry_time(schedule, last, NOON) is None
