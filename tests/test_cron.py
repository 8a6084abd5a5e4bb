"""When an expression is due, in particular where the clock is changed."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbtools.cron import times, upcoming, written, zone_of
from nbtools.errors import RequestError

#: an hour before, and the days of, the changes in Berlin.
SPRING, AUTUMN = datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC)


def local(cron, after, count):
    return [f"{t.astimezone(zone_of(cron)):%d %H:%M %z}" for t in upcoming(cron, after, count)]


def test_a_time_of_day_that_is_left_out_is_due_when_the_gap_ends():
    cron = written("30 2 * * *", "Europe/Berlin")
    assert local(cron, SPRING - timedelta(days=1), 3) == [
        "28 02:30 +0100", "29 03:00 +0200", "30 02:30 +0200"
    ]  # fmt: skip


def test_a_time_of_day_that_comes_twice_is_due_once():
    cron = written("30 2 * * *", "Europe/Berlin")
    found = local(cron, AUTUMN - timedelta(days=1), 3)
    assert found == ["24 02:30 +0200", "25 02:30 +0200", "26 02:30 +0100"]


def test_asked_within_the_hour_that_comes_twice_it_does_not_go_back():
    cron = written("30 2 * * *", "Europe/Berlin")
    second = datetime(2026, 10, 25, 1, 15, tzinfo=UTC)  # 02:15, for the second time
    assert local(cron, second, 1) == ["26 02:30 +0100"]


def test_every_half_hour_goes_on_through_both_changes():
    cron = written("*/30 * * * *", "Europe/Berlin")
    for change in (SPRING, AUTUMN):
        found = upcoming(cron, change - timedelta(seconds=1), 12)
        assert found == [change + timedelta(minutes=30 * n) for n in range(12)]


@given(
    st.sampled_from(["30 2 * * *", "0 1-3 * * *", "*/15 * * * *", "15 */2 * * 0", "0 0 1 * *"]),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"]),
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)),
)
def test_going_on_from_a_time_gives_what_going_through_does(expression, zone, begin):
    cron, after = written(expression, zone), begin.replace(tzinfo=UTC)
    through = upcoming(cron, after, 8)
    assert all(a < b for a, b in zip([after, *through], through, strict=False))
    step = []
    while len(step) < 8:
        after = next(times(cron, after))
        step.append(after)
    assert step == through


def test_an_expression_is_written_as_vertex_ai_writes_it():
    assert written("0 2 * * *", "Europe/Berlin") == "TZ=Europe/Berlin 0 2 * * *"
    assert written("CRON_TZ=Europe/Berlin 0  2 * * *") == "TZ=Europe/Berlin 0 2 * * *"
    assert written("@daily") == "TZ=UTC 0 0 * * *"
    assert written(written("@hourly", "Asia/Tokyo")) == "TZ=Asia/Tokyo 0 * * * *"


@pytest.mark.parametrize(
    ("expression", "zone", "says"),
    [
        ("0 26 * * *", "", "bad hour"),
        ("0 2 * *", "", "wrong number of fields"),
        ("", "", "wrong number of fields"),
        ("0 0 31 2 *", "", "bad day-of-month"),
        ("0 2 * * *", "Europe/Berln", "no time zone 'Europe/Berln'"),
        ("0 2 * * *", "../../etc/passwd", "no time zone"),
        ("0 2 * * *", "Europe", "no time zone"),
        ("TZ=Asia/Tokyo 0 2 * * *", "UTC", "two time zones"),
        ("every day", "", "wrong number"),
        ("0 ٢ * * *", "", "bad hour"),
    ],
)
def test_what_is_wrong_is_said(expression, zone, says):
    with pytest.raises(RequestError, match=says):
        written(expression, zone)
