"""TensorBoard's event files: a folder that holds some is a run.

PyTorch's writer makes folders besides its own: one for each line of `add_scalars`, one for
`add_hparams`. Those are parts of the run whose folder they are in, and come back to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from nbtools.eventfile import PATTERN, Damage, Events
from nbtools.importer import ImportedFile, ImportedRun, Remarks
from nbtools.importers.values import time_of
from nbtools.states import ExecutionState

#: the hparams plugin's word for how a session ended; without one a run is taken as complete.
STATES = {
    2: (ExecutionState.FAILED, "its hparams session says that it failed"),
    3: (ExecutionState.RUNNING, ""),
}
#: the folder that `add_hparams` makes when it is given no name: `time.time()`
_TIME = re.compile(r"\d{9,}\.\d+")
OTHERS = "TensorBoard's {}: they stay in the event files"
TORN = "bytes at the end of event files, of records that were cut off or are being written"


class TensorBoard:
    """Reads scalars and hyperparameters out of `events.out.tfevents.*` files."""

    title = "TensorBoard"

    def finds(self, path: Path) -> bool:
        return any(True for _ in _files(path))

    def runs(self, path: Path, remarks: Remarks) -> Iterator[ImportedRun]:
        root = path if path.is_dir() else path.parent
        folders: dict[Path, list[Path]] = {}
        for file in _files(path):
            folders.setdefault(file.parent, []).append(file)
        # Deepest first, so that parts are there when the run that they are of is made.
        parts: dict[Path, list[_Folder]] = {}
        for folder in sorted(folders, key=lambda f: (-len(f.parts), f)):
            read = _read(folder, sorted(folders[folder]), remarks)
            own = parts.pop(folder, [])
            if folder != root and folder.parent in folders and read.is_part():
                parts.setdefault(folder.parent, []).append(read)
            else:
                yield _run(root, read, own, remarks)


@dataclass
class _Folder:
    """What the event files of one folder say."""

    path: Path
    files: list[Path]
    events: Events = field(default_factory=Events)

    @property
    def line(self) -> str:
        """The name of the one series here if this is a line of `add_scalars`, else ""."""
        if len(self.events.scalars) != 1 or self.events.hparams:
            return ""
        (tag,) = self.events.scalars
        written = f"{tag.replace('/', '_')}_"
        name = self.path.name
        return f"{tag}/{name.removeprefix(written)}" if name.startswith(written) else ""

    def is_part(self) -> bool:
        """Whether this belongs to the run of the folder around it."""
        hparams = bool(self.events.hparams) and bool(_TIME.fullmatch(self.path.name))
        return hparams or bool(self.line)


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield from [path] if path.match(PATTERN) else []
    else:
        yield from (file for file in path.rglob(PATTERN) if file.is_file())


def _read(folder: Path, files: list[Path], remarks: Remarks) -> _Folder:
    """Take in a folder's files in the order of their names, which begin with their time."""
    read = _Folder(folder, files)
    for file in files:
        try:
            remarks[TORN] += read.events.take(file)
        except Damage as damage:
            remarks[f"event files that are damaged: {damage}"] += 1
    for what, count in read.events.others.items():
        remarks[OTHERS.format(what)] += count
    return read


def _run(root: Path, read: _Folder, parts: list[_Folder], remarks: Remarks) -> ImportedRun:
    """The run of a folder and of what is part of it."""
    series, params = dict(read.events.scalars), dict(read.events.hparams)
    status = read.events.status
    files = list(read.files)
    for part in sorted(parts, key=lambda part: part.events.first):
        files += part.files
        if line := part.line:
            series[line] = next(iter(part.events.scalars.values()))
            continue
        remarks["hyperparameters written twice: the last ones are kept"] += bool(params)
        params |= part.events.hparams
        status = part.events.status or status
        for tag, points in part.events.scalars.items():
            series.setdefault(tag, points)
    state, error = STATES.get(status, (ExecutionState.COMPLETE, ""))
    below = read.path.relative_to(root).as_posix()
    return ImportedRun(
        id=str(read.path.resolve()),  # event files say nothing else by which to know a run
        experiment=root.name or "logs",
        name=root.name if below == "." else below,
        state=state,
        error=error,
        params=params,
        series=series,
        start_time=time_of(read.events.first),
        end_time=time_of(max(e.last for e in (read.events, *(p.events for p in parts)))),
        files=tuple(
            ImportedFile(name=file.relative_to(root).as_posix(), uri=str(file)) for file in files
        ),
    )
