"""Logging from scripts and from notebooks, in a job and by hand."""

import math
import pickle
import re
import signal
import subprocess
import sys
from pathlib import Path

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


FULL = """
import nbtools, resource, sys, warnings
nbtools.init("e", strict=%s)
run = nbtools.start_run("r")
run.log_time_series_metrics({"loss": 0.0}, step=0)
resource.setrlimit(resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
for step in range(1, 50):
    try:
        run.log_time_series_metrics({"loss": step}, step=step)
        run.log_metrics({"m": step})
    except nbtools.NbtoolsError as error:
        print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
run.log_metrics({"last": 2})
"""


def test_a_full_disk_is_said_once_and_nothing_is_lost_when_there_is_room_again(store_folder):
    done = subprocess.run(
        [sys.executable, "-c", FULL % False], check=True, capture_output=True, text=True
    )
    assert done.stdout == ""
    assert done.stderr.count("cannot log to") == 1
    assert "work goes on" in done.stderr
    run = only_run(store_folder)
    assert run.metrics == {"m": 49, "last": 2}
    points = Store(store_folder).points(run.id)["loss"]
    assert [(step, value) for step, _, value in points] == [(n, float(n)) for n in range(50)]


def test_a_full_disk_is_an_error_when_that_is_asked_for(store_folder):
    done = subprocess.run(
        [sys.executable, "-c", FULL % True], check=True, capture_output=True, text=True
    )
    assert done.stdout.count("cannot log to") == 49
    assert only_run(store_folder).metrics == {"last": 2}


ENDS = """
import nbtools, resource
with nbtools.start_run("r") as run:
    run.log_metrics({"m": 1})
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
print("goes on")
"""


def test_a_disk_that_is_full_at_the_end_of_a_run_stops_nobody(store_folder):
    done = subprocess.run([sys.executable, "-c", ENDS], capture_output=True, text=True, check=False)
    assert done.stdout == "goes on\n"
    assert done.stderr.count("cannot log to") == 1
    run = only_run(store_folder)
    assert run.metrics == {"m": 1}
    assert run.state == "FAILED"  # how it ended could be written nowhere


def test_where_the_store_cannot_be_written_work_goes_on_elsewhere(store_folder):
    Store(store_folder).close()
    (store_folder / "journals").touch()
    with pytest.warns(RuntimeWarning, match="journals: File exists") as told:
        run = nbtools.start_run("r")
    run.log_metrics({"m": 1})
    run.end()
    (other,) = re.findall(r"NBTOOLS_STORE=(\S+) shows", str(told[0].message))
    assert only_run(Path(other)).metrics == {"m": 1}
    (store_folder / "journals").unlink()
    assert list_runs(Store(store_folder), now()) == []


def test_where_the_store_cannot_be_written_is_an_error_when_that_is_asked_for(store_folder):
    Store(store_folder).close()
    (store_folder / "journals").touch()
    nbtools.init("e", strict=True)
    with pytest.raises(
        StoreError, match="cannot log to .*/journals: File exists; .* NBTOOLS_STORE"
    ):
        nbtools.start_run("r")
    (store_folder / "journals").unlink()
    assert list_runs(Store(store_folder), now()) == []


RANK = """
import os, signal, sys, nbtools
nbtools.init("ddp")
run = nbtools.start_run("train", resume=True)
print("open", flush=True)
sys.stdin.readline()
for step in range(200):
    run.log_time_series_metrics({f"loss/{sys.argv[1]}": 1 / (1 + step)}, step=step)
if sys.argv[1] == "2":
    os.kill(os.getpid(), signal.SIGKILL)
run.end()
print("ended", flush=True)
sys.stdin.readline()
"""


