"""What tracking costs a training loop, and how soon what was tracked can be read: us and peers.

    python -m venv peers && peers/bin/pip install -r bench/requirements-track.txt
    python bench/track.py --peers peers/bin/python              all figures, some 20 minutes
    python bench/track.py step kill --only nbtools --n 1000     some, quickly

Each measurement is a process of its own, with a folder of its own; trackers take turns and
the median of the rounds is printed, so that a noisy machine is noisy for all. Slow trackers
get fewer runs or points (`share` in trackers.py): `n` is printed beside each figure, which is
what was measured, and scaled figures are marked with `~`.

    step     one logged step of two metrics, µs; what ending the run then takes, ms
    run      start and end of a run, ms
    writers  eight processes that log 500 steps a second each: µs a step, and the rate kept
    table    a data frame of all runs (20 params, 20 metrics): cold, again, and a filter; ms
    series   reading one series, ms; bytes a point, of two series, in the folder
    start    from the import to the first logged step, ms
    import   scalars out of TensorBoard's event files, s
    kill     acknowledged steps that are gone after kill -9, of so many
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import platform
import random
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from trackers import TRACKERS, Tracker

HERE = Path(__file__).absolute()

#: figure -> how many steps, runs or points
COUNTS = {
    "step": 5_000, "run": 20, "writers": 1_000, "table": 10_000, "series": 100_000, "start": 1,
    "import": 100_000, "kill": 1,
}  # fmt: skip
WRITERS, RATE = 8, 500
LIMIT = 600  #: seconds a measurement may take


# -- in the process that is measured ---------------------------------------------------------


def timed(call: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    call()
    return (time.perf_counter() - begin) * 1e3


def step(tracker: Tracker, count: int) -> dict[str, float]:
    tracker.begin("steps")
    for number in range(100):
        tracker.log(number)
    times = []
    for number in range(100, 100 + count):
        begin = time.perf_counter_ns()
        tracker.log(number)
        times.append(time.perf_counter_ns() - begin)
    end = timed(tracker.end)
    times.sort()
    return {"p50 µs": times[count // 2] / 1e3, "p99 µs": times[count * 99 // 100] / 1e3,
            "then end ms": end}  # fmt: skip


def run(tracker: Tracker, count: int) -> dict[str, float]:
    times = []
    for number in range(count + 1):

        def once(name: str = f"run-{number}") -> None:
            tracker.begin(name)
            tracker.end()

        times.append(timed(once))
    return {"start + end ms": statistics.median(times[1:]), "the first ms": times[0]}


def writer(tracker: Tracker, count: int) -> dict[str, Any]:
    """One of several: paced, and never faster than asked for."""
    tracker.begin(f"writer-{os.getpid()}")
    tracker.log(0)
    times = []
    begin = time.perf_counter()
    for number in range(1, count + 1):
        time.sleep(max(0.0, begin + number / RATE - time.perf_counter()))
        before = time.perf_counter_ns()
        tracker.log(number)
        times.append((time.perf_counter_ns() - before) / 1e3)
    took = time.perf_counter() - begin
    tracker.end()
    return {"times": times, "rate": count / took}


def fill(tracker: Tracker, count: int) -> dict[str, Any]:
    return {"filled": bool(tracker.fill(count))}


def table(tracker: Tracker, count: int) -> dict[str, float]:
    tracker.ready()
    begin = time.perf_counter()
    frame = tracker.table()
    cold = (time.perf_counter() - begin) * 1e3
    assert len(frame) == count, (len(frame), count)
    bound = count // 2 + 0.75 - 1
    found: list[Any] = []
    again = statistics.median(timed(tracker.table) for _ in range(3))
    where = statistics.median(timed(lambda: found.append(tracker.where(bound))) for _ in range(3))
    assert 0 < len(found[0]) < count
    return {"cold ms": cold, "again ms": again, "filter ms": where}


def write(tracker: Tracker, count: int) -> dict[str, float]:
    tracker.begin("series")
    for number in range(count):
        tracker.log(number)
    tracker.end()
    return {}


def series(tracker: Tracker, count: int) -> dict[str, float]:
    tracker.ready()
    found: list[int | None] = []
    times = [timed(lambda: found.append(tracker.points("series"))) for _ in range(4)]
    assert found[0] == count, (found[0], count)
    return {"cold ms": times[0], "again ms": statistics.median(times[1:])}


def start(tracker: Tracker, _: int) -> dict[str, float]:
    def first() -> None:
        tracker.begin("first")
        tracker.log(0)

    took = timed(first)
    tracker.end()
    return {"first step after ms": took}


def imported(tracker: Tracker, count: int) -> dict[str, float]:
    """Of the event files in `logs`: by TensorBoard's own reader, or by ours and into the store."""
    logs = tracker.folder.parent / "logs"
    if type(tracker) is TRACKERS["TensorBoard (torch)"]:
        tracker.ready()
        return {"read s": timed(lambda: tracker.reader(  # type: ignore[attr-defined]
            str(logs), size_guidance={"scalars": 0}).Reload()) / 1e3}  # fmt: skip
    from nbtools.eventfile import PATTERN, Events
    from nbtools.importing import import_runs
    from nbtools.store import Store

    events = Events()
    read = timed(lambda: [events.take(path) for path in logs.glob(PATTERN)])
    assert sum(map(len, events.scalars.values())) == count
    store = Store(tracker.folder)
    whole = timed(lambda: import_runs(logs, store=store))
    return {"read s": read / 1e3, "imported s": whole / 1e3}


