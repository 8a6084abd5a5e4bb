"""What a cell shows, made from what its kernel says: nbclient's rules, and JupyterLab's.

nbclient turns messages into outputs. Added here is what JupyterLab does besides: text that
follows text of the same stream is one output, and carriage returns and backspaces have
had their effect by the time the notebook is saved.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from nbclient import NotebookClient

if TYPE_CHECKING:
    from nbformat import NotebookNode


class Screen(NotebookClient):
    """A client that keeps outputs; used alone, without a kernel, it only does that."""

    def __init__(self, nb: NotebookNode, **options: Any) -> None:
        super().__init__(nb, **options)
        self.reset_execution_trackers()
        self._stream: NotebookNode | None = None  #: the output that text is being added to
        self._text: list[str] = []

    def begin(self, cell: NotebookNode) -> None:
        """A cell is about to show something."""
        self.settle()
        self._stream, self._text = None, []
        if cell.cell_type == "code":
            cell.outputs = []
        self.clear_before_next_output = False

    def output(
        self,
        outs: list[NotebookNode],
        msg: dict[str, Any],
        display_id: str | None,
        cell_index: int,
    ) -> NotebookNode | None:
        """Add an output, or text to the last one."""
        same = self._stream is not None and bool(outs) and outs[-1] is self._stream
        is_text = msg["msg_type"] == "stream"
        if is_text and same and not self.clear_before_next_output and not self._hooked(msg):
            stream = self._stream
            if stream is not None and stream["name"] == msg["content"]["name"]:
                self._text.append(msg["content"]["text"])
                return stream
        out: NotebookNode | None = super().output(outs, msg, display_id, cell_index)
        if is_text and out is not None:
            self.settle()
            self._stream, self._text = out, [out["text"]]
        return out

    def settle(self) -> None:
        """Put the text of the stream where it belongs."""
        if self._stream is not None:
            self._stream["text"] = overwritten("".join(self._text))

    def _hooked(self, msg: dict[str, Any]) -> bool:
        return bool(self.output_hook_stack[msg["parent_header"].get("msg_id")])


def overwritten(text: str) -> str:
    """`text` after its carriage returns and backspaces, as a terminal would have it."""
    if "\b" in text:
        before = None
        while before != text:
            before, text = text, re.sub(r"[^\n\r\b]\x08", "", text)
        text = re.sub(r"(^|[\n\r])\x08+", r"\1", text)
    if "\r" not in text:
        return text
    return "\n".join(map(_line, re.sub(r"\r+\n", "\n", text).split("\n")))


def _line(line: str) -> str:
    shown = ""
    for part in line.split("\r"):
        shown = part + shown[len(part) :]
    return shown
