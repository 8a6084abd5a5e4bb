"""Moving in: the runs of another tracker become runs of the store.

    imported = import_runs("wandb")        # also mlruns, mlflow.db, a folder of event files
    imported.runs, imported.remarks

What lies there is only read. Importing again is the same runs, brought up to date: a run is
known by the tracker and by the id that it has there, not by its name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from nbtools import registry
from nbtools.errors import RequestError
from nbtools.intake import Intake
from nbtools.nouns import place, run_id, utc_now
from nbtools.settings import Settings
from nbtools.store import Store


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What an import has brought."""

    tool: str  #: `mlflow`, `wandb`, `tensorboard` or `trackio`
    runs: tuple[str, ...]  #: the ids of their contexts, in the order in which they were read
    new: int  #: how many of them were not there before
    points: int  #: points of series that were not there before
    files: int  #: files that were not there before; they stay where they are
    experiments: Mapping[str, int]  #: experiment -> how many of the runs are in it
    remarks: Mapping[str, int]  #: what was not taken, or not as it was -> how many


def guess(path: str | Path) -> str:
    """The tracker whose history lies at `path`.

    Raises RequestError when there is none, or that of several.
    """
    path = place(path)
    if not path.exists():
        raise RequestError(f"there is nothing at {path}: name a file or a folder to import from")
    found = [tool for tool in registry.IMPORTERS if registry.importer(tool).finds(path)]
    if len(found) > 1:  # runs of other trackers keep event files among their own
        found = [tool for tool in found if tool != "tensorboard"]
    if not found:
        raise RequestError(
            f"no runs of {', '.join(registry.IMPORTERS)} at {path}: name mlflow.db or mlruns, a "
            "wandb folder, a folder of event files, or a trackio database"
        )
    if len(found) > 1:
        raise RequestError(f"{path} holds runs of {' and '.join(found)}: say --from {found[0]}")
    return found[0]


def import_runs(
    path: str | Path,
    *,
    experiment: str = "",
    tool: str = "",
    store: Store | None = None,
    now: datetime | None = None,
) -> Imported:
    """Bring the runs that another tracker keeps at `path` into the store.

    `experiment` is where all of them go; each keeps its own when it is empty. `tool` is
    `mlflow`, `wandb`, `tensorboard` or `trackio`, guessed from what lies there when it is
    empty. Each run is written as a whole, so an import that was stopped is continued by
    doing it again. Raises RequestError when there is nothing to import or it is unreadable.
    """
    path = place(path)
    if experiment:
        run_id(experiment, "x")  # refuses a name that Vertex AI would refuse
    if not tool:
        tool = guess(path)
    elif not path.exists() or not registry.importer(tool).finds(path):
        raise RequestError(f"no runs of {tool} at {path}: leave --from out to have it guessed")
    intake = Intake(store or Store(Settings.load().store), tool, experiment, now or utc_now())
    try:
        for run in registry.importer(tool).runs(path, intake.remarks):
            intake.take(run)
    except OSError as error:
        raise RequestError(
            f"{error.filename or path} cannot be read: {error.strerror}; mend that and repeat"
        ) from error
    intake.nest()
    return Imported(
        tool=tool,
        runs=tuple(intake.taken),
        new=intake.new,
        points=intake.points,
        files=intake.files,
        experiments=dict(Counter(intake.taken.values())),
        remarks={text: count for text, count in intake.remarks.items() if count},
    )
