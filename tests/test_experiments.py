"""Logging from scripts and from notebooks, in a job and by hand."""

import math
import signal
import subprocess
import sys

import pytest

import nbtools
from nbtools import experiments
from nbtools.errors import AlreadyExists, NotFound, RequestError, StateError, StoreError
from nbtools.runs import find_run, list_runs
from nbtools.store import Store


@pytest.fixture(autouse=True)
def fresh_session(store_folder, monkeypatch):
    monkeypatch.setattr(experiments, "_session", experiments._Session())


def now():
    return nbtools.nouns.utc_now()


def only_run(store_folder):
    (run,) = list_runs(Store(store_folder), now())
    return run


def test_a_run_keeps_params_metrics_and_series(store_folder):
    nbtools.init("digits")
    with nbtools.start_run("one") as run:
        run.log_params({"lr": 0.1, "depth": 3, "name": "x", "flag": True})
        run.log_metrics({"acc": 0.5, "nan": math.nan})
        run.log_metrics({"acc": 0.75})
        for value in (3.0, 2.0, math.inf):
            run.log_time_series_metrics({"loss": value})
        run.log_time_series_metrics({"loss": 9.0}, step=2)
    kept = only_run(store_folder)
    assert (kept.experiment, kept.name, kept.state) == ("digits", "one", "COMPLETE")
    assert kept.params == {"lr": 0.1, "depth": 3, "name": "x", "flag": True}
    assert isinstance(kept.params["depth"], int)
    assert kept.metrics["acc"] == 0.75
    assert math.isnan(kept.metrics["nan"])
    points = Store(store_folder).points(kept.id)["loss"]
    assert [(p[0], p[2]) for p in points] == [(1, 3.0), (2, 9.0), (3, math.inf)]


def test_an_exception_in_a_with_makes_the_run_failed(store_folder):
    with pytest.raises(ZeroDivisionError), nbtools.start_run():
        raise ZeroDivisionError
    assert only_run(store_folder).state == "FAILED"


def test_logging_without_a_run_says_what_to_call():
    with pytest.raises(StateError, match=r"start_run\(\)"):
        nbtools.log_metrics({"a": 1})
    with pytest.raises(StateError, match="no run to end"):
        nbtools.end_run()


def test_a_second_run_needs_the_first_to_end():
    nbtools.start_run("one")
    with pytest.raises(StateError, match="still open"):
        nbtools.start_run("two")


def test_the_same_name_is_refused_and_resumed_when_asked(store_folder):
    for step in (1, 2):
        if step == 2:
            with pytest.raises(AlreadyExists, match="resume"):
                nbtools.start_run("one")
        with nbtools.start_run("one", resume=step == 2) as run:
            run.log_time_series_metrics({"loss": 1.0})
            run.log_params({f"p{step}": step})
    kept = only_run(store_folder)
    assert kept.params == {"p1": 1, "p2": 2}
    assert [p[0] for p in Store(store_folder).points(kept.id)["loss"]] == [1, 2]


@pytest.mark.parametrize("value", [[1], {"a": 1}, None, object()])
def test_what_is_no_number_or_text_is_refused(value):
    with nbtools.start_run() as run, pytest.raises(RequestError, match="cannot be logged"):
        run.log_metrics({"m": value})


@pytest.mark.parametrize(
    ("metrics", "options"),
    [
        ({"m": "fast"}, {}),
        ({"m": 10**400}, {}),
        ({"m": 10**6000}, {}),
        ({"\udcff": 1.0}, {}),
        ({"m": 1.0}, {"step": 2**63}),
        ({"m": 1.0}, {"step": "second"}),
        ({"m": 1.0}, {"step": math.nan}),
        ({"m": 1.0}, {"wall_time": math.nan}),
        ({"m": 1.0}, {"wall_time": "noon"}),
    ],
)
def test_a_step_that_no_store_could_hold_is_refused_when_it_is_logged(
    store_folder, metrics, options
):
    with nbtools.start_run() as run:
        with pytest.raises(RequestError):
            run.log_time_series_metrics(metrics, **options)
        run.log_time_series_metrics({"m": 1.0}, step=1)
    kept = only_run(store_folder)  # later commands read the journal: it must be readable
    assert [p[2] for p in Store(store_folder).points(kept.id)["m"]] == [1.0]


def test_a_number_too_long_to_write_is_refused(store_folder):
    with nbtools.start_run() as run, pytest.raises(RequestError, match="too|digits"):
        run.log_metrics({"m": 10**6000})


