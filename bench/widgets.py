"""What views cost in a real JupyterLab: a curve of 100,000 points, and 1,000 runs.

    python bench/widgets.py [POINTS] [RUNS]

A headless Chromium on this machine draws them; frames are those of `requestAnimationFrame`.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.widgets.lab import Lab, chromium, started

TRAIN = """import math, time, nbtools
nbtools.init("bench")
nbtools.start_run("curve")
view = nbtools.ui.run()
points, begin = {points}, time.process_time()
for step in range(points):
    nbtools.log_time_series_metrics({{"loss": math.exp(-step / points) + step % 7 / 50}}, step)
    if step % 100 == 0:
        time.sleep(0.01)
print("trained", round(time.process_time() - begin, 2))"""
RUNS = """import nbtools
nbtools.init("many")
for i in range({runs}):
    with nbtools.start_run(f"run-{{i:04}}"):
        nbtools.log_params({{"lr": (i + 1) / 1e4, "width": i % 5, "optimizer": "ab"[i % 2]}})
        for step in range(100):
            nbtools.log_time_series_metrics({{"loss": 1 / (step + 1 + i % 9)}}, step)
        nbtools.log_metrics({{"accuracy": (i * 37 % 1000) / 1000}})
"""
WATCH = """() => { window.gaps = []; let last = performance.now();
  const next = (now) => { window.gaps.push(now - last); last = now; requestAnimationFrame(next); };
  requestAnimationFrame(next); }"""


def grow(lab: Lab, points: int) -> None:
    page, received = lab.page, []

    def hear(frame: bytes | str) -> None:
        received.append(frame)

    page.on("websocket", lambda socket: socket.on("framereceived", hear))
    lab.open("curve.ipynb", TRAIN.format(points=points))
    lab.run_all(wait=False)
    page.wait_for_selector("[data-series=loss] canvas[data-points]")
    page.evaluate(WATCH)
    begin = time.perf_counter()
    page.wait_for_selector("text=/^trained/", timeout=300_000)
    page.wait_for_selector(f"[data-series=loss] figcaption >> text={points} points")
    seconds = time.perf_counter() - begin
    gaps = sorted(page.evaluate("window.gaps"))
    canvas = page.locator("[data-series=loss] canvas")
    drawn, took = (canvas.get_attribute(f"data-{name}") for name in ("draws", "took"))
    sizes = [len(frame) for frame in received if isinstance(frame, bytes) and b'"curves"' in frame]
    cpu = re.search(r"trained ([\d.]+)", page.inner_text(".jp-Notebook"))
    late = sum(gap > 50 for gap in gaps)
    print(f"{points} points in {seconds:.1f} s; CPU of the kernel {cpu and cpu[1]} s")
    print(f"  updates {len(sizes)}, bytes of the largest {max(sizes)}, of all {sum(sizes)}")
    print(f"  drawn {drawn} times, {took} ms the last; {len(gaps) / seconds:.0f} frames a second")
    print(f"  frame: median {gaps[len(gaps) // 2]:.1f} ms, 99 % {gaps[len(gaps) * 99 // 100]:.1f}, "
          f"longest {gaps[-1]:.0f}; over 50 ms: {late}")  # fmt: skip


def many(lab: Lab, folder: Path, runs: int) -> None:
    code = RUNS.format(runs=runs)
    subprocess.run([sys.executable, "-c", code], cwd=folder, env=lab.env, check=True)
    lab.open("many.ipynb", "import nbtools\nnbtools.ui", "view = nbtools.ui.compare('many')")
    page = lab.page
    lab.command("notebook:run-cell-and-select-next")
    for what in ("first", "again"):
        page.evaluate("document.querySelectorAll('.nbl').forEach((one) => one.remove())")
        begin = time.perf_counter()
        lab.run_all(wait=False)
        page.wait_for_selector("[data-row]")
        rows = time.perf_counter() - begin
        page.wait_for_selector(".nbl-drawn circle", state="attached")
        page.wait_for_selector("[data-series=loss] canvas[data-points]")
        whole = time.perf_counter() - begin
        print(
            f"compare with {runs} runs, {what}: table {rows:.2f} s, with all pictures {whole:.2f} s"
        )
        page.wait_for_function("window.jupyterapp.shell.currentWidget.sessionContext.session"
                               ".kernel.status === 'idle'")  # fmt: skip


def main() -> None:
    points = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 1_000
    with tempfile.TemporaryDirectory(prefix="nbt-") as name, chromium() as browser:
        folder = Path(name)
        with started(folder, browser) as lab:
            grow(lab, points)
            many(lab, folder, runs)


if __name__ == "__main__":
    main()
