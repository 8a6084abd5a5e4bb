"""The git filter and `nbtools clean` beside their peers and the floors, on corpora made here.

    python bench/git.py [small] [large] [hundred] [one] [clean] [memory] [fuzz]

Peers are measured where they are installed beside this Python: pip install --no-deps
nbstripout==0.9.1 nbstripout-fast. Tools take turns, so that a noisy machine is noisy for
all: trust the ratios. nbstripout takes a third of a second and more for each file, so it
gets one round, and of the 300 notebooks only PEER_FILES, scaled up.
"""

from __future__ import annotations

import base64
import json
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROUNDS = 7
PEER_FILES = 30
BIN = Path(sys.executable).parent
START = Path(__file__).parents[1] / "nbtools" / "git" / "start.py"
US = f'"{sys.executable}" -I -S "{START}"'
ECHO = """
import sys
sys.argv[1:] = ["process"]
from nbtools.git import filter as protocol
protocol.Cleaner.run = lambda self, command, path, data: data
protocol.main(["process"])
"""


def notebook(cells: int, size: int, seed: int) -> str:
    """A notebook of about `size` bytes: text, tables and pictures as outputs."""
    rng = random.Random(seed)
    made = []
    for number in range(cells):
        image = base64.b64encode(rng.randbytes(size * 3 // 4 // cells)).decode() + "\n"
        data = {"image/png": image, "text/plain": ["<Figure size 640x480 with 1 Axes>"]}
        lines = [f"epoch {n} loss {rng.random()}\n" for n in range(5)]
        outputs = [
            {"name": "stdout", "output_type": "stream", "text": lines},
            {"data": data, "metadata": {}, "output_type": "display_data"},
        ]
        made += [
            {"cell_type": "markdown", "id": f"m{number}", "metadata": {}, "source": ["# é\n", "x"]},
            {
                "cell_type": "code",
                "execution_count": number + 1,
                "id": f"c{number}",
                "metadata": {},
                "outputs": outputs,
                "source": ["import numpy as np\n", f"x = np.arange({number + seed})\n", "x.sum()"],
            },
        ]
    meta = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    whole = {"cells": made, "metadata": meta, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def corpus(folder: Path, files: int, cells: int, size: int) -> Path:
    folder.mkdir()
    for seed in range(files):
        (folder / f"n{seed}.ipynb").write_text(notebook(cells, size, seed), encoding="utf-8")
    return folder


def tools(folder: Path) -> dict[str, tuple[str, str] | None]:
    """Each filter: how git is told of it, and what it runs."""
    package = START.parents[2]
    (folder / "echo.py").write_text(
        "import sys\npackage = type(sys)('nbtools')\n"
        f"package.__path__ = [{str(package / 'nbtools')!r}]\n"
        f"sys.modules['nbtools'] = package\n{ECHO}"
    )
    found: dict[str, tuple[str, str] | None] = {
        "nbtools": ("process", f"{US} process"),
    }
    for peer in ("nbstripout-fast", "nbstripout"):
        if (BIN / peer).exists():
            found[peer] = ("clean", f'"{BIN / peer}"')
    # The floors come last: they make git write all that the others leave out.
    found["no filter"] = None
    found["pass-through process"] = ("process", f'"{sys.executable}" -I -S "{folder}/echo.py"')
    found["cat"] = ("clean", "cat")
    found["nothing, read"] = ("clean", "cat >/dev/null")
    return found


def repository(source: Path, target: Path, tool: tuple[str, str] | None, few: int = 0) -> Path:
    shutil.copytree(source, target)
    for extra in sorted(target.iterdir())[few:] if few else ():
        extra.unlink()
    subprocess.run(["git", "init", "-q"], cwd=target, check=True)
    if tool:
        (target / ".git/info/attributes").write_text("*.ipynb filter=bench\n")
        for key, value in ((tool[0], tool[1]), ("required", "true")):
            subprocess.run(["git", "config", f"filter.bench.{key}", value], cwd=target, check=True)
    return target


def seconds(command: list[str], cwd: Path) -> float:
    os.sync()  # what the tool before has written is not this one's burden
    begin = time.perf_counter()
    subprocess.run(command, cwd=cwd, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def add(repo: Path) -> float:
    (repo / ".git/index").unlink(missing_ok=True)
    for objects in (repo / ".git/objects").glob("??"):
        shutil.rmtree(objects)
    return seconds(["git", "add", "."], repo)


def touched(repo: Path) -> float:
    for path in repo.glob("*.ipynb"):
        os.utime(path)
    return seconds(["git", "status", "--short"], repo)


def rounds(name: str, repos: dict[str, Path], scale: dict[str, float], *what: str) -> None:
    verbs: dict[str, Callable[[Path], float]] = {"add": add, "status after touch": touched}
    times: dict[str, dict[str, list[float]]] = {verb: {} for verb in what}
    for turn in range(ROUNDS + 1):
        for tool, repo in repos.items():
            if tool == "nbstripout" and turn > 1:
                continue
            for verb in what:
                took = verbs[verb](repo) * scale.get(tool, 1)
                if turn or tool == "nbstripout":  # the first warms the file cache
                    times[verb].setdefault(tool, []).append(took)
    for verb in what:
        show(f"git {verb}, {name}", times[verb])


def show(title: str, times: dict[str, list[float]]) -> None:
    base = statistics.median(times["nbtools"])
    print(f"\n{title}\n{'':24}{'median ms':>10}{'min':>9}{'of nbtools':>12}")
    for tool, values in times.items():
        median = statistics.median(values)
        print(f"{tool:24}{median * 1e3:10.1f}{min(values) * 1e3:9.1f}{median / base:12.2f}")


def filters(folder: Path, name: str, files: int, cells: int, size: int, *what: str) -> None:
    source = corpus(folder / "corpus", files, cells, size)
    repos, scale = {}, {}
    for tool, told in tools(folder).items():
        few = PEER_FILES if tool == "nbstripout" and files > PEER_FILES else 0
        repos[tool] = repository(source, folder / tool.replace(" ", "-"), told, few)
        scale[tool] = files / few if few else 1
    rounds(name, repos, scale, *what)


def clean(folder: Path) -> None:
    """One command over 300 dirty files, in place."""
    source = corpus(folder / "corpus", 300, 10, 26_000)
    commands = {
        "nbtools": [str(BIN / "nbtools"), "clean"],
        "nbtools hook": [sys.executable, "-I", "-S", str(START), "hook", "clean"],
        "nbtools --help": [str(BIN / "nbtools"), "clean", "--help"],
        "cat": ["cat"],
    }
    for peer in ("nbstripout-fast", "nbstripout"):
        if (BIN / peer).exists():
            commands[peer] = [str(BIN / peer)]
    times: dict[str, list[float]] = {}
    for turn in range(ROUNDS + 1):
        for tool, command in commands.items():
            if tool == "nbstripout" and turn > 2:
                continue
            work = folder / "work"
            shutil.copytree(source, work)
            names = sorted(path.name for path in work.iterdir())
            begin = time.perf_counter()
            subprocess.run([*command, *names], cwd=work, stdout=subprocess.DEVNULL, check=False)
            took = time.perf_counter() - begin
            shutil.rmtree(work)
            if turn:
                times.setdefault(tool, []).append(took)
    show("one command, 300 dirty files", times)


def memory(folder: Path) -> None:
    """The filter's peak at 100 MB: git is fed through `clean`, so nothing of git's is counted."""
    path = corpus(folder / "corpus", 1, 40, 100_000_000) / "n0.ipynb"
    size = path.stat().st_size
    feed = folder / "feed"
    with feed.open("wb") as file:
        file.write(b"0016git-filter-client\n000eversion=2\n0000")
        file.write(b"0015capability=clean\n0000" + b"0012command=clean\n0015pathname=a.ipynb\n0000")
        data = path.read_bytes()
        for at in range(0, size, 65516):
            piece = data[at : at + 65516]
            file.write(b"%04x" % (len(piece) + 4) + piece)
        file.write(b"0000")
    del data
    print("\npeak memory at 100 MB, of the file's size")
    runs = {"nbtools": ([sys.executable, "-I", "-S", str(START), "process"], feed)}
    for peer in ("nbstripout-fast", "nbstripout"):
        if (BIN / peer).exists():
            runs[peer] = ([str(BIN / peer)], path)
    code = (
        "import resource, subprocess, sys; "
        "subprocess.run(sys.argv[2:], stdin=open(sys.argv[1], 'rb'), "
        "stdout=subprocess.PIPE); print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    unit = 1024 if sys.platform == "linux" else 1
    for tool, (command, given) in runs.items():
        said = subprocess.check_output([sys.executable, "-c", code, str(given), *command])
        print(f"{tool:24}{int(said) * unit / size:10.2f}  ({int(said) * unit / 1e6:.0f} MB)")


def fuzz(_: Path) -> None:
    """A hundred thousand mutated notebooks: the same bytes as nbformat, or the same refusal."""
    root = Path(__file__).parents[1]
    command = [sys.executable, "-m", "pytest", "-q", "-m", "nightly", "tests/git/test_strip.py"]
    print(f"\n100,000 mutated notebooks: {seconds(command, root):.0f} s")


JOBS: dict[str, Callable[[Path], None]] = {
    "small": lambda folder: filters(
        folder, "300 notebooks of 30 KB", 300, 10, 26_000, "add", "status after touch"
    ),
    "large": lambda folder: filters(folder, "30 notebooks of 5 MB", 30, 20, 5_000_000, "add"),
    "hundred": lambda folder: filters(folder, "one notebook of 100 MB", 1, 40, 100_000_000, "add"),
    "one": lambda folder: filters(folder, "one notebook of 30 KB", 1, 10, 26_000, "add"),
    "clean": clean,
    "memory": memory,
    "fuzz": fuzz,
}


def main() -> None:
    git = subprocess.check_output(["git", "--version"], text=True).strip()
    print(f"{ROUNDS} rounds, Python {platform.python_version()}, {git}, {os.cpu_count()} cores")
    for name in sys.argv[1:] or [job for job in JOBS if job != "fuzz"]:
        with tempfile.TemporaryDirectory() as folder:
            JOBS[name](Path(folder))


if __name__ == "__main__":
    main()
