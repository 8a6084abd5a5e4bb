"""Two services on one store, killed at random moments: is every tick executed once?

    python bench/chaos.py --kills 200

A notebook is due every second; executed, it writes its scheduled time at the end of a file.
Two services compete. Now one, now the other, is killed by SIGKILL and begun anew, until so
many were killed; then they do what is left. Each time that was due must be in the file once
and be a tick that has SUCCEEDED. Prints what was found as JSON, and ends with 1 if it was not so.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

from nbtools.cron import times
from nbtools.jobs import Jobs
from nbtools.schedule import Schedule, TickState
from nbtools.schedules import Schedules
from nbtools.settings import Settings
from nbtools.store import Store

WRITES = """
import os
file = os.open(out, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
os.write(file, (when + "\\n").encode())
"""


def make_notebook(folder: Path) -> Path:
    parameters = new_code_cell("when: str = ''\nout: str = ''", metadata={"tags": ["parameters"]})
    kernelspec = {"name": "python3", "display_name": "python3"}
    nb = new_notebook(
        cells=[parameters, new_code_cell(WRITES)], metadata={"kernelspec": kernelspec}
    )
    nbformat.write(nb, folder / "work.ipynb")
    return folder / "work.ipynb"


class Services:
    """Two of them, and the killing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {**os.environ, "NBTOOLS_STORE": str(folder / "store")}
        self.log = (folder / "services.log").open("ab")
        self.running = [self.begin(), self.begin()]

    def begin(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-P", "-m", "nbtools.command", "service", "run", "-j", "4"]
        return subprocess.Popen(
            command, env=self.env, cwd=self.folder, stdout=self.log, stderr=self.log
        )

    def kill_one(self, dice: random.Random) -> None:
        number = dice.randrange(len(self.running))
        self.running[number].kill()
        self.running[number].wait()
        self.running[number] = self.begin()

    def end(self) -> None:
        for process in self.running:
            process.terminate()
        for process in self.running:
            process.wait(60)
        self.log.close()


def chaos(folder: Path, kills: int, seed: int, pace: float) -> dict[str, object]:
    """What was found; `pace`: seconds between two kills, on average."""
    dice = random.Random(seed)
    notebook = make_notebook(folder)
    settings = Settings(store=folder / "store")
    jobs = Jobs(Store(settings.store), settings)
    schedules = Schedules(jobs)
    # Every second would be more than two cores can execute in the time.
    cron = "*/2 * * * * *"
    begin = datetime.now(UTC)
    made = schedules.create(
        Schedule(
            name="tick", cron=cron, notebook=str(notebook), concurrency="queue", misfire="all",
            max_concurrent_run_count=4,
            params={"when": "{{ scheduled_time }}", "out": str(folder / "out.txt")},
        )
    )  # fmt: skip
    services = Services(folder)
    try:
        for _ in range(kills):
            time.sleep(dice.uniform(0.2, 2 * pace - 0.2))
            services.kill_one(dice)
        jobs.clock = lambda: datetime.now(UTC)
        schedules.pause("tick")
        deadline = time.monotonic() + 300 + 3 * kills
        while any(not t.state.final for t in schedules.history("tick", 0)):
            if time.monotonic() > deadline:
                break
            time.sleep(0.5)
    finally:
        services.end()
    ticks = schedules.history("tick", 0)
    seen_to = schedules.get("tick").next_run_time or begin
    due = _until(cron, made.create_time or begin, seen_to)
    written = Counter(datetime.fromisoformat(w) for w in _lines(folder / "out.txt"))
    return {
        "kills": kills,
        "due": len(due),
        "ticks": len(ticks),
        "succeeded": sum(t.state is TickState.SUCCEEDED for t in ticks),
        "lost": [str(t) for t in due if not written[t]],
        "doubled": [str(t) for t, count in written.items() if count > 1],
        "strangers": [str(t) for t in written if t not in due],
        "other ends": [f"{t.name} {t.state}: {t.reason}" for t in ticks
                       if t.state is not TickState.SUCCEEDED],
    }  # fmt: skip


def _until(cron: str, begin: datetime, end: datetime) -> list[datetime]:
    found = []
    for moment in times(cron, begin):
        if moment >= end:
            break
        found.append(moment)
    return found


def _lines(path: Path) -> list[str]:
    with suppress(FileNotFoundError):
        return path.read_text().split()
    return []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pace", type=float, default=1.5, help="seconds between kills")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nbt-chaos-", ignore_cleanup_errors=True) as folder:
        begin = time.monotonic()
        found = chaos(Path(folder), asked.kills, asked.seed, asked.pace)
        found["seconds"] = round(time.monotonic() - begin)
        print(json.dumps(found, indent=2))
        if not found["due"] or found["succeeded"] != found["due"]:
            print((Path(folder) / "services.log").read_text()[-3000:], file=sys.stderr)
    wrong = found["lost"] or found["doubled"] or found["strangers"] or found["other ends"]
    sys.exit(bool(wrong) or found["due"] != found["ticks"] or not found["due"])


if __name__ == "__main__":
    main()
