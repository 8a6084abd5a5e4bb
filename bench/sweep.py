"""How long a sweep takes: ours, and Optuna driving papermill in its own loop, in one call.

    python bench/sweep.py                 5 rounds of 20 trials, two at a time
    python bench/sweep.py --trials 40 --rounds 3

Both search by TPE with the same seed over one parameter of a trivial notebook, which
reports its objective. Optuna has a process for each trial at a time, for papermill's
working folder is the process's; they share a study in a journal file, as ours does.
Each round is a process of its own, which has done a sweep of two trials before the
clock starts; the contenders take turns. `alone` is the same notebooks without a search.
What a sweep costs itself is in the CPU time of the process that conducts it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median

import nbformat

PARALLEL = 2
WORK = "y = -(x - 0.3) ** 2"
CONTENDERS = ("nbtools", "nbtools alone", "optuna + papermill", "papermill alone")


def make(folder: Path, name: str, report: str) -> Path:
    cells = [nbformat.v4.new_code_cell(text) for text in ("x = 0.5  # a number", WORK, report)]
    cells[0].metadata["tags"] = ["parameters"]
    spec = {"name": "python3", "display_name": "python3", "language": "python"}
    path = folder / name
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": spec}), path)
    return path


# -- the contenders: each executes the notebook so many times ------------------------------


def nbtools(folder: Path, trials: int) -> None:
    from nbtools import sweep

    notebook = make(folder, "ours.ipynb", "import nbtools\nnbtools.log_metrics({'y': y})")
    done = sweep(notebook, {"x": "0.0:1.0"}, search="tpe", trials=trials, objective="y",
                 direction="maximize", parallel=PARALLEL, seed=1, rerun=True)  # fmt: skip
    assert [t.state for t in done.trials] == ["COMPLETE"] * trials, done.trials


def nbtools_alone(folder: Path, trials: int) -> None:
    from nbtools import Request, run_many

    notebook = make(folder, "ours.ipynb", "import nbtools\nnbtools.log_metrics({'y': y})")
    asked = [
        Request(notebook=notebook, params={"x": n / trials}, report=False) for n in range(trials)
    ]
    assert not any(job.error for job in run_many(asked, PARALLEL))


def optuna_papermill(folder: Path, trials: int) -> None:
    import optuna
    import papermill as pm
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    notebook = make(folder, "theirs.ipynb", "y")
    journal = str(folder / f"study-{trials}.log")

    def study(worker: int) -> optuna.Study:
        return optuna.create_study(
            study_name="s", direction="maximize", load_if_exists=True,
            storage=optuna.storages.JournalStorage(JournalFileBackend(journal)),
            sampler=optuna.samplers.TPESampler(seed=1 + worker, constant_liar=True),
        )  # fmt: skip

    def objective(trial: optuna.Trial) -> float:
        out = folder / f"out-{trial.number}.ipynb"
        params = {"x": trial.suggest_float("x", 0.0, 1.0)}
        made = pm.execute_notebook(notebook, out, parameters=params, progress_bar=False)
        return float(made.cells[-1].outputs[0].data["text/plain"])

    study(0)
    in_processes(lambda worker: study(worker).optimize(objective, n_trials=trials // PARALLEL))
    assert [t.state.name for t in study(0).trials] == ["COMPLETE"] * trials


def papermill_alone(folder: Path, trials: int) -> None:
    import papermill as pm

    notebook = make(folder, "theirs.ipynb", "y")

    def work(worker: int) -> None:
        for n in range(worker, trials, PARALLEL):
            out = folder / f"out-{n}.ipynb"
            pm.execute_notebook(notebook, out, parameters={"x": n / trials}, progress_bar=False)

    in_processes(work)


def in_processes(work) -> None:
    """`work(number)` in so many processes, which have all that this one has imported."""
    pids = []
    for worker in range(PARALLEL):
        if not (pid := os.fork()):
            work(worker)
            os._exit(0)
        pids.append(pid)
    for pid in pids:
        assert os.waitpid(pid, 0)[1] == 0


RUN = dict(
    zip(CONTENDERS, (nbtools, nbtools_alone, optuna_papermill, papermill_alone), strict=True)
)

# -- measuring ---------------------------------------------------------------------------


def child(name: str, folder: Path, trials: int) -> None:
    """Two first, then all by the clock; prints the seconds."""
    RUN[name](folder, PARALLEL)
    begin, own = time.perf_counter(), time.process_time()
    RUN[name](folder, trials)
    print("SECONDS", time.perf_counter() - begin, time.process_time() - own, flush=True)


def measure(name: str, trials: int) -> tuple[float, float]:
    """Seconds that so many trials take, and seconds of CPU of the process that begins them."""
    with tempfile.TemporaryDirectory(prefix="nbb-") as folder:
        # Not beside the notebook: a folder called nbtools there would be imported.
        (runtime := Path(folder) / "r").mkdir(mode=0o700)
        env = {**os.environ, "NBTOOLS_STORE": f"{folder}/s", "XDG_RUNTIME_DIR": str(runtime)}
        command = [sys.executable, __file__, "--child", name, folder, str(trials)]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        stop = [Path(sys.executable).parent / "nbtools", "kernels", "stop"]
        subprocess.run(stop, env=env, capture_output=True, check=False)
    found = [line for line in done.stdout.splitlines() if line.startswith("SECONDS")]
    if not found:
        raise SystemExit(f"{name}: {done.stderr[-2000:]}")
    took, own = map(float, found[0].split()[1:])
    return took, own


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, default=20, help="of a sweep; an even number")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ours", action="store_true", help="without Optuna and papermill")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        child(asked.child[0], Path(asked.child[1]), int(asked.child[2]))
        return
    versions = ", ".join(f"{name} {version(name)}" for name in ("optuna", "papermill"))
    cores = len(os.sched_getaffinity(0))
    print(f"{cores} cores, Python {platform.python_version()}, {versions}, "
          f"load {os.getloadavg()[0]:.1f}")  # fmt: skip
    print(f"{asked.rounds} rounds of {asked.trials} trials, {PARALLEL} at a time")
    times: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    cpu: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for _ in range(asked.rounds):
        for name in CONTENDERS[:2] if asked.ours else CONTENDERS:
            took, own = measure(name, asked.trials)
            times[name].append(took)
            cpu[name].append(own)
    times = {name: taken for name, taken in times.items() if taken}
    ours = median(times["nbtools"])
    print(f"{'':22}{'median s':>9}{'min':>7}{'max':>7}{'ms a trial':>12}{'nbtools is':>12}")
    for name, seconds in times.items():
        middle = median(seconds)
        print(f"{name:22}{middle:9.2f}{min(seconds):7.2f}{max(seconds):7.2f}"
              f"{middle / asked.trials * 1e3:12.0f}{middle / ours:10.2f} x")  # fmt: skip
    for name in CONTENDERS[:2]:  # of the others it is spread over workers and kernels
        own = median(cpu[name]) / asked.trials * 1e3
        print(f"{name}: {own:.0f} ms of CPU a trial in the process that begins them")
    print(json.dumps(times))


if __name__ == "__main__":
    main()
