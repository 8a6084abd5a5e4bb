"""trackio's history: a SQLite file a project, each logged step a row of JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from nbtools.importer import ImportedRun, Point, Remarks
from nbtools.importers.database import Database, databases
from nbtools.importers.values import files_below, flat, time_of
from nbtools.states import ExecutionState

#: table -> what its rows are, of what is not taken.
LEFT = {
    "system_metrics": "measurements of the machine (CPU, memory)",
    "alerts": "alerts",
    "traces": "traces",
    "artifact_versions": "versions of artifacts",
}
NOT_FINITE = {"NaN": "nan", "Infinity": "inf", "-Infinity": "-inf"}


class Trackio:
    """Reads `PROJECT.db`, by default in `~/.cache/huggingface/trackio`."""

    title = "trackio"

    def finds(self, path: Path) -> bool:
        return any(_is_ours(database) for database in databases(path, "*.db"))

    def runs(self, path: Path, remarks: Remarks) -> Iterator[ImportedRun]:
        for database in databases(path, "*.db"):
            if _is_ours(database):
                yield from _runs(database, remarks)


def _is_ours(database: Database) -> bool:
    return {"metrics", "configs", "project_metadata"} <= database.tables or {
        "metrics", "configs", "system_metrics",
    } <= database.tables  # fmt: skip


def _runs(database: Database, remarks: Remarks) -> Iterator[ImportedRun]:
    """The runs of one project, in the order of their first step."""
    project = database.path.stem
    configs = {_key(row): row for row in database.rows("configs")}
    steps: dict[str, list[dict[str, Any]]] = {key: [] for key in configs}
    for row in database.rows("metrics"):
        steps.setdefault(_key(row), []).append(row)
    for key, rows in steps.items():
        config = configs.get(key)
        first = rows[0] if rows else config
        if first is None:
            continue
        values = _json(config["config"], remarks) if config else {}
        own = {k.strip("_").lower(): v for k, v in values.items() if k.startswith("_") and v}
        series, last = _series(rows, remarks)
        times = [when.timestamp() for row in rows if (when := _time(row["timestamp"]))]
        begun = _time(str(own.pop("created", ""))) or time_of(min(times, default=None))
        name = str(first["run_name"])
        media = database.path.parent / "media" / project / name
        yield ImportedRun(
            # Older files have no ids: a run is known by its name, in a project of that file.
            id=key if "run_id" in first else f"{database.path}#{key}",
            experiment=project,
            name=name,
            state=ExecutionState.COMPLETE,  # trackio keeps no state
            params=flat({k: v for k, v in values.items() if not k.startswith("_")}),
            metrics=last,
            series=series,
            start_time=begun,
            end_time=time_of(max(times, default=None)),
            files=tuple(files_below(media, remarks)) if media.is_dir() else (),
            about=own,
        )
    for table, what in LEFT.items():
        remarks[what] += database.count(table)


def _series(
    rows: list[dict[str, Any]], remarks: Remarks
) -> tuple[dict[str, list[Point]], dict[str, Any]]:
    """The points of each metric, and the last value of what is no number."""
    series: dict[str, list[Point]] = {}
    last: dict[str, Any] = {}
    for row in rows:
        when = _time(row["timestamp"])
        seconds = when.timestamp() if when else 0.0
        for key, found in flat(_media_apart(_json(row["metrics"], remarks), remarks)).items():
            value = float(NOT_FINITE[found]) if found in NOT_FINITE else found
            if isinstance(value, int | float):
                series.setdefault(key, []).append((int(row["step"]), seconds, float(value)))
            else:
                remarks["text logged in steps: the last one is kept"] += key in last
                last[key] = value
    return series, last


def _media_apart(values: Mapping[str, Any], remarks: Remarks) -> dict[str, Any]:
    """Without images, tables and the like, which are counted."""
    kept = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and str(value.get("_type", "")).startswith("trackio."):
            remarks[f"trackio's {str(value['_type']).partition('.')[2]} values"] += 1
        else:
            kept[key] = value
    return kept


def _key(row: Mapping[str, Any]) -> str:
    return str(row.get("run_id") or row["run_name"])


def _json(text: str | bytes, remarks: Remarks) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    remarks["rows that are no JSON"] += not isinstance(found, dict)
    return found if isinstance(found, dict) else {}


def _time(text: str) -> datetime | None:
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    return when.astimezone()
