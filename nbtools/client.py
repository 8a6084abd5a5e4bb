"""Executes the cells of a notebook in a kernel of its own.

nbclient's client does the talking. Different here: a kernel is warm where it can be, its
end is noticed at once and told with its reason, limits and cancellation interrupt before
they kill, and nothing that was started outlives the execution.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty
from typing import TYPE_CHECKING, Any

import zmq
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_core.utils import ensure_async
from nbclient.exceptions import CellExecutionError, DeadKernelError

from nbtools.kernels.fork import ended
from nbtools.kernels.zygotes import can_fork
from nbtools.screen import Screen
from nbtools.states import JobState

if TYPE_CHECKING:
    from nbformat import NotebookNode

    from nbtools.checkpoint import Checkpoints
    from nbtools.progress import Progress

#: seconds between an interrupt and the kill that follows when it is not heeded.
GRACE = 5.0
#: seconds between looks at limits and at whether to stop.
PULSE = 0.2
#: seconds that what is executed unseen may take.
PATIENCE = 30.0
#: papermill's, so that its --log-output and --log-level hold here too.
logger = logging.getLogger("papermill")


class Stopped(Exception):
    """The execution ended before its last cell; the message is the reason."""

    def __init__(self, state: JobState, reason: str) -> None:
        super().__init__(reason)
        self.state = state


@dataclass(frozen=True, kw_only=True)
class Launch:
    """How the kernel is to be started."""

    kernel: str  #: kernelspec name
    warm: bool = True  #: from a zygote, where it is an IPython kernel and this is Linux
    preload: tuple[str, ...] = ()  #: what the zygote shall have loaded
    patience: float = 60.0  #: seconds to wait for a zygote that is loading
    thaw: str = ""  #: go on from the kernel that is frozen at this socket
    setup: str = ""  #: executed there first, unseen
    startup_timeout: float = 60.0  #: seconds until the kernel must answer
    options: dict[str, Any] = field(default_factory=dict)  #: for nbclient


@dataclass(frozen=True)
class Echo:
    """Repeats what a notebook prints, as papermill does when it is asked to."""

    log: bool = False  #: to papermill's logger
    files: dict[str, Any] = field(default_factory=dict)  #: stdout, stderr -> a file

    def hear(self, msg: dict[str, Any]) -> None:
        """A message of the kernel."""
        content = msg["content"]
        if msg["msg_type"] == "stream":
            if self.log:
                level = logging.INFO if content["name"] == "stdout" else logging.WARNING
                logger.log(level, content["text"])
            if file := self.files.get(content["name"]):
                file.write(content["text"])
                file.flush()
        elif self.log and "text/plain" in content.get("data", {}):
            logger.info(content["data"]["text/plain"])


class Client(Screen):
    """Executes the cells. `observe(cell, text)` hears of each cell begun and line printed;
    `due(cell_seconds, pid)` is asked several times a second, with the kernel's process, and
    answers a reason to stop.
    """

    km: Any
    kc: Any
    task_poll_for_reply: Any

    def __init__(
        self,
        progress: Progress,
        launch: Launch,
        observe: Callable[[int, str], None],
        due: Callable[[float, int], Stopped | None],
    ) -> None:
        super().__init__(
            progress.nb, kernel_name=launch.kernel, raise_on_iopub_timeout=True, **launch.options
        )
        self._progress, self._launch = progress, launch
        self._observe, self._due = observe, due
        self._stopped: Stopped | None = None
        self._cell = 0
        self._cell_begin: float | None = None
        self._process: Any = None  #: the kernel's, or None where it is not on this machine
        self._ooms = _out_of_memory()
        self.echo = Echo()
        self.checkpoints: Checkpoints | None = None

    async def run_cells(self, first: int = 0) -> None:
        """Execute every cell from `first` on; raises Stopped when one did not end well."""
        starting = asyncio.create_task(self._start())
        guard = asyncio.create_task(self._guard(starting))
        try:
            with self._reasons(), self._signals():
                await starting
                for index, cell in enumerate(self.nb.cells[first:], first):
                    self._cell = index + 1
                    await self._run_cell(cell, index)
                if self._stopped:  # the last cell swallowed the interrupt
                    raise self._stopped
                self.set_widgets_metadata()
        finally:
            guard.cancel()
            await self._end()

    # -- the kernel -----------------------------------------------------------------

    async def _start(self) -> None:
        if self.km is None:
            self.km = self.create_kernel_manager()
        if not self.km.has_kernel:
            await self._launch_kernel()
        self._process = getattr(self.km.provisioner, "process", None)
        self.kc = AsyncKernelClient(parent=self.km, **self.km.get_connection_info(session=True))
        self.kc.context.setsockopt(zmq.RCVHWM, 0)  # else what we are slow to read is thrown away
        self.kc.start_channels(hb=False)
        self.kc.allow_stdin = False
        await self._ready()
        if self._launch.thaw:
            await self._silently(self._launch.setup)

    async def _launch_kernel(self) -> None:
        spec, launch = self.km.kernel_spec, self._launch
        more: dict[str, Any] = {}
        if launch.warm and spec.language == "python" and not _provisioner(spec):
            spec.metadata = {**spec.metadata, "kernel_provisioner": WARM}
            more = {"preload": launch.preload, "patience": launch.patience}
        if launch.thaw:
            more = {"thaw": launch.thaw}
        resource_path = self.resources.get("metadata", {}).get("path") or None
        if resource_path:
            more["cwd"] = resource_path
        arguments = list(self.extra_arguments)
        if self.km.ipykernel and self.ipython_hist_file:  # a job's lines are nobody's history
            arguments.append(f"--HistoryManager.hist_file={self.ipython_hist_file}")
        start = self.km.start_kernel(extra_arguments=arguments, **more)
        await ensure_async(start)

    async def _ready(self) -> None:
        """Wait until the kernel answers, and is heard: both its channels must be there."""
        deadline = time.monotonic() + self._launch.startup_timeout
        while True:
            asked = self.kc.kernel_info()
            with contextlib.suppress(Empty):
                reply = await self._hear(self.kc.shell_channel, asked, 1.0)
                self.nb.metadata["language_info"] = reply["content"]["language_info"]
                while (await self._hear(self.kc.iopub_channel, asked, 0.2))["content"].get(
                    "execution_state"
                ) != "idle":
                    pass
                return
            if not await ensure_async(self.km.is_alive()):
                raise RuntimeError(f"it {self._how_it_ended()} before it answered")
            if time.monotonic() > deadline:
                raise RuntimeError(f"no answer in {self._launch.startup_timeout:g} seconds")

    async def _hear(self, channel: Any, asked: str, timeout: float) -> dict[str, Any]:
        """The next message on `channel` that answers `asked`. Raises Empty."""
        while True:
            message: dict[str, Any] = await channel.get_msg(timeout=timeout)
            if message["parent_header"].get("msg_id") == asked:
                return message

    async def _silently(self, code: str, expression: str = "''") -> str:
        """Execute unseen; the value of `expression`, which is text, or how that failed."""
        asked = self.kc.execute(
            code, silent=True, store_history=False, user_expressions={"value": expression}
        )
        reply = (await self._hear(self.kc.shell_channel, asked, PATIENCE))["content"]
        value = reply.get("user_expressions", {}).get("value", reply)
        if value["status"] == "error":
            return f"{value['ename']}: {value['evalue']}"
        return str(ast.literal_eval(value["data"]["text/plain"]))

    async def _freeze(self, cell: NotebookNode, index: int) -> None:
        """Keep the state after a cell, where that is asked for and possible."""
        if self.checkpoints is None or not self.checkpoints.wanted(cell):
            return
        if reason := await self._silently("", self.checkpoints.expression(index)):
            self._progress.note(f"no checkpoint after cell {index + 1}: {reason}")
            self.checkpoints = None  # the next would meet the same

    async def _end(self) -> None:
        """No kernel, no channel and nothing that the kernel started is left."""
        if self.km is None:
            return
        if self.kc is not None:
            self.kc.stop_channels()
        if not self.owns_km:  # whose it is goes on with it
            return
        if self.km.provisioner is not None:
            with contextlib.suppress(RuntimeError):  # it never started
                await self.km.shutdown_kernel(now=self._stopped is not None)
            await self.km.cleanup_resources()
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self.km = self.kc = None

    async def _async_poll_kernel_alive(self) -> None:
        """Notice the end of the kernel at once, where nbclient asks once a second."""
        if self._process is None or not can_fork():
            await super()._async_poll_kernel_alive()
            return
        await ended(self._process.pid)
        await asyncio.sleep(0.1)  # what it said last may still be on its way
        self.task_poll_for_reply.cancel()

    # -- a cell ---------------------------------------------------------------------

    async def _run_cell(self, cell: NotebookNode, index: int) -> None:
        if self._stopped:  # asked to stop, and the cell before swallowed the interrupt
            raise self._stopped
        self._observe(self._cell, "")
        self._cell_begin = time.monotonic()
        self.begin(cell)
        self._progress.cell_start(cell, index)
        try:
            await self.async_execute_cell(cell, index)
        except CellExecutionError as error:
            self.settle()
            if self._stopped is None and _clean_exit(cell):
                self._progress.cell_complete(cell, index)
                raise _CleanExit from None
            self._progress.cell_failed(cell, index)
            reason = f"{self._where(cell)}: {error.ename}: {_first_line(error.evalue)}"
            raise self._stopped or Stopped(JobState.FAILED, reason) from error
        except BaseException:
            self.settle()
            self._progress.cell_failed(cell, index)
            raise
        finally:
            self._cell_begin = None
        self.settle()
        self._progress.cell_complete(cell, index)
        await self._freeze(cell, index)

    def process_message(self, msg: dict[str, Any], cell: NotebookNode, cell_index: int) -> Any:
        """Hear a message of the kernel; the last line of a stream is worth observing."""
        self._progress.message(cell_index, msg)
        output = super().process_message(msg, cell, cell_index)
        self.echo.hear(msg)
        if msg["msg_type"] == "stream":
            lines = msg["content"]["text"].replace("\r", "\n").rstrip().rsplit("\n", 1)
            if lines[-1].strip():
                self._observe(self._cell, lines[-1].strip()[:500])
        return output

    # -- reasons to stop ------------------------------------------------------------

    @contextmanager
    def _reasons(self) -> Iterator[None]:
        """Turn what nbclient raises into one Stopped that says what happened and where."""
        try:
            yield
        except _CleanExit:
            return
        except asyncio.CancelledError:
            if self._stopped:  # before there was a kernel
                raise self._stopped from None
            raise
        except DeadKernelError as error:
            if self._stopped:  # we killed it ourselves
                raise self._stopped from None
            cell = self.nb.cells[self._cell - 1]
            reason = f"{self._where(cell)}: the kernel {self._how_it_ended()}"
            raise Stopped(JobState.FAILED, reason) from error
        except (RuntimeError, OSError) as error:  # words for a kernel that did not start
            if self._stopped:
                raise self._stopped from None
            if self._cell:
                raise
            reason = f"the kernel {self.kernel_name!r} did not start: {_first_line(str(error))}"
            raise Stopped(JobState.FAILED, reason) from error

    async def _guard(self, starting: asyncio.Task[None]) -> None:
        """Watch over limits and requests to stop: interrupt first, then kill."""
        while self._stopped is None:
            await asyncio.sleep(PULSE)
            begin = self._cell_begin
            pid = getattr(self._process, "pid", 0)
            due = self._due(time.monotonic() - begin if begin else 0.0, pid)
            self._stopped = self._stopped or due
        if not starting.done():
            starting.cancel()
            return
        for _ in range(2):  # the second for a cell that swallowed the first
            alive = self.km is not None and await ensure_async(self.km.is_alive())
            if alive and self._cell_begin:
                await ensure_async(self.km.interrupt_kernel())
                await asyncio.sleep(GRACE / 2)
        if self.km is not None:
            await ensure_async(self.km.shutdown_kernel(now=True))

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Being told to end is a reason to stop, where this is the main thread."""
        loop, caught = asyncio.get_running_loop(), []
        with contextlib.suppress(RuntimeError, ValueError):
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, self._on_signal)
                caught.append(number)
        try:
            yield
        finally:
            for number in caught:
                loop.remove_signal_handler(number)

    def _on_signal(self) -> None:
        reason = (
            f"cancelled in cell {self._cell} of {len(self.nb.cells)}: its process was told to end"
        )
        self._stopped = self._stopped or Stopped(JobState.CANCELLED, reason)

    def _where(self, cell: NotebookNode) -> str:
        count = cell.get("execution_count")
        return f"cell {self._cell} of {len(self.nb.cells)}" + (f" (In [{count}])" if count else "")

    def _how_it_ended(self) -> str:
        code = self._process.poll() if self._process is not None else None
        if code is None:
            return "died"
        if code >= 0:
            return f"ended by itself with exit status {code}"
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        if name == "SIGKILL" and _out_of_memory() > self._ooms:
            return "was killed by SIGKILL: the machine ran out of memory"
        hint = ", often a sign that the machine ran out of memory" if name == "SIGKILL" else ""
        return f"was killed by {name}{hint}"


#: what a kernelspec says to have its kernels forked.
WARM = {"provisioner_name": "nbtools-warm"}


class _CleanExit(Exception):
    """A cell called sys.exit(0), which papermill counts as success."""


def _clean_exit(cell: NotebookNode) -> bool:
    errors = [o for o in cell.get("outputs", []) if o.output_type == "error"]
    return bool(errors) and all(e.ename == "SystemExit" and e.evalue in ("", "0") for e in errors)


def _provisioner(spec: Any) -> str:
    name: str = spec.metadata.get("kernel_provisioner", {}).get("provisioner_name", "")
    return "" if name == "local-provisioner" else name


def _first_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[0][:500] if lines else ""


def _out_of_memory() -> int:
    """How often this machine has killed a process for want of memory."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0
