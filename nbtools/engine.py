"""The papermill engine that executes a prepared notebook and says what it sees.

papermill's own engine and nbclient's client do the work. Different here: limits and
cancellation interrupt before they kill, a cell that never ran is never called complete,
and the notebook is saved whole and not at every message.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat import NotebookNode
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NotebookExecutionManager
from papermill.execute import ERROR_MARKER_TAG, remove_error_markers

from nbtools.notebook import write_whole
from nbtools.states import JobState

#: seconds between an interrupt and the kill that follows when it is not heeded.
GRACE = 5.0
#: seconds between looks at limits and at whether to stop.
PULSE = 0.2


class Stopped(Exception):
    """The execution ended before its last cell; the message is the reason."""

    def __init__(self, state: JobState, reason: str) -> None:
        super().__init__(reason)
        self.state = state


class Progress(NotebookExecutionManager):  # type: ignore[misc]
    """papermill's record of an execution, in the notebook's metadata, kept honest."""

    def __init__(self, nb: NotebookNode, partial: Path) -> None:
        self.partial = partial
        self._next_save = 0.0
        super().__init__(nb, progress_bar=False, autosave_cell_every=0)

    def save(self, force: bool = False, **_: Any) -> None:
        """Write the notebook; unforced, saving takes at most a twentieth of the time."""
        begin = time.monotonic()
        if force or begin >= self._next_save:
            write_whole(self.partial, nbformat.writes(self.nb))
            self._next_save = time.monotonic() + 20 * (time.monotonic() - begin)

    def autosave_cell(self, **_: Any) -> None:
        """Nothing: papermill would write the whole notebook in the middle of cells."""

    def cell_failed(self, cell: NotebookNode) -> None:
        """A cell that began and did not end well."""
        self.cell_exception(cell)
        self.cell_complete(cell)

    def notebook_complete(self, **_: Any) -> None:
        """Close the record; cells that never ran stay pending."""
        self.end_time = self.now()
        meta = self.nb.metadata.papermill
        meta["end_time"] = self.end_time.isoformat()
        meta["duration"] = (self.end_time - self.start_time).total_seconds()


class Client(PapermillNotebookClient):  # type: ignore[misc]
    """Executes the cells. `observe(cell, text)` hears of each cell begun and line printed;
    `due(cell_seconds)` is asked several times a second and answers a reason to stop.
    """

    def __init__(
        self,
        progress: Progress,
        observe: Callable[[int, str], None],
        due: Callable[[float], Stopped | None],
        **options: Any,
    ) -> None:
        super().__init__(progress, raise_on_iopub_timeout=True, **options)
        self._observe, self._due = observe, due
        self._stopped: Stopped | None = None
        self._cell = 0
        self._cell_begin: float | None = None

    async def run_cells(self) -> None:
        """Execute every cell; raises Stopped with the reason when one did not end well."""
        self.reset_execution_trackers()
        guard = asyncio.create_task(self._guard())
        try:
            with self._reasons():
                async with self.async_setup_kernel():
                    for number in (signal.SIGINT, signal.SIGTERM):  # over nbclient's handlers
                        asyncio.get_running_loop().add_signal_handler(number, self._on_signal)
                    for index, cell in enumerate(self.nb.cells):
                        self._cell = index + 1
                        await self._run_cell(cell, index)
                    reply = await self.async_wait_for_reply(self.kc.kernel_info())
                    self.nb.metadata["language_info"] = reply["content"]["language_info"]
                    self.set_widgets_metadata()
        finally:
            guard.cancel()

    async def _run_cell(self, cell: NotebookNode, index: int) -> None:
        if self._stopped:  # asked to stop, and the cell before swallowed the interrupt
            raise self._stopped
        self._observe(self._cell, "")
        self._cell_begin = time.monotonic()
        self.nb_man.cell_start(cell, index)
        try:
            await self.async_execute_cell(cell, index)
        except CellExecutionError as error:
            if self._stopped is None and _clean_exit(cell):
                self.nb_man.cell_complete(cell, index)
                raise _CleanExit from None
            self.nb_man.cell_failed(cell)
            reason = f"{self._where(cell)}: {error.ename}: {_first_line(error.evalue)}"
            raise self._stopped or Stopped(JobState.FAILED, reason) from None
        except BaseException:
            self.nb_man.cell_failed(cell)
            raise
        finally:
            self._cell_begin = None
        self.nb_man.cell_complete(cell, index)

    def process_message(self, msg: dict[str, Any], cell: NotebookNode, cell_index: int) -> Any:
        """Hear a message of the kernel; the last line of a stream is worth observing."""
        output = super().process_message(msg, cell, cell_index)
        if msg["msg_type"] == "stream":
            lines = msg["content"]["text"].replace("\r", "\n").rstrip().rsplit("\n", 1)
            if lines[-1].strip():
                self._observe(self._cell, lines[-1].strip()[:500])
        return output

    @contextmanager
    def _reasons(self) -> Iterator[None]:
        """Turn what nbclient raises into one Stopped that says what happened and where."""
        try:
            yield
        except _CleanExit:
            return
        except DeadKernelError:
            how = self._exit_status()
            if self._stopped:  # we killed it ourselves
                raise self._stopped from None
            cell = self.nb.cells[self._cell - 1]
            raise Stopped(JobState.FAILED, f"{self._where(cell)}: the kernel {how}") from None
        except RuntimeError as error:  # nbclient's and jupyter_client's word for a failed start
            if self._stopped:
                raise self._stopped from None
            if self._cell:
                raise
            reason = f"the kernel {self.kernel_name!r} did not start: {_first_line(str(error))}"
            raise Stopped(JobState.FAILED, reason) from error

    async def _guard(self) -> None:
        """Watch over limits and requests to stop: interrupt first, then kill."""
        while self._stopped is None:
            await asyncio.sleep(PULSE)
            begin = self._cell_begin
            due = self._due(time.monotonic() - begin if begin else 0.0)
            self._stopped = self._stopped or due
        for _ in range(2):  # the second for a cell that swallowed the first
            if self.km is not None and await self.km.is_alive() and self._cell_begin:
                await self.km.interrupt_kernel()
                await asyncio.sleep(GRACE / 2)
        if self.km is not None:
            await self.km.shutdown_kernel(now=True)

    def _on_signal(self) -> None:
        reason = (
            f"cancelled in cell {self._cell} of {len(self.nb.cells)}: its process was told to end"
        )
        self._stopped = self._stopped or Stopped(JobState.CANCELLED, reason)

    def _where(self, cell: NotebookNode) -> str:
        count = cell.get("execution_count")
        return f"cell {self._cell} of {len(self.nb.cells)}" + (f" (In [{count}])" if count else "")

    def _exit_status(self) -> str:
        process = getattr(getattr(self.km, "provisioner", None), "process", None)
        code = process.poll() if process else None
        if code is None or code >= 0:
            return "died" if code is None else f"ended by itself with exit status {code}"
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        memory = ", often a sign that the machine ran out of memory" if name == "SIGKILL" else ""
        return f"was killed by {name}{memory}"


class _CleanExit(Exception):
    """A cell called sys.exit(0), which papermill counts as success."""


def _clean_exit(cell: NotebookNode) -> bool:
    errors = [o for o in cell.get("outputs", []) if o.output_type == "error"]
    return bool(errors) and all(e.ename == "SystemExit" and e.evalue in ("", "0") for e in errors)


def _first_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[0][:500] if lines else ""


def execute(
    nb: NotebookNode,
    partial: Path,
    kernel: str,
    observe: Callable[[int, str], None],
    due: Callable[[float], Stopped | None],
) -> None:
    """Execute `nb` in place in a fresh kernel, saving what is done to `partial`.

    Raises Stopped with state and reason when it did not reach its end; `nb` then begins
    with a note that says so, and `partial` holds it.
    """
    nb.cells = remove_error_markers(nb).cells
    progress = Progress(nb, partial)
    progress.notebook_start()
    try:
        client = Client(progress, observe, due, kernel_name=kernel, timeout=None)
        asyncio.run(client.run_cells())
    except Stopped as stopped:
        nb.metadata.papermill["exception"] = True
        _mark(nb, str(stopped), stopped.state)
        raise
    finally:
        progress.notebook_complete()
        progress.save(force=True)


def _mark(nb: NotebookNode, reason: str, state: JobState) -> None:
    """Say at the top, and at the cell, where it stopped; papermill's tag, so that it is
    taken out when the notebook is executed again.
    """
    anchor = '<span id="papermill-error-cell"></span>'
    fence = "`" * 3
    link = "[go there](#papermill-error-cell)"
    top = f"**Execution {state.lower()}** ({link})\n{fence}\n{reason}\n{fence}"
    failed = [i for i, c in enumerate(nb.cells) if c.metadata.papermill.get("status") == "failed"]
    tags = {"tags": [ERROR_MARKER_TAG]}
    if failed:
        here = nbformat.v4.new_markdown_cell(f"{anchor}**Execution stopped here.**", metadata=tags)
        nb.cells.insert(failed[0], here)
    nb.cells.insert(0, nbformat.v4.new_markdown_cell(top, metadata=tags))
