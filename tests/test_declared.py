"""Schedules that a file declares: the difference first, then all of it or nothing."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nbtools.declared import apply, difference, read
from nbtools.errors import RequestError
from nbtools.jobs import Jobs
from nbtools.schedule import Schedule, ScheduleState
from nbtools.schedules import Schedules
from nbtools.settings import Settings
from nbtools.store import Store

NOW = datetime(2026, 7, 1, 11, 30, tzinfo=UTC)
BOTH = """
schedules:
  train:
    notebook: train.ipynb
    cron: 0 2 * * *
    tz: Europe/Berlin
    params: {lr: 0.1}
    retries: 3
    backoff: 1m
    priority: 5
    start: 2026-07-02T00:00:00+02:00
  evaluate:
    notebook: train.ipynb
    after: train
    params: {lr: "{{ train.outputs.lr }}"}
"""


@pytest.fixture
def schedules(tmp_path):
    settings = Settings(store=tmp_path / "store")
    return Schedules(Jobs(Store(settings.store), settings, lambda: NOW))


@pytest.fixture
def declare(tmp_path, make_notebook):
    make_notebook("train.ipynb", "1")

    def declare(text):
        path = tmp_path / "nbtools.yaml"
        path.write_text(text)
        return path

    return declare


def kinds(changes):
    return {change.name: change.kind for change in changes}


def test_a_file_is_applied_and_then_there_is_nothing_to_do(schedules, declare):
    path = declare(BOTH)
    assert kinds(difference(path, schedules)) == {"train": "add", "evaluate": "add"}
    assert schedules.all() == []
    apply(path, schedules)
    train = schedules.get("train")
    assert train.cron == "TZ=Europe/Berlin 0 2 * * *"
    assert (train.retries, train.backoff, train.priority) == (3, 60.0, 5)
    assert train.start_time == datetime(2026, 7, 1, 22, tzinfo=UTC)
    assert train.source == str(path)
    assert set(kinds(difference(path, schedules)).values()) == {"keep"}


def test_limits_and_the_names_of_secrets(schedules, declare, monkeypatch):
    text = BOTH.replace("    retries: 3\n", "    cpu_time: 10m\n    secrets: API_KEY\n")
    with pytest.raises(RequestError, match="no secret API_KEY: put it into"):
        apply(declare(text), schedules)
    monkeypatch.setenv("API_KEY", "value-of-the-key")
    apply(declare(text), schedules)
    train = schedules.get("train")
    assert (train.cpu_time, train.secrets) == (600.0, ("API_KEY",))
    path = declare(text.replace("API_KEY", "[API_KEY, OTHER_KEY]"))
    monkeypatch.setenv("OTHER_KEY", "value-of-another")
    change = next(c for c in difference(path, schedules) if c.name == "train")
    assert change.details == (("secrets", ("API_KEY",), ("API_KEY", "OTHER_KEY")),)


def test_what_has_changed_is_told_by_its_fields(schedules, declare):
    apply(declare(BOTH), schedules)
    schedules.run_now("train")
    schedules.pause("train")
    path = declare(BOTH.replace("lr: 0.1", "lr: 0.2"))
    change = next(c for c in difference(path, schedules) if c.name == "train")
    assert change.details == (("params", {"lr": 0.1}, {"lr": 0.2}),)
    apply(path, schedules)
    after = schedules.get("train")
    assert after.params == {"lr": 0.2}
    assert after.state is ScheduleState.PAUSED
    assert after.started_run_count == 1
    assert len(schedules.history("train")) == 1


def test_what_the_file_declares_no_more_is_removed_and_nothing_else(schedules, declare, tmp_path):
    apply(declare(BOTH), schedules)
    hand = Schedule(name="by-hand", notebook=str(tmp_path / "train.ipynb"), cron="@daily")
    schedules.create(hand)
    path = declare("schedules: {}")
    assert kinds(difference(path, schedules)) == {"train": "remove", "evaluate": "remove"}
    apply(path, schedules)
    assert [s.name for s in schedules.all()] == ["by-hand"]


def test_one_wrong_schedule_leaves_all_as_they_were(schedules, declare):
    with pytest.raises(RequestError, match="no such parameter"):
        apply(declare(BOTH.replace("{lr: 0.1}", "{rate: 0.1}")), schedules)
    assert schedules.all() == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "the whole: None is not of type 'object'"),
        ("schedules: {a: {cron: '0 2 * * *'}}", "schedules.a: notebook is missing"),
        (
            "schedules: {a: {notebook: n, crn: x}}",
            "schedules.a: there is no 'crn' here: write cron",
        ),
        ("schedules: {a: {notebook: n, retries: -1}}", "schedules.a.retries: -1 is less"),
        ("schedules: {a: {notebook: n, misfire: never}}", "schedules.a.misfire: 'never'"),
        ("schedules: {a: {notebook: n, cron: 0 2 * *}}", "schedule a: .*wrong number"),
        ("schedules: {a: {notebook: n, cron: 0 2 * * *, timeout: soon}}", "no duration"),
        ("schedules: {a: {notebook: n, cron: 0 2 * * *, end: 2026-07-01}}", "no time zone"),
        ("schedules: {a: {notebook: n, after: b, tz: UTC}}", "tz without cron"),
        ("schedules: [", "is not YAML"),
    ],
)
def test_a_file_that_is_wrong_is_told_where(declare, text, says):
    with pytest.raises(RequestError, match=says):
        read(declare(text))


def test_a_cycle_in_a_file_is_refused(schedules, declare):
    text = "schedules: {a: {notebook: train.ipynb, after: b}, b: {notebook: train.ipynb, after: a}}"
    with pytest.raises(RequestError, match="a cycle"):
        difference(declare(text), schedules)


def test_the_file_in_the_documentation_is_one(schedules, tmp_path, make_notebook):
    text = (Path(__file__).parent.parent / "docs/schedules.md").read_text()
    shown, _alerts = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    make_notebook("train.ipynb", "1", parameters="day: str = ''")
    make_notebook("evaluate.ipynb", "1", parameters="model: str = ''")
    (tmp_path / "nbtools.yaml").write_text(shown)
    made = apply(tmp_path / "nbtools.yaml", schedules)
    assert kinds(made) == {"train": "add", "check": "add"}
