"""Which old jobs go, and what keeps others."""

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nbtools import curation, disposal, lineage
from nbtools.disposal import prospect, prune
from nbtools.errors import NotFound, RequestError, StateError
from nbtools.jobs import Jobs
from nbtools.nouns import JOB, MODEL, SWEEP, Artifact, Context, Execution, Job, Run, run_id
from nbtools.retention import Rules
from nbtools.runs import close_run, open_run
from nbtools.schedule import Schedule, Tick, TickState
from nbtools.settings import Settings
from nbtools.shipment import Shipment
from nbtools.spool import take_lock
from nbtools.states import ExecutionState, JobState
from nbtools.store import Store
from nbtools.timetable import Notice

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
MONTH = Rules(keep=30 * DAY)


class World:
    """A store with jobs of any age, which have left what jobs leave."""

    def __init__(self, folder, runtime):
        self.folder = folder
        settings = Settings(store=folder, runtime=runtime)
        self.jobs = Jobs(Store(folder), settings, lambda: NOW)
        self.store = self.jobs.store

    def job(self, name, days=100.0, run="", **values):
        begun = NOW - timedelta(days=days)
        folder = self.folder / "jobs" / name
        (folder / "files").mkdir(parents=True)
        for file, text in (("work.ipynb", "{}"), ("files/plot.txt", f"plot of {name}")):
            (folder / file).write_text(text)
        values = {"state": JobState.SUCCEEDED, "notebook": "/nb/work.ipynb", **values}
        job = Job(name=name, experiment="e", run=run or name, folder=str(folder),
                  end_time=begun + timedelta(minutes=1), **values)  # fmt: skip
        context = open_run(self.store, "e", job.run, begun, resume=bool(run), job=name)
        self.store.add(replace(job.execution(), create_time=begun), begun)
        self.store.associate(context.name, execution=name)
        plot = lineage.of_file(f"{name}-plot", folder / "files/plot.txt", "nbtools.Text")
        lineage.left(self.store, plot, name, context.name, begun)
        close_run(self.store, context.name, ExecutionState.COMPLETE, "", begun)
        return job

    def tick(self, schedule, days, state=TickState.SUCCEEDED, job=""):
        time = NOW - timedelta(days=days)
        self.store.timetable.add(Tick(schedule=schedule, time=time, state=state, job=job), time)

    def schedule(self, name, **values):
        values = {"notebook": "/nb/work.ipynb", "cron": "@daily", "update_time": NOW, **values}
        self.store.timetable.put(Schedule(name=name, **values))

    def going(self, rules=MONTH):
        return {going.name for going in prospect(self.jobs, rules, NOW).jobs}

    def staying(self, rules=MONTH):
        return prospect(self.jobs, rules, NOW).staying

    def there(self):
        """The jobs that have a record, and those that have a folder."""
        records = {e.name for e in self.store.select(Execution, JOB)}
        return records, {path.name for path in (self.folder / "jobs").iterdir()}


@pytest.fixture
def world(tmp_path):
    return World(tmp_path / "store", tmp_path / "runtime")


def test_what_is_old_goes_with_its_folder_and_what_lay_in_it_and_its_run_stays(world):
    world.job("old")
    world.job("young", 10)
    gone = prune(world.jobs, MONTH, NOW)
    assert [g.name for g in gone.jobs] == ["old"]
    assert gone.bytes == len("{}") + len("plot of old")
    assert world.there() == ({"young"}, {"young"})
    assert world.store.find(Artifact, "old-plot") is None
    assert world.store.find(Artifact, "young-plot")
    run = Run.of(world.store.get(Context, run_id("e", "old")))
    assert run.state is ExecutionState.COMPLETE
    assert prune(world.jobs, MONTH, NOW).nothing


def test_the_newest_of_each_notebook_or_schedule_stay(world):
    for n in range(4):
        world.job(f"a{n}", 100 + n)
        world.job(f"b{n}", 100 + n, notebook="/nb/other.ipynb")
        world.job(f"s{n}", 100 + n, schedule="nightly")
    world.job("failed", 99, state=JobState.FAILED)
    assert world.going(Rules(keep_last=3)) == {"a2", "a3", "b3", "s3"}
    assert world.going(Rules(keep_last=3, keep=102.5 * DAY)) == {"a3", "b3", "s3"}
    assert world.going(Rules(keep_last=3, schedule="nightly")) == {"s3"}
    assert world.going(Rules(keep_last=3, notebook="other.ipynb")) == {"b3"}
    assert world.going(Rules(keep_last=3, notebook="/nb/other.ipynb")) == {"b3"}
    assert world.going(Rules(keep_last=3, experiment="another")) == set()


@pytest.mark.parametrize("rules", [Rules(), Rules(keep_last=-1)])
def test_rules_that_make_no_sense_are_refused(world, rules):
    with pytest.raises(RequestError, match="--keep 30d|0 or more"):
        prune(world.jobs, rules, NOW)


def test_a_job_at_work_stays(world):
    world.job("queued", state=JobState.QUEUED, schedule="s")  # a service will begin it
    assert world.going() == set()


