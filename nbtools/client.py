"""Executes the cells of a notebook in a kernel of its own.

nbclient's client does the talking. Different here: what happens is told as it happens, and
limits and cancellation interrupt before they kill, with the reason.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jupyter_core.utils import ensure_async
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat import ValidationError

from nbtools.kernel import Kernel, Launch
from nbtools.messages import Messages
from nbtools.states import JobState

if TYPE_CHECKING:
    from nbformat import NotebookNode

    from nbtools.checkpoint import Checkpoints
    from nbtools.progress import Progress

#: seconds between an interrupt and the kill that follows when it is not heeded: who cancels
#: is not kept waiting for more than two.
GRACE = 1.0
#: seconds between looks at limits and at whether to stop.
PULSE = 0.2
#: papermill's, so that its --log-output and --log-level hold here too.
logger = logging.getLogger("papermill")


class Stopped(Exception):
    """The execution ended before its last cell; the message is the reason."""

    def __init__(self, state: JobState, reason: str) -> None:
        super().__init__(reason)
        self.state = state


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


class Client(Kernel):
    """Executes the cells. `observe(cell, text)` hears of each cell begun and line printed;
    `due(cell_seconds, pid)` is asked several times a second, with the kernel's process, and
    answers a reason to stop.
    """

    def __init__(
        self,
        progress: Progress,
        launch: Launch,
        observe: Callable[[int, str], None],
        due: Callable[[float, int], Stopped | None],
    ) -> None:
        super().__init__(progress.nb, launch)
        self._progress = progress
        self._observe, self._due = observe, due
        self._stopped: Stopped | None = None
        self._cell = 0
        self._cell_begin: float | None = None
        self._masking = launch.secrets.masking
        self._messages = Messages(self._masking)
        self.echo = Echo()
        self.checkpoints: Checkpoints | None = None

    async def run_cells(self, first: int = 0) -> None:
        """Execute every cell from `first` on; raises Stopped when one did not end well."""
        starting = asyncio.create_task(self.start())
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
            await self.end(now=self._stopped is not None)

    async def _freeze(self, cell: NotebookNode, index: int) -> None:
        """Keep the state after a cell, where that is asked for and possible."""
        if self.checkpoints is None or not self.checkpoints.wanted(cell):
            return
        if reason := await self.silently("", self.checkpoints.expression(index)):
            self._progress.note(f"no checkpoint after cell {index + 1}: {reason}")
            self.checkpoints = None  # the next would meet the same

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
            self._settle(cell, index)
            if self._stopped is None and _clean_exit(cell):
                self._progress.cell_complete(cell, index)
                raise _CleanExit from None
            self._progress.cell_failed(cell, index)
            said = _first_line(self._masking.text(f"{error.ename}: {error.evalue}"))
            reason = f"{self._where(cell)}: {said}"
            raise self._stopped or Stopped(JobState.FAILED, reason) from error
        except BaseException:
            self._settle(cell, index)
            self._progress.cell_failed(cell, index)
            raise
        finally:
            self._cell_begin = None
        self._settle(cell, index)
        self._progress.cell_complete(cell, index)
        await self._freeze(cell, index)

    def process_message(self, msg: dict[str, Any], cell: NotebookNode, cell_index: int) -> Any:
        """Hear a message of the kernel, with secrets masked."""
        output = None
        for masked in self._messages.mask(msg):
            output = self._take(masked, cell, cell_index)
        return output

    def _settle(self, cell: NotebookNode, index: int) -> None:
        """The cell says no more."""
        for message in self._messages.rest():
            self._take(message, cell, index)
        self.settle()

    def _take(self, msg: dict[str, Any], cell: NotebookNode, cell_index: int) -> Any:
        """The last line of a stream is worth observing."""
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
            reason = f"{self._where(cell)}: the kernel {self.how_it_ended()}"
            raise Stopped(JobState.FAILED, reason) from error
        except ValidationError as error:  # papermill's results would be no notebook
            where = self._where(self.nb.cells[self._cell - 1])
            reason = f"{where}: shows what no notebook can hold: {_first_line(error.message)}"
            raise self._stopped or Stopped(JobState.FAILED, reason) from error
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
            due = self._due(time.monotonic() - begin if begin else 0.0, self.pid)
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


class _CleanExit(Exception):
    """A cell called sys.exit(0), which papermill counts as success."""


def _clean_exit(cell: NotebookNode) -> bool:
    errors = [o for o in cell.get("outputs", []) if o.output_type == "error"]
    return bool(errors) and all(e.ename == "SystemExit" and e.evalue in ("", "0") for e in errors)


def _first_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[0][:500] if lines else ""
