"""A job's run ends on Vertex AI when the job has, whoever looks at it here, or nobody."""

import json
import os
import signal
import time

import pytest

from nbtools.executors.local import LOCK
from nbtools.nouns import Context, Execution
from nbtools.store import Store
from tests.vertex.remotes import Faults

pytestmark = pytest.mark.slow

LOG = """
import nbtools
nbtools.log_params({"lr": lr})
nbtools.log_time_series_metrics({"loss": 0.5}, step=1)
"""
HEARD = """
import os, time
while not os.path.exists("go"):
    time.sleep(0.02)
"""


def until(condition, wanted=True):
    deadline = time.monotonic() + 30
    while (found := condition()) != wanted:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


@pytest.fixture
def project(remote, tmp_path, store_folder, monkeypatch):
    lines = ('mirror = "vertex"', 'project = "far"', 'location = "europe-west4"')
    (tmp_path / "pyproject.toml").write_text("\n".join(["[tool.nbtools]", *lines]))
    return tmp_path


def submitted(call, notebook, run="one"):
    done = call("submit", str(notebook), "--experiment", "digits", "--run", run, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def there(remote, name="one"):
    """How the run stands there, and its job."""
    run = remote.store.find(Context, f"digits-{name}")
    jobs = remote.store.select(Execution, context=f"digits-{name}")
    return (run.metadata["_state"] if run else "", [job.state for job in jobs])


ENDS = {
    "well": ("x = 1", "COMPLETE"),
    "badly": ("1 / 0", "FAILED"),
    "killed": ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "FAILED"),
}


def test_it_arrives_though_nobody_looks(remote, project, call, make_notebook):
    for name, (last, _) in ENDS.items():
        submitted(call, make_notebook(f"{name}.ipynb", LOG, last), name)
    for name, (_, state) in ENDS.items():
        until(lambda name=name: there(remote, name), (state, [state]))
        assert [p[2] for p in remote.store.points(f"digits-{name}")["loss"]] == [0.5]
    assert call("push", "--status").stdout == "nothing is left to send\n"


def test_when_the_process_that_carries_the_job_out_is_killed_the_next_who_looks_has_it_sent(
    remote, project, call, make_notebook
):
    job = submitted(call, make_notebook("train.ipynb", LOG, HEARD))
    until(lambda: there(remote)[0], "RUNNING")
    lock = Store(project / "store").folder / "jobs" / job["name"] / LOCK
    os.kill(json.loads(lock.read_text())["pid"], signal.SIGKILL)
    until(lambda: json.loads(call("jobs", "show", job["name"], "--json").stdout)["state"], "FAILED")
    until(lambda: there(remote), ("FAILED", ["FAILED"]))
    assert call("push", "--status").stdout == "nothing is left to send\n"


def test_offline_it_waits_and_is_said_to(remote, project, call, make_notebook, monkeypatch):
    """The way there breaks while the job is at work, after the mirror has sent all it could."""
    way = Faults(remote.port)
    monkeypatch.setenv("NBTOOLS_VERTEX", way.url)
    job = submitted(call, make_notebook("train.ipynb", LOG, HEARD, "1 / 0"))
    until(lambda: there(remote)[0], "RUNNING")
    until(lambda: len(remote.store.points("digits-one").get("loss", ())), 1)
    (waits,) = json.loads(call("push", "--status", "--json").stdout)
    assert "is being sent, the run is at work" in waits["left"]
    way.cut()
    (project / "go").touch()
    log = project / "store" / "jobs" / job["name"] / "push.log"
    until(lambda: log.exists() and "cannot be reached" in log.read_text())
    assert there(remote)[0] == "RUNNING"
    (waits,) = json.loads(call("push", "--status", "--json").stdout)
    assert (waits["mirror"], waits["what"]) == ("vertex", "digits/one")
    monkeypatch.setenv("NBTOOLS_VERTEX", remote.url)
    until(lambda: call("push").returncode, 0)
    assert there(remote) == ("FAILED", ["FAILED"])
    assert call("push", "--status").stdout == "nothing is left to send\n"
