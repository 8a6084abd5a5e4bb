"""How many schedules and ticks the store takes, what a service costs, and how soon it begins.

python bench/schedules.py
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
from chaos import make_notebook

from nbtools.dispatch import Dispatcher
from nbtools.jobs import Jobs
from nbtools.nouns import Execution
from nbtools.schedule import Schedule
from nbtools.schedules import Schedules
from nbtools.settings import Settings
from nbtools.store import Store

MANY = 10_000
IDLE = 20.0  # seconds


class Clock:
    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


def many(folder: Path) -> dict[str, float]:
    """Ten thousand are created, are due at once, and make their ticks; nothing is executed."""
    clock, settings = Clock(), Settings(store=folder / "store")
    jobs = Jobs(Store(settings.store), settings, clock)
    notebook = str(make_notebook(folder))
    wanted = [
        Schedule(name=f"s-{n}", notebook=notebook, cron=f"{n % 60} 3 * * *") for n in range(MANY)
    ]
    begin = time.perf_counter()
    Schedules(jobs).create_all(wanted)
    created = time.perf_counter() - begin
    clock.ahead = timedelta(days=1)
    begin = time.perf_counter()
    ticks = Dispatcher(jobs, 1).take(clock())
    took = time.perf_counter() - begin
    return {"seconds to create 10,000": round(created, 2), "ticks a second": round(ticks / took)}


def service(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "nbtools.command", "service", "run", "-j", "2"],
        env={**os.environ, "NBTOOLS_STORE": str(folder / "store")}, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def idle(folder: Path) -> dict[str, float]:
    """The share of a core that a service of ten thousand schedules takes, none of them due."""
    settings = Settings(store=folder / "store")
    jobs = Jobs(Store(settings.store), settings)
    notebook = str(make_notebook(folder))
    Schedules(jobs).create_all(
        Schedule(name=f"s-{n}", notebook=notebook, cron=f"{n % 60} 3 1 1 *") for n in range(MANY)
    )
    process = service(folder)
    time.sleep(10)
    before = sum(psutil.Process(process.pid).cpu_times()[:2])
    time.sleep(IDLE)
    used = sum(psutil.Process(process.pid).cpu_times()[:2]) - before
    process.terminate()
    process.wait()
    return {"idle, % of a core": round(100 * used / IDLE, 2)}


def latency(folder: Path) -> dict[str, float]:
    """From the time it is due to the job's begin and to its first cell's; kernels are warm."""
    settings = Settings(store=folder / "store")
    jobs = Jobs(Store(settings.store), settings)
    params = {"when": "{{ scheduled_time }}", "out": str(folder / "out.txt")}
    schedules = Schedules(jobs)
    process = service(folder)
    schedules.create(
        Schedule(name="tick", notebook=str(make_notebook(folder)), cron="*/5 * * * * *",
                 start_time=datetime.now(UTC) + timedelta(seconds=60), concurrency="allow",
                 params=params, max_run_count=8)
    )  # fmt: skip
    time.sleep(60 + 8 * 5 + 5)
    process.terminate()
    process.wait()
    waits = []
    for tick in schedules.history("tick", 0):
        job = jobs.store.find(Execution, tick.job)
        if job and job.metadata["start_time"]:
            start = datetime.fromisoformat(job.metadata["start_time"])
            waits.append((start - tick.time).total_seconds())
    return {"ms from due to kernel asked for, median": round(1000 * statistics.median(waits)),
            "of": len(waits)}  # fmt: skip


def main() -> None:
    found: dict[str, float] = {}
    for measure in (many, idle, latency):
        with tempfile.TemporaryDirectory(prefix="nbt-", ignore_cleanup_errors=True) as folder:
            found |= measure(Path(folder))
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
