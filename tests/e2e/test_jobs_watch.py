"""A monitor of jobs: on a terminal, as lines, and for machines."""

import fcntl
import json
import os
import pty
import signal
import subprocess
import sys
import termios
import threading
from pathlib import Path

import pytest

import nbtools
from nbtools import removal
from nbtools.jobs import Jobs
from nbtools.monitor import Monitor
from nbtools.nouns import Execution
from nbtools.states import JobState

pytestmark = pytest.mark.slow
NBTOOLS = Path(sys.executable).with_name("nbtools")
WAITS = (
    "import pathlib, time\nprint('waiting \\x1b[31m')\n"
    "while not pathlib.Path(gate).exists(): time.sleep(0.02)"
)


class Watching:
    """`nbtools jobs watch`, and the lines that it has printed."""

    def __init__(self, folder, *args):
        command = [NBTOOLS, "jobs", "watch", *args]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, cwd=folder, stdout=pipe, stderr=pipe, text=True)
        self.lines = []

    def until(self, fits):
        for line in self.process.stdout:
            self.lines.append(line)
            if fits(line):
                return line
        raise AssertionError("".join(self.lines) + self.process.stderr.read())

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=30)
        return self.process.returncode


@pytest.fixture
def notebook(store_folder, make_notebook):
    return make_notebook("work.ipynb", WAITS, "print('through')", parameters="gate = ''")


def test_jobs_come_and_go_while_it_streams(notebook, tmp_path):
    nbtools.run(notebook, {"gate": str(tmp_path)})  # one that has ended before is not told of
    watching = Watching(tmp_path, "--json")
    gates = [tmp_path / "one", tmp_path / "two"]
    try:
        first = nbtools.submit(notebook, {"gate": str(gates[0])})
        seen = json.loads(watching.until(lambda line: "waiting" in line))
        assert (seen["job"], seen["state"], seen["cell"], seen["cells"]) == (
            first.name, "RUNNING", 3, 4,
        )  # fmt: skip
        second = nbtools.submit(notebook, {"gate": str(gates[1])})
        watching.until(lambda line: second.name in line and "waiting" in line)
        gates[0].touch()
        ended = json.loads(watching.until(lambda line: "SUCCEEDED" in line))
        assert ended["job"] == first.name
        assert ended["text"] == "through"
        assert ended["end_time"]
        second.cancel()
        watching.until(lambda line: second.name in line and "CANCELLED" in line)
        assert all(json.loads(line)["job"] in (first.name, second.name) for line in watching.lines)
    finally:
        assert watching.interrupt() == 130


def test_lines_where_there_is_no_terminal(notebook, tmp_path):
    gate = tmp_path / "gate"
    job = nbtools.submit(notebook, {"gate": str(gate)})
    watching = Watching(tmp_path, job.name)
    line = watching.until(lambda line: "waiting" in line)
    assert f"RUNNING  {job.name}  cell 3/4" in line
    assert "\x1b" not in line
    assert "\\x1b[31m" in line
    gate.touch()
    watching.until(lambda line: "SUCCEEDED" in line)
    assert watching.process.wait(30) == 0  # it was the only one asked for


def test_the_exit_code_says_that_a_named_job_failed(store_folder, make_notebook, call):
    job = nbtools.submit(make_notebook("bad.ipynb", "1 / 0"))
    done = call("jobs", "watch", job.name)
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stdout
    assert call("jobs", "watch", "nope").returncode == 2


def test_a_table_on_a_terminal_that_ctrl_c_leaves_in_order(notebook, tmp_path):
    gate = tmp_path / "gate"
    job = nbtools.submit(notebook, {"gate": str(gate)})
    master, terminal = pty.openpty()
    process = subprocess.Popen(
        [NBTOOLS, "jobs", "watch"],
        cwd=tmp_path,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120", "LINES": "30"},
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # its Ctrl-C is meant for us
    )
    os.close(terminal)
    said = b""
    try:
        while b"waiting" not in said or b"3/4" not in said:
            said += os.read(master, 65536)
        os.write(master, b"\x03")
        assert process.wait(30) == 130
    finally:
        gate.touch()
        process.kill()
    while chunk := _rest(master):
        said += chunk
    assert job.name.encode() in said
    assert b"1 at work" in said
    assert b"waiting \\x1b[31m" in said  # what a notebook prints cannot colour our terminal
    assert said.rindex(b"\x1b[?25h") > said.rindex(b"\x1b[?25l")  # the cursor is back
    assert b"Traceback" not in said


def _rest(fd):
    try:
        return os.read(fd, 65536)
    except OSError:  # the terminal's other end is closed
        return b""


def test_a_job_that_is_removed_meanwhile_is_seen_no_more(notebook, tmp_path, store_folder):
    gate = tmp_path / "gate"
    job = nbtools.submit(notebook, {"gate": str(gate)})
    jobs = Jobs.open()
    monitor = Monitor(jobs)
    assert [s.job.name for s in monitor.look()] == [job.name]
    gate.touch()
    job.wait()
    (sight,) = monitor.look()
    assert sight.job.state is JobState.SUCCEEDED
    other = Monitor(jobs, [job.name])
    removal.remove(jobs.store, Execution, job.name)
    assert other.look() == []
    assert next(iter(other.changes()), None) is None  # nothing left to wait for


def test_looking_from_several_places_at_once_changes_nothing(notebook, tmp_path):
    gate = tmp_path / "gate"
    job = nbtools.submit(notebook, {"gate": str(gate)})
    ends = []

    def work():
        ends.append([s[-1].job.state for s in Monitor(Jobs.open(), [job.name]).changes()][-1])

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    gate.touch()
    for thread in threads:
        thread.join()
    assert ends == [JobState.SUCCEEDED] * 3
