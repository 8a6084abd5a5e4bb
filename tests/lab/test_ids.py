"""Ids that jupyter-scheduler's URLs take, and the way back."""

import re

import pytest

from nbtools.lab.ids import definition_id, job_id, job_named, schedule_named

URL = re.compile(r"\w+(?:-\w+)+")
SEVERAL = re.compile(r"[\w:%-]+")  # of its successor


@pytest.mark.parametrize("name", ["train-20260101-000000-abcd", "a--b-20260101-000000", "a---b"])
def test_a_jobs_id_is_its_name_as_far_as_that_can_be(name):
    assert URL.fullmatch(job_id(name))
    assert job_named(job_id(name)) == name
    assert SEVERAL.fullmatch(job_id(name, "nbtools"))
    assert job_named(job_id(name, "nbtools")) == name
    assert job_id("a-b-c") == "a-b-c"


@pytest.mark.parametrize("name", ["nightly", "a-b", "a--b", "schedule-schedule"])
def test_every_schedule_has_an_id(name):
    assert URL.fullmatch(definition_id(name))
    assert schedule_named(definition_id(name)) == name
