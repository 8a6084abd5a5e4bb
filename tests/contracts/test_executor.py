import json
import os
import re
import signal
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import nbformat
import pytest
from papermill.iorw import load_notebook_node

from nbtools import transcript
from nbtools.errors import AlreadyExists, RequestError
from nbtools.executor import Task, refuse
from nbtools.executors.local import LocalExecutor
from nbtools.machine import Machine
from nbtools.secrets import Secrets
from nbtools.states import JobState

STUBBORN = """
import time
print("begun", flush=True)
while True:
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        print("no", flush=True)
"""


#: code in C that hears of no signal.
DEAF = "sum(range(10**13))"
#: begins a process in a session of its own, one that has lost its parent besides, and a child.
SESSION = """
import subprocess
print(subprocess.Popen(["sleep", "600"], start_new_session=True).pid)
print(subprocess.run(["sh", "-c", "setsid sleep 600 >&2 & echo $!"], stdout=-1).stdout.decode())
print(subprocess.Popen(["sleep", "600"]).pid, flush=True)
"""

BURNS = """
import subprocess, sys
while True:
    burn = "import time\\nwhile time.process_time() < 0.3: pass"
    subprocess.run([sys.executable, "-c", burn])
"""


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.05)
    return found


def statuses(path):
    """What papermill's record says of each code cell."""
    cells = nbformat.read(path, as_version=4).cells
    return [c.metadata.papermill.status for c in cells if c.cell_type == "code"]


