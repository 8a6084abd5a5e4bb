"""How many schedules and ticks the store takes, what a service costs, how soon it begins and
ends, and how long a notebook takes from its creation to its end: us and peers.

    python -m venv peers && peers/bin/pip install -r bench/requirements-schedules.txt
    python bench/schedules.py --peers peers/bin/python          all figures, some 6 minutes
    python bench/schedules.py many cancel                       some

    many      10,000 schedules created; all of them due at once; beside APScheduler 3
    idle      the share of a core that a service of 10,000 takes, none of them due
    latency   from the time it is due to the kernel's process and to its first cell, ms
    cancel    from `cancel` to the job's end with no process left, ms, by what its cell does
    complete  from a job's creation to its end, a trivial notebook, s: beside jupyter-scheduler
              (its server, its REST) and APScheduler (calling papermill)
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import nbformat
import psutil
from nbformat.v4 import new_code_cell, new_notebook

from nbtools.dispatch import Dispatcher
from nbtools.jobs import Jobs
from nbtools.nouns import Execution
from nbtools.request import Request
from nbtools.schedule import Schedule, TickState
from nbtools.schedules import Schedules
from nbtools.settings import Settings
from nbtools.store import Store

MANY = 10_000
#: of those that peers are asked for, which take their time
PEERS_MANY = 1_000
IDLE = 20.0  # seconds
ROUNDS = 3
HERE = Path(__file__).parent
PARAMETERS = "when: str = ''\nout: str = ''"
#: writes when it is due, when its process began (in ticks of the clock) and when it is executed
SAYS = """
import json, os, time
now, up = time.time(), float(open('/proc/uptime').read().split()[0])
begun = int(open('/proc/self/stat').read().rpartition(')')[2].split()[19])
begun = now - up + begun / os.sysconf('SC_CLK_TCK')
open(out, 'a').write(json.dumps([when, begun, now]) + '\\n')
"""
#: what a cell may do while it is cancelled
CELLS = {
    "it sleeps": "import time; time.sleep(600)",
    "it ignores interrupts": (
        "import time\nwhile True:\n    try:\n        time.sleep(600)\n"
        "    except KeyboardInterrupt:\n        pass"
    ),
    "it waits for a process": "import os; os.system('sleep 600')",
    "in C, deaf to signals": "sum(range(10**13))",
}


def notebook(folder: Path, *cells: str, name: str = "work.ipynb") -> str:
    parameters = new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})
    made = new_notebook(
        cells=[parameters, *map(new_code_cell, cells)],
        metadata={"kernelspec": {"name": "python3", "display_name": "python3"}},
    )
    nbformat.write(made, folder / name)
    return str(folder / name)


def opened(folder: Path, clock: Callable[[], datetime] | None = None) -> Jobs:
    settings = Settings(store=folder / "store")
    store = Store(settings.store)
    return Jobs(store, settings, clock) if clock else Jobs(store, settings)


class Service:
    """One that runs, of the store in a folder."""

    def __init__(self, folder: Path) -> None:
        env = {**os.environ, "NBTOOLS_STORE": str(folder / "store")}
        command = [sys.executable, "-P", "-m", "nbtools.command", "service", "run", "-j", "2"]
        self.process = subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL)

    def __enter__(self) -> psutil.Process:
        return psutil.Process(self.process.pid)

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()


def ms(seconds: list[float]) -> str:
    return f"{1000 * statistics.median(seconds):.0f} ({1000 * max(seconds):.0f} at most)"


class Bench:
    def __init__(self, peers: str) -> None:
        self.peers = peers

    def folder(self) -> Path:
        return Path(tempfile.mkdtemp(dir=self.base))

    def ask(self, what: str, count: int) -> Any:
        """What a peer measures, with a notebook beside it; None without peers."""
        if not self.peers:
            return None
        folder = self.folder()
        notebook(folder, "print(1 + 1)")
        command = [self.peers, str(HERE / "schedulers.py"), what, str(folder), str(count)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
        for line in done.stdout.splitlines():
            if line.startswith("RESULT "):
                return json.loads(line.removeprefix("RESULT "))
        sys.exit(f"{what}: {done.stderr[-2000:]}")

    # -- the figures ----------------------------------------------------------------

    def many(self) -> dict[str, Any]:
        ahead = timedelta()
        folder = self.folder()
        jobs = opened(folder, lambda: datetime.now(UTC) + ahead)
        path = notebook(folder)
        wanted = [
            Schedule(name=f"s-{n}", notebook=path, cron=f"{n % 60} 3 * * *") for n in range(MANY)
        ]
        begin, cpu = time.perf_counter(), time.process_time()
        Schedules(jobs).create_all(wanted)
        created, cpu = time.perf_counter() - begin, time.process_time() - cpu
        ahead = timedelta(days=1)
        begin = time.perf_counter()
        ticks = Dispatcher(jobs, 1).take(jobs.clock())
        took = time.perf_counter() - begin
        found = {
            "10,000 created, s": f"{created:.2f}, {cpu:.2f} of them CPU",
            "created/s": round(MANY / created),
            "ticks/s": round(ticks / took),
        }
        if self.peers:
            found["APScheduler, created/s"] = round(self.ask("create", PEERS_MANY)["schedules/s"])
            found["APScheduler, ticks/s"] = round(self.ask("ticks", PEERS_MANY)["ticks/s"])
        return found

    def idle(self) -> dict[str, Any]:
        folder = self.folder()
        path = notebook(folder)
        Schedules(opened(folder)).create_all(
            Schedule(name=f"s-{n}", notebook=path, cron=f"{n % 60} 3 1 1 *") for n in range(MANY)
        )
        with Service(folder) as process:
            time.sleep(10)
            before = sum(process.cpu_times()[:2])
            time.sleep(IDLE)
            used = sum(process.cpu_times()[:2]) - before
        return {"% of a core": round(100 * used / IDLE, 2)}

    def latency(self) -> dict[str, Any]:
        folder = self.folder()
        jobs = opened(folder)
        schedules = Schedules(jobs)
        params = {"when": "{{ scheduled_time }}", "out": str(folder / "out.txt")}
        ahead, count, pause = 30, 15, 3  # seconds, times, seconds
        with Service(folder):
            schedules.create(
                Schedule(name="tick", notebook=notebook(folder, SAYS), params=params,
                         cron=f"*/{pause} * * * * *", concurrency="allow", max_run_count=count,
                         start_time=datetime.now(UTC) + timedelta(seconds=ahead))
            )  # fmt: skip
            time.sleep(ahead + count * pause + 5)
        kernels, cells = [], []
        for line in (folder / "out.txt").read_text().splitlines():
            when, begun, now = json.loads(line)
            due = datetime.fromisoformat(when).timestamp()
            kernels.append(begun - due)
            cells.append(now - due)
        begun = [
            (jobs.store.get(Execution, t.job).create_time - t.time).total_seconds()
            for t in schedules.history("tick", 0)
        ]
        return {"to the job, ms": ms(begun), "to its kernel, ms": ms(kernels),
                "to its first cell, ms": ms(cells), "of": len(cells)}  # fmt: skip

    def cancel(self) -> dict[str, Any]:
        folder = self.folder()
        jobs, found = opened(folder), {}
        for name, cell in CELLS.items():
            path = notebook(folder, cell)
            times = []
            for _ in range(ROUNDS):
                job = jobs.submit(Request(notebook=path, params={}))
                while jobs.get(job.name).cell < 2:
                    time.sleep(0.05)
                time.sleep(0.3)
                begin = time.perf_counter()
                jobs.cancel(job.name)
                for seen, _ in jobs.follow(job.name, 1.0):
                    state = seen.state
                assert state == "CANCELLED", state
                times.append(time.perf_counter() - begin)
            found[f"{name}, ms"] = ms(times)
        schedules = Schedules(jobs)
        schedules.create(Schedule(name="s", notebook=path, cron="0 0 1 1 *"))
        times = []
        for _ in range(ROUNDS):
            tick = schedules.run_now("s")
            begin = time.perf_counter()
            schedules.cancel(tick.name)
            times.append(time.perf_counter() - begin)
            assert schedules.history("s", 1)[0].state is TickState.CANCELLED
        found["it is queued, ms"] = ms(times)
        return found

    def complete(self) -> dict[str, Any]:
        """Their turns are taken round by round: a noisy machine is noisy for all."""
        times: dict[str, list[float]] = {}
        for _ in range(ROUNDS):
            times.setdefault("nbtools, service", []).extend(self._served())
            times.setdefault("nbtools, submit", []).extend(self._submitted())
            if self.peers:
                times.setdefault("APScheduler + papermill", []).extend(
                    self.ask("completed", 2)["s"]
                )
                times.setdefault("jupyter-scheduler", []).extend(self.ask("jupyter", 2)["s"])
        ours = statistics.median(times["nbtools, service"])
        return {
            f"{name}, s": f"{(middle := statistics.median(found)):.2f}, {middle / ours:.1f} x, "
            f"{min(found):.2f} to {max(found):.2f} of {len(found)}"
            for name, found in times.items()
        }

    def _served(self) -> list[float]:
        """From `run-now` to SUCCEEDED, written down by a service that looks four times a second."""
        folder = self.folder()
        schedules = Schedules(opened(folder))
        path = notebook(folder, "print(1 + 1)")
        times = []
        with Service(folder):
            schedules.create(
                Schedule(name="s", notebook=path, cron="0 0 1 1 *", concurrency="queue")
            )
            for _ in range(6):
                begin = time.perf_counter()
                schedules.run_now("s")
                while not (tick := schedules.history("s", 1)[0]).state.final:
                    time.sleep(0.01)
                assert tick.state is TickState.SUCCEEDED, tick
                times.append(time.perf_counter() - begin)
        return times[1:]

    def _submitted(self) -> list[float]:
        folder = self.folder()
        jobs = opened(folder)
        path, times = notebook(folder, "print(1 + 1)"), []
        for _ in range(6):
            begin = time.perf_counter()
            job = jobs.submit(Request(notebook=path, params={}))
            for seen, _ in jobs.follow(job.name, 1.0):
                state = seen.state
            assert state == "SUCCEEDED", state
            times.append(time.perf_counter() - begin)
        return times[1:]

    def run(self, figures: list[str]) -> None:
        self.base = tempfile.mkdtemp(prefix="nbt-")
        try:
            print(f"Python {platform.python_version()}, {os.cpu_count()} cores, "
                  f"load {os.getloadavg()[0]:.1f}", self.ask("versions", 0) or "")  # fmt: skip
            for figure in figures:
                found = getattr(self, figure)()
                print(f"\n{figure} (load {os.getloadavg()[0]:.1f})")
                for name, value in found.items():
                    print(f"  {name:<32}{value}", flush=True)
        finally:
            shutil.rmtree(self.base, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = ["many", "idle", "latency", "cancel", "complete"]
    parser.add_argument("figures", nargs="*", default=known, help="default: all")
    parser.add_argument("--peers", default="", help="the Python of requirements-schedules.txt")
    asked = parser.parse_args()
    if unknown := set(asked.figures) - set(known):
        parser.error(f"no figure {', '.join(unknown)}: there is {', '.join(known)}")
    Bench(asked.peers).run(asked.figures)


if __name__ == "__main__":
    main()