def test_one_that_another_goes_on_from_or_repeats_goes_with_it_and_not_before(world):
    world.job("first", 100)
    world.job("second", 90, resume_of="first")
    world.job("third", 10, retry_of="second")
    assert world.staying() == {
        "second": "job third executes it again", "first": "job second goes on from it"
    }  # fmt: skip
    assert world.going(Rules(keep=5 * DAY)) == {"first", "second", "third"}
    order = [g.name for g in prospect(world.jobs, Rules(keep=5 * DAY), NOW).jobs]
    assert order == ["third", "second", "first"]  # killed anywhere, none refers to what is gone


def test_jobs_of_one_run_go_together(world):
    world.job("first", run="shared")
    world.job("second", 10, run="shared")
    assert world.staying() == {"first": "job second went on with the same run"}


def test_what_another_job_or_step_has_read_stays_also_as_a_copy_elsewhere(world, tmp_path):
    for name in ("a", "b", "c"):
        world.job(name)
    world.job("reader", 10)
    lineage.read(world.store, world.store.get(Artifact, "a-plot"), "reader", NOW)
    copy = tmp_path / "copy.txt"
    copy.write_text("plot of b")
    lineage.read(world.store, lineage.of_content(world.store, copy), "reader", NOW)
    assert world.staying() == {
        "a": "reader has read its plot.txt",
        "b": "reader has read its plot.txt",
    }
    assert world.going() == {"c"}
    assert world.going(Rules(keep=DAY)) == {"a", "b", "c", "reader"}


def test_one_whose_file_was_given_as_a_parameter_stays(world):
    old = world.job("old")
    world.job("young", 1, params={"model": [f"{old.folder}/files/plot.txt"]})
    assert world.staying() == {"old": "job young was given the path of a file of its"}


def test_a_store_by_a_name_beyond_ascii(tmp_path):
    world = World(tmp_path / "störe", tmp_path / "runtime")
    old = world.job("old")
    world.job("young", 1, params={"model": f"{old.folder}/files/plot.txt"})
    assert set(world.staying()) == {"old"}


def test_models_stay_unless_said_otherwise(world):
    world.job("old")
    path = world.folder / "jobs/old/files/model.pt"
    path.write_text("weights")
    lineage.left(world.store, lineage.of_file("m", path, MODEL), "old", run_id("e", "old"), NOW)
    assert "it has left a model, model.pt: --models" in world.staying()["old"]
    assert world.going(replace(MONTH, models=True)) == {"old"}


def test_what_somebody_has_tagged_or_noted_stays(world):
    for name in ("tagged", "noted", "plain"):
        world.job(name)
    find = lambda name: Run.of(world.store.get(Context, run_id("e", name)))  # noqa: E731
    curation.tag(world.store, find("tagged"), ["best"], NOW)
    curation.note(world.store, find("noted"), "look at this", NOW)
    assert world.staying() == {"tagged": "its run is tagged best", "noted": "its run has a note"}
    assert world.going() == {"plain"}


def test_trials_of_a_sweep_stay_until_it_is_complete(world):
    for name in ("trial", "reused", "other"):
        world.job(name)
    sweep = Context(name="w", schema_title=SWEEP, metadata={
        "_state": "CANCELLED", "reused": {"2": run_id("e", "reused")},
    })  # fmt: skip
    world.store.add(sweep, NOW)
    world.store.amend(
        Context, run_id("e", "trial"),
        lambda c: replace(c, metadata={**c.metadata, "_sweep": "w", "_trial": 1}), NOW,
    )  # fmt: skip
    assert world.going() == {"other"}
    world.store.amend(Context, "w", lambda c: replace(c, metadata={"_state": "COMPLETE"}), NOW)
    assert world.going() == {"trial", "reused", "other"}


def test_what_a_schedule_may_still_ask_for_stays(world):
    world.schedule("s")
    world.schedule("t", after=("s",))
    for days in (100, 90, 80):
        world.job(f"s-{days}", days, schedule="s")
        world.tick("s", days, job=f"s-{days}")
    assert world.going() == {"s-100", "s-90", "s-80"}
    world.tick("t", 90, TickState.QUEUED)
    assert world.going() == {"s-100"}
    assert "schedules have not seen to 2026-04-02" in world.staying()["s-90"]


def test_one_that_will_be_tried_again_stays(world):
    world.schedule("s")
    world.job("s-1", schedule="s", state=JobState.FAILED)
    world.tick("s", 100, TickState.QUEUED, job="s-1")
    assert world.staying() == {"s-1": "schedule s will try it again"}


def test_what_was_taken_from_the_cache_lately_stays(world):
    world.job("old", used_time=NOW - DAY)
    assert world.going() == set()


def test_what_is_not_shipped_yet_stays(world):
    pytest.importorskip("fsspec")
    old = world.job("old")
    Shipment.make(world.folder, Path(old.folder) / "files", "memory://bucket").unlock()
    assert "not all shipped to memory://bucket" in world.staying()["old"]


