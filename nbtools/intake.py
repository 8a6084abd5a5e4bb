"""Runs of another tracker, put into the store one by one: named, cleaned, remembered."""

from __future__ import annotations

import math
import operator
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from nbtools import lineage
from nbtools.errors import AlreadyExists
from nbtools.importer import ImportedFile, ImportedRun, Point, Remarks
from nbtools.loggable import LAST_STEP
from nbtools.metadata import dumps
from nbtools.nouns import (
    EXPERIMENT,
    MAX_RUN_ID,
    PROCESS,
    RUN,
    Artifact,
    Context,
    Execution,
    artifact_name,
    run_id,
    slug,
    stamp,
)
from nbtools.runs import find_context, open_run
from nbtools.states import ExecutionState
from nbtools.store import Store

#: bytes of the largest file whose digest is taken: models of gigabytes would take minutes.
DIGESTED = 16 << 20
LONGEST_EXPERIMENT = 60  #: characters: leaves as many to the run

STILL_RUNNING = "runs that had not ended there: import again when they have"
STEPS_AGAIN = "points at a step that was logged again: the last one is kept"
STEPS_MADE_UP = "series logged without steps: their points are numbered from 0"
STEPS_TOO_LARGE = "points whose step has more than 64 bits"
TIMES_ODD = "points whose wall time is no number: it is 0 now"
NO_NAME = "params or metrics without a name"
UNREADABLE = "files that cannot be read"
PARENT_ELSEWHERE = "runs nested in one that is not in their experiment"