def doomed(tracker: Tracker, _: int) -> None:
    """Log for ever; the number of steps acknowledged lies in memory that outlives us.

    As fast as a quick training loop: some trackers hand over only when nothing is logged.
    """
    with (tracker.folder.parent / "acknowledged").open("r+b") as file:
        memory = mmap.mmap(file.fileno(), 8)
    tracker.begin("doomed")
    number, begin = 0, time.perf_counter()
    while True:
        time.sleep(max(0.0, begin + number / RATE - time.perf_counter()))
        tracker.log(number)
        number += 1
        memory[:8] = struct.pack("<Q", number)


def left(tracker: Tracker, _: int) -> dict[str, Any]:
    tracker.ready()
    return {"left": tracker.points("doomed")}


CHILDREN: dict[str, Callable[[Tracker, int], Any]] = {
    "step": step, "run": run, "writer": writer, "fill": fill, "table": table, "write": write,
    "series": series, "start": start, "imported": imported, "doomed": doomed, "left": left,
}  # fmt: skip


def child(name: str, what: str, folder: str, count: str) -> None:
    tracker = TRACKERS[name](Path(folder))
    # Trackers talk on both streams, and some close them: the answer goes where none of them does.
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    found = CHILDREN[what](tracker, int(count))
    print("RESULT " + json.dumps(found), file=answer, flush=True)
    os._exit(0)  # what a tracker does at the end of a process was asked of `end`


def packages() -> None:
    """The version of each tracker that is installed beside this Python."""
    found = {}
    for name, tracker in TRACKERS.items():
        try:
            found[name], *_ = [version(package) for package in tracker.packages]
        except PackageNotFoundError:
            continue
    print("RESULT " + json.dumps(found))


# -- measuring -------------------------------------------------------------------------------


