"""What a notebook leaves in a bucket when Vertex AI has executed it, brought home.

A notebook that came from elsewhere has no papermill record: its cells say what was executed.
"""

from __future__ import annotations

import errno
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from nbtools.below import below
from nbtools.errors import NbtoolsError, NotFound, RequestError, Unavailable
from nbtools.executor import Task
from nbtools.mirror import reason
from nbtools.shipment import put_whole, remote

#: the folder in a job's folder for what a notebook has left besides; as `nbtools.outputs` has it.
FILES: Final = "files"
#: papermill's tag of what it says of an error.
_NOTE: Final = "papermill-error-cell-tag"


@dataclass(frozen=True)
class Brought:
    """How far an executed notebook is, by what is in it."""

    cell: int = 0  #: the last one that was executed, from 1
    cells: int = 0  #: how many there are
    text: str = ""  #: the last line printed
    error: str = ""  #: the first error shown


def send(path: Any, uri: str) -> None:
    """Put a file into a bucket. Raises RequestError, Unavailable, MissingDependency."""
    with told(uri):
        fs, target = remote(uri)
        put_whole(fs, path, target)


def bring(task: Task, uri: str, whole: bool) -> Brought:
    """Fetch what lies below `uri` into the task's folder: the executed notebook under the
    name that the task says, for one that did not reach its end that of a part; and the rest.

    Raises NotFound when there is no notebook, Unavailable when it cannot be said now,
    RequestError when it may not be fetched.
    """
    import nbformat

    from nbtools.progress import write

    content = _fetched(task, uri)
    try:
        nb = nbformat.reads(content.decode(), as_version=4)
        found = _looked_at(nb)
        write(nb, task.executed if whole else task.partial)
    except (ValueError, nbformat.ValidationError) as error:
        raise NotFound(f"what lies at {uri} is no notebook: {_line(error)}") from None
    if task.report_wanted:
        _report(nb, task)
    return found


def _fetched(task: Task, uri: str) -> bytes:
    """The notebook that lies below `uri`; what lies beside it goes into the task's folder."""
    with told(uri):
        fs, root = remote(uri)
        fs.invalidate_cache()
        found = fs.find(root, detail=True)
        there = sorted(found, key=lambda path: (path.count("/"), path))
        theirs = f"{root}/{FILES}/"  # what the notebook itself has shipped
        own = [path for path in there if path.endswith(".ipynb") and not path.startswith(theirs)]
        notebook = own[0] if own else ""
        for path in there:
            if path != notebook and not path.endswith("/"):
                name = path.removeprefix(root).lstrip("/").removeprefix(f"{FILES}/")
                target = below(task.folder / FILES, name)
                _get(fs, path, target, found[path].get("size"), task.folder / ".fetched")
        content: bytes = fs.cat_file(notebook) if notebook else b""
    if not notebook:
        raise NotFound(f"there is no notebook at {uri}")
    return content


def _get(fs: Any, path: str, target: Path, size: int | None, beside: Path) -> None:
    """Fetch a file onto the disk, by way of `beside`: it is there as soon as all of it is."""
    if size is not None and target.is_file() and target.stat().st_size == size:
        return  # whoever looked before was cut off behind this one
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = beside.with_name(f"{beside.name}.{os.getpid()}")  # others may look at once
    try:
        fs.get_file(path, str(beside))
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)


def _report(nb: Any, task: Task) -> None:
    """As of the runner: why there is no page is no fault of the notebook's."""
    try:
        from nbtools.page import write_report

        write_report(nb, task.report, task.stem)
    except Exception as error:  # noqa: BLE001 - also of nbconvert's own templates
        warnings.warn(f"no report of job {task.job}: {_line(error)}", stacklevel=2)


def _looked_at(nb: Any) -> Brought:
    """How far it is; a cell that has no record of that gets one."""
    cells = [c for c in nb.cells if _NOTE not in c.metadata.get("tags", ())]
    last, text, error = 0, "", ""
    for number, cell in enumerate(cells, 1):
        if cell.cell_type != "code":
            continue
        status = _status(cell)
        cell.metadata.setdefault("papermill", {}).setdefault("status", status)
        if cell.metadata.papermill["status"] != "pending":
            last = number
        for output in cell.outputs:
            if output.output_type == "stream" and output.text.strip():
                text = output.text.strip().splitlines()[-1]
            if output.output_type == "error" and not error:
                count = f" (In [{cell.execution_count}])" if cell.execution_count else ""
                said = f"{output.ename}: {output.evalue}".strip().splitlines()[0]
                error = f"cell {number} of {len(cells)}{count}: {said}"
    whole = not error and all(
        c.metadata.papermill["status"] == "completed" for c in cells if c.cell_type == "code"
    )
    return Brought(len(cells) if whole else last, len(cells), text, error)


def _status(cell: Any) -> str:
    if any(output.output_type == "error" for output in cell.outputs):
        return "failed"
    done = cell.execution_count is not None or not cell.source.strip()
    return "completed" if done else "pending"


@contextmanager
def told(uri: str) -> Iterator[None]:
    """Raise what a bucket's library raises as ours: what to try again is Unavailable."""
    try:
        yield
    except NbtoolsError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever that library raises
        raise _ours(uri, error) from None


def _ours(uri: str, error: Exception) -> RequestError:
    code = getattr(error, "code", None) or getattr(error, "status", None)
    forbidden = str(error).startswith("Forbidden")  # all that gcsfs says of it
    if forbidden or isinstance(error, PermissionError) or code in (401, 403):
        return RequestError(f"{uri} may not be read and written by you: ask for the right to")
    if isinstance(error, FileNotFoundError) or code == 404:
        return NotFound(f"there is no {uri}")
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Unavailable(f"no space is left here for what lies at {uri}: free some")
    return Unavailable(f"{uri} cannot be reached: {reason(error)}")


def _line(error: object) -> str:
    return " ".join(str(error).split())[:200]
