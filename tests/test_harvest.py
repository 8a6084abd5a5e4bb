import math
from dataclasses import replace

import nbformat
import pytest
from nbclient import NotebookClient

from nbtools import card, opening
from nbtools.harvest import BROKEN, NOTHING, harvest
from nbtools.mirror import MirrorWarning
from nbtools.notebook import Notebook
from nbtools.nouns import Artifact, Context, Job, run_id, utc_now
from nbtools.prepare import prepare
from nbtools.runs import open_run
from nbtools.store import Store

JOB = Job(name="work-1", notebook="/work.ipynb", experiment="work", run="work-1")


@pytest.fixture
def home(tmp_path):
    """Our store, in which the job's run is."""
    store = Store(tmp_path / "home")
    open_run(store, JOB.experiment, JOB.run, utc_now(), params={"lr": 0.5}, job=JOB.name)
    store.add(JOB.execution(), utc_now())
    return store


@pytest.fixture
def away(tmp_path):
    """The same run, where the kernel is."""
    identity = {"job": JOB.name, "experiment": JOB.experiment, "run": JOB.run}
    run = opening.in_job(Store(tmp_path / "away"), identity, strict=True)
    yield run
    run.end()


def executed(path, *cards):
    cells = [
        nbformat.v4.new_code_cell(outputs=[nbformat.v4.new_output("display_data", data)])
        for data in cards
    ]
    path.write_text(nbformat.writes(nbformat.v4.new_notebook(cells=cells)))
    return path


def test_all_that_was_logged_comes_home(home, away, tmp_path):
    away.log_params({"device": "cpu"})
    away.log_metrics({"score": 0.9, "bad": float("nan")})
    away.log_time_series_metrics({"loss": 1.0}, step=1, wall_time=100.0)
    away.log_time_series_metrics({"loss": float("inf")}, step=2, wall_time=101.0)
    path = executed(tmp_path / "a.ipynb", card.bundle(away))
    for _ in range(2):  # again is the same
        with home.write():
            assert harvest(home, JOB, path, utc_now()) == ""
    meta = home.get(Context, run_id("work", "work-1")).metadata
    assert meta["_params"] == {"lr": 0.5, "device": "cpu"}
    assert meta["_metrics"]["score"] == 0.9
    assert math.isnan(meta["_metrics"]["bad"])
    points = home.points(run_id("work", "work-1"))
    assert points["loss"] == [(1, 100.0, 1.0), (2, 101.0, float("inf"))]


def test_of_long_series_some_points_and_the_last(home, away, tmp_path):
    for step in range(2 * card.CARRIED + 7):
        away.log_time_series_metrics({"loss": float(step)}, step=step)
    path = executed(tmp_path / "a.ipynb", card.bundle(away))
    with home.write():
        assert harvest(home, JOB, path, utc_now()) == "of the points of loss only some came home"
    points = home.points(run_id("work", "work-1"))["loss"]
    assert card.CARRIED / 2 < len(points) <= card.CARRIED
    assert points[-1][:1] == (2 * card.CARRIED + 6,)


def test_cards_of_other_runs_are_left(home, away, tmp_path):
    away.log_metrics({"score": 0.9})
    mine = card.bundle(away)
    other = {card.MIME: {**mine[card.MIME], "run": "other", "metrics": {"score": 0.1}}}
    path = executed(tmp_path / "a.ipynb", mine, other)
    with home.write():
        harvest(home, JOB, path, utc_now())
    assert home.get(Context, run_id("work", "work-1")).metadata["_metrics"] == {"score": 0.9}


def test_a_notebook_without_a_run_says_so(home, tmp_path):
    path = executed(tmp_path / "a.ipynb", {"text/plain": "1"}, {card.MIME: "nonsense"})
    assert harvest(home, JOB, path, utc_now()) == NOTHING


@pytest.mark.parametrize(
    "points", [[[1]], [[1, 2, "x"]], 3, [[2**70, 0.0, 1.0]], [None], {"a": 1}, [[1, [], 2]]]
)
def test_what_is_no_value_is_left_and_said(home, tmp_path, points):
    found = {"experiment": "work", "run": "work-1", "metrics": {"score": 1.0, "odd": [1]}}
    path = executed(tmp_path / "a.ipynb", {card.MIME: {**found, "points": {"loss": points}}})
    with home.write():
        assert harvest(home, JOB, path, utc_now()) == BROKEN
    assert home.get(Context, run_id("work", "work-1")).metadata["_metrics"] == {"score": 1.0}


