"""The process that carries out local tasks: `python -m nbtools.runner CONTROL [detach]`.

CONTROL is a socket, by its descriptor, over which the tasks come: each a job's folder, with
the descriptor of the lock that says this process lives (executors/local.py) and of its log.
It executes the notebook and appends to `progress.jsonl` what a watcher should see. One
after the other: a kernel is used once, but what runs it may be used again.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nbtools import farewell, leftovers
from nbtools.executor import Observation, Task
from nbtools.executors.local import PROGRESS, STOP, TASK, deliver
from nbtools.kernels import wire
from nbtools.limits import THREADS, Limits
from nbtools.nouns import utc_now
from nbtools.registry import own_process
from nbtools.secrets import Secrets
from nbtools.settings import Settings, environment, set_environment
from nbtools.states import JobState

if TYPE_CHECKING:
    from nbformat import NotebookNode

    from nbtools.client import Stopped

#: seconds between two observations of printed text.
TEXT_EVERY = 0.1
#: seconds to wait for another task.
IDLE = 20.0
#: seconds between two heartbeats.
HEARTBEAT = 5.0
#: bytes kept aside so that the reason can still be written when the disk is full.
RESERVE = 65536


class Runner:
    """Executes `task`, observing."""

    def __init__(self, task: Task, lock: int, sealed: Mapping[str, str]) -> None:
        self._task, self._lock, self._sealed = task, lock, sealed
        self._secrets = Secrets({name: sealed[name] for name in task.secrets})
        self._limits = Limits(task, task.folder / STOP)
        self._text_time = self._beat = time.monotonic()
        self._reserve = task.folder / "reserve"
        self._seen = Observation(state=JobState.PENDING, start_time=utc_now())

    def run(self) -> None:
        """Do all of it; whatever happens, the last observation says how it ended."""
        end = self._seen
        try:
            self._reserve.write_bytes(b"\0" * RESERVE)
            self._note()
            end = self._execute()
        except OSError as error:
            # Most likely the disk is full: give it what was kept aside for this moment.
            self._reserve.unlink(missing_ok=True)
            reason = f"cannot write to {self._task.folder}: {error.strerror}; free some space"
            end = replace(self._seen, state=JobState.FAILED, error=reason)
        except Exception as error:  # a fault of ours must end the job too, and be seen
            end = replace(self._seen, state=JobState.FAILED, error=f"nbtools failed: {error!r}")
            raise
        finally:
            self._reserve.unlink(missing_ok=True)
            self._note(replace(end, end_time=utc_now()))

    def _execute(self) -> Observation:
        import nbformat

        from nbtools.checkpoint import Checkpoints
        from nbtools.client import Stopped
        from nbtools.engine import execute
        from nbtools.kernel import Launch
        from nbtools.kernels.zygotes import private
        from nbtools.progress import write

        task = self._task
        nb = nbformat.v4.reads(task.prepared.read_text(encoding="utf-8"))
        self._seen = replace(self._seen, cells=len(nb.cells))
        launch = Launch(
            kernel=task.kernel,
            warm=task.warm,
            preload=task.preload,
            thaw=task.thaw,
            setup=task.setup,
            secrets=self._secrets,
            sealed=self._sealed,
        )
        sockets = private(Settings.load().runtime)
        kept = Checkpoints.of(sockets, task.job, task.checkpoint)
        end = JobState.SUCCEEDED, ""
        try:
            execute(nb, task.transcript, launch, self._observe, self._due, kept, task.first)
            write(nb, task.executed)
            if task.thaw:
                Checkpoints.beside(Path(task.thaw)).drop()  # nobody will want to go on from there
            task.transcript.unlink()  # all that it says is in the notebook
        except Stopped as stopped:
            end = stopped.state, str(stopped)
            leftovers.end(task.job, task.store)
            write(nb, task.partial)
            if task.deliver_partial:
                deliver(task, task.partial)  # why it has stopped is what there is to say
        error = end[1] or deliver(task, task.executed)
        state = JobState.FAILED if error and not end[1] else end[0]
        if task.report_wanted and state is not JobState.CANCELLED:  # nobody waits for a page
            self._report(nb)
        return replace(self._seen, state=state, error=error)

    def _report(self, nb: NotebookNode) -> None:
        """Make the page. How the notebook went is not for the page to say: why there is none
        goes to the log, and to whoever asks for it later.
        """
        try:
            from nbtools.page import write_report

            write_report(nb, self._task.report, self._task.stem)
        except Exception as error:  # noqa: BLE001 - also of nbconvert's own templates
            print(f"nbtools: {error}", file=sys.stderr, flush=True)  # noqa: T201

    def _observe(self, cell: int, text: str) -> None:
        begun = cell != self._seen.cell
        self._seen = replace(
            self._seen, state=JobState.RUNNING, cell=cell, text=text or self._seen.text
        )
        now = time.monotonic()
        if begun or now - self._text_time >= TEXT_EVERY:
            self._text_time = now
            self._note()

    def _due(self, cell_seconds: float, pid: int) -> Stopped | None:
        now = time.monotonic()
        if now - self._beat >= HEARTBEAT:
            self._beat = now
            os.utime(self._lock)
            self._note()  # also what was printed since the last note
        return self._limits.due(cell_seconds, pid, self._place())

    def _place(self) -> str:
        seen = self._seen
        return f"in cell {seen.cell} of {seen.cells}" if seen.cell else "before its first cell"

    def _note(self, seen: Observation | None = None) -> None:
        seen = seen or self._seen
        masked = self._secrets.masking.text(seen.error)  # of what was printed it is masked
        line = replace(seen, error=masked).dumps().encode() + b"\n"
        with (self._task.folder / PROGRESS).open("ab", buffering=0) as file:
            file.write(line)


def main(control: socket.socket, detach: bool) -> None:
    """Carry out one task after the other, as long as whoever began this brings more.

    Detaches from whoever began this, unless a zygote did: the task at work is brought to
    its end though nobody is left to hear of it.
    """
    if detach:
        if os.fork():
            os._exit(0)  # whoever began this has no child to wait for
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 2)  # and waits no longer for what might still be said
        os.close(null)
    own_process()
    env = environment()
    control.settimeout(IDLE)
    while True:
        try:
            message, (lock, log) = wire.receive(control)
            wire.send(control, {"taken": os.getpid()})
        except (OSError, EOFError):
            return  # nobody brings more
        for stream in (1, 2):
            os.dup2(log, stream)
        os.close(log)
        around = {**env, **message["around"]}
        carry_out(Path(message["folder"]), lock, around, message["sealed"])
        with suppress(OSError):
            wire.send(control, {"done": message["folder"]})


def carry_out(folder: Path, lock: int, env: Mapping[str, str], sealed: Mapping[str, str]) -> None:
    """Execute the task in `folder`, whose lock is held by the descriptor `lock`.

    `sealed` are variables that its kernel's environment shall have, and none else.
    """
    task = Task.loads((folder / TASK).read_text())
    os.pwrite(lock, json.dumps({"host": socket.gethostname(), "pid": os.getpid()}).encode(), 0)
    threads = {name: str(task.threads) for name in THREADS if task.threads}
    # All of it: a task leaves nothing to the next.
    own = {"NBTOOLS_STORE": str(task.store), leftovers.MARK: task.job}
    set_environment({**threads, **env, **task.env, **own})
    os.chdir(task.cwd)
    Runner(task, lock, sealed).run()
    os.close(lock)
    # With what a mirror in the kernel may have needed.
    farewell.begin(task, {**environment(), **Secrets(sealed).environment()})


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])), "detach" in sys.argv[2:])