class Intake:
    """Puts runs into the store, and counts."""

    def __init__(self, store: Store, tool: str, experiment: str, now: datetime) -> None:
        """`experiment` is where all runs go; "": each in its own."""
        self.store, self.tool, self.experiment, self.now = store, tool, experiment, now
        self.remarks: Remarks = Counter()  #: what was not taken, or not as it was
        self.taken: dict[str, str] = {}  #: context -> its experiment, of every run
        self.new = 0  #: runs that were not there before
        self.points = 0  #: points that were not there before
        self.files = 0  #: files that were not there before
        self._known: dict[str, dict[str, str]] = {}  #: experiment -> id there -> run's name
        self._experiments: dict[str, str] = {}  #: its name there -> its name here
        self._nested: list[tuple[str, str, str]] = []  #: (context, experiment, parent's id)

    def take(self, run: ImportedRun) -> None:
        """Write one run, all of it or nothing."""
        with self.store.write():
            experiment = self._experiment(run)
            names = self._known_in(experiment)
            new = run.id not in names
            if new:
                names[run.id] = self._open(run, experiment)
            context = run_id(experiment, names[run.id])
            series = {key: self._steps(points) for key, points in run.series.items() if points}
            self._describe(context, run, series)
            self._log(context, series, new)
            for file in run.files:
                self._leave(context, file)
        self.new += new
        self.taken[context] = experiment
        if run.parent:
            self._nested.append((context, experiment, run.parent))
        if run.state is ExecutionState.RUNNING:
            self.remarks[STILL_RUNNING] += 1

    def nest(self) -> None:
        """Say of runs within runs which is around them, now that all of them are here."""
        for context, experiment, parent in self._nested:
            name = self._known_in(experiment).get(parent, "")
            if not name:
                self.remarks[PARENT_ELSEWHERE] += 1
                continue
            self.store.amend(Context, context, partial(_nested_in, name), self.now)

    # -- names ----------------------------------------------------------------------

    def _experiment(self, run: ImportedRun) -> str:
        """The experiment's name here; one of its own for each name there."""
        if self.experiment:
            return self.experiment
        there = run.experiment
        if there not in self._experiments:
            name = _legal(there, LONGEST_EXPERIMENT, "")
            found = self.store.find(Context, name)
            if found is None or found.schema_title != EXPERIMENT:
                other = found is not None
            else:  # one that was begun here, or elsewhere under that name, is the same
                name_there = str(found.metadata.get("_source_name", there))
                other = name_there.casefold() != there.casefold()
            self._experiments[there] = _legal(there, LONGEST_EXPERIMENT, there) if other else name
        return self._experiments[there]

    def _known_in(self, experiment: str) -> dict[str, str]:
        """Names here by ids there, of the runs of this tracker that are in the experiment."""
        if experiment not in self._known:
            self._known[experiment] = {
                source["id"]: context.display_name
                for context in self.store.select(Context, RUN, parent=experiment)
                if (source := context.metadata.get("_source", {})).get("tool") == self.tool
            }
        return self._known[experiment]

    def _open(self, run: ImportedRun, experiment: str) -> str:
        """Make the run, under its own name or, when that is taken, with a token behind it."""
        room = MAX_RUN_ID - 1 - len(experiment)
        begun = run.start_time or run.end_time or self.now
        first = self.store.find(Context, experiment) is None
        for unique in ("", f"{self.tool} {run.id}"):
            name = _legal(run.name, room, unique)
            try:
                if find_context(self.store, experiment, name) is not None:
                    continue
            except AlreadyExists:  # of another experiment, that the same id would belong to
                continue
            break
        context = open_run(self.store, experiment, name, begun)
        if first and not self.experiment:
            own = {"_source_name": run.experiment}
            self.store.amend(
                Context, experiment, lambda c: replace(c, metadata={**c.metadata, **own}), begun
            )
        self.store.put(
            Execution(name=context.name, schema_title=PROCESS, create_time=begun), self.now
        )
        self.store.associate(context.name, execution=context.name)
        return name

    # -- what a run holds -----------------------------------------------------------

    def _describe(self, context: str, run: ImportedRun, series: Mapping[str, list[Point]]) -> None:
        """Params, metrics, state, tags: the tracker's where it has them, else what is here."""
        last = {key: points[-1][2] for key, points in series.items() if key}
        ends = {"start_time": stamp(run.start_time), "end_time": stamp(run.end_time)}
        source = {
            "tool": self.tool, "id": run.id, "experiment": run.experiment, **ends, **run.about
        }  # fmt: skip

        def change(old: Context) -> Context:
            meta = dict(old.metadata)
            meta["_params"] = {**meta.get("_params", {}), **self._named(run.params)}
            meta["_metrics"] = {**meta.get("_metrics", {}), **last, **self._named(run.metrics)}
            meta["_state"], meta["_error"] = str(run.state), run.error
            meta["_tags"] = list(dict.fromkeys([*meta.get("_tags", []), *run.tags]))
            meta["_notes"] = meta.get("_notes") or run.notes
            meta["_source"] = source
            meta["_source_name"] = run.name
            # As text: a NaN is unlike itself, and what has not changed is to stay as it is.
            same = dumps(meta) == dumps(old.metadata)
            return old if same else replace(old, metadata=meta)

        self.store.amend(Context, context, change, self.now)
        self.store.amend(
            Execution, context,
            lambda e: replace(e, state=str(run.state), metadata={**e.metadata, **ends}), self.now,
        )  # fmt: skip

    def _named(self, values: Mapping[str, Any]) -> dict[str, Any]:
        self.remarks[NO_NAME] += "" in values
        return {name: value for name, value in values.items() if name}

    def _steps(self, points: list[Point]) -> list[Point]:
        """The points as a series can hold them: in order, one a step."""
        steps = [point[0] for point in points]
        # As nearly every series is. A sum is finite where every time is.
        if (
            all(map(operator.lt, steps, steps[1:]))
            and -LAST_STEP <= steps[0] <= steps[-1] <= LAST_STEP
            and math.isfinite(sum(point[1] for point in points))
        ):
            return points
        if len(points) > 1 and len({point[0] for point in points}) == 1:
            # Never given a step, all are at the same: their order is what they have.
            self.remarks[STEPS_MADE_UP] += 1
            points = [(number, wall, value) for number, (_, wall, value) in enumerate(points)]
        if not math.isfinite(sum(point[1] for point in points)):
            odd = [math.isfinite(point[1]) for point in points]
            self.remarks[TIMES_ODD] += odd.count(False)
            points = [(s, w if ok else 0.0, v) for (s, w, v), ok in zip(points, odd, strict=True)]
        by_step = {point[0]: point for point in points}
        self.remarks[STEPS_AGAIN] += len(points) - len(by_step)
        kept = sorted(point for point in by_step.values() if abs(point[0]) <= LAST_STEP)
        self.remarks[STEPS_TOO_LARGE] += len(by_step) - len(kept)
        return kept

    def _log(self, context: str, series: Mapping[str, list[Point]], new: bool) -> None:
        """Add the points that are not there yet.

        A series of one point at step 0 is a metric, and that is what it is kept as.
        """
        there = {} if new else self.store.points(context)
        for key, points in series.items():
            have = {step: (wall, value) for step, wall, value in there.get(key, [])}
            if not have and len(points) == 1 and points[0][0] == 0:
                continue
            fresh = [p for p in points if not _same(have.get(p[0]), p)] if have else points
            if not key:
                self.remarks[NO_NAME] += 1
            elif fresh:
                self.store.add_points(context, key, fresh)
                self.points += len(fresh)

    def _leave(self, context: str, file: ImportedFile) -> None:
        """Remember a file as the run's; where it is known and unchanged, leave it at that."""
        name, metadata = artifact_name(context, file.name), dict[str, Any]()
        old = self.store.find(Artifact, name)
        if "://" not in file.uri:
            path = Path(file.uri)
            try:
                stat = path.stat()
                metadata = {"bytes": stat.st_size, "modified": stat.st_mtime_ns}
                unchanged = old and {**old.metadata, **metadata} == old.metadata
                if stat.st_size <= DIGESTED and not unchanged:
                    metadata["sha256"] = lineage.digest(path)
            except OSError:
                self.remarks[UNREADABLE] += 1
                return
        if old and old.uri == file.uri and {**old.metadata, **metadata} == old.metadata:
            return
        artifact = Artifact(
            name=name,
            schema_title=file.schema_title,
            display_name=file.name,
            uri=file.uri,
            metadata=metadata,
        )
        lineage.left(self.store, artifact, context, context, self.now)
        self.files += old is None


def _nested_in(parent: str, run: Context) -> Context:
    return replace(run, metadata={**run.metadata, "_parent": parent})


def _legal(name: str, room: int, unique: str) -> str:
    """`name` as Vertex AI takes it, in at most `room` characters.

    With a token of `unique` behind it, unless that is empty and the name has letters or digits.
    """
    made = slug(name, MAX_RUN_ID)
    if made == "notebook" and "notebook" not in name.lower():  # slug's word for nothing left
        made, unique = "run", unique or name
    if not unique:
        return made[:room].strip("-")
    token = sha256(unique.encode(errors="replace")).hexdigest()[:8]
    return f"{made[: room - 9].strip('-')}-{token}"


def _same(old: tuple[float, float] | None, point: Point) -> bool:
    """Whether the point is there already; NaN, unlike Python says, is itself."""
    if old is None or old[0] != point[1]:
        return False
    return old[1] == point[2] or (math.isnan(old[1]) and math.isnan(point[2]))
