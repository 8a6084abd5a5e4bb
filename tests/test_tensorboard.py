"""torch's writer whose scalars are logged too, the profiler, and what `nbtools tb` serves."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
import torch

import nbtools
import nbtools.tensorboard
from nbtools import experiments
from nbtools.errors import MissingDependency, RequestError, StateError
from nbtools.mirrors.event_files import EventFiles, read_scalars
from nbtools.nouns import utc_now
from nbtools.runs import find_run, run_folder
from nbtools.settings import Settings
from nbtools.store import Store


@pytest.fixture(autouse=True)
def fresh_session(store_folder, monkeypatch):
    monkeypatch.setattr(experiments, "_session", experiments._Session())


@pytest.fixture
def run():
    nbtools.init("digits")
    with nbtools.start_run("one") as run:
        yield run


def kept(store_folder, name="one"):
    store = Store(store_folder)
    found = find_run(store, utc_now(), name)
    return found, store.points(found.id)


def events(folder):
    """What TensorBoard reads from a folder."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    found.Reload()
    return found


def scalars(folder, tag):
    return [(s.step, s.value) for s in events(folder).Scalars(tag)]


def test_a_scalar_is_in_the_event_file_and_in_the_store(run, store_folder):
    from torch.utils.tensorboard import SummaryWriter

    with nbtools.tensorboard.writer() as writer:
        assert isinstance(writer, SummaryWriter)
        writer.add_scalar("loss", 0.5, 1, walltime=1e9)
        writer.add_scalar("loss", torch.tensor(0.25), 2)
        writer.add_scalar("new", 4.0, 1, new_style=True, double_precision=True)
    _, series = kept(store_folder)
    assert series["loss"][0] == (1, 1e9, 0.5)
    assert [(step, value) for step, _, value in series["loss"]] == [(1, 0.5), (2, 0.25)]
    folder = nbtools.tensorboard.log_folder(run)
    assert scalars(folder, "loss") == [(1, 0.5), (2, 0.25)]
    assert set(read_scalars(folder)) == {"loss", "new"}


def test_several_scalars_are_series_of_their_own(run, store_folder):
    with nbtools.tensorboard.writer(run) as writer:
        writer.add_scalars("acc", {"train": 0.75, "val": 0.5}, 3)
    _, series = kept(store_folder)
    assert {key: points[0][::2] for key, points in series.items()} == {
        "acc/train": (3, 0.75),
        "acc/val": (3, 0.5),
    }
    assert scalars(nbtools.tensorboard.log_folder(run) / "acc_val", "acc") == [(3, 0.5)]


def test_hyperparameters_are_the_run_s_params_and_metrics(run, store_folder):
    with nbtools.tensorboard.writer() as writer:
        writer.add_hparams({"lr": 0.5, "none": None}, {"hparam/acc": 0.75}, run_name="hp")
    found, _ = kept(store_folder)
    assert (found.params, found.metrics) == ({"lr": 0.5}, {"hparam/acc": 0.75})
    plugins = events(nbtools.tensorboard.log_folder(run) / "hp").summary_metadata
    assert "_hparams_/session_start_info" in plugins


def test_everything_else_goes_through_to_tensorboard(run):
    with nbtools.tensorboard.writer() as writer:
        writer.add_histogram("weights", torch.randn(100), 1)
        writer.add_image("digit", torch.rand(3, 8, 8), 1)
        writer.add_text("words", "hello", 1)
        writer.add_pr_curve("pr", torch.tensor([0, 1, 1]), torch.tensor([0.1, 0.6, 0.9]), 1)
        writer.add_embedding(torch.randn(5, 3), metadata=list("abcde"))
        writer.add_graph(torch.nn.Linear(3, 2), torch.rand(1, 3))
        writer.add_custom_scalars({"both": {"loss": ["Multiline", ["loss"]]}})
    folder = nbtools.tensorboard.log_folder(run)
    found = events(folder)
    tags = found.Tags()
    assert (tags["histograms"], tags["images"], tags["graph"]) == (["weights"], ["digit"], True)
    assert {"words/text_summary", "pr", "custom_scalars__config__"} <= set(tags["tensors"])
    assert (folder / "projector_config.pbtxt").exists()


def test_a_local_log_dir_is_found_from_the_run(run, tmp_path):
    with nbtools.tensorboard.writer(log_dir=tmp_path / "logs") as writer:
        writer.add_scalar("loss", 0.5, 1)
    assert scalars(tmp_path / "logs", "loss") == [(1, 0.5)]
    folder = nbtools.tensorboard.log_folder(run)
    assert folder.resolve() == (tmp_path / "logs").resolve()


