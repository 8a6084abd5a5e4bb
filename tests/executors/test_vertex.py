import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import uuid4

import pytest

from nbtools.cloud import Endpoint, told
from nbtools.errors import AlreadyExists, NotFound, RequestError, Unavailable
from nbtools.executor import Task
from nbtools.executors import vertex_results
from nbtools.executors.vertex import Kept, VertexExecutor
from nbtools.executors.vertex_request import DIRECT
from nbtools.harvest import NOTHING
from nbtools.jobs import Jobs
from nbtools.machine import Machine
from nbtools.request import Request, plan
from nbtools.retry import retry
from nbtools.runs import find_run, list_runs
from nbtools.secrets import Secrets
from nbtools.states import ExecutionState, JobState
from nbtools.sweeps import Sweep, sweep
from tests.contracts.test_executor import ExecutorContract, until


@pytest.mark.slow
@pytest.mark.usefixtures("cloud")
class TestVertexExecutor(ExecutorContract):
    def make_executor(self):
        return VertexExecutor()

    def identify(self, nb):
        """As `prepare` does, but that no cell is added: it is executed as it is."""
        identity = {"job": "work-1", "experiment": "work", "run": f"run-{uuid4().hex}"}
        nb.metadata["nbtools"] = identity
        nb.cells[0].source = f"NBTOOLS = {identity}\n{nb.cells[0].source}"
        nb.cells[0].metadata["tags"] = ["injected-parameters"]


LOGS = """
import nbtools
for step in range(3):
    nbtools.log_time_series_metrics({"loss": lr / (step + 1)}, step=step)
nbtools.log_metrics({"score": lr * 2})
"""


@pytest.fixture
def jobs(cloud, store_folder):
    return Jobs.open()


def ended(jobs, name):
    for job, _ in jobs.follow(name):
        last = job
    return last


def asked(path, **values):
    return Request(notebook=path, params=values.pop("params", {}), executor="vertex", **values)


def nowhere(monkeypatch):
    """A port that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("NBTOOLS_VERTEX", f"http://127.0.0.1:{free.getsockname()[1]}")


def remote(job):
    return Kept.read(Path(job.folder)).name


@pytest.fixture
def forbidding():
    """A server that lets nobody do anything."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_error(403)

        def log_message(self, *_):
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def is_there(cloud, name):
    try:
        with told(""):
            return client(cloud).get_notebook_execution_job(name=name)
    except NotFound:
        return None


def client(cloud):
    from google.cloud import aiplatform_v1

    endpoint = Endpoint(rest=cloud.variables["NBTOOLS_VERTEX"])
    return endpoint.client(aiplatform_v1.NotebookServiceClient, "")


