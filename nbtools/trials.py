"""Trials: the runs of a sweep, read as what they came to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from nbtools.design import Design
from nbtools.errors import StoreError
from nbtools.executor import DIED
from nbtools.nouns import RUN, Context, Execution, Job, Run
from nbtools.states import ExecutionState
from nbtools.store import Store


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One point of the space, and what became of it."""

    number: int  #: from 1, in the order of asking
    params: dict[str, Any]  #: the values of what is varied
    state: str  #: RUNNING, COMPLETE, PRUNED, FAILED or CANCELLED
    value: float | None  #: of the objective; None when it was not reported
    experiment: str  #: of its run
    run: str  #: the run's name
    job: str  #: the job's name
    error: str = ""  #: one sentence: why it failed, or was pruned
    reused: bool = False  #: executed before with the same parameters, and not again
    attempt: int = 1  #: how many times it was begun
    seconds: float = 0.0  #: how long its job was at work
    step: int | None = None  #: where it was pruned
    end_time: datetime | None = None  #: UTC

    @property
    def ended(self) -> bool:
        """Whether there is no more to come."""
        return self.state not in ("RUNNING", "NEW")

    @property
    def done(self) -> bool:
        """Whether it has ended and will not be taken up again."""
        return self.ended and self.state != "CANCELLED"

    @property
    def died(self) -> bool:
        """Whether it was killed from outside, whatever its notebook did."""
        return self.state == "FAILED" and self.error.startswith(DIED)

    @property
    def counts(self) -> bool:
        """Whether it can be the best."""
        return self.state == "COMPLETE" and self.value is not None


def folder(store: Store, sweep: str) -> Path:
    """Where a sweep keeps its files."""
    if store.folder is None:
        raise StoreError("a store in memory keeps no sweeps: name a folder")
    return store.folder / "sweeps" / sweep


def contexts(store: Store, sweep: str) -> list[Context]:
    """The runs that were begun for a sweep, oldest first."""
    found = store.select(Context, RUN, parent=sweep)
    return [c for c in found[::-1] if c.metadata.get("_sweep") == sweep]


def trials(store: Store, sweep: Context, now: datetime) -> list[Trial]:
    """The trials of a sweep that have begun, by their numbers: of each the newest attempt."""
    design = Design.of(sweep)
    newest: dict[int, tuple[Context, int]] = {}
    for context in contexts(store, sweep.name):
        number = int(context.metadata["_trial"])
        newest[number] = context, newest.get(number, (None, 0))[1] + 1
    found = {n: trial(store, design, n, c, now, attempt=a) for n, (c, a) in newest.items()}
    for text, name in sweep.metadata.get("reused", {}).items():
        if int(text) not in found and (same := store.find(Context, name)) is not None:
            found[int(text)] = trial(store, design, int(text), same, now, reused=True)
    return [found[number] for number in sorted(found)]


def trial(
    store: Store, design: Design, number: int, context: Context, now: datetime, *,
    attempt: int = 1, reused: bool = False,
) -> Trial:  # fmt: skip
    """What the run came to, as a trial of that number."""
    run, meta = Run.of(context), context.metadata
    value = objective(store, context, design.objective) if design.objective else None
    execution = store.find(Execution, run.job) if run.job else None
    job = Job.of(execution) if execution else None
    pruned = meta.get("_pruned") if run.state is ExecutionState.COMPLETE else None
    error = run.error
    if pruned:
        error = str(pruned["reason"])
    elif run.state is ExecutionState.COMPLETE and design.objective and value is None:
        error = f"it reported no {design.objective}"
    return Trial(
        number=number,
        params={name: run.params.get(name) for name in design.space},
        state="PRUNED" if pruned else str(run.state),
        value=value,
        experiment=run.experiment,
        run=run.name,
        job=run.job,
        error=error,
        reused=reused,
        attempt=attempt,
        seconds=job.seconds(now) if job else 0.0,
        step=int(pruned["step"]) if pruned else None,
        end_time=job.end_time if job else None,
    )


def objective(store: Store, context: Context, name: str) -> float | None:
    """The metric of that name, else where its series ends; None when that is no number."""
    value = context.metadata.get("_metrics", {}).get(name)
    if value is None:
        values = store.series(context.name, name).values
        value = values[-1] if len(values) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        return None
    return float(value)


def best(found: list[Trial], direction: str) -> Trial | None:
    """The best of those that were completed, the earlier of two that are as good."""
    sign = -1.0 if direction == "maximize" else 1.0
    ranked = [t for t in found if t.counts]
    return min(ranked, key=lambda t: (sign * (t.value or 0.0), t.number), default=None)