def test_several_processes_log_into_one_run(store_folder):
    ranks = []
    for rank in range(3):
        command = [sys.executable, "-c", RANK, str(rank)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdout.readline() == b"open\n"
        ranks.append(process)
    for rank in (1, 2):
        ranks[rank].stdin.write(b"\n")
        ranks[rank].stdin.close()
        ranks[rank].wait()
    assert only_run(store_folder).state == "RUNNING"  # one guest has ended, one was killed
    ranks[0].communicate(b"\n\n")
    run = only_run(store_folder)
    assert run.state == "COMPLETE"
    points = Store(store_folder).points(run.id)
    assert {key: len(series) for key, series in points.items()} == {
        "loss/0": 200, "loss/1": 200, "loss/2": 200,
    }  # fmt: skip


FORK = """
import os, nbtools
run = nbtools.start_run("one")
run.log_time_series_metrics({"x": 1.0}, step=1)
if os.fork() == 0:
    run.log_time_series_metrics({"x": 2.0}, step=2)
    run.log_metrics({"child": True})
    raise SystemExit
os.wait()
run.log_time_series_metrics({"x": 3.0}, step=3)
"""


def test_a_fork_logs_into_the_run_and_does_not_end_it(store_folder):
    subprocess.run([sys.executable, "-c", FORK], check=True)
    run = only_run(store_folder)
    assert (run.state, run.metrics) == ("COMPLETE", {"child": True})
    points = Store(store_folder).points(run.id)["x"]
    assert [(p[0], p[2]) for p in points] == [(1, 1.0), (2, 2.0), (3, 3.0)]


def test_a_run_in_a_run(store_folder):
    nbtools.init("e", tags=["all"])
    with nbtools.start_run("outer", tags=["first"], notes="why") as outer:
        with nbtools.start_run("inner", nested=True) as inner:
            nbtools.log_metrics({"m": 1})
        nbtools.log_metrics({"m": 2})
    assert (inner.parent.name, outer.parent) == ("outer", None)
    assert [run.name for run in outer.children] == ["inner"]
    assert (inner.get_metrics(), outer.get_metrics()) == ({"m": 1}, {"m": 2})
    assert (outer.tags, outer.notes, inner.tags) == (["all", "first"], "why", ["all"])
    assert [run.name for run in nbtools.Experiment("e").runs()] == ["inner", "outer"]


def test_a_run_is_read_as_it_was_logged(store_folder):
    nbtools.init("e", experiment_description="what it is about")
    with nbtools.start_run("r") as run:
        run.log_params({"depth": 3, "lr": 0.1})
        for step in range(1, 4):
            run.log_time_series_metrics({"loss": 1 / step}, step=step, wall_time=10.0 + step)
        run.log_time_series_metrics({"acc": math.nan}, step=2, wall_time=20.0)
        run.log_text("note", "hello")
    found = nbtools.ExperimentRun("r", experiment="e")
    assert found.state == "COMPLETE"
    assert found.get_params() == {"depth": 3, "lr": 0.1}
    frame = found.get_time_series_data_frame()
    assert list(frame.columns) == ["step", "wall_time", "acc", "loss"]
    assert list(frame["loss"]) == [1.0, 0.5, 1 / 3]
    assert list(frame["wall_time"]) == [11.0, 20.0, 13.0]
    assert [a.display_name for a in found.get_artifacts()] == ["note"]
    assert [e.name for e in found.get_executions()] == ["e-r"]
    assert found.get_logs() == ""
    assert [e.name for e in nbtools.Experiment.list()] == ["e"]
    assert nbtools.Experiment("e").description == "what it is about"
    with pytest.raises(NotFound, match="no experiment 'nope'"):
        nbtools.Experiment("nope")


def test_tables_figures_texts_and_models_are_kept(store_folder):
    import pandas as pd
    import torch
    from matplotlib.figure import Figure
    from sklearn.linear_model import LinearRegression

    with nbtools.start_run("r") as run:
        for name, table in (
            ("frame", pd.DataFrame({"a": [1, 2]})),
            ("rows", [{"a": 1}, {"a": 2}]),
            ("lists", {"a": [1, 2]}),
        ):
            assert pd.read_csv(run.log_table(name, table).path).to_dict("list") == {"a": [1, 2]}
        figure = Figure()
        figure.subplots().plot([1, 2])
        assert run.log_figure("curve", figure).path.read_bytes().startswith(b"\x89PNG")
        assert run.log_text("note", "grüß").path.read_text() == "grüß"
        linear = torch.nn.Linear(2, 1)
        kept = torch.load(run.log_model(linear, "net").path)
        assert torch.equal(kept["weight"], linear.weight)
        model = run.log_model(LinearRegression().fit([[0], [1]], [0, 2]), "line")
        assert pickle.loads(model.path.read_bytes()).coef_ == pytest.approx([2.0])
        for log, given in (
            (run.log_table, ("t", [1])),
            (run.log_table, ("t", {"a": [], "b": [1]})),
            (run.log_figure, ("f", "x")),
            (run.log_model, (lambda: 1,)),
        ):
            with pytest.raises(RequestError):
                log(*given)
    assert {a.schema_title for a in run.get_artifacts()} == {
        "nbtools.Table", "nbtools.Figure", "nbtools.Text", "system.Model",
    }  # fmt: skip


def test_classification_metrics_are_kept_as_vertex_has_them():
    with nbtools.start_run("r") as run:
        nbtools.log_classification_metrics(
            labels=["cat", "dog"], matrix=[[3, 1], [0, 4]], fpr=[0.0, 1.0], tpr=[0.5, 1.0],
            threshold=[0.9, 0.1], display_name="val",
        )  # fmt: skip
        for bad in (
            {},
            {"labels": ["a"]},
            {"labels": ["a"], "matrix": [[1, 2]]},
            {"fpr": [0.1], "tpr": [0.1]},
        ):
            with pytest.raises(RequestError):
                nbtools.log_classification_metrics(**bad)
    (found,) = run.get_classification_metrics()
    assert found["display_name"] == "val"
    assert found["confusionMatrix"] == {
        "annotationSpecs": [{"displayName": "cat"}, {"displayName": "dog"}],
        "rows": [[3, 1], [0, 4]],
    }
    assert found["confidenceMetrics"][0] == {
        "confidenceThreshold": 0.9, "recall": 0.5, "falsePositiveRate": 0.0,
    }  # fmt: skip


ABOUT = """
import nbtools
nbtools.start_run("r").end()
"""


def test_a_run_knows_what_it_was_made_of(store_folder, tmp_path):
    def git(*words):
        subprocess.run(["git", *words], cwd=tmp_path, check=True, capture_output=True)

    (tmp_path / "train.py").write_text(ABOUT)
    git("init", "-b", "main")
    git("add", "train.py")
    git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-m", "one")
    git("remote", "add", "origin", "https://me:secret@example.com/x.git")
    (tmp_path / "train.py").write_text(ABOUT + "# changed\n")
    subprocess.run([sys.executable, "train.py"], cwd=tmp_path, check=True)
    found = nbtools.ExperimentRun("r").about
    assert found["git"]["branch"] == "main"
    assert found["git"]["dirty"] is True
    assert found["git"]["remote"] == "https://example.com/x.git"
    assert len(found["git"]["commit"]) == 40
    assert "train.py" in found["command"]
    folder = Path(found["files"])
    assert "+# changed" in (folder / "changes.patch").read_text()
    assert any(line.startswith("pandas-") for line in (folder / "packages.txt").open())


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