class ExecutorContract:
    """What every executor keeps to; an implementation inherits and says `make_executor`.

    What one has no equivalent of it declares, and refuses; that is then what is tested.
    """

    def make_executor(self):
        raise NotImplementedError

    def identify(self, nb):
        """Say in the notebook whose it is, for an executor that others have a hand in."""

    @pytest.fixture
    def executor(self):
        return self.make_executor()

    @pytest.fixture
    def make_task(self, tmp_path):
        def make(*cells, **values):
            folder = tmp_path / "jobs" / "work-1"
            folder.mkdir(parents=True)
            nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
            nb.metadata["kernelspec"] = {"name": "python3", "display_name": "python3"}
            task = Task(
                job="work-1",
                folder=folder,
                stem="work",
                kernel="python3",
                cwd=tmp_path,
                store=tmp_path / "store",
                **values,
            )
            self.identify(nb)
            nbformat.write(load_notebook_node(nb), task.prepared)  # as `prepare` does
            return task

        return make

    @pytest.fixture
    def begin(self, executor, make_task):
        begun = []

        def begin(*cells, secrets=None, **values):
            secrets = Secrets(secrets)
            task = make_task(*cells, secrets=tuple(secrets), **values)
            handle = executor.start(task, secrets)
            begun.append(handle)
            return task, handle

        yield begin
        for handle in begun:  # nothing outlives its test
            if not executor.poll(handle, datetime.now(UTC)).state.final:
                executor.stop(handle)
                self.end(executor, handle)

    def look(self, executor, handle):
        return executor.poll(handle, datetime.now(UTC))

    def end(self, executor, handle):
        return until(lambda: (s := self.look(executor, handle)).state.final and s)

    def in_cell(self, executor, handle, cell, text=""):
        def there():
            seen = self.look(executor, handle)
            assert not seen.state.final, seen
            if "progress" in executor.differs:
                return seen.state is JobState.RUNNING
            return seen.cell == cell and seen.text.startswith(text)

        until(there)

    def lacks(self, executor, make_task, **asked):
        """Whether it has no such thing; then it says so to whoever asks for it."""
        (name,) = asked
        if name not in executor.lacks:
            return False
        cwd = asked.pop("cwd", "")
        with pytest.raises(RequestError) as refused:
            refuse("this", executor, make_task("1", **asked), cwd)
        assert str(refused.value) == executor.lacks[name]
        return True

    def test_what_is_left_open_is_not_refused(self, executor, make_task):
        refuse("this", executor, make_task("1"))

    def test_a_machine_that_it_cannot_give_is_refused(self, executor, make_task):
        task = make_task("1")
        whole = Machine(
            type="x", gpu="x", disk=1, network="x", subnet="x", service_account="x",
            execution_user="x", runtime_template="x",
        )  # fmt: skip
        refuse("this", executor, replace(task, machine=whole.only(executor.takes)))
        if left := set(whole.asked) - executor.takes:
            with pytest.raises(RequestError) as refused:
                refuse("this", executor, replace(task, machine=whole))
            assert len(str(refused.value).splitlines()) == len(left)

    def test_check_takes_a_kernel_that_is_there(self, executor):
        assert executor.check("python3") == "python3"
        assert executor.check("")

    def test_check_refuses_an_unknown_kernel_and_names_what_there_is(self, executor):
        if "kernels" in executor.differs:
            assert executor.check("julia-0") == "julia-0"
            return
        with pytest.raises(RequestError, match="no kernel 'julia-0'.*python3"):
            executor.check("julia-0")

    def test_success(self, executor, begin):
        task, handle = begin("x = 20", "print(x + 1)", "x + 22")
        seen = self.end(executor, handle)
        assert (seen.state, seen.error) == (JobState.SUCCEEDED, "")
        assert (seen.cell, seen.cells, seen.text) == (3, 3, "21")
        assert seen.start_time <= seen.end_time
        cells = nbformat.read(task.executed, as_version=4).cells
        assert cells[1].outputs[0].text == "21\n"
        assert cells[2].outputs[0].data["text/plain"] == "42"
        assert statuses(task.executed) == ["completed"] * 3
        assert not task.partial.exists()
        assert task.report.exists()
        assert self.look(executor, handle) == seen

    def test_the_kernel_runs_where_the_task_says(self, executor, begin, make_task, tmp_path):
        if self.lacks(executor, make_task, cwd="."):
            return
        task, handle = begin("import os", "print(os.getcwd(), os.environ['NBTOOLS_STORE'])")
        assert self.end(executor, handle).text == f"{tmp_path} {task.store}"

    def test_the_executed_notebook_is_delivered(self, executor, begin, tmp_path):
        task, handle = begin("1 + 1", output=str(tmp_path / "out.ipynb"))
        assert self.end(executor, handle).state is JobState.SUCCEEDED
        assert (tmp_path / "out.ipynb").read_text() == task.executed.read_text()

    def test_a_failing_cell(self, executor, begin):
        task, handle = begin("x = 1", "raise ValueError('boom')", "x = 2")
        seen = self.end(executor, handle)
        assert seen.state is JobState.FAILED
        assert seen.error == "cell 2 of 3 (In [2]): ValueError: boom"
        assert (seen.cell, seen.cells) == (2, 3)
        assert not task.executed.exists()
        assert statuses(task.partial) == ["completed", "failed", "pending"]
        assert "ValueError: boom" in task.partial.read_text()

    def test_starting_twice_is_refused(self, executor, begin):
        task, handle = begin("import time", "time.sleep(600)")
        with pytest.raises(AlreadyExists, match="work-1 was started before"):
            executor.start(task, Secrets())
        executor.stop(handle)
        self.end(executor, handle)
        with pytest.raises(AlreadyExists, match="work-1 was started before"):
            executor.start(task, Secrets())

    def test_what_was_started_is_found_by_its_folder(self, executor, make_task, tmp_path):
        task = make_task("1")
        assert executor.begun(task.folder) == ""
        assert executor.begun(tmp_path / "no-such") == ""
        handle = executor.start(task, Secrets())
        until(lambda: executor.begun(task.folder) == handle)
        self.end(executor, handle)
        assert executor.begun(task.folder) == handle

    def test_stop(self, executor, begin):
        task, handle = begin("print('done')", "import time\ntime.sleep(600)", "x = 1")
        self.in_cell(executor, handle, 2)
        executor.stop(handle)
        executor.stop(handle)
        seen = self.end(executor, handle)
        if "partial" in executor.differs:
            assert (seen.state, seen.error) == (JobState.CANCELLED, "cancelled")
            assert not task.executed.exists()
            assert not task.partial.exists()
            return
        assert (seen.state, seen.error) == (JobState.CANCELLED, "cancelled in cell 2 of 3")
        assert not task.executed.exists()
        assert statuses(task.partial) == ["completed", "failed", "pending"]
        assert "done" in task.partial.read_text()

    def test_stop_after_the_end_changes_nothing(self, executor, begin):
        _, handle = begin("1")
        seen = self.end(executor, handle)
        executor.stop(handle)
        assert self.look(executor, handle) == seen

    def test_a_cell_that_swallows_the_interrupt_is_killed(self, executor, begin):
        task, handle = begin(STUBBORN, "x = 1")
        self.in_cell(executor, handle, 1, "begun")
        executor.stop(handle)
        seen = self.end(executor, handle)
        assert seen.state is JobState.CANCELLED
        assert not task.executed.exists()
        if "partial" not in executor.differs:
            assert seen.error == "cancelled in cell 1 of 2"
            assert statuses(task.partial) == ["failed", "pending"]

    def test_a_last_cell_that_swallows_the_interrupt_is_not_called_complete(self, executor, begin):
        cell = "import time\ntry:\n    time.sleep(600)\nexcept KeyboardInterrupt:\n    pass"
        task, handle = begin("x = 1", cell)
        self.in_cell(executor, handle, 2)
        executor.stop(handle)
        assert self.end(executor, handle).state is JobState.CANCELLED
        assert not task.executed.exists()

    def test_memory_beyond_the_limit_ends_the_task(self, executor, begin, make_task):
        if self.lacks(executor, make_task, memory=1):
            return
        cell = "import time\nx = bytearray(300_000_000)\ntime.sleep(600)"
        _, handle = begin("x = 1", cell, memory=200_000_000)
        seen = self.end(executor, handle)
        assert seen.state is JobState.FAILED
        assert seen.error.startswith("stopped in cell 2 of 2: it used ")
        assert "more than the 190.7 MiB that --memory allows" in seen.error

    def test_threads_are_what_the_task_says(self, executor, begin, make_task):
        if self.lacks(executor, make_task, threads=3):
            return
        _, handle = begin("import os\nprint(os.environ['OMP_NUM_THREADS'])", threads=3)
        assert self.end(executor, handle).text == "3"

    def test_secrets_reach_the_kernel_and_nothing_that_is_kept(
        self, executor, begin, make_task, tmp_path
    ):
        if self.lacks(executor, make_task, secrets=("TOKEN",)):
            return
        value = f"contract-{os.urandom(8).hex()}"
        cells = [
            "import os, time\nvalue = os.environ['TOKEN']\nprint(value)\nvalue",
            "print(value[:12], end='', flush=True); time.sleep(0.3); print(value[12:])",
            "_ = os.system('echo $TOKEN; echo $TOKEN >&2')",
            "print(len(value))",
            "raise ValueError(value)",
        ]
        task, handle = begin(*cells, secrets={"TOKEN": value})
        seen = self.end(executor, handle)
        assert seen.error == "cell 5 of 5 (In [5]): ValueError: ***"
        assert seen.text == str(len(value))
        cells = nbformat.read(task.partial, as_version=4).cells
        shown = [c.outputs for c in cells if c.cell_type == "code"]
        assert [o[0].text for o in shown[:2]] == ["***\n"] * 2
        kept = [p for p in tmp_path.rglob("*") if p.is_file()]
        assert len(kept) >= 6
        assert [p for p in kept if value.encode() in p.read_bytes()] == []

    @pytest.mark.parametrize("cell", ["while True: pass", BURNS], ids=["kernel", "child"])
    def test_cpu_time_beyond_the_limit_ends_the_task(self, executor, begin, make_task, cell):
        if self.lacks(executor, make_task, cpu_time=3.0):
            return
        task, handle = begin("x = 1", cell, cpu_time=3.0)
        seen = self.end(executor, handle)
        assert seen.state is JobState.FAILED
        assert re.fullmatch(
            r"stopped in cell 2 of 2: it used [0-9.]+ s of CPU, "
            r"more than the 3 s that --cpu-time allows",
            seen.error,
        )
        assert statuses(task.partial) == ["completed", "failed"]

    def test_sleeping_takes_no_cpu_time(self, executor, begin, make_task):
        if self.lacks(executor, make_task, cpu_time=3.5):
            return
        _, handle = begin("import time", "time.sleep(4)", cpu_time=3.5)
        assert self.end(executor, handle).error == ""

    def test_a_timeout_of_the_whole(self, executor, begin):
        task, handle = begin("import time", "time.sleep(600)", timeout=3.0)
        seen = self.end(executor, handle)
        assert seen.state is JobState.FAILED
        assert seen.error.startswith("timed out")
        assert "longer than the 3 s" in seen.error
        assert not task.executed.exists()
        assert task.partial.exists()

    def test_a_checkpoint_is_refused_by_who_keeps_none(self, executor, make_task):
        if not self.lacks(executor, make_task, checkpoint="cells"):
            refuse("this", executor, make_task("1", checkpoint="cells"))

    def test_a_timeout_of_a_cell(self, executor, begin, make_task):
        if self.lacks(executor, make_task, cell_timeout=1.0):
            return
        task, handle = begin("import time\ntime.sleep(600)", "x = 1", cell_timeout=1.0)
        seen = self.end(executor, handle)
        assert seen.state is JobState.FAILED
        assert seen.error.startswith("timed out in cell 1 of 2: it took longer than the 1 s")
        assert statuses(task.partial) == ["failed", "pending"]

    def test_a_kernel_that_is_killed_is_a_failure_in_its_cell(self, executor, begin):
        task, handle = begin("import os", "os.kill(os.getpid(), 9)", "x = 1")
        seen = self.end(executor, handle)
        assert seen.state is JobState.FAILED
        assert seen.error.startswith("cell 2 of 3")
        assert "was killed by SIGKILL" in seen.error
        assert statuses(task.partial) == ["completed", "failed", "pending"]

    def test_a_folder_that_is_gone_is_a_failure(self, executor, tmp_path):
        seen = self.look(executor, str(tmp_path / "gone"))
        assert seen.state is JobState.FAILED
        assert "is gone" in seen.error


