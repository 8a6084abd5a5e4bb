"""What a task may take."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nbtools.executor import Task
from nbtools.limits import Limits, memory, size
from nbtools.states import JobState


@pytest.fixture
def limits(tmp_path):
    def make(**values):
        task = Task(
            job="j", folder=tmp_path, stem="s", kernel="k", cwd=tmp_path, store=tmp_path, **values
        )
        return Limits(task, tmp_path / "stop")

    return make


def test_without_limits_nothing_is_due(limits):
    assert limits().due(1e9, os.getpid(), "in cell 1 of 2") is None


def test_each_limit_names_itself_and_the_place(limits):
    due = limits(cell_timeout=5.0).due(5.1, 0, "in cell 1 of 2")
    assert due.state is JobState.FAILED
    assert str(due) == (
        "timed out in cell 1 of 2: it took longer than the 5 s that --cell-timeout allows"
    )
    assert limits(cell_timeout=5.0).due(4.9, 0, "") is None
    assert "--timeout allows" in str(limits(timeout=1e-9).due(0.0, 0, "before its first cell"))
    assert "the 1 KiB that --memory allows" in str(limits(memory=1024).due(0.0, os.getpid(), ""))


def test_being_asked_to_stop_goes_first(limits, tmp_path):
    (tmp_path / "stop").touch()
    due = limits(timeout=1e-9).due(0.0, 0, "in cell 3 of 4")
    assert (due.state, str(due)) == (JobState.CANCELLED, "cancelled in cell 3 of 4")


def test_memory_counts_what_was_started_too():
    code = "x = bytearray(50_000_000); print(1, flush=True); input()"
    alone = memory(os.getpid())
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        child.stdout.readline()
        assert memory(os.getpid()) - alone > 45_000_000
    finally:
        child.communicate(b"\n")
    assert memory(child.pid) == 0


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 << 20, "3 MiB"), (5 << 40, "5120 GiB")],
)
def test_sizes_for_people(number, text):
    assert size(number) == text


def test_a_task_reads_as_it_was_written(tmp_path):
    task = Task(
        job="j", folder=tmp_path, stem="s", kernel="k", cwd=Path("/"), store=tmp_path,
        preload=("numpy", "torch"), memory=5, checkpoint="cells",
    )  # fmt: skip
    assert Task.loads(task.dumps()) == task
