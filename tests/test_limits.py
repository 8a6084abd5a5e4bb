"""What a task may take."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nbtools.executor import Task
from nbtools.limits import CpuTime, Limits, memory, size
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


BURN = "import time\nwhile time.process_time() < 0.5: pass\n"
WAIT = "print(1, flush=True); input()"


@pytest.fixture
def begin():
    """Begins Python, and waits until it says that it has done what it is to do."""
    begun = []

    def begin(code):
        process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        begun.append(process)
        process.stdout.readline()
        return process

    yield begin
    for process in begun:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    "code",
    [
        f"{BURN}{WAIT}",
        f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {BURN!r}])\n{WAIT}",
        f"import subprocess, sys\nc = subprocess.Popen([sys.executable, '-c', "
        f"{BURN + 'print(1, flush=True); time.sleep(600)'!r}], stdout=-1)\n"
        f"c.stdout.readline()\ntry:\n    {WAIT}\nfinally:\n    c.kill()",
    ],
    ids=["its own", "of a child that has ended", "of a child at work"],
)
def test_cpu_time_is_what_all_of_them_have_used(begin, code):
    process = begin(code)
    assert CpuTime(process.pid, 1.0).seconds(0.0) >= 0.4
    process.communicate(b"\n")


def test_cpu_time_of_what_outlives_its_parent_is_not_lost(begin):
    burning = f"{BURN}print(2, flush=True); time.sleep(600)"
    outer = (
        f"import subprocess, sys\ninner = subprocess.Popen([sys.executable, '-c', {burning!r}])\n"
        "inner.wait()"
    )
    first = begin(
        f"import subprocess, sys\nmiddle = subprocess.Popen([sys.executable, '-c', {outer!r}])\n"
        "try:\n    input()\nfinally:\n    print(middle.pid, flush=True); input()"
    )
    cpu = CpuTime(first.pid, 60.0)
    assert cpu.seconds(0.0) >= 0.4
    known = sorted(set(cpu._known) - {first.pid})
    for pid in known:  # the middle one first: the other is then nobody's
        os.kill(pid, 9)
    assert cpu.seconds(2.0) >= 0.4
    assert cpu.seconds(4.0) >= 0.4


def test_sleeping_is_no_cpu_time(limits, begin):
    process = begin("import time; print(1, flush=True); time.sleep(600)")
    checks = limits(cpu_time=30.0)
    assert checks.due(1e6, process.pid, "") is None
    assert CpuTime(process.pid, 30.0).seconds(0.0) < 30.0


def test_cpu_time_is_looked_at_seldom_while_it_is_far_from_its_limit(begin):
    cpu = CpuTime(begin(f"{BURN}{WAIT}").pid, 1e6)
    first = cpu.seconds(100.0)
    cpu._known.clear()
    assert cpu.seconds(100.9) == first
    assert cpu.seconds(101.0) >= first, "what is gone was used all the same"


def test_cpu_time_beyond_its_limit_says_both(limits, begin):
    due = limits(cpu_time=0.1).due(0.0, begin(f"{BURN}{WAIT}").pid, "in cell 1 of 2")
    assert due.state is JobState.FAILED
    assert str(due).startswith("stopped in cell 1 of 2: it used 0.")
    assert str(due).endswith(" s of CPU, more than the 0.1 s that --cpu-time allows")


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 << 20, "3 MiB"), (5 << 40, "5120 GiB")],
)
def test_sizes_for_people(number, text):
    assert size(number) == text


def test_a_task_reads_as_it_was_written(tmp_path):
    task = Task(
        job="j", folder=tmp_path, stem="s", kernel="k", cwd=Path("/"), store=tmp_path,
        preload=("numpy", "torch"), memory=5, cpu_time=2.5, secrets=("A", "B"), checkpoint="cells",
    )  # fmt: skip
    assert Task.loads(task.dumps()) == task
