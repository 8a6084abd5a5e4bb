"""The run that this process logs to. Made by `start_run`, or by being in a job."""

from __future__ import annotations

import os
import shutil
import struct
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Any

from nbtools import keepsake, lineage, loggable
from nbtools.below import below
from nbtools.errors import RequestError, StateError, StoreError
from nbtools.experiment_run import ExperimentRun
from nbtools.logbook import Logbook
from nbtools.nouns import (
    CLASSIFICATION,
    FIGURE,
    FILE,
    MODEL,
    TABLE,
    TEXT,
    Artifact,
    Context,
    Execution,
    artifact_name,
    place,
    utc_now,
)
from nbtools.outputs import FILES
from nbtools.points import Point
from nbtools.secrets import own
from nbtools.states import ExecutionState
from nbtools.store import Store

if TYPE_CHECKING:
    from nbtools.homeward import Homeward
    from nbtools.mirroring import Mirroring


@dataclass(frozen=True, kw_only=True)
class Part:
    """The part that this process has in a run."""

    execution: str  #: the job, or the process that began the run
    in_job: bool = False  #: the job says how the run went
    guest: bool = False  #: another process says how the run went
    strict: bool = False  #: what cannot be written is an error, not a warning


class OpenRun(ExperimentRun):
    """A run that can be logged to; usable in a `with`, which ends it."""

    def __init__(self, store: Store, context: Context, part: Part) -> None:
        """Open it for logging. Raises RequestError for a store in memory, OSError when its
        journal cannot be made.
        """
        self._be(store, context)
        self._part, self._process = part, os.getpid()
        self.on_end: Callable[[OpenRun, bool], None] | None = None  #: hears, and whether in a job
        if store.journals is None or store.folder is None:
            raise RequestError("a store in memory takes no journals: name a folder")
        kind = "jobs" if part.in_job else "runs"
        self._folder = store.folder / kind / part.execution / FILES
        self._logbook = Logbook(store.journals, context.name, part.guest, part.strict)
        self._mirroring: Mirroring | None = None
        self._ended = False
        self.away = False  #: its store is another's, and what is in it is not seen there
        self._homeward: Homeward | None = None
        self.left: dict[str, Artifact] = {}  #: what it has left behind in this process, by name
        self._step = store.last_step(context.name)
        self._lock = Lock()
        #: what is known in this process: params, metrics, and the last value of each series
        self.values: dict[str, dict[str, Any]] = {
            "params": dict(context.metadata.get("_params", {})),
            "metrics": dict(context.metadata.get("_metrics", {})),
            "series": {},
        }

    def __enter__(self) -> OpenRun:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if not self._ended:
            self.end(ExecutionState.COMPLETE if kind is None else ExecutionState.FAILED)

    def mirror(
        self,
        names: Sequence[str],
        options: Mapping[str, Mapping[str, Any]],
        at_exit: Callable[[], object],
    ) -> None:
        """Have mirrors hear of what is logged from now on; `at_exit` ends the run when the
        process does. Raises RequestError for a mirror or an option that there is not,
        MissingDependency when its package is not installed.
        """
        from nbtools.mirroring import Mirroring

        store = self._store
        assert store.folder is not None  # a store in memory takes no journals
        self._mirroring = Mirroring(
            store.folder,
            store.get(Context, self._context),
            self._logbook.path,
            self._folder,
            names,
            options,
        )
        self._mirroring.start(at_exit)

    def ship(self, uri: str) -> None:
        """Ship its files below `uri` from now on: its job's client fetches them from there."""
        from nbtools.homeward import Homeward

        assert self._store.folder is not None  # a store in memory takes no journals
        self._homeward = Homeward(self._store.folder, self._folder, uri)

    def settle(self) -> None:
        """Wait until its files are where they are shipped to, if they are; `stranded` says why
        they are not.
        """
        if self._homeward is not None and not self.was_forked:
            self._homeward.settle()

    @property
    def stranded(self) -> str:
        """Why not all of its files are where they are shipped to, or ""."""
        return self._homeward.error if self._homeward is not None else ""

    def points(self) -> dict[str, list[Point]]:
        """All that was logged of its series, by metric."""
        self._now()
        return self._store.points(self._context)

    # -- values ---------------------------------------------------------------------

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log what goes in: numbers, text or bools by name."""
        values = loggable.scalars(params)
        self._append({"_params": values})
        self.values["params"].update(values)

    def log_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Log what came out: numbers or text by name; a name logged again is replaced."""
        values = loggable.scalars(metrics)
        self._append({"_metrics": values})
        self.values["metrics"].update(values)

    def log_time_series_metrics(
        self, metrics: Mapping[str, float], step: int | None = None, wall_time: float | None = None
    ) -> None:
        """Log one step of one or more time series.

        `step` is the one after the last when not given; a step logged again is replaced.
        `wall_time` is in seconds since the epoch, now when not given.
        """
        if self._ended:
            raise self._has_ended()
        seconds = time.time() if wall_time is None else loggable.wall_time(wall_time)
        given = step
        with self._lock:
            if step is None:
                step = self._step + 1
            elif type(step) is not int:
                step = loggable.step(step)
            before, self._step = self._step, max(step, self._step)
        try:
            if not all(map(_named, metrics)):
                metrics = loggable.numbers(metrics)
            self._logbook.point(metrics, step, seconds)
        except (struct.error, OverflowError, TypeError, ValueError, AttributeError):
            # Not just numbers: what they can be made into is logged, and refused with reasons.
            try:
                step, metrics = loggable.step(step), loggable.numbers(metrics)
            except RequestError:
                with self._lock:
                    if given is not None or self._step == step:
                        self._step = before
                raise
            self._logbook.point(metrics, step, seconds)
        self.values["series"].update(metrics)

    def log_classification_metrics(
        self,
        *,
        labels: Sequence[str] | None = None,
        matrix: Sequence[Sequence[int]] | None = None,
        fpr: Sequence[float] | None = None,
        tpr: Sequence[float] | None = None,
        threshold: Sequence[float] | None = None,
        display_name: str = "",
    ) -> Artifact:
        """Log a confusion matrix (`matrix[i][j]`: how many of `labels[i]` were taken for
        `labels[j]`) or a ROC curve (false and true positive rates at each threshold), or both.

        Raises RequestError when what belongs together is not of one length.
        """
        meta = loggable.classification(labels, matrix, fpr, tpr, threshold)
        name = own().masking.text(display_name or "classification-metrics")
        artifact = Artifact(
            name=artifact_name(self._context, name),
            schema_title=CLASSIFICATION,
            display_name=name,
            metadata=meta,
        )
        return self._left(artifact)

    def set_tags(self, *tags: str) -> None:
        """Give it these words, in the place of those it had."""
        self._append({"_tags": [*dict.fromkeys(map(str, tags))]})

    def set_notes(self, text: str) -> None:
        """Give it this text, in the place of what it had."""
        self._append({"_notes": str(text)})

    def set_pruned(self, step: int, reason: str) -> None:
        """Say that it ends early, after this step, because others do better."""
        self._append({"_pruned": {"step": step, "reason": reason}})

    # -- files ----------------------------------------------------------------------

    def log_artifact(self, path: str | Path, name: str = "", schema_title: str = FILE) -> Artifact:
        """Keep a file as an artifact of this run, and return it.

        A file that lies elsewhere than in this run's folder (`output_path`) is copied
        there first. Raises RequestError when there is no such file.
        """
        return self._keep(path, name, schema_title, {})

    def _keep(
        self, path: str | Path, name: str, schema_title: str, metadata: Mapping[str, Any]
    ) -> Artifact:
        path = place(path)
        if not path.is_file():
            raise RequestError(f"no file {path} to keep as an artifact")
        if not path.is_relative_to(self._folder):
            path = Path(shutil.copy2(path, self.output_path(path.name)))
        name = own().masking.text(name or path.name)
        artifact = lineage.of_file(artifact_name(self._context, name), path, schema_title, name)
        return self._left(replace(artifact, metadata={**artifact.metadata, **metadata}))

    def log_model(self, model: Any, name: str = "") -> Artifact:
        """Keep a model (`system.Model`): a file, or an object that torch, scikit-learn or
        another library has made, with what it was made with. Raises RequestError for what
        cannot be written.
        """
        if isinstance(model, str | Path):
            return self.log_artifact(model, name, MODEL)
        path = keepsake.model(model, self.output_path(name or "model"))
        return self._keep(path, name or path.name, MODEL, keepsake.framework(model))

    def log_table(self, name: str, table: Any) -> Artifact:
        """Keep a table as CSV: a DataFrame, a list of dicts, or a dict of lists."""
        path = own().file(keepsake.table(table, self.output_path(f"{name}.csv")))
        return self.log_artifact(path, name, TABLE)

    def log_figure(self, name: str, figure: Any) -> Artifact:
        """Keep a picture: a matplotlib figure or axes, a PIL image (PNG), a plotly figure
        (HTML). Raises RequestError for what is none of these.
        """
        path = keepsake.figure(figure, self.output_path(name))
        return self.log_artifact(path, name, FIGURE)

    def log_text(self, name: str, text: str) -> Artifact:
        """Keep text as a file."""
        path = self.output_path(name if Path(name).suffix else f"{name}.txt")
        path.write_text(own().masking.text(str(text)), encoding="utf-8")
        return self.log_artifact(path, name, TEXT)

    def use_artifact(self, name: str | Artifact) -> Artifact:
        """The newest artifact of that resource name, display name, URI or path, or the one
        given, remembered as this run's input. Warns when its file has changed since. Raises
        NotFound.
        """
        artifact = name if isinstance(name, Artifact) else lineage.find(self._store, name)
        lineage.read(self._store, artifact, self._part.execution, utc_now())
        return artifact

    def output_path(self, name: str) -> Path:
        """Where to write the file `name` so that it is one of this run's outputs."""
        path = below(self._folder, own().masking.text(str(name))).resolve()
        if not path.is_relative_to(self._folder.resolve()):
            raise RequestError(f"{name!r} leads out of the run's folder: give a name below it")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RequestError(f"cannot make {path.parent}: {error.strerror}; mend that") from None
        if self._homeward is not None and not self.was_forked:
            self._homeward.begin()
        return path

    def name_of(self, artifact: Artifact) -> str:
        """The path, below this run's folder, of the file that an artifact is; "" if it is none."""
        return artifact.path.relative_to(self._folder).as_posix() if artifact.uri else ""

    @property
    def is_guest(self) -> bool:
        """Whether another process says how the run went."""
        return self._part.guest

    @property
    def was_forked(self) -> bool:
        """Whether another process has begun it, of which this one is a fork."""
        return self._process != os.getpid()

    @property
    def of_job(self) -> str:
        """The job that it was opened in, or ""."""
        return self._part.execution if self._part.in_job else ""

    @property
    def is_open(self) -> bool:
        """Whether this process can log to it, and has begun it: a fork's ends by itself."""
        return not self._ended and not self.was_forked

    # -- the end --------------------------------------------------------------------

    def end(self, state: str = ExecutionState.COMPLETE) -> None:
        """End the run. Where a job, or another process, answers for it, only the logging
        of this process ends.
        """
        state = ExecutionState(state)
        part = self._part
        answers = not (part.in_job or part.guest or self.was_forked)
        if answers and not self._ended:
            self._append({"_state": state})
        self._ended = True
        self._logbook.close()
        self.settle()
        if self.on_end:
            self.on_end(self, part.in_job)
        try:
            self._take_in(state if answers else None)
        except StoreError as error:
            if part.strict:
                raise
            kept = "what was logged is kept, and taken in when the store can be written again"
            warnings.warn(f"{error}; {kept}", RuntimeWarning, stacklevel=3)
        if self._mirroring is not None:
            self._mirroring.end("" if part.in_job else state)

    def _take_in(self, state: ExecutionState | None) -> None:
        """Have the store read the journal; `state`: how the run went, if that is ours to say."""
        self._store.drain(utc_now())  # by itself: it removes files when its work is committed
        if state is None:
            return
        end = {"_state": str(state)}  # also where the journal could not take it
        with self._store.write():
            self._store.amend(
                Context, self._context,
                lambda c: replace(c, metadata={**c.metadata, **end}), utc_now(),
            )  # fmt: skip
            self._store.amend(
                Execution, self._part.execution, lambda e: replace(e, state=state), utc_now()
            )

    def _left(self, artifact: Artifact) -> Artifact:
        with self._store.write():
            lineage.left(self._store, artifact, self._part.execution, self._context, utc_now())
        self.left[artifact.name] = artifact
        if self._mirroring is not None and artifact.uri and not self._ended:
            told = {"path": str(artifact.path), "name": artifact.display_name}
            self._append({"_artifact": {**told, "schema_title": artifact.schema_title}})
        return artifact

    def _append(self, entry: Mapping[str, Any]) -> None:
        if self._ended:
            raise self._has_ended()
        self._logbook.append(entry)

    def _has_ended(self) -> StateError:
        return StateError(f"run {self.name!r} has ended: resume it with start_run(resume=True)")


def _named(key: object) -> bool:
    """Whether this names a metric without a closer look; half a surrogate pair does not."""
    return type(key) is str and key.isascii() and key != ""
