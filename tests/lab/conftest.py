"""A real JupyterLab, begun by `nbtools lab`, one for all tests of this folder."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

TOKEN = "a-token-of-the-tests"
FINAL = {"COMPLETED", "FAILED", "STOPPED"}


def until(said, wanted, seconds=90):
    """What `wanted` returns as soon as that is something; `said` is what was waited for."""
    end = time.monotonic() + seconds
    while not (found := wanted()):
        assert time.monotonic() < end, f"in {seconds} s not: {said}"
        time.sleep(0.1)
    return found


class Server:
    """JupyterLab on a folder of its own, and its REST API."""

    def __init__(self, folder):
        self.folder, self.store, self.home = folder, folder / "store", folder / "home"
        settings = self.home / "config/lab/user-settings/@jupyterlab/apputils-extension"
        settings.mkdir(parents=True)
        (settings / "notification.jupyterlab-settings").write_text(
            json.dumps({"fetchNews": "false", "checkForUpdates": False})
        )
        self.env = {
            **os.environ,
            "NBTOOLS_STORE": str(self.store),
            "JUPYTER_CONFIG_DIR": str(self.home / "config"),
            "JUPYTER_DATA_DIR": str(self.home / "data"),
            "JUPYTER_RUNTIME_DIR": str(self.home / "runtime"),
        }
        self.begin()

    def begin(self):
        command = [
            Path(sys.executable).with_name("nbtools"), "lab", "--no-browser", "--allow-root",
            "--port=0", "--ServerApp.port_retries=0", f"--IdentityProvider.token={TOKEN}",
            f"--LabApp.user_settings_dir={self.home / 'config/lab/user-settings'}",
            f"--LabApp.workspaces_dir={self.home / 'workspaces'}", "--LabApp.news_url=None",
            "--LabApp.expose_app_in_browser=True",
        ]  # fmt: skip
        self.log = self.home / f"{time.monotonic_ns()}.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command, env=self.env, cwd=self.folder, stdout=log, stderr=log
            )
        self.url = until("JupyterLab answers", self._answering)

    def _answering(self):
        assert self.process.poll() is None, self.log.read_text()
        path = self.home / "runtime" / f"jpserver-{self.process.pid}.json"
        try:
            url = f"http://127.0.0.1:{json.loads(path.read_text())['port']}"
            urllib.request.urlopen(f"{url}/api", timeout=5)
        except (OSError, ValueError):
            return None
        return url

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(20)

    def end(self):
        self.process.terminate()
        self.process.wait(30)

    def call(self, method, path, body=None, token=TOKEN):
        """Status and answer: of JSON what it holds; of an error its message."""
        headers = {"Authorization": f"token {token}"} if token else {}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                text = reply.read()
                return reply.status, json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            text = error.read().decode()
            return error.code, json.loads(text)["message"] if text[:1] == "{" else text

    def create(self, notebook, **asked):
        """The id of a job that was begun."""
        asked = {"name": "a job", "runtime_environment_name": "python3", **asked}
        status, answer = self.call("POST", "scheduler/jobs", {"input_uri": notebook, **asked})
        assert status == 200, answer
        return answer["job_id"]

    def define(self, notebook, **asked):
        """The id of a job definition; by itself it is due years from now."""
        asked = {
            "name": "nightly", "runtime_environment_name": "python3", "schedule": "0 0 29 2 *",
            "input_uri": notebook, **asked,
        }  # fmt: skip
        status, answer = self.call("POST", "scheduler/job_definitions", asked)
        assert status == 200, answer
        return answer["job_definition_id"]

    def job(self, id_):
        status, answer = self.call("GET", f"scheduler/jobs/{id_}")
        assert status == 200, answer
        return answer

    def jobs(self, query=""):
        status, answer = self.call("GET", f"scheduler/jobs{query}")
        assert status == 200, answer
        return answer["jobs"]

    def ended(self, id_):
        """The job when it has ended."""
        return until(f"{id_} ends", lambda: (j := self.job(id_))["status"] in FINAL and j)

    def write(self, name, *cells, parameters="lr: float = 1e-3  # learning rate"):
        node = new_notebook(
            cells=[
                new_code_cell(parameters, metadata={"tags": ["parameters"]}),
                *map(new_code_cell, cells),
            ],
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        )
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        nbformat.write(node, path)
        return name

    def waiting(self, name):
        """A notebook that goes on until the file `name`.go is there."""
        gate = self.folder / f"{name}.go"
        code = f"import pathlib, time\nwhile not pathlib.Path({str(gate)!r}).exists():\n"
        return self.write(f"{name}.ipynb", code + "    time.sleep(0.05)", "print('went on')"), gate


@pytest.fixture(scope="package")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("lab"))
    yield server
    server.end()
