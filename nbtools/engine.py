"""The execution of a notebook from its first cell to its last."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from nbformat import NotebookNode
from papermill.execute import remove_error_markers

from nbtools.checkpoint import Checkpoints
from nbtools.client import Client, Stopped
from nbtools.kernel import Launch
from nbtools.progress import Progress, mark


def execute(
    nb: NotebookNode,
    transcript: Path,
    launch: Launch,
    observe: Callable[[int, str], None],
    due: Callable[[float, int], Stopped | None],
    checkpoints: Checkpoints | None = None,
    first: int = 0,
) -> None:
    """Execute `nb` in place in a kernel of its own, writing what happens to `transcript`.

    Begins with cell `first`, from 0: those before have been executed, by the kernel whose
    state `launch.thaw` takes up. `checkpoints` are kept until all went well.

    Raises Stopped with state and reason when it did not reach its end; `nb` then begins
    with a note that says so.
    """
    nb.cells = remove_error_markers(nb).cells
    progress = Progress(nb, transcript, progress_bar=False)
    progress.notebook_start(keep=first)
    client = Client(progress, launch, observe, due)
    client.checkpoints = checkpoints
    try:
        asyncio.run(client.run_cells(first))
        if checkpoints:
            checkpoints.drop()
    except Stopped as stopped:
        mark(nb, str(stopped), stopped.state)
        raise
    finally:
        progress.notebook_complete()
