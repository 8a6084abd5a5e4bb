"""Runs as the store keeps them: opened, closed, listed. `experiments.py` logs to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from nbtools.errors import AlreadyExists, NotFound, RequestError
from nbtools.nouns import EXPERIMENT, RUN, Context, Run, run_id
from nbtools.states import ExecutionState
from nbtools.store import Store


def open_run(
    store: Store,
    experiment: str,
    run: str,
    now: datetime,
    *,
    params: Mapping[str, Any] | None = None,
    resume: bool = False,
    job: str = "",
) -> Context:
    """Make a run, and its experiment if it is the first; or, with `resume`, open it again.

    `job` answers for the run's end; without one the process that logs does. Raises
    AlreadyExists when there is a run of that name and `resume` is not set.
    """
    name = run_id(experiment, run)
    own = {"_experiment": experiment, "_state": str(ExecutionState.RUNNING), "_job": job}
    with store.write():
        old = store.find(Context, name)
        if old is None:
            if store.find(Context, experiment) is None:
                store.add(
                    Context(name=experiment, schema_title=EXPERIMENT, display_name=experiment), now
                )
            meta = {**own, "_params": dict(params or {}), "_metrics": {}}
            context = Context(name=name, schema_title=RUN, display_name=run, metadata=meta)
            context = store.add(context, now)
            store.add_child(experiment, name)
            return context
        if not resume or old.schema_title != RUN:
            raise AlreadyExists(
                f"experiment {experiment!r} has a run {run!r} already: "
                "choose another name, or continue it with resume (--resume)"
            )
        meta = {**old.metadata, **own, "_error": ""}
        meta["_params"] = {**old.metadata.get("_params", {}), **(params or {})}
        return store.amend(Context, name, lambda c: replace(c, metadata=meta), now)


def close_run(store: Store, context: str, state: ExecutionState, error: str, now: datetime) -> None:
    """Write down how a run ended."""
    end = {"_state": str(state), "_error": error}
    store.amend(Context, context, lambda c: replace(c, metadata={**c.metadata, **end}), now)


def list_runs(store: Store, now: datetime, experiment: str = "") -> list[Run]:
    """The runs of an experiment, or all, newest first. Raises NotFound."""
    store.drain(now)
    if experiment and store.find(Context, experiment) is None:
        raise NotFound(f"no experiment {experiment!r}: `nbtools runs list` shows what there is")
    return [Run.of(context) for context in store.select(Context, RUN, parent=experiment)]


def find_run(store: Store, now: datetime, name: str, experiment: str = "") -> Run:
    """One run by its name, its context's name, an unmistakable beginning, or `last`.

    Raises NotFound, or RequestError when several runs would fit.
    """
    runs = list_runs(store, now, experiment)
    exact = [run for run in runs if name in (run.name, run.id)]
    found = exact or [run for run in runs if name and run.name.startswith(name)]
    if name == "last" and runs and not exact:
        found = runs[:1]
    if not found:
        raise NotFound(f"no run {name!r}: `nbtools runs list` shows them")
    if len(found) > 1:
        where = ", ".join(run.id for run in found[:4])
        raise RequestError(f"{name!r} fits several runs ({where}): say which, or --experiment")
    return found[0]
