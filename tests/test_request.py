"""Requests, checked before anything is remembered or begun."""

from datetime import UTC, datetime

import pytest

from nbtools.errors import RequestError
from nbtools.nouns import run_id
from nbtools.request import Request, plan
from nbtools.settings import Settings

NOW = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)


@pytest.fixture
def made(make_notebook, tmp_path):
    def made(name="work.ipynb", settings=None, **options):
        settings = {"store": tmp_path / "store", **(settings or {})}
        notebook = make_notebook(name)
        request = Request(notebook=notebook, params={}, **options)
        return plan(request, Settings(**settings), NOW).job

    return made


def test_what_is_left_open_is_named_after_the_notebook(made):
    job = made("My Work.ipynb")
    assert job.experiment == "my-work"
    assert job.run == job.name
    assert job.name.startswith("my-work-20240506-070809-")


def test_jobs_of_one_second_have_names_of_their_own(made):
    assert len({made().name for _ in range(1000)}) == 1000


@pytest.mark.parametrize("length", [40, 60, 61, 120, 200])
def test_a_long_notebook_name_needs_no_other(made, length):
    job = made(f"{'x' * length}.ipynb")
    assert job.experiment == "x" * 40
    assert run_id(job.experiment, job.run)


@pytest.mark.parametrize("where", ["request", "settings"])
def test_a_run_fits_beside_a_long_experiment(made, where):
    long = {"experiment": "e" * 96}
    job = made("x.ipynb", **(long if where == "request" else {"settings": long}))
    assert job.name.endswith(job.run)
    assert run_id(job.experiment, job.run)


@pytest.mark.parametrize("names", [{"experiment": "e" * 97}, {"run": "r" * 81},
                                   {"experiment": "e" * 60, "run": "r" * 61}])  # fmt: skip
def test_names_that_are_too_long_are_refused_with_the_limit(made, names):
    with pytest.raises(RequestError, match="use at most 120 characters for both"):
        made("x" * 60 + ".ipynb", **names)


def test_a_notebook_of_which_no_files_could_be_made_is_refused(made):
    with pytest.raises(RequestError, match="rename it to at most 200 letters"):
        made("x" * 201 + ".ipynb")


@pytest.mark.parametrize("name", ["cwd", "output"])
def test_the_home_of_nobody_is_refused(made, name):
    with pytest.raises(RequestError, match="~nobody-of-that-name"):
        made(**{name: "~nobody-of-that-name/x.ipynb"})
