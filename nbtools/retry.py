"""Executing again what a job has executed: the same text, parameters and options.

A retry is a job of its own, with a run of its own, that knows which it repeats; the old
one keeps its notebook, its log and its reason.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from nbtools import lineage, revision, successor
from nbtools.digests import digest
from nbtools.errors import RequestError, StateError
from nbtools.jobs import Jobs, SubmittedJob
from nbtools.notebook import Notebook
from nbtools.nouns import RUN, Context, Execution, Job, default_run, run_id
from nbtools.request import Plan, plan


def retry(jobs: Jobs, name: str, *, changed: bool = False) -> SubmittedJob:
    """Begin a job that executes the same again.

    The notebook is executed as it was then, also when its file was changed or removed
    since; with `changed` as the file is now. Raises StateError when the job is still at
    work or its files are gone, RequestError when the notebook as it is now cannot be taken.
    """
    old = successor.rested(jobs, name)
    place = successor.place_of(jobs, old)
    made = _as_now(jobs, old, place) if changed else _as_then(jobs, old, place)
    made = replace(made, job=replace(made.job, retry_of=old.name))
    return successor.begin(jobs, made, place)


def _as_now(jobs: Jobs, old: Job, place: successor.Place | None) -> Plan:
    if not Path(old.notebook).exists():
        raise RequestError(
            f"{old.notebook} is gone: without --changed it is executed as it was in job {old.name}"
        )
    return _plan(jobs, old, place, None)


def _as_then(jobs: Jobs, old: Job, place: successor.Place | None) -> Plan:
    source = lineage.inputs(jobs.store, old)[0]
    path = Path(old.notebook)
    if source and path.is_file() and digest(path) == source.metadata.get("sha256"):
        return _plan(jobs, old, place, None)
    kept = successor.task(old).prepared
    if not kept.exists():
        raise StateError(
            f"{kept} is gone, and {path.name} is another than it was: execute it as it is now "
            "with --changed"
        )
    what = "has changed" if path.exists() else "is gone"
    note = f"the notebook as it was in job {old.name}: {path.name} {what} since"
    made = _plan(jobs, old, place, _template(kept, path))
    answer = Path(old.folder) / revision.ANSWER
    said = answer.read_bytes() if answer.exists() else b""
    return replace(
        made,
        source=source,
        revision=said or b"\n",  # what git says of the file now is of another notebook
        job=replace(made.job, note=note),
    )


def _plan(jobs: Jobs, old: Job, place: successor.Place | None, notebook: Notebook | None) -> Plan:
    context = jobs.store.find(Context, run_id(old.experiment, old.run))
    meta = context.metadata if context else {}
    sweep = str(meta.get("_sweep", ""))
    of_sweep = {"sweep": sweep, "trial": int(meta["_trial"])} if sweep else {}
    request = successor.asked(jobs, old, place, run=_run(jobs, old), **of_sweep)
    return plan(request, jobs.settings, jobs.clock(), notebook)


def _template(prepared: Path, path: Path) -> Notebook:
    """The notebook as it was prepared then, under the name of its template."""
    found = Notebook.read(prepared)
    cells = [
        {**cell, "outputs": [], "execution_count": None} if cell["cell_type"] == "code" else cell
        for cell in found.data["cells"]
    ]  # one that went on from another's state has that one's outputs
    return replace(found, path=path, data={**found.data, "cells": cells})


def _run(jobs: Jobs, old: Job) -> str:
    """A name for its run: one that nobody chose is made anew, a chosen one is numbered."""
    first = old
    while first.retry_of and (before := jobs.store.find(Execution, first.retry_of)):
        first = Job.of(before)
    if first.run == default_run(first.experiment, first.name):
        return ""
    there = jobs.store.select(Context, RUN, parent=first.experiment)
    return successor.free_name((run.display_name for run in there), first.run)
