"""How long a job takes through JupyterLab's job screens, from create to completed.

    python bench/jobs_lab.py [ROUNDS]

Their REST API on two real Jupyter servers, taking turns: jupyter-scheduler with its own
engine, and with nbtools behind it. The notebook prints one line. Both make the executed
notebook and the HTML page. Asked every 20 ms whether it has ended.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

from nbtools.lab import configured

STOCK = {
    "scheduler_class": "jupyter_scheduler.scheduler.Scheduler",
    "environment_manager_class": "jupyter_scheduler.environments.CondaEnvironmentManager",
    "job_files_manager_class": "jupyter_scheduler.job_files_manager.JobFilesManager",
}


class Server:
    def __init__(self, folder: Path, *, stock: bool) -> None:
        folder.mkdir()
        node = new_notebook(
            cells=[new_code_cell("print(1)")],
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        )
        nbformat.write(node, folder / "trivial.ipynb")
        env = dict(os.environ)
        env.update(NBTOOLS_STORE=str(folder / "store"), JUPYTER_DATA_DIR=str(folder / "data"))
        env.update(JUPYTER_RUNTIME_DIR=str(folder / "runtime"))
        env = configured(env)
        own = [f"--SchedulerApp.{k}={v}" for k, v in STOCK.items()] if stock else []
        command = [
            str(Path(sys.executable).with_name("jupyter-server")),
            "--port=0",
            "--no-browser",
        ]
        command += ["--allow-root", "--IdentityProvider.token=", *own]
        command.append("--ServerApp.disable_check_xsrf=True")
        with (folder / "log").open("w") as log:
            self.process = subprocess.Popen(command, env=env, cwd=folder, stdout=log, stderr=log)
        self.environment = Path(sys.executable).name if stock else "python3"
        said = folder / "runtime" / f"jpserver-{self.process.pid}.json"
        while not said.exists():
            assert self.process.poll() is None, (folder / "log").read_text()
            time.sleep(0.1)
        self.url = f"http://127.0.0.1:{json.loads(said.read_text())['port']}/scheduler"

    def ask(self, path: str, body: object = None) -> dict[str, str]:
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(f"{self.url}/{path}", data, timeout=60) as reply:
            answer: dict[str, str] = json.loads(reply.read())
            return answer

    def job(self) -> float:
        asked = {"name": "bench", "input_uri": "trivial.ipynb", "output_formats": ["ipynb", "html"]}
        begin = time.perf_counter()
        made = self.ask("jobs", {**asked, "runtime_environment_name": self.environment})
        while (status := self.ask(f"jobs/{made['job_id']}")["status"]) != "COMPLETED":
            # jupyter-scheduler says STOPPED of a job that has not begun.
            assert status != "FAILED", self.ask(f"jobs/{made['job_id']}")
            time.sleep(0.02)
        return time.perf_counter() - begin


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    with tempfile.TemporaryDirectory(prefix="nbl-") as name:
        servers = {"jupyter-scheduler": Server(Path(name, "a"), stock=True)}
        servers["nbtools"] = Server(Path(name, "b"), stock=False)
        times: dict[str, list[float]] = {key: [] for key in servers}
        try:
            first = {key: server.job() for key, server in servers.items()}
            for _ in range(rounds):
                for key, server in servers.items():
                    times[key].append(server.job())
        finally:
            for server in servers.values():
                server.process.terminate()
                server.process.wait()
        print(f"create to completed, s: the first, and the median of {rounds} after it")
        for key, found in times.items():
            low, high = min(found), max(found)
            print(f"{key:18}{first[key]:7.2f}{_median(found):7.2f}  ({low:.2f} to {high:.2f})")
        ratio = _median(times["jupyter-scheduler"]) / _median(times["nbtools"])
        print(f"{'ratio':25}{ratio:7.1f}")


def _median(found: list[float]) -> float:
    return sorted(found)[len(found) // 2]


if __name__ == "__main__":
    main()