def test_histories_and_notices_go_by_the_same_age(world):
    world.schedule("s")
    world.job("s-5", 5, schedule="s")
    world.job("s-100", 100, schedule="s")
    for days, state, job in (
        (200, TickState.SKIPPED, ""), (150, TickState.FAILED, "gone"),
        (100, TickState.SUCCEEDED, "s-100"), (40, TickState.SKIPPED, ""),
        (5, TickState.SUCCEEDED, "s-5"), (1, TickState.SKIPPED, ""), (0.5, TickState.QUEUED, ""),
    ):  # fmt: skip
        world.tick("s", days, state, job)
    notice = Notice(schedule="s", time=NOW - 150 * DAY, kind="FAILED", target="mailto:a@b",
                    not_before=NOW, message="{}")  # fmt: skip
    for state in ("SENT", "WAITING", "LOST"):
        world.store.timetable.add_notice(replace(notice, state=state, target=f"mailto:{state}@b"))
    shown = prospect(world.jobs, MONTH, NOW)
    gone = prune(world.jobs, MONTH, NOW, shown)
    assert (shown.ticks, shown.notices) == (gone.ticks, gone.notices) == (4, 2)
    left = [(NOW - t.time).days for t in world.store.timetable.history("s")]
    assert left == [0, 1, 5]
    assert len(world.store.timetable.notices("WAITING")) == 1


def test_the_last_that_was_executed_and_what_is_young_stay_in_a_history(world):
    world.schedule("s")
    world.tick("s", 400, TickState.FAILED, "gone")
    world.tick("s", 300, TickState.FAILED, "gone")
    world.tick("s", 1, TickState.SKIPPED)
    prune(world.jobs, Rules(keep=timedelta(0)), NOW)
    left = [(NOW - t.time).days for t in world.store.timetable.history("s")]
    assert left == [
        1,
        300,
    ]  # whether the next is a recovery, and what a clock put back would repeat


def test_folders_that_no_job_belongs_to_go_when_they_are_old(world, tmp_path):
    world.job("young", 1)
    for name, days in (("orphan", 100), ("fresh", 0)):
        folder = world.folder / "jobs" / name
        folder.mkdir()
        (folder / "file").write_text("12345")
        then = (NOW - timedelta(days=days)).timestamp()
        for path in (folder / "file", folder):
            os.utime(path, (then, then))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (world.folder / "jobs" / "link").symlink_to(elsewhere)
    gone = prune(world.jobs, MONTH, NOW)
    assert [(g.name, g.bytes) for g in gone.orphans] == [("orphan", 5)]
    assert world.there()[1] == {"young", "fresh", "link"}


def test_a_link_in_a_job_s_folder_is_removed_and_what_it_leads_to_is_not(world, tmp_path):
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "data").write_text("data")
    old = world.job("old")
    (Path(old.folder) / "files/link").symlink_to(precious)
    gone = prune(world.jobs, MONTH, NOW)
    assert gone.bytes < 100
    assert (precious / "data").read_text() == "data"


def test_what_began_to_refer_since_it_was_shown_keeps_it(world):
    world.job("first")
    world.job("second")
    shown = prospect(world.jobs, MONTH, NOW)
    assert {g.name for g in shown.jobs} == {"first", "second"}
    world.job("third", 0, resume_of="first")
    gone = prune(world.jobs, MONTH, NOW, shown)
    assert [g.name for g in gone.jobs] == ["second"]
    assert world.there() == ({"first", "third"}, {"first", "third"})


def test_what_was_not_shown_does_not_go_nor_what_it_refers_to(world):
    world.job("first")
    shown = prospect(world.jobs, MONTH, NOW)
    world.job("also-old", retry_of="first")
    assert prune(world.jobs, MONTH, NOW, shown).jobs == ()
    assert world.there()[0] == {"first", "also-old"}


def test_an_input_that_was_pruned_since_it_was_found_is_refused(world):
    world.job("old")
    world.job("reader", 1)
    found = lineage.find(world.store, "old-plot")
    prune(world.jobs, MONTH, NOW)
    with pytest.raises(NotFound, match="it was just removed"):
        lineage.read(world.store, found, "reader", NOW)
    assert world.store.find(Artifact, "old-plot") is None


def test_two_at_once_are_refused(world):
    world.job("old")
    lock = take_lock(world.folder / "prune.lock")
    assert lock >= 0
    with pytest.raises(StateError, match="another prune is at work"):
        prune(world.jobs, MONTH, NOW)
    assert world.there()[0] == {"old"}


def test_a_folder_that_cannot_be_put_aside_changes_nothing(world):
    world.job("a")
    world.job("b")
    aside = world.folder / "jobs" / ".a.pruned"
    shown = prospect(world.jobs, MONTH, NOW)
    with disposal._alone(world.jobs):
        aside.mkdir()
        (aside / "in the way").write_text("")
        with pytest.raises(RequestError, match="cannot remove .*; mend that, and prune again"):
            list(disposal._jobs(world.jobs, MONTH, NOW, {g.name: g for g in shown.jobs}))
    assert world.there()[0] == {"a", "b"}
    assert {"a", "b"} <= world.there()[1]
    assert prune(world.jobs, MONTH, NOW).jobs
    assert world.there() == (set(), set())
