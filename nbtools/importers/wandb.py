"""W&B's history, from the folders that it keeps beside a project: `wandb/offline-run-*`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from nbtools.importer import ImportedRun, Remarks
from nbtools.importers import recordlog
from nbtools.importers.wandb_log import Log

LOG: Final = "run-*.wandb"
EMPTY = "W&B logs that hold nothing: their processes were killed before they wrote"
DAMAGED = "places in W&B logs where records are damaged"


class WandB:
    """Reads the folders of offline runs, and those that online runs leave behind."""

    title = "W&B"

    def finds(self, path: Path) -> bool:
        return any(True for _ in _logs(path))

    def runs(self, path: Path, remarks: Remarks) -> Iterator[ImportedRun]:
        same: dict[str, list[Path]] = {}
        for log in _logs(path):
            same.setdefault(log.name, []).append(log)
        for logs in same.values():
            parts: dict[str, Log] = {}  # ids are a project's own
            for log in logs:
                read = _read(log, remarks)
                if read is None:
                    remarks[EMPTY] += 1
                elif read.id in parts:
                    parts[read.id].go_on(read)
                else:
                    parts[read.id] = read
            for read in parts.values():
                yield read.run()


def _read(path: Path, remarks: Remarks) -> Log | None:
    """What a log says; None when it holds nothing. Raises OSError."""
    log, empty = Log(remarks, [path]), True
    for record in recordlog.records(path):
        try:
            if record is not None:
                log.take(record)
            empty = empty and record is None
            remarks[DAMAGED] += record is None
        except ValueError:
            remarks[DAMAGED] += 1
    return None if empty else log


def _logs(path: Path) -> list[Path]:
    """The log files at `path`, oldest first: their folders' names begin with their time."""
    found = [path] if path.is_file() else [
        log for pattern in (LOG, f"*/{LOG}", f"wandb/*/{LOG}") for log in path.glob(pattern)
        if not log.parent.is_symlink()  # latest-run
    ]  # fmt: skip
    return sorted((log for log in found if recordlog.is_log(log)), key=_folder_name)


def _folder_name(log: Path) -> str:
    return log.parent.name.removeprefix("offline-")
