"""The card that a run shows in its notebook: who it is, and its values so far.

It is one small output, brought up to date when a cell ends, in text, HTML and JSON. So an
executed notebook carries its run, wherever it was executed, and can be read on its own.
"""

from __future__ import annotations

import json
import math
from html import escape
from typing import TYPE_CHECKING, Any

from nbtools.about import shell

if TYPE_CHECKING:
    from nbtools.open_run import OpenRun

MIME = "application/vnd.nbtools.run+json"
#: points of each series that a run carries home.
CARRIED = 1000


def show(run: OpenRun) -> None:
    """Display the card of `run`, if this is a notebook, and keep it up to date."""
    notebook = shell()
    if notebook is None or not hasattr(notebook, "kernel"):
        return  # a script, or a terminal: nothing to show a card in
    from IPython.display import display

    handle = display(bundle(run), raw=True, display_id=True)
    shown = bundle(run)

    def refresh(*_: object) -> None:
        nonlocal shown
        run.settle()  # what it names is where it can be fetched
        if (now := bundle(run)) != shown:
            shown = now
            handle.update(now, raw=True)

    notebook.events.register("post_run_cell", refresh)


def bundle(run: OpenRun) -> dict[str, Any]:
    """The card in each of its forms, by MIME type."""
    values = {
        kind: {k: _json(v) for k, v in named.items()} for kind, named in run.values.items() if named
    }
    more = {**_points(run), **_artifacts(run)} if run.away else {}
    title = f"run {run.name} of experiment {run.experiment}"
    rows = [(kind, k, v) for kind, named in run.values.items() for k, v in named.items()]
    cells = "".join(
        f"<tr><td>{escape(kind)}</td><td>{escape(k)}</td><td>{escape(_text(v))}</td></tr>"
        for kind, k, v in rows
    )
    return {
        MIME: {"experiment": run.experiment, "run": run.name, **values, **more},
        "text/plain": "\n".join([title, *(f"  {k} = {_text(v)}" for _, k, v in rows)]),
        "text/html": f"<details open><summary>{escape(title)}</summary>"
        f"<table>{cells}</table></details>",
    }


def _points(run: OpenRun) -> dict[str, Any]:
    """The series, for whoever cannot look into the store; of a long one so many points, with
    its last.
    """
    points, thinned = {}, []
    for key, found in run.points().items():
        every = -(-len(found) // CARRIED)
        if every > 1:
            thinned.append(key)
        kept = found[(len(found) - 1) % every :: every] if found else []
        points[key] = [[step, wall_time, _json(value)] for step, wall_time, value in kept]
    return {"points": points, "thinned": thinned} if points else {}


def _artifacts(run: OpenRun) -> dict[str, Any]:
    """What it has left behind, likewise: the files themselves are shipped."""
    found = [
        {
            "display_name": artifact.display_name,
            "schema_title": artifact.schema_title,
            "file": run.name_of(artifact),
            "metadata": json.dumps(dict(artifact.metadata)),  # as text it may hold infinity
        }
        for artifact in run.left.values()
    ]
    more = {"artifacts": found} if found else {}
    return {**more, "stranded": run.stranded} if run.stranded else more


def _text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _json(value: Any) -> Any:
    """JSON has no NaN and no infinity, and knows no numpy."""
    value = value.item() if hasattr(value, "item") else value
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
