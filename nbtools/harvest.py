"""Takes home the run of a job whose notebook could not reach our store.

The executed notebook carries it (`nbtools.card`): params, metrics, and the points of series.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from nbtools.card import MIME
from nbtools.errors import RequestError
from nbtools.nouns import Context, Job, run_id
from nbtools.points import Point
from nbtools.store import Store

BROKEN = "not all of its values came home: its notebook carries what is no value"
NOTHING = "none of its values came home: its notebook logged nothing by nbtools where it was"


def harvest(store: Store, job: Job, notebook: Path | None, now: datetime) -> str:
    """Write what the executed notebook carries into the job's run; again is the same. Within
    a transaction.

    Returns a sentence on what is missing, if something is.
    """
    context = run_id(job.experiment, job.run)
    if notebook is None or store.find(Context, context) is None:  # the run was deleted
        return ""
    found = [card for card in _cards(notebook) if _is_of(card, job)]
    if not found:
        return NOTHING
    card = found[-1]  # the newest that was shown of it
    values = {f"_{kind}": _scalars(_named(card, kind)) for kind in ("params", "metrics")}

    def taken(before: Context) -> Context:
        merged = {k: {**before.metadata.get(k, {}), **new} for k, new in values.items()}
        return replace(before, metadata={**before.metadata, **merged})

    store.amend(Context, context, taken, now)
    try:
        for key, points in _named(card, "points").items():
            store.add_points(context, key, [_point(point) for point in points])
    except (TypeError, ValueError, RequestError):
        return BROKEN
    thinned = ", ".join(map(str, card.get("thinned") or ()))
    return f"of the points of {thinned} only some came home" if thinned else ""


def _cards(path: Path) -> Iterator[Mapping[str, Any]]:
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        for output in cell.get("outputs", ()):
            card = output.get("data", {}).get(MIME)
            if isinstance(card, Mapping):
                yield card


def _is_of(card: Mapping[str, Any], job: Job) -> bool:
    return (card.get("experiment"), card.get("run")) == (job.experiment, job.run)


def _named(card: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    found = card.get(kind)
    return found if isinstance(found, Mapping) else {}


def _scalars(named: Mapping[str, Any]) -> dict[str, Any]:
    """What is a value; what JSON has no number for the card has as text."""
    found = {k: v for k, v in named.items() if isinstance(v, str | int | float)}
    return {k: float(v) if v in ("nan", "inf", "-inf") else v for k, v in found.items()}


def _point(values: Any) -> Point:
    step, wall_time, value = values
    return int(step), float(wall_time), float(value)
