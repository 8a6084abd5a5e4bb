"""A run of MLflow in our words, whichever way it was kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from nbtools.importer import ImportedFile, ImportedRun, Point, Remarks
from nbtools.importers.values import files_below, read_text, time_of
from nbtools.nouns import MODEL
from nbtools.states import ExecutionState

#: MLflow's word -> ours. The database has the words, the file store their numbers from 1.
STATES = {
    "RUNNING": ExecutionState.RUNNING,
    "SCHEDULED": ExecutionState.NEW,
    "FINISHED": ExecutionState.COMPLETE,
    "FAILED": ExecutionState.FAILED,
    "KILLED": ExecutionState.CANCELLED,
}
#: MLflow's own tags -> where they go; others of its own are kept in `about` by their name.
OWN = "mlflow."
NAME, NOTES, PARENT = "mlflow.runName", "mlflow.note.content", "mlflow.parentRunId"

DELETED = "runs that were deleted in MLflow"
ELSEWHERE = "runs whose artifacts lie elsewhere: their address is kept"
MOVED = "runs whose folder of artifacts is not where MLflow says"
EXPERIMENT_TAGS = "tags of experiments"
INPUTS = "inputs of runs (datasets, models)"
LOOSE_MODELS = "logged models that belong to no run taken"


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What MLflow keeps of a run."""

    id: str
    experiment: str  #: its name
    status: str  #: MLflow's word
    name: str
    user: str
    start: float | None  #: milliseconds since the epoch
    end: float | None  #: milliseconds since the epoch
    artifacts: str  #: an absolute path or a URI
    params: Mapping[str, str]
    points: Mapping[str, list[Point]]  #: as they were logged
    tags: Mapping[str, str]
    models: tuple[tuple[str, str], ...] = field(default=())  #: (name, path or URI) of each


def imported(kept: Kept, root: Path, remarks: Remarks) -> ImportedRun:
    """The run in our words; its artifacts are looked for below `root` when they have moved."""
    own = {k.removeprefix(OWN): v for k, v in kept.tags.items() if k.startswith(OWN)}
    tags = [f"{k}={v}" if v else k for k, v in kept.tags.items() if not k.startswith(OWN)]
    series = {key: sorted(points, key=_as_logged) for key, points in kept.points.items()}
    for word in ("runName", "note.content", "parentRunId"):
        own.pop(word, None)
    if not _is_local(kept.artifacts):
        own["artifact_uri"] = kept.artifacts
    return ImportedRun(
        id=kept.id,
        experiment=kept.experiment,
        name=kept.name or kept.tags.get(NAME) or kept.id,
        state=STATES[kept.status],
        params={key: read_text(text) for key, text in kept.params.items()},
        series=series,
        tags=tuple(tags),
        notes=kept.tags.get(NOTES, ""),
        parent=kept.tags.get(PARENT, ""),
        start_time=time_of(kept.start and kept.start / 1000),
        end_time=time_of(kept.end and kept.end / 1000),
        files=tuple(_files(kept, root, remarks)),
        about={"user": kept.user, **own} if kept.user else own,
    )


def _as_logged(point: Point) -> tuple[float, int]:
    return point[1], point[0]


def _files(kept: Kept, root: Path, remarks: Remarks) -> Iterable[ImportedFile]:
    folder = _folder(kept.artifacts, root)
    if folder is not None:
        yield from files_below(folder, remarks)
    elif not _is_local(kept.artifacts):
        remarks[ELSEWHERE] += 1
    elif not _is_there(_path_of(kept.artifacts).parents[2:3], root):
        remarks[MOVED] += 1  # else it has logged none: MLflow makes the folder with the first
    for name, uri in kept.models:
        model = _folder(uri, root)
        if model is None:
            remarks[MOVED] += 1
        else:
            prefix = f"models/{name}/"
            yield from files_below(model, remarks, prefix=prefix, schema_title=MODEL)


def _folder(uri: str, root: Path, least: int = 2) -> Path | None:
    """The local folder of a URI: at the same place below `root`, or where it says.

    A history that was moved or copied still says where it was made. `least` is how many of
    the names at the end of that must agree.
    """
    path = _path_of(uri)
    parts = path.parts
    for length in range(
        min(len(parts), 6), least - 1, -1
    ):  # mlruns, experiment, models, id, artifacts
        for base in (root, root / "mlruns", root / "mlartifacts"):
            if (found := base.joinpath(*parts[-length:])).is_dir():
                return found
    return path if _is_local(uri) and path.is_dir() else None


def _is_there(roots: Sequence[Path], root: Path) -> bool:
    """Whether the folder of all artifacts is where MLflow says, or at or below `root`."""
    return any(f.name == root.name or _folder(str(f), root, least=1) is not None for f in roots)


def _is_local(uri: str) -> bool:
    return "://" not in uri or uri.startswith("file:")


def _path_of(uri: str) -> Path:
    return Path(unquote(urlsplit(uri).path) if "://" in uri or uri.startswith("file:") else uri)


def models_of(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[tuple[str, str]]]:
    """(name, where it lies) of each logged model, by the id of its run."""
    found: dict[str, list[tuple[str, str]]] = {}
    for row in rows:
        if row.get("lifecycle_stage") in (None, "active"):
            where = (str(row["name"]), str(row["artifact_location"]))
            found.setdefault(str(row.get("source_run_id")), []).append(where)
    return found