class Bench:
    def __init__(self, pythons: dict[str, str], rounds: int, count: int) -> None:
        self.pythons, self.rounds, self.count = pythons, rounds, count
        self.base = Path(tempfile.mkdtemp(prefix="nbtools-track-"))

    def folder(self) -> Path:
        made = Path(tempfile.mkdtemp(dir=self.base)) / "tracker"
        made.mkdir()
        return made

    def begin(self, name: str, what: str, folder: Path, count: int) -> subprocess.Popen[str]:
        env = {**os.environ, "PYTHONWARNINGS": "ignore", "HOME": str(self.base),
               "MPLCONFIGDIR": str(self.base), "DO_NOT_TRACK": "1"}  # fmt: skip
        command = [self.pythons[name], str(HERE), "--child", name, what, str(folder), str(count)]
        return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                text=True, cwd=folder)  # fmt: skip

    def ask(self, name: str, what: str, folder: Path, count: int) -> Any:
        return self.answer(self.begin(name, what, folder, count))

    def answer(self, process: subprocess.Popen[str]) -> Any:
        try:
            out, err = process.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return {"failed": f"took more than {LIMIT} s"}
        for line in out.splitlines():
            if line.startswith("RESULT "):
                return json.loads(line.removeprefix("RESULT "))
        return {"failed": (err.strip().splitlines() or ["no answer"])[-1][:90]}

    def size(self, name: str, figure: str) -> int:
        """How many a tracker is asked for."""
        asked = self.count or COUNTS[figure]
        if figure not in ("table", "series", "step", "writers"):
            return asked
        share = TRACKERS[name].share if figure != "writers" else 1.0
        return max(1, min(asked, max(20, int(asked * share))))

    # Each returns one round's figures of one tracker.

    def step(self, name: str) -> Any:
        return self.ask(name, "step", self.folder(), self.size(name, "step"))

    def run(self, name: str) -> Any:
        return self.ask(name, "run", self.folder(), min(self.size(name, "run"), 20))

    def start(self, name: str) -> Any:
        return self.ask(name, "start", self.folder(), 1)

    def writers(self, name: str) -> Any:
        folder, count = self.folder(), self.size(name, "writers")
        self.ask(name, "write", folder, 1)  # so that none of them makes the store
        processes = [self.begin(name, "writer", folder, count) for _ in range(WRITERS)]
        answers = [self.answer(process) for process in processes]
        if failed := [a["failed"] for a in answers if "failed" in a]:
            return {"failed": f"{len(failed)} of {WRITERS}: {failed[0]}"}
        times = sorted(t for a in answers for t in a["times"])
        return {"p50 µs": times[len(times) // 2], "p99 µs": times[len(times) * 99 // 100],
                "steps/s of each": min(a["rate"] for a in answers)}  # fmt: skip

    def table(self, name: str) -> Any:
        if TRACKERS[name].table is Tracker.table:
            return {"failed": "has no call for it offline"}
        folder, count = self.folder(), self.size(name, "table")
        filled = self.ask(name, "fill", folder, count)
        return filled if "failed" in filled else self.ask(name, "table", folder, count)

    def series(self, name: str) -> Any:
        folder, count = self.folder(), self.size(name, "series")
        written = self.ask(name, "write", folder, count)
        if "failed" in written:
            return written
        found = self.ask(name, "series", folder, count)
        used = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        empty = self.folder()
        self.ask(name, "write", empty, 1)
        used -= sum(path.stat().st_size for path in empty.rglob("*") if path.is_file())
        return {**found, "bytes a point": used / count / 2}

    def imported(self, name: str) -> Any:
        if name not in ("nbtools", "TensorBoard (torch)"):
            return {"failed": "has no such import"}
        folder, count = self.folder(), self.count or COUNTS["import"]
        logs = folder.parent / "logs"
        writer = "TensorBoard (torch)"
        if writer not in self.pythons:
            return {"failed": "needs TensorBoard's writer, which is not installed"}
        made = self.ask(writer, "write", folder.parent, count // 2)
        (folder.parent / "series").rename(logs)
        return made if "failed" in made else self.ask(name, "imported", folder, count // 2 * 2)

    def kill(self, name: str) -> Any:
        folder = self.folder()
        counter = folder.parent / "acknowledged"
        counter.write_bytes(bytes(8))
        process = self.begin(name, "doomed", folder, 0)
        until = time.monotonic() + 60
        while not any(counter.read_bytes()) and time.monotonic() < until:
            if process.poll() is not None:
                return self.answer(process)
            time.sleep(0.01)
        time.sleep(random.uniform(1.5, 3.5))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        time.sleep(2.0)  # a helper process of the tracker's may still be writing
        (acknowledged,) = struct.unpack("<Q", counter.read_bytes())
        found = self.ask(name, "left", folder, 0)
        if "failed" in found:
            return found
        lost = acknowledged - min(found["left"], acknowledged)
        return {"acknowledged": acknowledged, "lost": lost, "lost %": 100 * lost / acknowledged}


FIGURES = {
    "step": Bench.step, "run": Bench.run, "writers": Bench.writers, "table": Bench.table,
    "series": Bench.series, "start": Bench.start, "import": Bench.imported, "kill": Bench.kill,
}  # fmt: skip


def compare(bench: Bench, figure: str) -> dict[str, Any]:
    """All trackers, taking turns; the median of each number."""
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in bench.pythons}
    failed: dict[str, str] = {}
    for _ in range(bench.rounds):
        for name in bench.pythons:
            if name in failed:
                continue
            found = FIGURES[figure](bench, name)
            if "failed" in found:
                failed[name] = found["failed"]
            else:
                rounds[name].append(found)
            shutil.rmtree(bench.base, ignore_errors=True)
            bench.base.mkdir()
    merged = {
        name: {key: statistics.median(r[key] for r in found) for key in found[0]}
        for name, found in rounds.items()
        if found and name not in failed
    }
    if figure == "kill":  # a loss is a loss: not the median, all of them
        for name, own in merged.items():
            own |= {key: sum(r[key] for r in rounds[name]) for key in ("acknowledged", "lost")}
            own["lost %"] = 100 * own["lost"] / own["acknowledged"]
    show(bench, figure, merged, failed)
    return merged


def show(bench: Bench, figure: str, merged: dict[str, Any], failed: dict[str, str]) -> None:
    keys = list(next(iter(merged.values()), {}))
    sized = figure in ("step", "table", "series", "writers")
    print(f"\n{figure}\n{'':22}{'n':>8}" + "".join(f"{key:>20}" for key in keys))
    asked = bench.count or COUNTS[figure]
    for name in bench.pythons:
        n = bench.size(name, figure) if sized else ""
        if name in merged:
            cells = []
            for key in keys:
                value = merged[name].get(key)
                scaled = sized and n != asked and key.endswith("ms") and figure != "step"
                text = "-" if value is None else f"{value:,.6g}" if value >= 1e4 else f"{value:.4g}"
                if scaled and value is not None:
                    text += f" (~{value * asked / int(n):,.0f})"
                cells.append(f"{text:>20}")
            print(f"{name:22}{n:>8}" + "".join(cells), flush=True)
        elif name in failed:
            print(f"{name:22}{n:>8}  {failed[name]}", flush=True)


def installed(python: str) -> dict[str, str]:
    done = subprocess.run([python, str(HERE), "--packages"], capture_output=True, text=True,
                          check=False)  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    found: dict[str, str] = json.loads(lines[-1].removeprefix("RESULT ")) if lines else {}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("figures", nargs="*", help=", ".join(FIGURES))
    parser.add_argument("--peers", default="", help="the Python that has the peers installed")
    parser.add_argument("--only", default="", help="these trackers, by the beginning of their name")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--n", type=int, default=0, help="steps, runs, points instead of the usual")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--packages", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.peers:
        asked.peers = str(Path(asked.peers).absolute())
    if asked.child:
        child(*asked.child)
    if asked.packages:
        return packages()
    if unknown := set(asked.figures) - set(FIGURES):
        parser.error(f"no figure {', '.join(unknown)}: there is {', '.join(FIGURES)}")
    ours, peers = installed(sys.executable), installed(asked.peers) if asked.peers else {}
    pythons, versions = {}, {}
    for name in TRACKERS:
        python = sys.executable if name == "nbtools" or name not in peers else asked.peers
        known = ours if python == sys.executable else peers
        if any(name.lower().startswith(only.lower()) for only in asked.only.split(",")):
            if name in known or name == "nbtools":
                pythons[name], versions[name] = python, known.get(name, "this tree")
            else:
                print(f"{name} is not installed: it is left out")
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, load {load:.1f}, "
          f"median of {asked.rounds}")  # fmt: skip
    print(", ".join(f"{name} {number}" for name, number in versions.items()))
    bench = Bench(pythons, asked.rounds, asked.n)
    try:
        results = {figure: compare(bench, figure) for figure in asked.figures or FIGURES}
    finally:
        shutil.rmtree(bench.base, ignore_errors=True)
    print("\n" + json.dumps(results))
    return None


if __name__ == "__main__":
    main()
