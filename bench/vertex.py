"""What the SDK's calls take against the emulator: a process each, REST and gRPC.

python bench/vertex.py [--rounds 30]
"""

import argparse
import importlib.metadata
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CLIENT = """
import json, logging, sys, time
logging.disable(logging.INFO)
from google.cloud import aiplatform
rounds, times = int(sys.argv[1]), {}
def timed(name, work):
    begin = time.perf_counter()
    work()
    times.setdefault(name, []).append((time.perf_counter() - begin) * 1000)
transport = aiplatform.initializer.global_config._api_transport
for number in range(rounds):
    name = "first" if number == 0 else "again"
    timed(f"init(experiment), {name}", lambda: aiplatform.init(
        project="p", experiment=f"{transport}-{number % 5}"))
    timed("start_run", lambda: aiplatform.start_run(f"r{number}"))
    timed("log_params", lambda: aiplatform.log_params({"lr": number / 7, "n": number}))
    timed("log_metrics", lambda: aiplatform.log_metrics({"accuracy": number / 7}))
    metrics = {f"m{i}": number / 7 for i in range(5)}
    timed("log_time_series_metrics, new", lambda: aiplatform.log_time_series_metrics(metrics))
    for step in range(5):
        timed("log_time_series_metrics", lambda: aiplatform.log_time_series_metrics(metrics))
    timed("end_run", aiplatform.end_run)
for _ in range(3):
    timed("get_experiment_df, a run", lambda: aiplatform.get_experiment_df(f"{transport}-0"))
runs = len(aiplatform.get_experiment_df(f"{transport}-0"))
times["get_experiment_df, a run"] = [t / runs for t in times["get_experiment_df, a run"]]
json.dump(times, sys.stdout)
"""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=30)
    rounds = parser.parse_args().rounds
    nbtools = Path(sys.executable).with_name("nbtools")
    with tempfile.TemporaryDirectory() as folder:
        surroundings = {**os.environ, "NBTOOLS_STORE": folder}
        subprocess.run([nbtools, "emulator", "start"], env=surroundings, check=True)
        try:
            found = {t: measured(t, rounds, nbtools, surroundings) for t in ("rest", "grpc")}
        finally:
            subprocess.run([nbtools, "emulator", "stop"], env=surroundings, check=True)
    sdk = importlib.metadata.version("google-cloud-aiplatform")
    print(f"\n{time.strftime('%d %B %Y')}, google-cloud-aiplatform {sdk}, {os.cpu_count()} cores, ")
    print(f"load {os.getloadavg()[0]:.1f}, {rounds} rounds; median and 90th percentile, ms\n")
    print(f"{'call':<34}{'REST':>8}{'p90':>8}{'gRPC':>8}{'p90':>8}")
    for name in found["rest"]:
        cells = []
        for transport in ("rest", "grpc"):
            times = sorted(found[transport][name])
            cells += [statistics.median(times), times[int(0.9 * (len(times) - 1))]]
        print(f"{name:<34}" + "".join(f"{cell:8.1f}" for cell in cells))


def measured(transport, rounds, nbtools, surroundings):
    command = (
        f'eval "$({nbtools} emulator env --transport {transport})"; exec "$0" -c "$1" {rounds}'
    )
    done = subprocess.run(
        ["sh", "-c", command, sys.executable, CLIENT],
        env=surroundings, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        sys.exit(done.stderr)
    import json

    return json.loads(done.stdout[done.stdout.index("{") :])


if __name__ == "__main__":
    main()
