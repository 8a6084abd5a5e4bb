"""Ending a trial early when others do better: asked by the notebook, each time it reports.

A sweep by Optuna asks Optuna's median pruner. The others use the same rule, below: a trial
is pruned whose best value so far is worse than the median of what those that have been
completed had at this step.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from statistics import median

from nbtools import trials
from nbtools.design import Design
from nbtools.nouns import Context, utc_now
from nbtools.open_run import OpenRun
from nbtools.store import Store


def report(run: OpenRun, step: int, value: float) -> None:
    """See `nbtools.report`; `run` is the one that the notebook's job has opened."""
    store = run._store
    here = store.get(Context, run._context)
    sweep = here.metadata.get("_sweep", "")
    design = Design.of(store.get(Context, sweep)) if sweep else None
    run.log_time_series_metrics({(design and design.objective) or "objective": value}, step)
    if design is None or not (design.prune and design.objective):
        return
    if reason := _reason(store, sweep, design, here, step, float(value)):
        run.set_pruned(step, reason)
        print(f"pruned at step {step}: {reason}", flush=True)  # noqa: T201 - the notebook says so
        sys.exit(0)


def _reason(
    store: Store, sweep: str, design: Design, run: Context, step: int, value: float
) -> str:  # fmt: skip
    """Why the trial should end here, or ""."""
    if design.search == "tpe":
        from nbtools.tpe import should_prune

        number = int(run.metadata["_trial"])
        pruned = should_prune(trials.folder(store, sweep), design, number, step, value)
        return f"{design.objective} = {value:.5g} is worse than Optuna's pruner allows" * pruned
    store.drain(utc_now())
    mine = [v for s, _, v in store.points(run.name).get(design.objective, []) if s <= step]
    others = _at(store, sweep, design, step)
    return verdict(mine, others, design, step)


def verdict(mine: Sequence[float], others: Sequence[float], design: Design, step: int) -> str:
    """Why a trial that has reported `mine` should end at `step`, or "" when it should not;
    `others` is what completed trials had reported there.
    """
    if step <= design.min_steps or len(others) < design.min_trials or not others:
        return ""
    sign = 1.0 if design.direction == "maximize" else -1.0
    numbers = [sign * value for value in mine if not math.isnan(value)]
    if not numbers:
        return f"{design.objective} is not a number"
    best, middle = max(numbers), median(sign * value for value in others)
    if best >= middle:
        return ""
    return (
        f"{design.objective} = {sign * best:.5g} is worse than {sign * middle:.5g}, "
        f"the median of {len(others)} trials at this step"
    )


def _at(store: Store, sweep: str, design: Design, step: int) -> list[float]:
    """What each completed trial had at `step`."""
    found = []
    for trial in trials.contexts(store, sweep):
        meta = trial.metadata
        if meta["_state"] == "COMPLETE" and "_pruned" not in meta:
            series = store.series(trial.name, design.objective)
            found += [
                v
                for s, v in zip(series.steps, series.values, strict=True)
                if s == step and not math.isnan(v)
            ]
    return found
