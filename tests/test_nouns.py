import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbtools.errors import RequestError
from nbtools.nouns import (
    JOB,
    MAX_RUN_ID,
    RUN,
    Context,
    Job,
    Run,
    artifact_name,
    default_experiment,
    default_run,
    job_name,
    moment,
    run_id,
    slug,
    stamp,
)
from nbtools.states import ExecutionState, JobState

NOW = datetime(2024, 5, 6, 7, 8, 9, 12345, tzinfo=UTC)


def test_run_id_joins_both_names():
    assert run_id("mnist", "run-1") == "mnist-run-1"


@pytest.mark.parametrize("name", ["", "My Run", "a_b", "-a", "ä", "a\n", "a.b", "A"])
def test_run_id_refuses_what_vertex_refuses(name):
    with pytest.raises(RequestError, match="experiment name"):
        run_id(name, "run")
    with pytest.raises(RequestError, match="run name"):
        run_id("experiment", name)


def test_run_id_suggests_a_name_that_it_takes():
    with pytest.raises(RequestError, match="for example 'my-first-run'"):
        run_id("mnist", "My first_run!")


def test_run_id_has_a_limit():
    assert len(run_id("e" * 60, "r" * 60)) == MAX_RUN_ID
    with pytest.raises(RequestError, match="too long together"):
        run_id("e" * 60, "r" * 61)


@given(st.text())
def test_a_slug_is_always_taken(text):
    assert run_id(slug(text), "run")


@given(st.text(min_size=1).filter(lambda t: "\0" not in t))
def test_default_names_always_fit_together(text):
    job = job_name(text, NOW, "ab12")
    experiment = default_experiment(text)
    assert run_id(experiment, default_run(experiment, job)) == f"{experiment}-{job}"


@given(st.integers(1, MAX_RUN_ID - 1))
def test_a_default_run_fits_beside_a_long_experiment_as_long_as_it_can(length):
    job = job_name("a" * 60, NOW, "ab12")
    run = default_run("e" * length, job)
    assert run.endswith("20240506-070809-ab12")
    if length <= 96:
        assert run_id("e" * length, run)
    else:
        with pytest.raises(RequestError, match="at most 120 characters for both"):
            run_id("e" * length, run)


def test_artifacts_of_runs_with_hyphens_have_names_of_their_own():
    pairs = [("e-a", "b-c"), ("e-a-b", "c"), ("e-a", "b.c"), ("e-a", "B C"), ("e-a", "b c")]
    assert len({artifact_name(*pair) for pair in pairs}) == len(pairs)


@given(st.text(), st.text())
def test_an_artifacts_name_is_one_that_vertex_takes(context, name):
    made = artifact_name(slug(context) * 2, name)
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]{0,127}", made)
    assert made == artifact_name(slug(context) * 2, name)


def test_job_name_is_readable():
    assert job_name("/a/My Train.ipynb", NOW, "ab12") == "my-train-20240506-070809-ab12"


def test_job_names_are_sorted_by_time():
    later = NOW + timedelta(seconds=1)
    assert job_name("a.ipynb", NOW, "ffff") < job_name("a.ipynb", later, "0000")


@given(st.text(min_size=1).filter(lambda t: "\0" not in t))
def test_a_job_name_is_always_taken_as_a_run(text):
    assert run_id("e", job_name(text, NOW, "ab12"))


@given(st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.just(UTC)))
def test_stamp_and_moment_are_inverse(when):
    assert moment(stamp(when)) == when


def test_stamp_is_in_utc():
    here = NOW.astimezone(timezone(timedelta(hours=2)))
    assert stamp(here) == stamp(NOW) == "2024-05-06T07:08:09.012345Z"
    assert moment(stamp(here)).tzinfo is UTC


def test_no_time_stays_no_time():
    assert stamp(None) is None
    assert moment(None) is None


def job(**changes):
    values = {
        "name": "train-1", "notebook": "/a/train.ipynb", "experiment": "mnist", "run": "r",
        "params": {"lr": 0.1, "sizes": [1]}, "kernel": "python3", "folder": "/s/jobs/train-1",
        "handle": "h", "cell": 2, "cells": 3, "error": "e", "start_time": NOW, "end_time": NOW,
        "output": "/o.ipynb",
    }  # fmt: skip
    return Job(**{**values, **changes})


@pytest.mark.parametrize("state", JobState)
def test_a_job_is_read_back_from_its_execution(state):
    one = job(state=state)
    assert Job.of(one.execution()) == one


def test_a_job_has_the_create_time_of_its_execution():
    execution = replace(job().execution(), create_time=NOW)
    assert Job.of(execution).create_time == NOW


def test_a_job_is_an_execution_in_ml_metadatas_words():
    execution = job(state=JobState.SUCCEEDED).execution()
    assert (execution.name, execution.schema_title) == ("train-1", JOB)
    assert (execution.display_name, execution.state) == ("train", "COMPLETE")


def test_a_job_passes_over_metadata_that_it_does_not_know():
    execution = job().execution()
    later = replace(execution, metadata={**execution.metadata, "of_a_newer_nbtools": 1})
    assert Job.of(later) == job()


def test_seconds_of_a_job():
    assert job(end_time=NOW + timedelta(seconds=3)).seconds(NOW) == 3
    assert job(end_time=None).seconds(NOW + timedelta(seconds=5)) == 5
    assert job(start_time=None, end_time=None).seconds(NOW) == 0
    assert job(end_time=NOW - timedelta(seconds=3)).seconds(NOW) == 0


def test_a_run_is_read_from_its_context():
    meta = {"_experiment": "mnist", "_state": "RUNNING", "_params": {"lr": 1}, "_job": "j"}
    run = Run.of(Context(name="mnist-r", schema_title=RUN, display_name="r", metadata=meta))
    assert (run.experiment, run.name, run.id, run.job) == ("mnist", "r", "mnist-r", "j")
    assert (run.state, run.params, run.metrics) == (ExecutionState.RUNNING, {"lr": 1}, {})
