"""Other schedulers, each doing what its users have it do; run by the Python that has them.

Called by bench/schedules.py: `schedulers.py WHAT FOLDER COUNT` prints one line of JSON.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

#: how the peers find a notebook, made beside them
NOTEBOOK = "work.ipynb"
_done: list[float] = []


def nothing() -> None:
    _done.append(time.perf_counter())


def run(folder: str) -> None:
    """What an APScheduler user writes."""
    import papermill

    papermill.execute_notebook(
        f"{folder}/{NOTEBOOK}", f"{folder}/out.ipynb", progress_bar=False, cwd=folder
    )


def scheduler(folder: str) -> Any:
    """APScheduler with a job store that survives, as nbtools' does."""
    from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
    from apscheduler.schedulers.background import BackgroundScheduler

    logging.getLogger("apscheduler").setLevel(logging.CRITICAL)
    store = SQLAlchemyJobStore(url=f"sqlite:///{folder}/jobs.sqlite")
    return BackgroundScheduler(jobstores={"default": store}, timezone="UTC")


def create(folder: str, count: int) -> dict[str, float]:
    """Schedules created into a scheduler that runs."""
    made = scheduler(folder)
    made.start(paused=True)
    begin = time.perf_counter()
    for number in range(count):
        made.add_job(nothing, "cron", hour=3, minute=number % 60, id=f"s-{number}")
    took = time.perf_counter() - begin
    made.shutdown(wait=False)
    return {"schedules/s": count / took, "n": count}


def ticks(folder: str, count: int) -> dict[str, float]:
    """Schedules that are all due at once, and do nothing."""
    made = scheduler(folder)
    made.start(paused=True)
    due = datetime.now().astimezone() - timedelta(seconds=1)
    for number in range(count):
        made.add_job(nothing, "cron", hour=3, minute=number % 60, id=f"s-{number}",
                     next_run_time=due, misfire_grace_time=None)  # fmt: skip
    begin = time.perf_counter()
    made.resume()
    while len(_done) < count:
        time.sleep(0.01)
    took = max(_done) - begin
    made.shutdown(wait=False)
    return {"ticks/s": count / took, "n": count}


def completed(folder: str, count: int) -> dict[str, Any]:
    """From the creation of a job that is due at once to its end: papermill, in a thread."""
    from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED

    made = scheduler(folder)
    made.start()
    times = []
    for _ in range(count + 1):
        end, failed = threading.Event(), []

        def hear(event: Any, end: Any = end, failed: Any = failed) -> None:
            failed.append(event.exception)
            end.set()

        made.add_listener(hear, EVENT_JOB_EXECUTED | EVENT_JOB_ERROR)
        begin = time.perf_counter()
        made.add_job(run, args=[folder])
        end.wait()
        times.append(time.perf_counter() - begin)
        made.remove_listener(hear)
        if failed[0]:
            raise failed[0]
    made.shutdown()
    return {"s": times[1:], "first": times[0]}


@contextmanager
def server(folder: str) -> Iterator[str]:
    """A Jupyter server with jupyter-scheduler, as a user of its screens has it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    env = {**os.environ, "HOME": folder, "JUPYTER_CONFIG_DIR": folder, "JUPYTER_DATA_DIR": folder}
    command = [
        sys.executable, "-m", "jupyter_server", "--allow-root", f"--ServerApp.root_dir={folder}",
        f"--ServerApp.port={port}", "--IdentityProvider.token=", "--ServerApp.disable_check_xsrf=1",
        f"--SchedulerApp.db_url=sqlite:///{folder}/scheduler.sqlite",
        "--ServerApp.jpserver_extensions=jupyter_scheduler=True",
    ]  # fmt: skip
    with (Path(folder) / "server.log").open("wb") as log:
        process = subprocess.Popen(command, env=env, stdout=log, stderr=log, cwd=folder)
    try:
        url = f"http://127.0.0.1:{port}/scheduler"
        for _ in range(1200):
            try:
                rest(f"{url}/runtime_environments")
                break
            except OSError:
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait()


def rest(url: str, body: dict[str, Any] | None = None) -> Any:
    data = json.dumps(body).encode() if body else None
    with urlopen(Request(url, data, {"Content-Type": "application/json"})) as answer:
        return json.load(answer)


def jupyter(folder: str, count: int) -> dict[str, Any]:
    """From the POST of a job to COMPLETED, asked for 20 times a second."""
    times = []
    with server(folder) as url:
        environment = rest(f"{url}/runtime_environments")[0]["name"]
        for number in range(count + 1):
            asked = {"input_uri": NOTEBOOK, "runtime_environment_name": environment,
                     "name": f"n{number}", "output_formats": ["ipynb"]}  # fmt: skip
            begin = time.perf_counter()
            job = rest(f"{url}/jobs", asked)["job_id"]
            # A job that has not begun yet is called STOPPED.
            while (state := rest(f"{url}/jobs/{job}"))["status"] in ("STOPPED", "IN_PROGRESS"):
                time.sleep(0.05)
            times.append(time.perf_counter() - begin)
            assert state["status"] == "COMPLETED", state
    return {"s": times[1:], "first": times[0]}


def versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("jupyter_scheduler", "APScheduler", "papermill")}


def main() -> None:
    what, folder, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    made = {"create": create, "ticks": ticks, "completed": completed, "jupyter": jupyter}
    print("RESULT " + json.dumps(versions() if what == "versions" else made[what](folder, count)))


if __name__ == "__main__":
    main()
