"""How long notebooks take to be executed: ours, and every peer's, in one call.

    make bench                                all figures, some ten minutes
    python bench/run.py trivial --n 40        one kind, fewer notebooks

Each engine works in a process of its own, which has executed one notebook before the
clock starts: what is compared is a notebook more, not the imports of the engine. Peak
memory is the proportional set size (PSS) of that process, all it has started, and our
zygotes. `floor` is the notebooks' own computing, done in a loop over the same cores.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import nbformat

CORES = len(os.sched_getaffinity(0))
#: kind -> (imports, work, how many)
KINDS = {
    "trivial": ("", "x = n * 2", 200),
    "libraries": (
        "import numpy as np\nimport pandas as pd\nimport matplotlib.pyplot as plt",
        "frame = pd.DataFrame({'x': np.arange(100), 'y': np.arange(100) ** 2 + n})\n"
        "fig, ax = plt.subplots()\nax.plot(frame.x, frame.y)\nplt.show()",
        40,
    ),
    "torch": (
        "import time\nimport torch",
        "begin = time.thread_time()\na = torch.rand(256, 256)\n"
        "while time.thread_time() - begin < 1.0:\n    a = torch.tanh(a @ a)\nfloat(a.sum())",
        20,
    ),
}
#: engine -> the part of the notebooks it gets; slow ones are asked for fewer
ENGINES = {
    "floor": 1.0,
    "nbtools": 1.0,
    "nbtools -j 1": 0.5,
    "papermill": 0.2,
    "papermill, 2 processes": 0.4,
    "nbclient": 0.2,
    "ploomber-engine": 1.0,
    "execnb": 1.0,
}


def make(folder: Path, kind: str) -> Path:
    imports, work, _ = KINDS[kind]
    cells = ["n = 1  # a number", imports or "pass", work, "print(n)", "n"]
    made = [nbformat.v4.new_code_cell(cell) for cell in cells]
    made[0].metadata["tags"] = ["parameters"]
    spec = {"name": "python3", "display_name": "python3", "language": "python"}
    path = folder / f"{kind}.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=made, metadata={"kernelspec": spec}), path)
    return path


# -- the engines: each executes `count` notebooks ----------------------------------------


def floor(notebook: Path, count: int, _: Path) -> None:
    imports, work, _n = KINDS[notebook.stem]
    space: dict[str, object] = {}
    exec(imports, space)
    pids = []
    for worker in range(CORES):
        if not (pid := os.fork()):
            for number in range(worker, count, CORES):
                exec(work, {**space, "n": number})
            os._exit(0)
        pids.append(pid)
    for pid in pids:
        os.waitpid(pid, 0)


def nbtools(notebook: Path, count: int, _: Path, parallel: int = CORES) -> None:
    from nbtools import Request, run_many

    requests = [Request(notebook=notebook, params={"n": number}) for number in range(count)]
    for job in run_many(requests, parallel):
        assert not job.error, job.error


def nbtools_serial(notebook: Path, count: int, folder: Path) -> None:
    nbtools(notebook, count, folder, parallel=1)


def papermill(notebook: Path, count: int, folder: Path, tag: str = "") -> None:
    import papermill as pm

    for number in range(count):
        out = folder / f"out{tag}-{number}.ipynb"
        pm.execute_notebook(notebook, out, parameters={"n": number}, progress_bar=False)


def papermill_two(notebook: Path, count: int, folder: Path) -> None:
    import papermill as pm  # noqa: F401 - before the fork, so that both have it

    pids = []
    for worker in range(2):
        if not (pid := os.fork()):
            papermill(notebook, count // 2, folder, f"-{worker}")
            os._exit(0)
        pids.append(pid)
    for pid in pids:
        assert os.waitpid(pid, 0)[1] == 0


def nbclient(notebook: Path, count: int, folder: Path) -> None:
    from nbclient import NotebookClient

    for number in range(count):
        nb = nbformat.read(notebook, as_version=4)
        nb.cells[0].source = f"n = {number}"
        NotebookClient(nb).execute()
        nbformat.write(nb, folder / f"out-{number}.ipynb")


def ploomber(notebook: Path, count: int, folder: Path) -> None:
    from ploomber_engine import execute_notebook

    for number in range(count):
        out = folder / f"out-{number}.ipynb"
        execute_notebook(notebook, out, parameters={"n": number}, progress_bar=False)


def execnb(notebook: Path, count: int, folder: Path) -> None:
    from execnb.shell import CaptureShell

    for number in range(count):
        CaptureShell().execute(notebook, dest=folder / f"out-{number}.ipynb")


RUN = dict(
    zip(
        ENGINES,
        (floor, nbtools, nbtools_serial, papermill, papermill_two, nbclient, ploomber, execnb),
        strict=True,
    )
)


def child(engine: str, notebook: Path, count: int) -> None:
    """Execute one, then `count` by the clock, and print the seconds."""
    with tempfile.TemporaryDirectory() as out:
        RUN[engine](notebook, 2 if "2" in engine else 1, Path(out))
        begin = time.perf_counter()
        RUN[engine](notebook, count, Path(out))
        print("SECONDS", time.perf_counter() - begin, flush=True)


# -- measuring ---------------------------------------------------------------------------


class Memory(threading.Thread):
    """Samples the PSS of everything that has `mark` in its environment."""

    def __init__(self, mark: str) -> None:
        super().__init__(daemon=True)
        self.mark, self.peak, self.done = mark.encode(), 0, False

    def run(self) -> None:
        while not self.done:
            self.peak = max(self.peak, sum(self._pss()))
            time.sleep(0.25)

    def _pss(self):
        for proc in Path("/proc").glob("[0-9]*"):
            try:
                if self.mark in (proc / "environ").read_bytes():
                    text = (proc / "smaps_rollup").read_text()
                    yield int(text.partition("Pss:")[2].split()[0]) * 1024
            except (OSError, IndexError, ValueError):
                continue


def measure(engine: str, notebook: Path, count: int, store: Path) -> tuple[float, float]:
    """(seconds a notebook, peak bytes)."""
    mark = f"BENCH_{os.urandom(4).hex()}=1"
    env = {
        **os.environ,
        "NBTOOLS_STORE": str(store),
        "XDG_RUNTIME_DIR": str(store),
        "OMP_NUM_THREADS": "1",  # the same for all: a job a core
        "PLOOMBER_STATS_ENABLED": "false",
        mark.partition("=")[0]: "1",
    }
    memory = Memory(mark)
    memory.start()
    command = [sys.executable, __file__, "--child", engine, str(notebook), str(count)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    memory.done = True
    line = next((x for x in done.stdout.splitlines() if x.startswith("SECONDS")), None)
    if line is None:
        raise SystemExit(f"{engine}: {done.stderr[-2000:]}")
    return float(line.split()[1]) / count, memory.peak


def compare(kind: str, wanted: int, engines: list[str]) -> dict[str, float]:
    print(f"\n{kind}: {KINDS[kind][1].splitlines()[0]} …")
    print(f"{'engine':26}{'n':>5}{'ms a notebook':>15}{'nbtools is':>14}{'peak MB':>9}")
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="nbb-") as name:
        folder = Path(name)
        notebook = make(folder, kind)
        ours = 0.0
        for engine in engines:
            count = max(4, round(wanted * ENGINES[engine]))
            seconds, peak = measure(engine, notebook, count, folder / "s")
            found[engine] = seconds
            ours = seconds if engine == "nbtools" else ours
            ratio = f"{seconds / ours:.2f} x" if ours else ""
            row = f"{seconds * 1e3:15.1f}{ratio:>14}{peak / 1e6:9.0f}"
            print(f"{engine:26}{count:5}{row}", flush=True)
        stop(folder / "s")
    return found


def commands(rounds: int = 7) -> None:
    """`nbtools run` beside `papermill`, as a person waits for them."""
    with tempfile.TemporaryDirectory(prefix="nbb-") as name:
        folder = Path(name)
        notebook = make(folder, "trivial")
        env = {**os.environ, "NBTOOLS_STORE": str(folder / "s"), "XDG_RUNTIME_DIR": str(folder)}
        bin_ = Path(sys.executable).parent
        both = {
            "papermill": [bin_ / "papermill", notebook, folder / "out.ipynb", "-p", "n", "3"],
            "nbtools run": [bin_ / "nbtools", "run", notebook, "-p", "n", "3"],
        }
        times: dict[str, list[float]] = {key: [] for key in both}
        for _ in range(rounds + 1):
            for key, command in both.items():
                begin = time.perf_counter()
                subprocess.run(command, env=env, capture_output=True, check=True)
                times[key].append(time.perf_counter() - begin)
        first = times["nbtools run"][0]
        medians = {key: sorted(values[1:])[rounds // 2] for key, values in times.items()}
        print(f"\none command, median of {rounds}; the first `nbtools run` took {first:.2f} s")
        for key, median in medians.items():
            print(f"{key:26}{median * 1e3:15.0f} ms")
        print(f"{'':26}{medians['papermill'] / medians['nbtools run']:15.2f} x")
        stop(folder)


def stop(runtime: Path) -> None:
    env = {**os.environ, "XDG_RUNTIME_DIR": str(runtime)}
    command = [Path(sys.executable).parent / "nbtools", "kernels", "stop"]
    subprocess.run(command, env=env, capture_output=True, check=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("kinds", nargs="*", choices=[*KINDS, "command", []])
    parser.add_argument("--n", type=int, default=0, help="notebooks of a kind")
    parser.add_argument("--engines", default=",".join(ENGINES), help="which, by name")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        child(asked.child[0], Path(asked.child[1]), int(asked.child[2]))
        return
    print(f"{CORES} cores, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}")
    engines = [e.strip() for e in asked.engines.replace("papermill, 2", "papermill; 2").split(",")]
    engines = [e.replace(";", ",") for e in engines]
    results = {}
    for kind in asked.kinds or [*KINDS, "command"]:
        if kind == "command":
            commands()
        else:
            results[kind] = compare(kind, asked.n or KINDS[kind][2], engines)
    print("\n" + json.dumps(results))


if __name__ == "__main__":
    shutil.which("nbtools")  # the command must be installed beside this interpreter
    main()
