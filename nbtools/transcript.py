"""What happened to a notebook while it was executed, written down as it happened.

One JSON object a line, appended and complete at once, so that killing whoever writes it
loses nothing: the executed part of the notebook is made from it again (`rebuild`), and
watchers read it as it grows (`Reader`). The notebook file itself is written once, at the end.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from nbformat import NotebookNode

#: messages of a kernel that change what a cell shows.
SHOWN = {
    "stream", "display_data", "execute_result", "error", "clear_output", "update_display_data",
    "execute_input", "comm_open", "comm_msg", "comm_close",
}  # fmt: skip


class Transcript:
    """Appends to `path`. The first line is the notebook as it was before."""

    def __init__(self, path: Path, notebook: NotebookNode) -> None:
        self.path, self._torn = path, b""
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o666)
        self._write({"notebook": notebook})

    def begin(self, cell: int, time: str) -> None:
        """Cell number `cell`, from 0, begins; `time` is ISO 8601."""
        self._write({"cell": cell, "begin": time})

    def note(self, text: str) -> None:
        """A remark of ours."""
        self._write({"note": text})

    def message(self, cell: int, message: dict[str, Any]) -> None:
        """The kernel said something while the cell was at work."""
        if message["msg_type"] not in SHOWN or message["msg_type"].startswith("comm"):
            return  # what widgets say to each other is worth something only as a whole
        self._write({"cell": cell, "say": message["msg_type"], "content": message["content"]})

    def end(self, cell: int, papermill: dict[str, Any]) -> None:
        """The cell has ended; `papermill` is papermill's record of it."""
        self._write({"cell": cell, "end": papermill})

    def close(self) -> None:
        """Write no more."""
        os.close(self._file)

    def _write(self, event: dict[str, Any]) -> None:
        line = self._torn + json.dumps(event, default=str).encode() + b"\n"
        self._torn = b"\n"  # should it be cut off: the next begins on a line of its own
        while line:  # a disk that is full takes a part, and says so at the next
            line = line[os.write(self._file, line) :]
        self._torn = b""


class Reader:
    """Reads a transcript as it grows; an open file stays readable when it is removed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._rest = b""

    def more(self) -> Iterator[dict[str, Any]]:
        """The events that have come since; what is half written waits for the next time."""
        if self._file is None:
            try:
                self._file = self._path.open("rb")
            except FileNotFoundError:
                return
        for line in self._file:
            self._rest += line
            if self._rest.endswith(b"\n"):
                text, self._rest = self._rest, b""
                with suppress(ValueError):  # cut off by a full disk: what follows is whole
                    event: dict[str, Any] = json.loads(text)
                    yield event


def rebuild(path: Path) -> NotebookNode | None:
    """The notebook as far as it was executed, or None where there is nothing to read.

    A cell that had not ended keeps what it had said, and counts as failed.
    """
    import nbformat

    from nbtools.screen import Screen

    nb: NotebookNode | None = None
    screen: Screen | None = None
    for event in Reader(path).more():
        if "notebook" in event:
            nb = nbformat.from_dict(event["notebook"])
            screen = Screen(nb, record_timing=False)
            continue
        if nb is None or screen is None or "note" in event:
            continue
        cell = nb.cells[event["cell"]]
        record = cell.metadata.setdefault("papermill", nbformat.NotebookNode())
        if "begin" in event:
            record.update(start_time=event["begin"], status="failed", exception=True)
            screen.begin(cell)
        elif "say" in event:
            message = {"msg_type": event["say"], "content": event["content"], "parent_header": {},
                       "header": {"msg_type": event["say"]}}  # fmt: skip
            screen.process_message(message, cell, event["cell"])
        elif "end" in event:
            record.update(event["end"])
            screen.settle()
    if screen:
        screen.settle()
    return nb
