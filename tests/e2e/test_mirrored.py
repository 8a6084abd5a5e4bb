"""A run is mirrored by one word to `init`: the real packages, in a process of its own."""

import re
import subprocess
import sys

import pytest

from nbtools.eventfile import Events
from nbtools.importing import import_runs
from nbtools.nouns import utc_now
from nbtools.runs import list_runs
from nbtools.store import Store

pytestmark = pytest.mark.slow

SCRIPT = """
import nbtools
nbtools.init("digits", mirrors=["tensorboard", "wandb"],
             mirror_options={"wandb": {"mode": "offline"}})
with nbtools.start_run("one") as run:
    run.log_params({"lr": 0.1})
    for step in range(1, 101):
        run.log_time_series_metrics({"loss": 1 / step}, step=step)
    run.log_metrics({"accuracy": 0.9})
    run.log_text("note", "hello")
"""


def test_a_run_is_heard_of_by_every_mirror(store_folder, tmp_path, monkeypatch):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (path,) = store_folder.rglob("*tfevents*")
    events = Events()
    events.take(path)
    assert len(events.scalars["loss"]) == 100
    assert not list((store_folder / "mirrors").rglob("*.journal"))  # all of it was sent
    (log,) = store_folder.rglob("run-*.wandb")
    monkeypatch.setenv("NBTOOLS_STORE", str(tmp_path / "second"))
    import_runs(log.parent.parent)
    (run,) = list_runs(Store(tmp_path / "second"), utc_now())
    assert run.params["lr"] == 0.1
    assert run.metrics["accuracy"] == 0.9
    points = Store(tmp_path / "second").points(run.id)
    assert [value for _, _, value in points["loss"]] == [1 / step for step in range(1, 101)]


def test_a_mirror_that_there_is_not_is_refused_when_it_is_named():
    import nbtools

    with pytest.raises(nbtools.NbtoolsError, match=re.escape("no mirror 'wandbb'")):
        nbtools.init("digits", mirrors=["wandbb"])
    with pytest.raises(nbtools.NbtoolsError, match="a list of names"):
        nbtools.init("digits", mirrors="wandb")
