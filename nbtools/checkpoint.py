"""Checkpoints of a job: its kernel's state after some cells, each kept as a frozen process.

The kernel forks itself (`kernels/frozen.py`); what is known here is where those forks
wait, whether they still do, and how they are let go.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbtools.kernels import wire
from nbtools.kernels.zygotes import connected

#: seconds that a frozen kernel waits to be gone on from.
KEEP = 3600.0
#: the tag of cells after which `tagged` keeps the state.
TAG = "checkpoint"
FROZEN = Path(__file__).parent / "kernels" / "frozen.py"


@dataclass(frozen=True, kw_only=True)
class Checkpoints:
    """Those of one job."""

    stem: Path  #: their sockets are `{stem}-{index of the cell}.sock`
    mode: str = ""  #: "": none; cells: after each; tagged: after those tagged `checkpoint`

    @classmethod
    def of(cls, folder: Path, job: str, mode: str = "") -> Checkpoints:
        """Those of the job of that name; `folder` is the private one for sockets."""
        return cls(stem=folder / f"c-{hashlib.sha256(job.encode()).hexdigest()[:12]}", mode=mode)

    @classmethod
    def beside(cls, socket: Path) -> Checkpoints:
        """Those of the job that the one at `socket` belongs to."""
        return cls(stem=socket.with_name(socket.name.rpartition("-")[0]))

    def wanted(self, cell: Mapping[str, Any]) -> bool:
        """Whether the state after this cell is to be kept."""
        if cell["cell_type"] != "code" or not cell["source"].strip():
            return False
        tags = cell["metadata"].get("tags", [])
        return self.mode == "cells" or (self.mode == "tagged" and TAG in tags)

    def path(self, index: int) -> Path:
        """The socket of the state after cell `index`, from 0."""
        return self.stem.with_name(f"{self.stem.name}-{index}.sock")

    def expression(self, index: int) -> str:
        """Python that keeps the state after cell `index`; its value is "" or why it cannot be."""
        where = str(self.path(index))
        return f"__import__('runpy').run_path({str(FROZEN)!r})['freeze']({where!r}, {KEEP!r})"

    def latest(self, before: int) -> tuple[int, Path] | None:
        """The last cell before index `before` whose state is still there, and its socket."""
        for index in range(before - 1, -1, -1):
            if connection := connected(self.path(index)):
                connection.close()  # it takes this for somebody who changed his mind
                return index, self.path(index)
        return None

    def drop(self) -> None:
        """Let all of them go."""
        for path in self.stem.parent.glob(f"{self.stem.name}-*.sock"):
            if connection := connected(path):
                with connection, contextlib.suppress(OSError):
                    wire.send(connection, {"stop": True})
            path.unlink(missing_ok=True)