def test_without_a_run_it_says_what_to_call():
    with pytest.raises(StateError, match=r"start_run\(\)"):
        nbtools.tensorboard.writer()


def test_a_uri_that_nobody_knows_is_refused_at_once(run):
    with pytest.raises(RequestError, match="nowhere://x"):
        nbtools.tensorboard.writer(log_dir="nowhere://x")
    with pytest.raises(MissingDependency, match="ocifs"):
        nbtools.tensorboard.writer(log_dir="oci://bucket/logs")


def test_a_profile_is_a_trace_with_operators_and_memory(run):
    with nbtools.tensorboard.profile() as profiler:
        for _ in range(3):
            torch.rand(50, 50).mm(torch.rand(50, 50)).sum()
            profiler.step()
    (trace,) = nbtools.tensorboard.log_folder(run).glob("*.pt.trace.json")
    told = json.loads(trace.read_text())["traceEvents"]
    names = {event.get("name") for event in told}
    assert {"aten::mm", "ProfilerStep#1", "[memory]"} <= names


def test_a_schedule_says_which_steps_are_profiled(run):
    schedule = torch.profiler.schedule(wait=1, warmup=1, active=1, repeat=1)
    with nbtools.tensorboard.profile(schedule=schedule) as profiler:
        for _ in range(5):
            torch.rand(5).sum()
            profiler.step()
    (trace,) = nbtools.tensorboard.log_folder(run).glob("*.pt.trace.json")
    steps = set(re.findall(r'"ProfilerStep#(\d+)"', trace.read_text()))
    assert steps == {"2"}


def test_event_files_hold_each_point_once_whatever_the_order(tmp_path):
    files = EventFiles(tmp_path)
    files.add([("loss", step, 1e9, step / 4) for step in (3, 1, 2)])
    files.add([("loss", 2, 1e9, 0.5), ("acc", 9, 1e9, 0.5)])  # as before: nothing to do
    files.flush()
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    files.add([("loss", 2, 1e9, 0.5)])
    files.flush()
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) == size
    files.add([("loss", 2, 2e9, 8.0), ("loss", 4, 1e9, 1.0)])
    files.close()
    assert scalars(tmp_path, "loss") == [(1, 0.25), (2, 8.0), (3, 0.75), (4, 1.0)]
    assert scalars(tmp_path, "acc") == [(9, 0.5)]


# -- nbtools tb -----------------------------------------------------------------------------


@pytest.fixture
def serve(store_folder, tmp_path):
    """The command, as its user calls it; returns what asks its server."""
    begun = []

    def serve(*args, **environ):
        command = [str(Path(sys.executable).with_name("nbtools"))]
        process = subprocess.Popen(
            [*command, "tb", "--no-open", "--port", "0", *args], cwd=tmp_path, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **environ},
        )  # fmt: skip
        begun.append(process)
        process.said = process.stdout.readline()
        return process

    yield serve
    for process in begun:
        process.terminate()  # as SIGINT: what TensorBoard's plugins have begun ends too
        assert process.wait(90) == 0


def ask(process, path, **query):
    base = re.search(r"http://\S+", process.said).group()
    url = f"{base}data/{path}?{urllib.parse.urlencode(query)}"
    with urllib.request.urlopen(url, timeout=30) as reply:
        return json.load(reply)


def eventually(wanted, got, seconds=60):
    """TensorBoard reads its folder in the background."""
    deadline = time.monotonic() + seconds
    while (found := got()) != wanted:
        assert time.monotonic() < deadline, f"{found} and not {wanted}"
        time.sleep(0.2)


def points(process, run, tag):
    try:
        found = ask(process, "plugin/scalars/scalars", run=run, tag=tag)
    except urllib.error.HTTPError:  # it has not read it yet
        return None
    return [(step, value) for _, step, value in found]


