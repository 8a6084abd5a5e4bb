"""What a job on Vertex AI costs beside one on this machine: an emulator stands for Vertex AI, so
the machine that Google makes is not in it, and all else is.

python bench/executors.py [--rounds 9]
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import nbformat

PROJECT = """
[tool.nbtools]
staging_bucket = "gs://bench/staging"
[tool.nbtools.machine]
service_account = "runner@bench.iam.gserviceaccount.com"
"""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="nbtools-bench-") as folder:
        _measure(Path(folder), rounds)


def _measure(folder, rounds):
    from nbtools.emulator import lifecycle
    from nbtools.jobs import Jobs
    from nbtools.request import Request

    cells = [nbformat.v4.new_code_cell("import nbtools\nnbtools.log_metrics({'m': 1.0})")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / "work.ipynb")
    (folder / "pyproject.toml").write_text(PROJECT)
    os.chdir(folder)
    found = lifecycle.start(folder / "cloud", "bench", "us-central1")
    try:
        os.environ |= lifecycle.variables(folder / "cloud", found, "rest", os.environ)
        os.environ["NBTOOLS_STORE"] = str(folder / "store")
        times = {}
        for number in range(rounds + 1):  # the first loads what is loaded once, and is left out
            for executor in ("local", "vertex"):
                jobs = Jobs.open()
                begin = time.perf_counter()
                job = jobs.submit(
                    Request(notebook="work.ipynb", params={}, executor=executor, report=False)
                )
                there = time.perf_counter()
                for job, _ in jobs.follow(job.name):  # noqa: B007, B020 - as it ended
                    pass
                end = time.perf_counter()
                assert not job.error, job.error
                if number:
                    times.setdefault(executor, []).append((there - begin, end - begin))
    finally:
        lifecycle.stop(folder / "cloud")
    print(f"ms, median of {rounds}      until it is begun   until its run is here")
    for executor, both in times.items():
        begun, ended = (statistics.median(t) * 1000 for t in zip(*both, strict=True))
        print(f"{executor:<24} {begun:>17.0f} {ended:>23.0f}")


if __name__ == "__main__":
    main()
