"""How long a command takes to say something, beside the least that any click command takes.

Run with `make bench`. Commands take turns, so that a noisy machine is noisy for all.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 25
NBTOOLS = str(Path(sys.executable).with_name("nbtools"))
COMMANDS = {
    'python -c "import click"': [sys.executable, "-c", "import click"],
    "nbtools --help": [NBTOOLS, "--help"],
    "nbtools jobs list": [NBTOOLS, "jobs", "list"],
    'python -c "import nbtools"': [sys.executable, "-c", "import nbtools"],
    "papermill --help": [str(Path(sys.executable).with_name("papermill")), "--help"],
}


def measure() -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory() as store:
        environ = {**os.environ, "NBTOOLS_STORE": store}
        for round_ in range(ROUNDS + 1):
            for name, command in COMMANDS.items():
                begin = time.perf_counter()
                subprocess.run(command, env=environ, stdout=subprocess.DEVNULL, check=True)
                if round_:  # the first warms the file cache
                    times[name].append(time.perf_counter() - begin)
    return times


def main() -> None:
    times = measure()
    base = statistics.median(next(iter(times.values())))
    print(f"{ROUNDS} rounds, Python {platform.python_version()}, {os.cpu_count()} cores")
    print(f"{'command':28} {'median ms':>9} {'min':>7} {'max':>7} {'ratio':>6}")
    for name, values in times.items():
        median, low, high = statistics.median(values), min(values), max(values)
        print(
            f"{name:28} {median * 1e3:9.1f} {low * 1e3:7.1f} {high * 1e3:7.1f} {median / base:6.2f}"
        )


if __name__ == "__main__":
    main()