def test_tb_serves_runs_by_name_with_what_the_store_has(serve, store_folder):
    nbtools.init("digits")
    with nbtools.start_run("stored") as run:
        for step in (1, 2, 5, 3):
            run.log_time_series_metrics({"loss": step / 4}, step=step)
    with nbtools.start_run("written") as run, nbtools.tensorboard.writer() as writer:
        writer.add_scalar("loss", 0.75, 7)
        run.log_time_series_metrics({"acc": 0.5}, step=7)
        writer.add_histogram("weights", torch.randn(100), 1)
    with nbtools.start_run("profiled"), nbtools.tensorboard.profile() as profiler:
        torch.rand(5).sum()
        profiler.step()
    nbtools.init("others")
    with nbtools.start_run("elsewhere") as run:
        run.log_time_series_metrics({"loss": 1.0})
    nbtools.init("digits")
    live = nbtools.start_run("live")
    live.log_time_series_metrics({"loss": 1.0}, step=1)

    process = serve("--experiment", "digits")
    assert "TensorBoard on 4 runs" in process.said
    eventually({"stored", "written", "live"}, lambda: set(ask(process, "runs")) - {"profiled"})
    steps = [(1, 0.25), (2, 0.5), (3, 0.75), (5, 1.25)]
    eventually(steps, lambda: points(process, "stored", "loss"))
    eventually([(7, 0.75)], lambda: points(process, "written", "loss"))
    eventually([(7, 0.5)], lambda: points(process, "written", "acc"))
    profiles = {"runs": ["profiled"], "loading": False}
    eventually(profiles, lambda: ask(process, "plugin/pytorch_profiler/runs"))

    live.log_time_series_metrics({"loss": 0.5}, step=3)
    eventually([(1, 1.0), (3, 0.5)], lambda: points(process, "live", "loss"))
    live.log_time_series_metrics({"loss": 0.75}, step=2)  # late
    live.log_time_series_metrics({"loss": 2.0}, step=1)  # again
    eventually([(1, 2.0), (2, 0.75), (3, 0.5)], lambda: points(process, "live", "loss"))
    live.end()
    with nbtools.start_run("new") as run:
        run.log_time_series_metrics({"loss": 1.0})
    eventually([(1, 1.0)], lambda: points(process, "new", "loss"))

    process.send_signal(signal.SIGINT)
    assert process.wait(90) == 0
    assert process.stdout.read().endswith("TensorBoard has ended.\n")


def test_tb_on_named_runs_of_several_experiments_shows_both_names(serve):
    for experiment, name in (("a", "one"), ("b", "two"), ("b", "three")):
        nbtools.init(experiment)
        with nbtools.start_run(name) as run:
            run.log_time_series_metrics({"loss": 1.0})
    process = serve("one", "two")
    eventually({"a/one", "b/two"}, lambda: set(ask(process, "runs")))


def test_tb_behind_a_proxy_says_where_a_browser_finds_it(serve):
    nbtools.init("digits")
    with nbtools.start_run("one") as run:
        run.log_time_series_metrics({"loss": 1.0})
    process = serve(TENSORBOARD_PROXY_URL="/proxy/%PORT%")
    assert re.search(r"TensorBoard on 1 run: /proxy/\d+/\n", process.said)


def test_tb_where_there_is_nothing_to_see(call):
    nbtools.init("digits")
    with nbtools.start_run("empty"):
        pass
    done = call("tb", "--no-open")
    assert done.returncode == 2
    assert "no runs with time series yet" in done.stderr
    assert "no experiment 'none'" in call("tb", "--experiment", "none").stderr


def test_the_proxy_of_jupyterhub_is_known(tmp_path):
    def proxy(**environ):
        return Settings.load(tmp_path, environ).tensorboard_proxy

    assert proxy() == ""
    assert proxy(TENSORBOARD_PROXY_URL="/proxy/%PORT%/") == "/proxy/%PORT%/"
    assert proxy(JUPYTERHUB_SERVICE_PREFIX="/user/me/") == "/user/me/proxy/%PORT%/"


def test_export_leaves_alone_what_has_not_changed(store_folder, tmp_path):
    from nbtools.board import Board

    nbtools.init("digits")
    with nbtools.start_run("one") as run:
        run.log_time_series_metrics({"loss": 1.0})
    for tree in ("first", "second"):
        (tmp_path / tree).mkdir()
        Board(Store(store_folder), tmp_path / tree).refresh(utc_now())
        found, _ = kept(store_folder)
        folder = run_folder(store_folder, found) / "tensorboard"
        assert len(list(folder.glob("*tfevents*"))) == 1
    with nbtools.start_run("one", resume=True) as run:
        run.log_time_series_metrics({"loss": 2.0})
    Board(Store(store_folder), tmp_path / "first").refresh(utc_now())
    assert scalars(folder, "loss") == [(1, 1.0), (2, 2.0)]
