"""papermill's record of an execution, in the notebook's metadata, kept honest.

Honest: a cell that never ran is never called complete. And cheap: what happens goes to a
transcript, and the notebook itself is written once, at its end.
"""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from papermill.engines import NotebookExecutionManager
from papermill.execute import ERROR_MARKER_TAG

from nbtools.notebook import write_whole
from nbtools.states import JobState
from nbtools.transcript import Transcript


class Progress(NotebookExecutionManager):  # type: ignore[misc]
    """What has been done of `nb`; `path` is the transcript's."""

    def __init__(self, nb: NotebookNode, path: Path | None, **options: Any) -> None:
        self._path = path
        self._transcript: Transcript | None = None
        super().__init__(nb, **options)

    def notebook_start(self, keep: int = 0, **_: Any) -> None:
        """Begin the record anew, but for the first `keep` cells, which have been executed."""
        kept = deepcopy(self.nb.cells[:keep])
        super().notebook_start()
        self.nb.cells[:keep] = kept
        if self._path is not None:
            self._transcript = Transcript(self._path, self.nb)

    def cell_start(self, cell: NotebookNode, cell_index: int | None = None, **_: Any) -> None:
        """A cell begins."""
        super().cell_start(cell, cell_index)
        if self._transcript and cell_index is not None:
            self._transcript.begin(cell_index, cell.metadata.papermill["start_time"])

    def note(self, text: str) -> None:
        """Something that who reads the log should know."""
        if self._transcript:
            self._transcript.note(text)

    def message(self, cell_index: int, message: dict[str, Any]) -> None:
        """The kernel said something."""
        if self._transcript:
            self._transcript.message(cell_index, message)

    def cell_complete(self, cell: NotebookNode, cell_index: int | None = None, **_: Any) -> None:
        """A cell has ended."""
        super().cell_complete(cell, cell_index)
        if self._transcript and cell_index is not None:
            self._transcript.end(cell_index, cell.metadata.papermill)

    def cell_failed(self, cell: NotebookNode, cell_index: int) -> None:
        """A cell that began and did not end well."""
        self.cell_exception(cell)
        self.cell_complete(cell, cell_index)

    def notebook_complete(self, **_: Any) -> None:
        """Close the record; cells that never ran stay pending."""
        self.end_time = self.now()
        meta = self.nb.metadata.papermill
        meta["end_time"] = self.end_time.isoformat()
        meta["duration"] = (self.end_time - self.start_time).total_seconds()
        self.complete_pbar()
        self.cleanup_pbar()
        if self._transcript:
            self._transcript.close()

    def save(self, **_: Any) -> None:
        """Nothing: papermill would write the whole notebook twice a cell."""

    def autosave_cell(self, **_: Any) -> None:
        """Nothing, as `save`."""


def write(nb: NotebookNode, path: Path) -> None:
    """Write an executed notebook, whole; raises nbformat.ValidationError when it is not valid."""
    nbformat.validate(nb)
    write_whole(path, nbformat.v4.writes(nb))  # nbformat.writes would validate once more


def mark(nb: NotebookNode, reason: str, state: JobState) -> None:
    """Say at the top, and at the cell, where it stopped; papermill's tag, so that it is
    taken out when the notebook is executed again.
    """
    nb.metadata.papermill["exception"] = True
    anchor = '<span id="papermill-error-cell"></span>'
    fence = "`" * 3
    link = "[go there](#papermill-error-cell)"
    top = f"**Execution {state.lower()}** ({link})\n{fence}\n{reason}\n{fence}"
    failed = [
        i for i, c in enumerate(nb.cells)
        if c.metadata.get("papermill", {}).get("status") == "failed"
    ]  # fmt: skip
    tags = {"tags": [ERROR_MARKER_TAG]}
    if failed:
        here = nbformat.v4.new_markdown_cell(f"{anchor}**Execution stopped here.**", metadata=tags)
        nb.cells.insert(failed[0], here)
    nb.cells.insert(0, nbformat.v4.new_markdown_cell(top, metadata=tags))