def test_a_full_disk_is_said_to_who_logs(store_folder):
    script = (
        "import nbtools, resource\nrun = nbtools.start_run('r')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))\n"
        "try: run.log_metrics({'m': 1})\nexcept nbtools.NbtoolsError as error: print(error)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)\n"
        "run.log_metrics({'m': 2})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    assert "cannot log to" in done.stdout
    assert only_run(store_folder).metrics == {"m": 2}


def test_a_run_that_cannot_be_logged_to_is_not_left_behind(store_folder):
    Store(store_folder).close()
    (store_folder / "journals").touch()
    with pytest.raises(
        StoreError, match="cannot log to .*/journals: File exists; .* NBTOOLS_STORE"
    ):
        nbtools.start_run("r")
    (store_folder / "journals").unlink()
    assert list_runs(Store(store_folder), now()) == []
    nbtools.start_run("r").end()
    assert only_run(store_folder).state == "COMPLETE"


def test_artifacts_of_two_runs_are_kept_apart(store_folder, tmp_path):
    left = []
    for run, name in (("a", "b-c"), ("a-b", "c")):
        (tmp_path / "file").write_text(run)
        with nbtools.start_run(run) as opened:
            left.append(opened.log_artifact(tmp_path / "file", name=name))
    assert [artifact.path.read_text() for artifact in left] == ["a", "a-b"]
    store = Store(store_folder)
    assert [store.get(type(a), a.name).uri for a in left] == [a.uri for a in left]


def test_numpy_scalars_are_the_numbers_they_hold(store_folder):
    import numpy as np

    with nbtools.start_run() as run:
        run.log_metrics({"a": np.float32(0.5), "b": np.int64(3), "c": np.array(2.0)})
    assert only_run(store_folder).metrics == {"a": 0.5, "b": 3, "c": 2.0}


def test_artifacts_are_kept_found_and_remembered_as_inputs(store_folder, tmp_path):
    (tmp_path / "weights.bin").write_bytes(b"abc")
    with nbtools.start_run("train") as run:
        left = run.log_artifact(tmp_path / "weights.bin", name="weights")
        assert left.path.read_bytes() == b"abc"
        assert left.metadata["bytes"] == 3
        with pytest.raises(RequestError, match="no file"):
            run.log_artifact("missing.bin")
        with pytest.raises(RequestError, match="leads out"):
            run.output_path("../../elsewhere")
    with nbtools.start_run("evaluate") as run:
        for name in ("weights", left.name, str(left.path)):
            assert run.use_artifact(name).name == left.name
        other = run.use_artifact(str(tmp_path / "weights.bin"))
        assert other.name == left.name  # the same content is one artifact, wherever it lies
        with pytest.raises(NotFound, match="no artifact 'nope'"):
            run.use_artifact("nope")
    store = Store(store_folder)
    read = [e.artifact for e in store.events(execution="default-evaluate") if e.type == "INPUT"]
    assert set(read) == {left.name, other.name}
    assert [e.type for e in store.events(artifact=left.name)] == ["OUTPUT", "INPUT"]


def test_the_dataframe_has_vertex_columns():
    nbtools.init("digits")
    for name in ("a", "b"):
        with nbtools.start_run(name) as run:
            run.log_params({"lr": 0.1})
            run.log_metrics({"acc": 0.9})
            run.log_time_series_metrics({"loss": 0.4})
    frame = nbtools.get_experiment_df("digits")
    assert list(frame.columns) == [
        "experiment_name", "run_name", "run_type", "state",
        "param.lr", "metric.acc", "time_series_metric.loss",
    ]  # fmt: skip
    assert list(frame["run_name"]) == ["b", "a"]
    with pytest.raises(NotFound, match="no experiment 'nope'"):
        nbtools.get_experiment_df("nope")


def test_runs_are_found_by_name_beginning_and_last(store_folder):
    for name in ("alpha", "beta", "bet"):
        nbtools.start_run(name).end()
    store = Store(store_folder)
    assert find_run(store, now(), "alp").name == "alpha"
    assert find_run(store, now(), "bet").name == "bet"
    assert find_run(store, now(), "last").name == "bet"
    with pytest.raises(RequestError, match="several"):
        find_run(store, now(), "be")
    with pytest.raises(NotFound):
        find_run(store, now(), "gamma")


SCRIPT = """
import os, nbtools
run = nbtools.start_run("one")
for step in range(1, 501):
    run.log_time_series_metrics({"loss": 1 / step}, step=step)
%s
"""


@pytest.mark.parametrize(
    ("end", "state"),
    [
        ("", "COMPLETE"),
        ("raise SystemError('boom')", "FAILED"),
        (f"os.kill(os.getpid(), {int(signal.SIGKILL)})", "FAILED"),
    ],
)
def test_every_step_survives_the_end_of_the_process(store_folder, end, state):
    subprocess.run([sys.executable, "-c", SCRIPT % end], check=False, capture_output=True)
    run = only_run(store_folder)
    assert run.state == state
    assert len(Store(store_folder).points(run.id)["loss"]) == 500
    assert list((store_folder / "journals").iterdir()) == []


def test_threads_log_into_one_run(store_folder):
    from threading import Thread

    with nbtools.start_run():
        work = [Thread(target=lambda: [nbtools.log_time_series_metrics({"x": 1.0})
                                       for _ in range(200)]) for _ in range(4)]  # fmt: skip
        for thread in work:
            thread.start()
        for thread in work:
            thread.join()
    points = Store(store_folder).points(only_run(store_folder).id)["x"]
    assert [p[0] for p in points] == list(range(1, 801))


@pytest.mark.slow
def test_in_a_job_the_run_is_the_jobs_until_it_is_ended(store_folder, make_notebook):
    job = nbtools.run(
        make_notebook(
            "work.ipynb",
            "import nbtools\nnbtools.log_metrics({'a': 1})\nnbtools.end_run()",
            "with nbtools.start_run('extra') as extra: extra.log_metrics({'b': 2})",
            "try: nbtools.log_metrics({'c': 3})\nexcept nbtools.NbtoolsError as e: print(e)",
        )
    )
    runs = {run.name: run for run in list_runs(Store(store_folder), now())}
    assert runs[job.run].metrics == {"a": 1}
    assert runs["extra"].metrics == {"b": 2}
    assert runs["extra"].experiment == job.experiment
    text = job.outputs.notebook.read_text()
    assert "call nbtools.start_run() first" in text
    assert "application/vnd.nbtools.run+json" in text  # the executed notebook carries its run
