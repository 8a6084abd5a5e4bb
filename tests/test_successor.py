"""A job of a schedule that is executed again takes its place in the schedule's history."""

import pytest

from nbtools.errors import StateError
from nbtools.resume import resume
from nbtools.retry import retry
from nbtools.schedule import TickState
from nbtools.states import JobState
from tests.test_dispatch import MINUTE, NOON, World

pytestmark = pytest.mark.slow
FLAG = "import pathlib\nassert (pathlib.Path(out).parent / 'flag').exists(), 'no flag'"


@pytest.fixture
def world(tmp_path, make_notebook):
    return World(tmp_path, make_notebook)


def fail_once(world, **rules):
    world.create("s", FLAG, **rules)
    world.now = NOON
    world.until_quiet()
    return world.schedules.jobs.get("s-20260701-120000")


def test_the_tick_is_tried_again_and_those_that_come_after_it_follow(world):
    world.create("s", FLAG)
    world.create("t", after=("s",))
    world.create("u", after=("t",))
    world.now = NOON
    world.until_quiet()
    states = {n: world.tick(n).state for n in "stu"}
    assert states == {"s": TickState.FAILED, "t": TickState.SKIPPED, "u": TickState.SKIPPED}
    (world.folder / "flag").touch()
    new = retry(world.jobs(), "s-20260701-120000")
    assert (new.name, new.retry_of) == ("s-20260701-120000-2", "s-20260701-120000")
    assert (world.tick().state, world.tick().attempt) == (TickState.STARTED, 2)
    world.until_quiet()
    assert world.history("s") == world.history("u") == [(NOON, TickState.SUCCEEDED)]
    assert world.tick().job == new.name
    assert world.written() == [NOON.isoformat()] * 2  # by t and by u, each once


def test_one_that_fails_again_skips_those_after_it_again(world):
    old = fail_once(world)
    world.create("t", after=("s",))
    retry(world.jobs(), old.name)
    world.until_quiet()
    assert world.history("s") == [(NOON, TickState.FAILED)]
    assert world.history("t") == [(NOON, TickState.SKIPPED)]


def test_a_retry_that_waits_for_its_time_is_begun_at_once_and_only_once(world):
    old = fail_once(world, retries=1, backoff=60.0)
    assert (world.tick().state, world.tick().attempt) == (TickState.QUEUED, 2)
    (world.folder / "flag").touch()
    new = retry(world.jobs(), old.name)
    assert new.name.endswith("-2")
    world.now = NOON + 5 * MINUTE
    world.until_quiet()
    jobs = [job.name for job in world.jobs().list()]
    assert [name for name in jobs if "120000" in name] == [new.name, old.name]


def test_going_on_is_an_attempt_too(world):
    old = fail_once(world)
    (world.folder / "flag").touch()
    new = resume(world.jobs(), old.name)
    world.until_quiet()
    assert new.name == "s-20260701-120000-2"
    assert world.history() == [(NOON, TickState.SUCCEEDED)]


def test_a_service_that_was_faster_is_left_alone(world):
    from nbtools import successor
    from nbtools.request import plan

    old, jobs = fail_once(world, retries=1, backoff=60.0), world.jobs()
    place = successor.place_of(jobs, old)
    made = plan(successor.asked(jobs, old, place, run=""), jobs.settings, world.now)
    world.now = NOON + 2 * MINUTE
    world.round()  # begins the second attempt
    with pytest.raises(StateError, match="its next attempt in this moment"):
        successor.begin(jobs, made, place)
    world.until_quiet()


def test_a_tick_that_has_succeeded_stays_as_it_is(world):
    world.create()
    world.now = NOON
    world.until_quiet()
    jobs = world.jobs()
    new = retry(jobs, "s-20260701-120000")
    assert new.schedule == ""
    while not jobs.get(new.name).state.final:
        jobs.wait([jobs.get(new.name)], 5.0)
    assert jobs.get(new.name).state is JobState.SUCCEEDED
    assert (world.tick().attempt, world.tick().job) == (1, "s-20260701-120000")


def test_an_attempt_that_another_has_followed_is_executed_again_beside_the_schedule(world):
    first = fail_once(world)
    second = retry(world.jobs(), first.name)
    world.until_quiet()
    (world.folder / "flag").touch()
    third = retry(world.jobs(), first.name)
    assert third.schedule == ""
    assert world.tick().job == second.name