def said(task):
    """What its kernel has printed so far."""
    events = transcript.Reader(task.transcript).more()
    return [e["content"]["text"] for e in events if e.get("say") == "stream"]


def processes():
    """(pid, parent's pid, command line) of every living process."""
    for proc in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (proc / "stat").read_text().rpartition(")")[2].split()[:2]
            command = (proc / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:  # it has ended meanwhile
            continue
        if state != "Z":
            yield int(proc.name), int(parent), command


@pytest.mark.slow
class TestLocalExecutor(ExecutorContract):
    def make_executor(self):
        return LocalExecutor()

    def test_what_was_executed_is_delivered_too_where_it_shall_be(self, executor, begin, tmp_path):
        target = tmp_path / "out.ipynb"
        begun, handle = begin("1", "1/0", output=str(target), deliver_partial=True)
        self.end(executor, handle)
        assert target.read_bytes() == begun.partial.read_bytes()

    def test_the_environment_has_what_the_task_says(self, executor, begin):
        task, handle = begin("import os; print(os.environ['COLOUR'])", env={"COLOUR": "blue"})
        self.end(executor, handle)
        assert '"blue\\n"' in task.executed.read_text()

    def test_a_bucket_is_no_file(self, executor, make_task):
        with pytest.raises(RequestError, match="outputs fetch JOB --to gs://bucket/x"):
            executor.accept(make_task("1", output="gs://bucket/x"))

    def test_a_runner_that_is_killed_is_found_and_its_kernel_ends(self, executor, begin):
        task, handle = begin("import os\nprint(os.getpid())", "import time\ntime.sleep(600)")
        self.in_cell(executor, handle, 2)
        runner = json.loads((task.folder / "lock").read_text())["pid"]
        kernels = {int(said(task)[0])}
        os.kill(runner, signal.SIGKILL)
        seen = self.end(executor, handle)
        assert seen.state is JobState.FAILED
        assert seen.error.startswith("its process died in cell 2 of 2")
        assert seen.end_time is not None
        assert not task.executed.exists()
        assert statuses(task.partial) == ["completed", "failed"]
        assert str(*kernels) in task.partial.read_text()
        until(lambda: not kernels & {pid for pid, _, _ in processes()}, seconds=15)

    def test_a_lock_that_is_just_being_written_is_held_all_the_same(self, executor, begin):
        task, handle = begin("import time\ntime.sleep(600)")
        self.in_cell(executor, handle, 1)
        lock = task.folder / "lock"
        whole = lock.read_text()
        lock.write_text(whole[: len(whole) // 2])
        assert self.look(executor, handle).state is JobState.RUNNING
        lock.write_text(whole)
        executor.stop(handle)
        assert self.end(executor, handle).state is JobState.CANCELLED

    def test_a_runner_that_hangs_is_killed_when_it_was_seen_to(self, begin):
        """Not for what a clock says: a machine that has slept has no beat of that time."""
        watch = [0.0]
        executor = LocalExecutor(lambda: watch[0])
        task, handle = begin("import os\nprint(os.getpid())", "import time\ntime.sleep(600)")
        self.in_cell(executor, handle, 2)
        runner = json.loads((task.folder / "lock").read_text())["pid"]
        pids = {runner, int(said(task)[0])}
        os.kill(runner, signal.SIGSTOP)
        for watch[0] in (1.0, 600.0):
            assert self.look(executor, handle).state is JobState.RUNNING
        assert executor.poll(handle, datetime.now(UTC) + timedelta(days=3)).state is (
            JobState.RUNNING
        )
        watch[0] = 1202.0
        seen = self.look(executor, handle)
        assert seen.state is JobState.FAILED
        assert seen.error.startswith("its process hung in cell 2 of 2: no sign of life")
        assert statuses(task.partial) == ["completed", "failed"]
        until(lambda: not pids & {pid for pid, _, _ in processes()}, seconds=15)

    def test_a_runner_of_another_host_that_is_silent_is_dead(self, executor, begin):
        """As after a container was begun anew under another name: its locks are not seen."""
        task, handle = begin("1", "import time\ntime.sleep(600)")
        self.in_cell(executor, handle, 2)
        lock = task.folder / "lock"
        runner = json.loads(lock.read_text())["pid"]
        lock.write_text(json.dumps({"host": "elsewhere", "pid": runner}))
        os.kill(runner, signal.SIGKILL)
        until(lambda: runner not in {pid for pid, _, _ in processes()})
        assert self.look(executor, handle).state is JobState.RUNNING
        later = datetime.now(UTC) + timedelta(seconds=121)
        assert executor.poll(handle, later).state is JobState.FAILED
        lock.write_text("{}")  # else nothing that looks now takes it for dead

    @pytest.mark.parametrize("warm", [True, False])
    @pytest.mark.parametrize("how", ["stop", "kill"])
    def test_a_session_that_a_cell_has_begun_ends_with_the_job(self, executor, begin, warm, how):
        task, handle = begin(SESSION, "import time\ntime.sleep(600)", warm=warm)
        self.in_cell(executor, handle, 2)
        left = {int(pid) for pid in "".join(said(task)).split()}
        assert len(left) == 3
        if how == "stop":
            executor.stop(handle)
        else:
            os.kill(json.loads((task.folder / "lock").read_text())["pid"], signal.SIGKILL)
        self.end(executor, handle)
        until(lambda: not left & {pid for pid, _, _ in processes()}, seconds=15)

    @pytest.mark.parametrize("cell", [STUBBORN, DEAF, "import os\nos.system('sleep 600')"])
    def test_stopping_leaves_no_process_whatever_the_cell_does(self, executor, begin, cell):
        task, handle = begin("import os\nprint(os.getpid())", cell)
        self.in_cell(executor, handle, 2)
        kernel = int(said(task)[0])
        group = {pid for pid, _, _ in processes() if os.getpgid(pid) == kernel}
        executor.stop(handle)
        assert self.end(executor, handle).state is JobState.CANCELLED
        assert not group & {pid for pid, _, _ in processes()}

    def test_a_job_that_a_job_has_begun_is_not_ended_with_it(self, executor, begin, tmp_path):
        """Neither is what it started: the mark is its own."""
        other = (
            "from pathlib import Path\nfrom dataclasses import replace\nimport shutil, time\n"
            "from nbtools.executor import Task\nfrom nbtools.executors.local import LocalExecutor\n"
            "from nbtools.secrets import Secrets\n"
            f"task = Task.loads(Path({str(tmp_path / 'other.json')!r}).read_text())\n"
            "LocalExecutor().start(task, Secrets())\nprint('begun', flush=True)\ntime.sleep(600)"
        )
        folder = tmp_path / "jobs" / "other"
        folder.mkdir(parents=True)
        nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(SESSION)])
        nb.cells.append(nbformat.v4.new_code_cell("import time\ntime.sleep(600)"))
        second = Task(job="other", folder=folder, stem="other", kernel="python3", cwd=tmp_path,
                      store=tmp_path / "store", warm=False)  # fmt: skip
        nbformat.write(load_notebook_node(nb), second.prepared)
        (tmp_path / "other.json").write_text(second.dumps())
        _, handle = begin(other)
        self.in_cell(executor, handle, 1, "begun")
        begun = str(folder)
        self.in_cell(executor, begun, 2)
        executor.stop(handle)
        assert self.end(executor, handle).state is JobState.CANCELLED
        left = {int(pid) for pid in "".join(said(second)).split()}
        assert self.look(executor, begun).state is JobState.RUNNING
        assert left <= {pid for pid, _, _ in processes()}
        executor.stop(begun)
        self.end(executor, begun)

    def test_a_runner_that_died_when_all_was_done_has_succeeded(self, executor, begin):
        task, handle = begin("print('all of it')")
        self.end(executor, handle)
        progress = task.folder / "progress.jsonl"
        lines = progress.read_bytes().splitlines(keepends=True)
        progress.write_bytes(b"".join(lines[:-1]))  # it was killed just before it said so
        seen = until(lambda: (s := self.look(executor, handle)).state.final and s)
        assert (seen.state, seen.error) == (JobState.SUCCEEDED, "")
        assert task.executed.exists()
