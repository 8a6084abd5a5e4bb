"""The execution of a notebook from its first cell to its last."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from nbformat import NotebookNode
from papermill.execute import remove_error_markers

from nbtools.client import Client, Launch, Stopped
from nbtools.progress import Progress, mark


def execute(
    nb: NotebookNode,
    transcript: Path,
    launch: Launch,
    observe: Callable[[int, str], None],
    due: Callable[[float, int], Stopped | None],
) -> None:
    """Execute `nb` in place in a fresh kernel, writing what happens to `transcript`.

    Raises Stopped with state and reason when it did not reach its end; `nb` then begins
    with a note that says so.
    """
    nb.cells = remove_error_markers(nb).cells
    progress = Progress(nb, transcript, progress_bar=False)
    progress.notebook_start()
    try:
        asyncio.run(Client(progress, launch, observe, due).run_cells())
    except Stopped as stopped:
        mark(nb, str(stopped), stopped.state)
        raise
    finally:
        progress.notebook_complete()
