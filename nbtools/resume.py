"""Going on with a job that stopped: from its first cell that failed or has changed since, or
from one that is named.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nbtools import successor
from nbtools.checkpoint import Checkpoints
from nbtools.errors import RequestError, StateError
from nbtools.jobs import Jobs, SubmittedJob
from nbtools.nouns import IDENTITY, Job
from nbtools.request import Plan, plan

#: papermill's tags: of the cell with the parameters, and of notes about an error.
INJECTED, NOTE = "injected-parameters", "papermill-error-cell-tag"
#: where to go on from when nobody names a cell.
FAILED_CELL = "failed-cell"

Cell = Mapping[str, Any]


def resume(
    jobs: Jobs, name: str, checkpoint: str = "", from_cell: str | int = FAILED_CELL
) -> SubmittedJob:
    """Begin a job that goes on where the named one stopped, in the same run.

    `from_cell` is `failed-cell`, the first that failed or has changed since, or an earlier
    one by its number (from 1, as errors say it) or its id. With a checkpoint of the cells
    before, their state and their outputs are taken over; without one they are executed
    again, and the new job's note says so. Raises StateError when that job is still at work,
    or has succeeded and nothing has changed since; RequestError for a cell that there is
    not, or before which something is still to be executed.
    """
    old = successor.rested(jobs, name)
    place = successor.place_of(jobs, old)
    made, before = _plan(jobs, old, place, checkpoint), _executed(jobs, old)
    first = _first(made.prepared, before, old, str(from_cell))
    found = _kept(jobs, old, first)
    made = _from_there(made, old, before, *found) if found else _again(made, old, first)
    return successor.begin(jobs, made, place)


def _first(prepared: str, before: Sequence[Cell], old: Job, from_cell: str) -> int:
    """The index of the cell to go on from."""
    cells = json.loads(prepared)["cells"]
    failed = changed(prepared, before)
    if from_cell == FAILED_CELL:
        if failed == len(cells):
            raise StateError(
                f"job {old.name} has executed every cell and none has changed since: "
                "there is nothing to go on with, unless you name a cell with --from"
            )
        return failed
    named = [i for i, cell in enumerate(cells) if cell.get("id") == from_cell]
    if from_cell.isdecimal() and 1 <= int(from_cell) <= len(cells):
        named = [int(from_cell) - 1]
    if not named:
        raise RequestError(
            f"job {old.name} has no cell {from_cell!r} to go on from: give a number from 1 to "
            f"{len(cells)}, the id of a cell, or {FAILED_CELL}"
        )
    if named[0] > failed:
        raise RequestError(
            f"job {old.name} cannot go on from cell {named[0] + 1}: cell {failed + 1}, before it, "
            "was not executed to its end as it is now; name that one, or an earlier"
        )
    return named[0]


def _kept(jobs: Jobs, old: Job, first: int) -> tuple[int, Path] | None:
    """The last checkpoint before cell `first`: the job's own, or of that which it went on from."""
    task = successor.task(old)
    own = Checkpoints.of(jobs.settings.runtime, old.name).latest(first)
    if own or not task.thaw:
        return own
    return Checkpoints.beside(Path(task.thaw)).latest(min(first, task.first))


def changed(prepared: str, before: Sequence[Cell]) -> int:
    """The index of the first cell that was not executed to its end as it now is."""
    now = json.loads(prepared)["cells"]
    for index, cell in enumerate(now):
        if index >= len(before) or not _same(cell, before[index]):
            return index
    return len(now)


def _same(cell: Cell, before: Cell) -> bool:
    if cell["cell_type"] != before["cell_type"]:
        return False
    if cell["cell_type"] != "code":
        return True  # what it says makes no difference to what follows
    done = before["metadata"].get("papermill", {}).get("status") == "completed"
    return done and _source(cell) == _source(before)


def _source(cell: Cell) -> str:
    source = _text(cell)
    if INJECTED in cell["metadata"].get("tags", []):
        return "\n".join(line for line in source.splitlines() if not _identity(line))
    return source


def _text(cell: Cell) -> str:
    return cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])


def _identity(line: str) -> bool:
    return line.startswith(f"{IDENTITY} = ")


def _plan(jobs: Jobs, old: Job, place: successor.Place | None, checkpoint: str) -> Plan:
    request = successor.asked(jobs, old, place, run=old.run, resume=True)
    if checkpoint:
        request = replace(request, checkpoint=checkpoint)
    made = plan(request, jobs.settings, jobs.clock())
    return replace(made, job=replace(made.job, resume_of=old.name))


def _executed(jobs: Jobs, old: Job) -> list[Cell]:
    path = jobs.outputs(old).notebook
    if path is None:
        return []
    cells: list[Cell] = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if NOTE not in cell["metadata"].get("tags", [])]


def _from_there(made: Plan, old: Job, before: Sequence[Cell], index: int, socket: Path) -> Plan:
    notebook = json.loads(made.prepared)
    cells = notebook["cells"]
    identity = [
        line
        for cell in cells[: index + 1]
        if INJECTED in cell["metadata"].get("tags", [])
        for line in _text(cell).splitlines()
        if _identity(line)
    ]
    for number, (cell, done) in enumerate(zip(cells[: index + 1], before, strict=False)):
        taken = {key: done[key] for key in ("outputs", "execution_count") if key in done}
        cells[number] = {**cell, **taken, "metadata": done["metadata"]}
    note = f"goes on from job {old.name} after cell {index + 1}, in the state it had there"
    return replace(
        made,
        prepared=json.dumps(notebook),
        task=replace(
            made.task, first=index + 1, thaw=str(socket), setup="\n".join(map(_checked, identity))
        ),
        job=replace(made.job, note=note),
    )


def _checked(line: str) -> str:
    """The line, which sets the run's identity and nothing else."""
    ast.literal_eval(line.partition("=")[2].strip())
    return line


def _again(made: Plan, old: Job, first: int) -> Plan:
    note = f"goes on from job {old.name}"
    if first:
        note += f"; cells 1 to {first} are executed again, for there is no checkpoint of them"
    return replace(made, job=replace(made.job, note=note))
