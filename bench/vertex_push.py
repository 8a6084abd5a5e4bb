"""What it takes to bring runs to Vertex AI: our mirror and push, and the SDK logging the same.

An emulator of another store stands for Vertex AI; a proxy in front of it makes the way longer.

python bench/vertex_push.py [--points 10000] [--runs 50]
"""

import argparse
import asyncio
import importlib.metadata
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

BIN = Path(sys.executable).parent
TO = "vertex://far/us-central1"

#: one step of a training loop: five metrics. Prints the milliseconds of each.
LOOP = f"""
import json, sys, time
who, steps = sys.argv[1], int(sys.argv[2])
if who == "sdk":
    import logging
    logging.disable(logging.INFO)
    from google.cloud import aiplatform
    aiplatform.init(project="far", experiment=f"loop-{{sys.argv[3]}}")
    aiplatform.start_run("one")
    log, end = aiplatform.log_time_series_metrics, aiplatform.end_run
else:
    import nbtools
    options = {{"vertex": {{"to": "{TO}"}}}}
    nbtools.init(f"ours-{{sys.argv[3]}}", mirrors=["vertex"], mirror_options=options)
    run = nbtools.start_run("one")
    log, end = run.log_time_series_metrics, run.end
log({{f"m{{i}}": 0.0 for i in range(5)}}, step=0)
times = []
for step in range(1, steps + 1):
    metrics = {{f"m{{i}}": step / 7 for i in range(5)}}
    begin = time.perf_counter()
    log(metrics, step=step)
    times.append((time.perf_counter() - begin) * 1000)
    if who != "sdk":
        time.sleep(0.001)  # what a step of training does, so that it is at work meanwhile
end()
json.dump(times, sys.stdout)
"""

SERIES = """
import sys, nbtools
nbtools.init("long", mirrors=[])
with nbtools.start_run("one") as run:
    for step in range(int(sys.argv[1])):
        run.log_time_series_metrics({f"m{i}": step / 7 for i in range(20)}, step=step)
"""

SDK_SERIES = """
import json, logging, sys, time
logging.disable(logging.INFO)
from google.cloud import aiplatform
aiplatform.init(project="far", experiment="sdk-long")
aiplatform.start_run("one")
metrics = {f"m{i}": 0.5 for i in range(20)}
aiplatform.log_time_series_metrics(metrics, step=0)
begin = time.perf_counter()
for step in range(1, 101):
    aiplatform.log_time_series_metrics(metrics, step=step)
print(100 * 20 / (time.perf_counter() - begin))
"""

RUN = """
for number in range(int(sys.argv[1])):
    lib.start_run(f"r{number}")
    lib.log_params({f"p{i}": i / 7 for i in range(5)})
    lib.log_metrics({f"a{i}": i / 7 for i in range(5)})
    for step in range(10):
        lib.log_time_series_metrics({f"m{i}": step / 7 for i in range(5)}, step=step)
    lib.end_run()
"""

RUNS = f"import sys, nbtools as lib\nlib.init('many', mirrors=[])\n{RUN}"

SDK_RUNS = f"""
import logging, sys, time
logging.disable(logging.INFO)
from google.cloud import aiplatform as lib
lib.init(project="far", experiment="sdk-many")
begin = time.perf_counter()
{RUN}
print(int(sys.argv[1]) / (time.perf_counter() - begin))
"""


class Longer:
    """A way to a port on which what is sent arrives later."""

    def __init__(self, port, seconds):
        self.target, self.seconds, self.port = port, seconds, 0
        ready = threading.Event()
        threading.Thread(target=lambda: asyncio.run(self.serve(ready)), daemon=True).start()
        ready.wait()

    async def serve(self, ready):
        server = await asyncio.start_server(self.connect, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await server.serve_forever()

    async def connect(self, reader, writer):
        there, back = await asyncio.open_connection("127.0.0.1", self.target)
        own, theirs = b":%d\r\n" % self.port, b":%d\r\n" % self.target
        loop = asyncio.get_running_loop()

        async def there_and():
            while data := await reader.read(1 << 20):
                loop.call_later(self.seconds, back.write, data.replace(own, theirs, 1))
            loop.call_later(self.seconds, back.close)

        async def and_back():
            while data := await there.read(1 << 20):
                writer.write(data)
            writer.close()

        await asyncio.gather(there_and(), and_back())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--points", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=50)
    asked = parser.parse_args()
    sdk = importlib.metadata.version("google-cloud-aiplatform")
    with tempfile.TemporaryDirectory() as folder:
        far = {**os.environ, "NBTOOLS_STORE": f"{folder}/far"}
        command = [BIN / "nbtools", "emulator", "start", "--project", "far"]
        subprocess.run(command, env=far, check=True, capture_output=True)
        try:
            ask = f'eval "$({BIN}/nbtools emulator env)" && env -0'
            said = subprocess.run(["sh", "-c", ask], env=far, check=True, capture_output=True)
            env = dict(v.split("=", 1) for v in said.stdout.decode().split("\0") if v)
            env["NBTOOLS_STORE"] = f"{folder}/near"
            print(f"{time.strftime('%d %B %Y')}, google-cloud-aiplatform {sdk}, ", end="")
            print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
            loops(env)
            amounts(env, asked)
        finally:
            command = [BIN / "nbtools", "emulator", "stop"]
            subprocess.run(command, env=far, check=True, capture_output=True)


def loops(env):
    print("a step of five metrics, ms        median      p90")
    port = int(env["NBTOOLS_VERTEX"].rpartition(":")[2])
    for latency in (0, 20, 100):
        way = {**env, "NBTOOLS_VERTEX": f"http://127.0.0.1:{Longer(port, latency / 1000).port}"}
        for who, steps in (("nbtools, mirrored", 3000), ("sdk", 40)):
            words = [who.partition(",")[0], str(steps), str(latency)]
            times = sorted(json.loads(python(LOOP, way, *words)))
            name = f"{who}, {latency} ms away"
            print(f"{name:<30}{statistics.median(times):10.3f}{times[len(times) * 9 // 10]:9.3f}")


def amounts(env, asked):
    python(SERIES, env, str(asked.points))
    seconds = timed(env, "--experiment", "long")
    ours, theirs = asked.points * 20 / seconds, float(python(SDK_SERIES, env))
    shown = "{:<18} nbtools push {:>10,.1f}   SDK {:>8,.1f}   {:.1f} x"
    print(f"\n{asked.points:,} points of each of 20 series: pushed in {seconds:.1f} s")
    print(shown.format("points a second", ours, theirs, ours / theirs))
    python(RUNS, env, str(asked.runs))
    seconds = timed(env, "--experiment", "many")
    ours, theirs = asked.runs / seconds, float(python(SDK_RUNS, env, str(asked.runs // 3)))
    print(shown.format("runs a second", ours, theirs, ours / theirs))
    print(f"the same again: {timed(env, '--experiment', 'many'):.1f} s, nothing to send")


def python(code, env, *words):
    done = subprocess.run(
        [sys.executable, "-c", code, *words], env=env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout


def timed(env, *words):
    begin = time.perf_counter()
    subprocess.run([BIN / "nbtools", "push", "--to", TO, *words], env=env, check=True,
                   capture_output=True)  # fmt: skip
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
