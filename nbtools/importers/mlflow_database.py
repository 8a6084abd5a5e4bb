"""MLflow's SQLite file."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from typing import Any

from nbtools.importer import ImportedRun, Point, Remarks
from nbtools.importers import mlflow_run
from nbtools.importers.database import Database
from nbtools.importers.mlflow_run import Kept

#: table -> what its rows are, of what is not taken.
LEFT = {
    "trace_info": "traces",
    "registered_models": "registered models",
    "model_versions": "versions of registered models",
    "inputs": mlflow_run.INPUTS,
    "experiment_tags": mlflow_run.EXPERIMENT_TAGS,
    "evaluation_datasets": "evaluation datasets",
    "logged_model_metrics": "metrics of logged models",
    "logged_model_params": "params of logged models",
}


def is_ours(database: Database) -> bool:
    """Whether it is MLflow's."""
    return {"alembic_version", "experiments", "runs", "params", "metrics"} <= database.tables


def runs(database: Database, remarks: Remarks) -> Iterator[ImportedRun]:
    """Every run that was not deleted. Raises RequestError when the file is damaged."""
    experiments = {row["experiment_id"]: row for row in database.rows("experiments")}
    models = {}
    if "logged_models" in database.tables:
        models = mlflow_run.models_of(database.rows("logged_models"))
    for row in list(database.rows("runs")):
        experiment = experiments[row["experiment_id"]]
        if "deleted" in (row["lifecycle_stage"], experiment["lifecycle_stage"]):
            remarks[mlflow_run.DELETED] += 1
            continue
        run = row["run_uuid"]
        kept = Kept(
            id=run,
            experiment=experiment["name"],
            status=row["status"],
            name=row["name"] or "",
            user=row["user_id"] or "",
            start=row["start_time"],
            end=row["end_time"],
            artifacts=row["artifact_uri"] or "",
            params=_pairs(database, "params", run),
            points=_points(database, run),
            tags=_pairs(database, "tags", run),
            models=tuple(models.pop(run, ())),
        )
        yield mlflow_run.imported(kept, database.path.parent, remarks)
    remarks[mlflow_run.LOOSE_MODELS] += sum(map(len, models.values()))
    for table, what in LEFT.items():
        remarks[what] += database.count(table)


def _pairs(database: Database, table: str, run: str) -> dict[str, str]:
    return {row["key"]: row["value"] or "" for row in database.rows(table, run_uuid=run)}


def _points(database: Database, run: str) -> dict[str, list[Point]]:
    points: dict[str, list[Point]] = {}
    for row in database.rows("metrics", run_uuid=run):
        point = (row["step"], row["timestamp"] / 1000, _value(row))
        points.setdefault(row["key"], []).append(point)
    return points


def _value(row: dict[str, Any]) -> float:
    """MLflow keeps NaN beside the number, and infinity as the largest number there is."""
    if row["is_nan"]:
        return math.nan
    value = float(row["value"])
    return math.copysign(math.inf, value) if abs(value) >= sys.float_info.max else value
