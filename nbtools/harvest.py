"""Takes home the run of a job whose notebook could not reach our store.

The executed notebook carries it (`nbtools.card`): params, metrics, the points of series, and
what it has left behind, whose files the executor has fetched (`nbtools.homeward` ships them).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from nbtools import lineage
from nbtools.below import below
from nbtools.card import MIME
from nbtools.errors import RequestError
from nbtools.nouns import Artifact, Context, Job, artifact_name, run_id
from nbtools.outputs import FILES
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
        said = _take_in(store, job, context, card, now)
    except (TypeError, ValueError, KeyError, RequestError):
        return BROKEN
    thinned = ", ".join(map(str, card.get("thinned") or ()))
    points_ = f"of the points of {thinned} only some came home" if thinned else ""
    return "; ".join(filter(None, (points_, said)))


def _take_in(store: Store, job: Job, context: str, card: Mapping[str, Any], now: datetime) -> str:
    """Write what the run has left behind, as if it had left it here; what is missing."""
    missing = []
    for said in card.get("artifacts") or ():
        name = str(said["display_name"])
        path = below(Path(job.folder) / FILES, said["file"]) if said["file"] else None
        if path is not None and not path.is_file():
            missing.append(name)
            continue
        found = Artifact(
            name=artifact_name(context, name),
            schema_title=str(said["schema_title"]),
            display_name=name,
            uri=str(path or ""),
            metadata=dict(json.loads(said["metadata"])),
        )
        lineage.left(store, found, job.name, context, now)
    why = str(card.get("stranded") or "")
    if not (missing or why):
        return ""
    which = f", {', '.join(missing)} among them" if missing else ""
    return f"not all files that it wrote came home{which}: {why or 'they are not in the bucket'}"


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