def test_a_run_that_was_deleted_stays_so(home, tmp_path, away):
    path = executed(tmp_path / "a.ipynb", card.bundle(away))
    assert harvest(home, replace(JOB, run="gone"), path, utc_now()) == ""


def test_where_the_store_is_ours_no_points_are_carried(home):
    identity = {"job": JOB.name, "experiment": JOB.experiment, "run": JOB.run}
    run = opening.in_job(home, identity, strict=True)
    run.log_time_series_metrics({"loss": 1.0})
    assert "points" not in card.bundle(run)[card.MIME]
    run.end()


@pytest.mark.slow
def test_a_notebook_that_knows_its_experiment_only_is_a_run_of_that(
    make_notebook, tmp_path, monkeypatch
):
    """As a schedule of another's clock has it."""
    path = make_notebook("work.ipynb", "import nbtools\nnbtools.log_metrics({'score': lr})")
    text = prepare(Notebook.read(path), {"lr": 0.25}, {"experiment": "nightly"}, "python3")
    monkeypatch.setenv("NBTOOLS_STORE", str(tmp_path / "theirs"))
    nb = nbformat.reads(text, as_version=4)
    NotebookClient(nb, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [o for cell in nb.cells for o in cell["outputs"]]
    (found,) = [o["data"][card.MIME] for o in outputs if card.MIME in o.get("data", {})]
    assert (found["experiment"], found["metrics"]) == ("nightly", {"score": 0.25})


def come(home, away, tmp_path):
    path = executed(tmp_path / "a.ipynb", card.bundle(away))
    return harvest(home, replace(JOB, folder=str(tmp_path)), path, utc_now())


def test_a_place_that_nobody_knows_is_said(home, away, tmp_path):
    away.ship("nosuch://bucket/files")
    away.log_text("readme", "what it is")
    away.log_metrics({"score": 0.9})
    away.settle()
    said = "not all files that it wrote came home, readme among them: nosuch://bucket/files: "
    assert come(home, away, tmp_path).startswith(said)
    assert home.get(Context, run_id("work", "work-1")).metadata["_metrics"] == {"score": 0.9}
    assert home.select(Artifact) == []


def test_what_cannot_be_shipped_is_said_until_it_can(home, away, tmp_path):
    (tmp_path / "files").write_text("is no folder")
    away.ship((tmp_path / "files").as_uri())
    with pytest.warns(MirrorWarning, match="lost with this machine"):
        away.log_text("readme", "what it is")
        away.settle()
    assert "among them: FileExistsError: " in come(home, away, tmp_path)
    (tmp_path / "files").unlink()
    away.settle()
    assert come(home, away, tmp_path) == ""
    (found,) = home.select(Artifact)
    assert found.path.read_text() == "what it is"


def test_files_are_shipped_when_the_run_settles_and_again_when_they_have_grown(away, tmp_path):
    away.ship((tmp_path / "bucket").as_uri())
    away.settle()  # nothing is there yet
    path = away.output_path("deep/log.txt")
    for text in ("one", "one, two"):
        path.write_text(text)
        away.settle()
        assert (away.stranded, (tmp_path / "bucket/deep/log.txt").read_text()) == ("", text)


@pytest.mark.parametrize(
    "wrong",
    [
        {"file": "../../elsewhere"},
        {"file": "/etc/hostname"},
        {"file": 1},
        {"metadata": "{"},
        {"metadata": {}},
        {"metadata": "1"},
    ],
)
def test_what_is_no_artifact_is_left_and_said(home, tmp_path, wrong):
    whole = {"display_name": "a", "schema_title": "system.Model", "file": "", "metadata": "{}"}
    values = {"experiment": "work", "run": "work-1", "metrics": {"score": 1}}
    shown = {card.MIME: {**values, "artifacts": [{**whole, **wrong}]}}
    path = executed(tmp_path / "a.ipynb", shown)
    job = replace(JOB, folder=str(tmp_path))
    assert harvest(home, job, path, utc_now()) == BROKEN
    assert home.select(Artifact) == []
    assert home.get(Context, run_id("work", "work-1")).metadata["_metrics"] == {"score": 1}