@pytest.mark.slow
class TestJobs:
    def test_a_run_comes_home_with_its_notebook(self, jobs, cloud, make_notebook):
        job = jobs.submit(asked(make_notebook("work.ipynb", LOGS), params={"lr": 0.5}))
        job = ended(jobs, job.name)
        assert (job.state, job.error, job.note) == (JobState.SUCCEEDED, "", "")
        run = find_run(jobs.store, jobs.clock(), job.run)
        assert (run.params, run.metrics) == ({"lr": 0.5}, {"score": 1.0})
        points = jobs.store.points(run.id)["loss"]
        assert [(step, value) for step, _, value in points] == [(0, 0.5), (1, 0.25), (2, 0.5 / 3)]
        assert run.state is ExecutionState.COMPLETE
        left = {path.name for path in Path(job.folder).iterdir()}
        assert {"work.ipynb", "work.html"} <= left
        sent = client(cloud).get_notebook_execution_job(name=remote(job))
        assert sent.custom_environment_spec.machine_spec.machine_type == "n1-standard-8"
        assert sent.service_account == "runner@test.iam.gserviceaccount.com"
        assert sent.labels["nbtools"] == job.name

    def test_a_notebook_that_logs_nothing_says_so(self, jobs, make_notebook):
        job = ended(jobs, jobs.submit(asked(make_notebook("work.ipynb", "print(lr)"))).name)
        assert (job.state, job.note) == (JobState.SUCCEEDED, NOTHING)

    def test_what_fails_comes_home_too(self, jobs, make_notebook):
        path = make_notebook("work.ipynb", LOGS, "1 / 0")
        job = ended(jobs, jobs.submit(asked(path)).name)
        assert job.state is JobState.FAILED
        assert job.error == "cell 4 of 4 (In [4]): ZeroDivisionError: division by zero"
        run = find_run(jobs.store, jobs.clock(), job.run)
        assert (run.state, run.metrics) == (ExecutionState.FAILED, {"score": 0.002})
        assert Path(job.folder, "work.partial.ipynb").exists()

    def test_a_large_notebook_goes_by_way_of_the_bucket(self, jobs, cloud, make_notebook):
        path = make_notebook("work.ipynb", f"x = {'x' * DIRECT!r}\nprint(len(x))")
        job = ended(jobs, jobs.submit(asked(path)).name)
        assert (job.state, job.error) == (JobState.SUCCEEDED, "")
        sent = client(cloud).get_notebook_execution_job(name=remote(job))
        where = f"gs://staging/of-tests/nbtools/notebooks/{job.name}/work.ipynb"
        assert sent.gcs_notebook_source.uri == where

    def test_the_bucket_may_be_named(self, jobs, make_notebook):
        path = make_notebook("work.ipynb", "1")
        job = ended(jobs, jobs.submit(asked(path, output="gs://mine/results/")).name)
        assert job.state is JobState.SUCCEEDED
        kept = Kept.read(Path(job.folder))
        assert kept.uri == f"gs://mine/results/{kept.name.rpartition('/')[2]}"

    def test_a_job_whose_client_was_killed_is_found_by_the_next(self, jobs, cloud, make_notebook):
        path = make_notebook("work.ipynb", LOGS)
        code = "from nbtools.command import main; main()"
        command = [sys.executable, "-c", code, "run", str(path), "--executor", "vertex"]
        killed = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        folder = jobs.settings.store / "jobs"
        (kept,) = until(lambda: list(folder.glob("*/vertex.json")))
        name = json.loads(kept.read_text())["name"]
        until(lambda: is_there(cloud, name))
        killed.kill()
        killed.wait()
        (job,) = jobs.list()
        job = ended(jobs, job.name)
        assert (job.state, job.error) == (JobState.SUCCEEDED, "")
        assert remote(job) == name

    def test_one_that_was_begun_and_not_written_down_is_found(self, jobs, make_notebook):
        made = plan(asked(make_notebook("work.ipynb", LOGS)), jobs.settings, jobs.clock())
        jobs.remember(made, [])
        VertexExecutor().start(made.task, Secrets())
        assert ended(jobs, made.job.name).state is JobState.SUCCEEDED
        with pytest.raises(AlreadyExists, match="was started before"):
            VertexExecutor().start(made.task, Secrets())

    def test_another_folder_of_the_same_job_is_the_same_job_there(self, jobs, make_notebook):
        """The client's disk was lost after Vertex AI had it: it is not begun twice."""
        made = plan(asked(make_notebook("work.ipynb", "1")), jobs.settings, jobs.clock())
        made.lay_out()
        VertexExecutor().start(made.task, Secrets())
        (made.task.folder / "vertex.json").unlink()
        with pytest.raises(AlreadyExists, match="notebookExecutionJobs"):
            VertexExecutor().start(made.task, Secrets())

    @pytest.mark.filterwarnings("ignore:job:RuntimeWarning")
    def test_without_a_network_a_job_stays_as_it_is(self, jobs, cloud, make_notebook, monkeypatch):
        job = jobs.submit(asked(make_notebook("work.ipynb", "1")))
        nowhere(monkeypatch)
        offline = Jobs.open()
        job, seen = offline.look(job.name)
        assert job.state is JobState.PENDING
        assert "cannot be reached" in seen.text
        monkeypatch.setenv("NBTOOLS_VERTEX", cloud.variables["NBTOOLS_VERTEX"])
        assert ended(Jobs.open(), job.name).state is JobState.SUCCEEDED

    def test_the_command_says_in_a_sentence_that_it_cannot_ask(
        self, jobs, call, make_notebook, monkeypatch
    ):
        job = jobs.submit(asked(make_notebook("work.ipynb", "1")))
        nowhere(monkeypatch)
        said = call("jobs", "show", job.name)
        assert said.stdout.startswith("PENDING")
        assert said.stderr.startswith(f"nbtools: job {job.name} is as it was when last seen: http")
        assert said.stderr.endswith("Connection refused\n")
        assert said.stderr.count("\n") == 1

    def test_without_a_network_nothing_is_begun(self, jobs, make_notebook, monkeypatch):
        nowhere(monkeypatch)
        with pytest.raises(Unavailable, match="cannot be reached"):
            jobs.submit(asked(make_notebook("work.ipynb", "1")))
        (job,) = jobs.list()
        assert job.state is JobState.FAILED
        assert not Path(job.folder, "vertex.json").exists()

    def test_what_may_not_be_fetched_ends_the_job(
        self, jobs, cloud, make_notebook, monkeypatch, forbidding
    ):
        import gcsfs

        job = jobs.submit(asked(make_notebook("work.ipynb", "1")))
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", forbidding)
        gcsfs.GCSFileSystem.clear_instance_cache()
        job = ended(jobs, job.name)
        uri = Kept.read(Path(job.folder)).uri
        assert job.state is JobState.FAILED
        assert job.error == (
            "executed on Vertex AI, but what came out cannot be fetched: "
            f"{uri} may not be read and written by you: ask for the right to"
        )

    def test_one_that_somebody_deletes_there_has_failed(self, jobs, cloud, make_notebook):
        job = jobs.submit(asked(make_notebook("work.ipynb", "import time; time.sleep(600)")))
        client(cloud).delete_notebook_execution_job(name=remote(job))
        job = ended(jobs, job.name)
        assert job.state is JobState.FAILED
        assert job.error == (
            f"it is gone from Vertex AI: somebody has deleted {remote(job)}; run it again"
        )

    def test_cancelled_it_is_deleted_there_and_remembered_here(self, jobs, cloud, make_notebook):
        job = jobs.submit(asked(make_notebook("work.ipynb", "import time; time.sleep(600)")))
        jobs.cancel(job.name)
        assert ended(jobs, job.name).state is JobState.CANCELLED
        with pytest.raises(NotFound), told(""):
            client(cloud).get_notebook_execution_job(name=remote(job))

    def test_cancelled_without_a_network_it_is_deleted_later(
        self, jobs, cloud, make_notebook, monkeypatch
    ):
        job = jobs.submit(asked(make_notebook("work.ipynb", "import time; time.sleep(600)")))
        nowhere(monkeypatch)
        with pytest.warns(RuntimeWarning) as said:
            job = Jobs.open().cancel(job.name)
        assert any("cannot be cancelled now" in str(warning.message) for warning in said)
        assert job.state is JobState.CANCELLING
        monkeypatch.setenv("NBTOOLS_VERTEX", cloud.variables["NBTOOLS_VERTEX"])
        assert ended(Jobs.open(), job.name).state is JobState.CANCELLED

    def test_one_that_never_arrived_ends(self, jobs, make_notebook):
        made = plan(asked(make_notebook("work.ipynb", "1")), jobs.settings, jobs.clock())
        jobs.remember(made, [])
        name = "projects/test/locations/us-central1/notebookExecutionJobs/none"
        kept = made.task.folder / "vertex.json"
        kept.write_text(json.dumps({"name": name, "uri": "gs://staging/none"}))
        assert jobs.get(made.job.name).state is JobState.PENDING  # it may be on its way
        long_ago = time.time() - 600
        os.utime(kept, (long_ago, long_ago))
        job = ended(jobs, made.job.name)
        assert job.state is JobState.FAILED
        assert job.error.startswith("it never arrived on Vertex AI")

    def test_what_the_service_refuses_is_refused(self, jobs, make_notebook):
        machine = Machine(gpu="NVIDIA_TESLA_NONE:2")
        with pytest.raises(RequestError, match="Vertex AI knows no such machine"):
            jobs.submit(asked(make_notebook("work.ipynb", "1"), machine=machine))
        assert jobs.list()[0].state is JobState.FAILED

    def test_retry_asks_for_the_same_machine(self, jobs, make_notebook):
        machine = Machine(gpu="NVIDIA_TESLA_T4:2", disk=200)
        job = jobs.submit(asked(make_notebook("work.ipynb", "1"), machine=machine))
        ended(jobs, job.name)
        again = retry(jobs, job.name)
        task = Task.loads(Path(again.folder, "task.json").read_text())
        assert (task.machine.gpus, task.machine.disk) == (("NVIDIA_TESLA_T4", 2), 200)
        assert ended(jobs, again.name).state is JobState.SUCCEEDED

    def test_a_sweep_has_its_trials_there(self, jobs, make_notebook):
        path = make_notebook("work.ipynb", LOGS)
        done = sweep(
            path, {"lr": [0.1, 0.2]}, executor="vertex", parallel=2, machine=Machine(disk=50)
        )
        assert [t.done for t in done.trials] == [True, True]
        runs = list_runs(jobs.store, jobs.clock(), "work")
        assert sorted(run.metrics["score"] for run in runs) == [0.2, 0.4]
        assert Sweep(done.name).design.request.machine == Machine(disk=50)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"memory": 1}, "--memory"),
        ({"cpu_time": 1.0}, "--cpu-time"),
        ({"threads": 1}, "--threads"),
        ({"cell_timeout": 1.0}, "--cell-timeout"),
        ({"checkpoint": "cells"}, "--checkpoint"),
        ({"cwd": "/"}, "--cwd"),
        ({"output": "s3://bucket/x"}, "gs://"),
        ({"machine": Machine(service_account="me")}, "no e-mail address"),
        ({"machine": Machine(execution_user="me@x.y")}, "one of the two"),
        ({"machine": Machine(runtime_template="t")}, "leave out --machine"),
        ({"machine": Machine(gpu="T4")}, None),
        ({"machine": Machine(gpu="tesla t4")}, "NVIDIA_TESLA_T4:2"),
        ({"machine": Machine(gpu="NVIDIA_TESLA_T4:no")}, "NVIDIA_TESLA_T4:2"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_remembered(
    cloud, store_folder, make_notebook, values, said
):
    jobs = Jobs.open()
    request = asked(make_notebook("work.ipynb", "1"), **values)
    if said is None:
        plan(request, jobs.settings, jobs.clock())
        return
    with pytest.raises(RequestError, match=re.escape(said)):
        jobs.submit(request)
    assert jobs.list() == []


def test_a_secret_stays_here(cloud, store_folder, make_notebook, monkeypatch):
    monkeypatch.setenv("TOKEN", "of-tests")
    jobs = Jobs.open()
    for values in ({"secrets": ("TOKEN",)}, {"params": {"lr": "{{ secret.TOKEN }}"}}):
        path = make_notebook("work.ipynb", "1", parameters="lr: str = ''")
        with pytest.raises(RequestError, match="secrets stay here"):
            jobs.submit(asked(path, **values))


@pytest.mark.parametrize("line", ["project", "service_account", "staging_bucket"])
def test_what_is_missing_is_asked_for(
    cloud, store_folder, make_notebook, tmp_path, line, monkeypatch
):
    monkeypatch.delenv("NBTOOLS_VERTEX_PROJECT")
    lines = [text for text in cloud.project.splitlines() if not text.startswith(line)]
    (tmp_path / "pyproject.toml").write_text("\n".join(lines))
    jobs = Jobs.open()
    with pytest.raises(RequestError, match=line.replace("_", "[-_]")):
        jobs.submit(asked(make_notebook("work.ipynb", "1")))


def test_listing_jobs_of_this_machine_needs_nothing_of_googles(call, make_notebook):
    assert call("run", make_notebook("work.ipynb", "1")).returncode == 0
    code = (
        "import sys; from nbtools.jobs import Jobs; Jobs.open().list();"
        "print([m for m, found in sys.modules.items() if m.partition('.')[0] in "
        "('google', 'grpc', 'gcsfs') and getattr(found, '__file__', None)])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError("Forbidden: https://…"), RequestError),
        (PermissionError(13, "no"), RequestError),
        (FileNotFoundError("gs://b/x"), NotFound),
        (ConnectionError("reset"), Unavailable),
        (TimeoutError(), Unavailable),
        (RuntimeError("anything"), Unavailable),
    ],
)
def test_what_a_bucket_says_is_told_apart(error, kind):
    with pytest.raises(RequestError) as said, vertex_results.told("gs://b/x"):
        raise error
    assert type(said.value) is kind
