"""Whatever is killed, and whenever: what was finished stays finished, and the end is told."""

import json
import os
import random
import signal
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import nbformat
import psutil
import pytest
from papermill.iorw import load_notebook_node

from nbtools.executor import Task
from nbtools.executors.local import LocalExecutor
from nbtools.kernels.zygotes import Zygotes
from nbtools.secrets import Secrets
from nbtools.settings import Settings
from nbtools.states import JobState
from nbtools.transcript import Reader

pytestmark = pytest.mark.slow
CELLS = 12
CELL = "import os, time\nprint('cell', {}, os.getpid(), flush=True)\ntime.sleep(0.02)\n{}"


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.005)
    return found


def gone(pid):
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


class Round:
    """One job, and what is known of it."""

    def __init__(self, executor, folder):
        self.executor = executor
        folder.mkdir(parents=True)
        cells = [nbformat.v4.new_code_cell(CELL.format(i, i)) for i in range(CELLS)]
        nb = nbformat.v4.new_notebook(cells=cells)
        nb.metadata["kernelspec"] = {"name": "python3", "display_name": "python3"}
        self.task = Task(
            job=folder.name, folder=folder, stem="work", kernel="python3", cwd=folder,
            store=folder / "store",
        )  # fmt: skip
        nbformat.write(load_notebook_node(nb), self.task.prepared)
        self.handle = executor.start(self.task, Secrets())

    @property
    def runner(self):
        with suppress(ValueError):  # just being written
            return json.loads((self.task.folder / "lock").read_text()).get("pid")
        return None

    def events(self):
        return list(Reader(self.task.transcript).more())

    def finished(self):
        return {e["cell"] for e in self.events() if "end" in e}

    def kernel(self):
        """Its pid, when the first cell has printed it."""
        said = [e["content"]["text"] for e in self.events() if e.get("say") == "stream"]
        return int(said[0].split()[2]) if said else 0

    def look(self):
        return self.executor.poll(self.handle, datetime.now(UTC))

    def end(self):
        return until(lambda: (seen := self.look()).state.final and seen)

    def notebook(self):
        path = self.task.executed if self.task.executed.exists() else self.task.partial
        if not path.exists():
            return None
        nb = nbformat.read(path, 4)
        nbformat.validate(nb)
        return nb


def assert_kept(nb, finished):
    """The cells that had finished are as they were, and none that never ran is called done."""
    cells = [c for c in nb.cells if c.cell_type == "code"]
    assert len(cells) == CELLS
    for number, cell in enumerate(cells):
        status = cell.metadata.papermill.status
        if number in finished:
            assert status == "completed", (number, status)
        if status == "completed":
            text, result = cell.outputs
            assert text.text.startswith(f"cell {number} ")
            assert result.data["text/plain"] == str(number)
        if status == "pending":
            assert cell.outputs == []
    states = [c.metadata.papermill.status for c in cells]
    assert states == sorted(states, key=["completed", "failed", "pending"].index)
    assert states.count("failed") <= 1


@pytest.fixture
def executor():
    made = LocalExecutor()
    yield made
    del made


def whom(victim, job):
    """The processes to kill; none when they are not there yet."""
    if victim == "kernel":
        return [pid] if (pid := job.kernel()) else []
    if victim == "runner":
        return [pid] if (pid := job.runner) else []
    return [standing.pid for standing in Zygotes(Settings.load().runtime).list()]


def victims(victim, job, chance):
    """The processes to kill, at the moment to do it: in or after a cell, or before the first."""
    after = chance.randrange(-1, CELLS)
    if after < 0:
        time.sleep(chance.random() * 0.1)
        return whom(victim, job)
    until(lambda: after in job.finished() or job.look().state.final)
    time.sleep(chance.random() * 0.03)
    return until(lambda: whom(victim, job))


@pytest.mark.parametrize(("victim", "rounds"), [("kernel", 7), ("runner", 8), ("zygotes", 5)])
def test_what_was_finished_stays_finished(victim, rounds, executor, tmp_path):
    chance = random.Random(victim)
    ends, kernels, runners = [], set(), set()
    for number in range(rounds):
        job = Round(executor, tmp_path / "jobs" / f"{victim}-{number}")
        pids = victims(victim, job, chance)
        kernels |= {job.kernel()} - {0}
        runners |= {job.runner} - {None}
        finished = job.finished()
        for pid in pids:
            kill(pid)
        seen = job.end()
        ends.append(seen.state)
        assert seen.end_time
        node = job.notebook()
        assert node is not None or not finished
        if node is not None:
            assert_kept(node, finished)
        if seen.state is JobState.SUCCEEDED:
            assert job.task.executed.exists()
            assert not job.task.partial.exists()
        else:
            assert seen.state is JobState.FAILED
            assert pids, seen
            words = {"kernel": "was killed by SIGKILL", "runner": "its process died"}
            assert words.get(victim, "never") in seen.error
        if job.task.transcript.exists():
            kernels |= {job.kernel()} - {0}
    if victim == "zygotes":
        assert set(ends) == {JobState.SUCCEEDED}, "who runs already needs no zygote"
    else:
        assert JobState.FAILED in ends
    after = Round(executor, tmp_path / "jobs" / "after")
    assert after.end().state is JobState.SUCCEEDED
    assert_kept(after.notebook(), set(range(CELLS)))
    until(lambda: all(map(gone, kernels)))
    if victim == "runner":
        until(lambda: all(map(gone, runners)))
    until(lambda: not list(Path(Settings.load().runtime).glob("k-*")))
