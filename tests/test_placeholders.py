"""What stands in double braces is filled in, and nothing else is understood."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from nbtools.errors import RequestError
from nbtools.placeholders import Surroundings, check, fill

BERLIN = ZoneInfo("Europe/Berlin")


def around(time=datetime(2026, 3, 29, 22, 30, tzinfo=UTC)):
    left = {("train", "outputs", "acc"): 0.5, ("train", "job", ""): "train-1"}
    return Surroundings(time, BERLIN, "nightly", "nightly-1", 2, lambda *asked: left[asked])


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("{{ scheduled_time }}", "2026-03-30T00:30:00+02:00"),
        ("{{scheduled_date}}", "2026-03-30"),
        ("{{ scheduled_date - 1d }}", "2026-03-29"),
        ("{{ scheduled_time - 36h | %d %H:%M }}", "28 11:30"),
        ("{{ scheduled_time - 2d | %d %H:%M %z }}", "28 00:30 +0100"),
        ("{{ scheduled_date + 1w | %Y/%m/%d }}", "2026/04/06"),
        ("in/{{ scheduled_time|%Y }}/{{ schedule }}.csv", "in/2026/nightly.csv"),
        ("{{ attempt }}", 2),
        ("no. {{ attempt }} of {{ job }}", "no. 2 of nightly-1"),
        ("{{ train.outputs.acc }}", 0.5),
        ("acc {{ train.outputs.acc }}", "acc 0.5"),
        ("{{ train.job }}", "train-1"),
        ("{ scheduled_time }", "{ scheduled_time }"),
        (3, 3),
        (["{{ scheduled_date }}", {"a": "{{ attempt }}"}], ["2026-03-30", {"a": 2}]),
    ],
)
def test_it_is_filled_in(text, filled):
    assert fill(text, around()) == filled


@pytest.mark.parametrize(
    "text",
    [
        "{{ shceduled_time }}", "{{ train.outputs.acc }}", "{{ scheduled_time.year }}",
        "{{ schedule.__class__ }}", "{{ 1 + 1 }}", "{{ }}", "{{ attempt - 1d }}",
        "{{ scheduled_time - 1y }}", "{{ job | %Y }}", "{{ other.job }}", "{{ train.jobs }}",
    ],
)  # fmt: skip
def test_what_will_have_no_value_is_refused_at_once(text):
    with pytest.raises(RequestError, match="placeholder"):
        check({"a": [text]})


def test_what_comes_from_schedules_before_is_known_when_they_are_before():
    check("{{ train.outputs.acc }} {{ train.artifacts.model.pt }} {{ train.job }}", ("train",))


def test_a_step_out_of_the_calendar_is_refused():
    with pytest.raises(RequestError, match="calendar"):
        fill("{{ scheduled_date - 99999999d }}", around())


def test_a_secret_stays_a_name():
    check("{{ secret.API_KEY }}", secrets=True)
    with pytest.raises(RequestError, match=r"no placeholder \{\{ secret.API_KEY \}\}"):
        check("out/{{ secret.API_KEY }}.ipynb")
    with pytest.raises(RequestError, match="there is .*secret"):
        check("{{ secrets.API_KEY }}", secrets=True)
    assert fill("{{ schedule }}: {{secret.API_KEY}}", around()) == "nightly: {{ secret.API_KEY }}"
