"""What a job says while it is at work: its cells as they begin and end, its output as it comes.

Read from the transcript as it grows; of a job that has ended, from its executed notebook.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbtools.jobs import Jobs
from nbtools.transcript import Reader

#: seconds between looks for more.
PAUSE = 0.1


@dataclass(frozen=True, kw_only=True)
class Event:
    """One thing that happened in a job."""

    kind: str  #: begin, text, result, error, end (of a cell), note, or ended (the job)
    cell: int = 0  #: number of the cell, from 1
    text: str = ""  #: what was printed or shown; of `begin` the cell's first line
    stream: str = ""  #: stdout or stderr, where it is text
    seconds: float = 0.0  #: how long the cell took, at its end


def watch(job: str, follow: bool = True) -> Iterator[Event]:
    """Yield what the job has said so far and, with `follow`, what it says until it ends.

    Raises NotFound when there is no such job.
    """
    jobs = Jobs.open()
    found = jobs.get(job)
    reader = Reader(Path(found.folder) / "transcript.jsonl")
    sources: list[str] = []
    heard = False
    while True:
        final = found.state.final or not follow
        for raw in reader.more():
            heard = True
            if "notebook" in raw:
                sources = [_source(cell) for cell in raw["notebook"]["cells"]]
            elif "note" in raw:
                yield Event(kind="note", text=raw["note"])
            elif event := _event(raw, sources):
                yield event
        if final:
            break
        time.sleep(PAUSE)
        found = jobs.get(job)
    if not heard:
        yield from _from_notebook(jobs.outputs(found).notebook)
    if found.state.final:
        yield Event(kind="ended", cell=found.cell, text=found.error or str(found.state))


def _event(raw: dict[str, Any], sources: list[str]) -> Event | None:
    cell = raw["cell"] + 1
    if "begin" in raw:
        return Event(kind="begin", cell=cell, text=sources[cell - 1].strip().partition("\n")[0])
    if "end" in raw:
        return Event(kind="end", cell=cell, seconds=raw["end"].get("duration") or 0.0)
    return _shown(cell, raw["say"], raw["content"])


def _shown(cell: int, kind: str, content: dict[str, Any]) -> Event | None:
    if kind == "stream":
        return Event(kind="text", cell=cell, text=_source(content, "text"), stream=content["name"])
    if kind == "error":
        return Event(kind="error", cell=cell, text="\n".join(content["traceback"]))
    if kind in ("execute_result", "display_data", "update_display_data"):
        data = content["data"]
        text = _source(data, "text/plain") or f"[{', '.join(data)}]"
        return Event(kind="result", cell=cell, text=text)
    return None


def _from_notebook(path: Path | None) -> Iterator[Event]:
    import json

    if path is None:
        return
    for number, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"], 1):
        record = cell["metadata"].get("papermill", {})
        if not record.get("start_time"):
            continue  # it never began, or is a note of ours
        yield Event(kind="begin", cell=number, text=_source(cell).strip().partition("\n")[0])
        for output in cell.get("outputs", ()):
            if event := _shown(number, output["output_type"], output):
                yield event
        yield Event(kind="end", cell=number, seconds=record.get("duration") or 0.0)


def _source(cell: dict[str, Any], key: str = "source") -> str:
    source = cell.get(key, "")
    return source if isinstance(source, str) else "".join(source)
