"""Runs as the store keeps them: opened, closed, listed. `experiments.py` logs to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbtools.errors import AlreadyExists, NotFound, RequestError
from nbtools.nouns import EXPERIMENT, RUN, Context, Run, run_id
from nbtools.outputs import FILES
from nbtools.states import ExecutionState
from nbtools.store import Store

if TYPE_CHECKING:
    from nbtools.terms import Filter


def open_run(
    store: Store,
    experiment: str,
    run: str,
    now: datetime,
    *,
    params: Mapping[str, Any] | None = None,
    resume: bool = False,
    job: str = "",
    parent: str = "",
) -> Context:
    """Make a run, and its experiment if it is the first; or, with `resume`, open it again.

    `job` answers for the run's end; without one the process that logs does. `parent` is the
    name of the run, in the same experiment, that this one is begun in. Raises
    AlreadyExists when there is a run of that name and `resume` is not set, or when another
    run or experiment has the id that this one would get.
    """
    own = {"_experiment": experiment, "_state": str(ExecutionState.RUNNING), "_job": job}
    with store.write():
        old = find_context(store, experiment, run)
        if old is None:
            need_experiment(store, experiment, now)
            meta = {**own, "_params": dict(params or {}), "_metrics": {}}
            name = run_id(experiment, run)
            context = Context(name=name, schema_title=RUN, display_name=run, metadata=meta)
            if parent:
                meta["_parent"] = parent
            context = store.add(context, now)
            store.add_child(experiment, name)
            if parent:
                store.add_child(run_id(experiment, parent), name)
            return context
        if not resume:
            raise AlreadyExists(
                f"experiment {experiment!r} has a run {run!r} already: "
                "choose another name, or continue it with resume (--resume)"
            )
        meta = {**old.metadata, **own, "_error": ""}
        meta["_params"] = {**old.metadata.get("_params", {}), **(params or {})}
        return store.amend(Context, old.name, lambda c: replace(c, metadata=meta), now)


def find_context(store: Store, experiment: str, run: str) -> Context | None:
    """The context of that run, or None.

    Hyphens join experiment and run, and are in them too: run `c` of `a-b` and run `b-c` of
    `a` have one id. Raises AlreadyExists when it belongs to another run or an experiment.
    """
    name = run_id(experiment, run)
    found = store.find(Context, name)
    if found is None:
        return None
    if found.schema_title == RUN and found.display_name == run:
        return found
    raise AlreadyExists(
        f"run {run!r} of experiment {experiment!r} would have the id {name!r}, "
        f"which {_words(found)} has already: choose another name for the run"
    )


def need_experiment(store: Store, experiment: str, now: datetime) -> None:
    """Make an experiment if it is not there. Raises AlreadyExists when its id is another's."""
    found = store.find(Context, experiment)
    if found is None:
        store.add(Context(name=experiment, schema_title=EXPERIMENT, display_name=experiment), now)
    elif found.schema_title != EXPERIMENT:
        raise AlreadyExists(
            f"there can be no experiment {experiment!r}, {_words(found)} has that id already: "
            "choose another name for the experiment"
        )


def _words(context: Context) -> str:
    if context.schema_title == RUN:
        run = Run.of(context)
        return f"run {run.name!r} of experiment {run.experiment!r}"
    return "an experiment" if context.schema_title == EXPERIMENT else f"a {context.schema_title}"


def close_run(store: Store, context: str, state: ExecutionState, error: str, now: datetime) -> None:
    """Write down how a run ended."""
    end = {"_state": str(state), "_error": error}
    store.amend(Context, context, lambda c: replace(c, metadata={**c.metadata, **end}), now)


def list_runs(
    store: Store, now: datetime, experiment: str = "", filter: str | Filter = ""
) -> list[Run]:
    """The runs of an experiment, or all, that a filter holds for, newest first. Raises
    NotFound, or RequestError when the filter is wrong.
    """
    store.drain(now)
    outer = store.find(Context, experiment) if experiment else None
    if experiment and (outer is None or outer.schema_title != EXPERIMENT):
        raise NotFound(f"no experiment {experiment!r}: `nbtools runs list` shows what there is")
    found = store.select(Context, RUN, parent=experiment, filter=filter)
    return [Run.of(context) for context in found]


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


def run_folder(store: Path, run: Run) -> Path:
    """Where the files of a run lie, below the store's folder."""
    return (store / "jobs" / run.job if run.job else store / "runs" / run.id) / FILES
