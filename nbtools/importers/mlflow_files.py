"""MLflow's folder of files, `mlruns`: a folder a run, a file a param, metric and tag."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nbtools.importer import ImportedRun, Point, Remarks
from nbtools.importers import mlflow_run
from nbtools.importers.mlflow_run import STATES, Kept

META = "meta.yaml"
TRASH = ".trash"
UNREADABLE = "folders of runs whose meta.yaml is missing or damaged"
LINES = "lines of metrics that are no points"


def is_ours(folder: Path) -> bool:
    """Whether it is a file store: a folder an experiment, each with its `meta.yaml`."""
    return any("experiment_id" in (_meta(path.parent) or {}) for path in folder.glob(f"*/{META}"))


def runs(folder: Path, remarks: Remarks) -> Iterator[ImportedRun]:
    """Every run that was not deleted, oldest first. Raises OSError."""
    for _ in folder.glob(f"{TRASH}/*/*/{META}"):
        remarks[mlflow_run.DELETED] += 1
    for place in sorted(path.parent for path in folder.glob(f"*/{META}")):
        experiment = _meta(place) or {}
        models = mlflow_run.models_of(
            meta for path in sorted(place.glob("models/*")) if (meta := _meta(path))
        )
        remarks[mlflow_run.EXPERIMENT_TAGS] += sum(1 for _ in (place / "tags").glob("*"))
        deleted = experiment.get("lifecycle_stage") == "deleted"
        for run, meta in _ordered(place, remarks):
            if deleted or meta.get("lifecycle_stage") == "deleted":
                remarks[mlflow_run.DELETED] += 1
                continue
            found = tuple(models.pop(str(meta["run_id"]), ()))
            try:
                kept = _kept(run, meta, str(experiment.get("name", place.name)), found, remarks)
            except (ValueError, TypeError, IndexError):  # it says what MLflow would not
                remarks[UNREADABLE] += 1
                continue
            yield mlflow_run.imported(kept, folder, remarks)
        remarks[mlflow_run.LOOSE_MODELS] += sum(map(len, models.values()))


def _ordered(place: Path, remarks: Remarks) -> list[tuple[Path, dict[str, Any]]]:
    """The runs of an experiment's folder, by when they began."""
    found = []
    for run in sorted(place.iterdir()):
        if not run.is_dir() or run.name in ("models", "tags", "datasets", "traces"):
            continue
        meta = _meta(run)
        if meta is None or "run_id" not in meta:
            remarks[UNREADABLE] += 1
        else:
            found.append((run, meta))
    remarks["traces"] += sum(1 for _ in place.glob("traces/*"))
    return sorted(found, key=lambda pair: str(pair[1].get("start_time")))


def _kept(
    run: Path, meta: dict[str, Any], experiment: str, models: tuple[tuple[str, str], ...],
    remarks: Remarks,
) -> Kept:  # fmt: skip
    remarks[mlflow_run.INPUTS] += sum(1 for _ in (run / "inputs").glob("*"))
    return Kept(
        id=str(meta["run_id"]),
        experiment=experiment,
        status=list(STATES)[int(meta.get("status") or 1) - 1],
        name=str(meta.get("run_name") or ""),
        user=str(meta.get("user_id") or ""),
        start=float(meta.get("start_time") or 0),
        end=float(meta.get("end_time") or 0),
        artifacts=str(meta.get("artifact_uri") or run / "artifacts"),
        params=_texts(run / "params"),
        points={key: _points(text, remarks) for key, text in _texts(run / "metrics").items()},
        tags=_texts(run / "tags"),
        models=models,
    )


def _texts(folder: Path) -> dict[str, str]:
    """What each file says, by its path below `folder`: names may hold slashes."""
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8", errors="replace")
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _points(text: str, remarks: Remarks) -> list[Point]:
    """Lines of `milliseconds value step`, of which old ones lack the step."""
    points = []
    for line in text.splitlines():
        try:
            when, value, *rest = line.split(" ")
            points.append((int(rest[0]) if rest else 0, int(when) / 1000, float(value)))
        except ValueError:
            remarks[LINES] += 1
    return points


def _meta(folder: Path) -> dict[str, Any] | None:
    """What `meta.yaml` says; None when it is not there, or no such file."""
    import yaml  # here: only this importer needs it

    try:
        text = (folder / META).read_bytes()
        # The one in C where there is one: ten thousand runs are ten thousand such files.
        found = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    except (OSError, yaml.YAMLError):
        return None
    return found if isinstance(found, dict) else None
