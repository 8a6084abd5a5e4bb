"""Merging notebooks: our merge driver beside nbdime's, as git starts them.

Run `python bench/merge.py` where nbdime is installed. Drivers take turns, so that a noisy
machine is noisy for all. First the time of a whole `git merge` with one cell changed on each
side; then what random histories (those of the tests) lose.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.git.scratch import START, Scratch, cell, notebook  # noqa: E402

BIN = Path(sys.executable).parent
NBDIME = f'"{BIN / "git-nbmergedriver"}"'
DRIVERS = {
    "floor": f'"{sys.executable}" -I -S -c pass',
    "nbtools": f'"{sys.executable}" -I -S "{START}" merge %O %A %B %L %P',
    "nbdime": f"{NBDIME} merge %O %A %B %L %P",
}
#: name -> cells, lines a cell, characters of output a cell
SHAPES = {
    "20 cells, stripped": (20, 8, 0),
    "60 cells, with outputs": (60, 12, 4_000),
    "300 cells, stripped": (300, 12, 0),
    "60 cells, 5 MB of outputs": (60, 12, 85_000),
}


def made(shape: tuple[int, int, int], changed: dict[int, str]) -> bytes:
    count, lines, output = shape
    generator = random.Random(1)
    cells = []
    for i in range(count):
        source = [f"value_{i}_{j} = load('part {j}') + {i * j}" for j in range(lines)]
        if i in changed:
            source[lines // 2] = changed[i]
        text = generator.randbytes(output // 2).hex()
        rows = "\n".join(text[at : at + 80] for at in range(0, len(text), 80))
        cells.append(cell("\n".join(source), f"cell-{i}", outputs=[rows] if output else ()))
    return notebook(*cells)


def merged(repo: Scratch, driver: str) -> float:
    repo.git("reset", "-q", "--hard", "ours")
    repo.git("config", "merge.nbtools.driver", driver)
    begin = time.perf_counter()
    done = repo.run("merge", "-q", "-m", "m", "theirs")
    took = time.perf_counter() - begin
    assert done.returncode == 0, done.stderr.decode()
    return took


def times(rounds: int, folder: Path) -> None:
    print(f"{'git merge, median ms':28}" + "".join(f"{name:>10}" for name in DRIVERS) + "   ratio")
    for number, (name, shape) in enumerate(SHAPES.items()):
        repo = Scratch(folder / str(number))
        ours, theirs = made(shape, {1: "ours = 1"}), made(shape, {10: "theirs = 1"})
        repo.fork("n.ipynb", made(shape, {}), ours, theirs)
        repo.git("tag", "ours")
        took: dict[str, list[float]] = {driver: [] for driver in DRIVERS}
        for round_ in range(rounds + 1):
            for driver, command in DRIVERS.items():
                seconds = merged(repo, command)
                if round_:  # the first warms the file cache
                    took[driver].append(seconds)
        medians = {driver: statistics.median(values) for driver, values in took.items()}
        row = "".join(f"{medians[driver] * 1e3:10.0f}" for driver in DRIVERS)
        print(f"{name:28}{row}{medians['nbdime'] / medians['nbtools']:8.1f}")


def losses(histories: int, folder: Path) -> None:
    """What is lost or broken over random histories; drivers run as git runs them."""
    import nbformat

    from tests.git.test_merge_properties import Edits, lines

    counts = {name: dict.fromkeys(("conflicts", "lost", "invalid"), 0) for name in DRIVERS}
    del counts["floor"]
    used = 0
    for seed in range(10 * histories):
        edits = Edits(seed)
        sides = edits.bytes()
        if not edits.ids or edits.three[0] is None or len(set(sides)) < 3:
            continue
        used += 1
        known, mine, yours = map(lines, edits.three)
        for name, count in counts.items():
            for file, data in zip("oab", sides, strict=True):
                (folder / f"{file}.ipynb").write_bytes(data)
            command = DRIVERS[name].replace("%L", "7").replace("%P", "n.ipynb")
            for sign, file in zip("OAB", "oab", strict=True):
                command = command.replace(f"%{sign}", f"{file}.ipynb")
            done = subprocess.run(command, shell=True, cwd=folder, capture_output=True, check=False)
            count["conflicts"] += done.returncode != 0
            try:
                result = json.loads((folder / "a.ipynb").read_bytes())
                nbformat.validate(result)
            except (ValueError, nbformat.ValidationError):
                count["invalid"] += 1
                continue
            text = {line for c in result["cells"] for line in "".join(c["source"]).split("\n")}
            gone = (mine - text) - (known - yours) | (yours - text) - (known - mine)
            count["lost"] += bool(gone)
        if used == histories:
            break
    print(f"\n{used} random histories     conflicts  lines lost  not valid")
    for name, count in counts.items():
        print(f"{name:25}" + "".join(f"{count[key]:11}" for key in count))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--histories", type=int, default=60)
    arguments = parser.parse_args()
    version = importlib.metadata.version("nbdime")
    git = subprocess.run(["git", "--version"], capture_output=True, text=True, check=True)
    print(
        f"{arguments.rounds} rounds, Python {platform.python_version()}, nbdime {version}, "
        f"{git.stdout.strip()}, {os.cpu_count()} cores"
    )
    with tempfile.TemporaryDirectory() as folder:
        times(arguments.rounds, Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        losses(arguments.histories, Path(folder))


if __name__ == "__main__":
    main()
