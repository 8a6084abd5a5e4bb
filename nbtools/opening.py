"""How a run is opened for logging: the job's, a new one, one of other processes, elsewhere."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path

from nbtools import about, journal
from nbtools.errors import StoreError
from nbtools.nouns import PROCESS, Context, Execution, Run, utc_now
from nbtools.open_run import OpenRun, Part
from nbtools.runs import find_context, open_run
from nbtools.states import ExecutionState
from nbtools.store import Store


def in_job(store: Store, job: Mapping[str, str], strict: bool) -> OpenRun:
    """The run of the job whose notebook this is."""
    context = find_context(store, job["experiment"], job["run"])
    if context is None:  # executed where our store is not: its card brings the run home
        opened = away(store, job["experiment"], job["run"], resume=True, strict=strict)
        if uri := job.get("files"):
            opened.ship(uri)
        return opened
    return _opened(store, context, Part(execution=job["job"], in_job=True, strict=strict))


def away(store: Store, experiment: str, run: str | None, resume: bool, strict: bool) -> OpenRun:
    """A run whose store nobody will look into: its card brings it home."""
    opened = begin(store, experiment, run, resume, strict)
    opened.away = True
    return opened


def begin(
    store: Store, experiment: str, run: str | None, resume: bool, strict: bool, parent: str = ""
) -> OpenRun:
    """A run of this process; with `resume` one that is there, as a guest if it is at work.

    Raises AlreadyExists, and StoreError when it cannot be written.
    """
    now = utc_now()
    name = run or f"run-{now:%Y%m%d-%H%M%S-%f}"
    with store.write():
        # Inside: a run that cannot be logged to is not left behind as one that is at work.
        if resume and (found := find_context(store, experiment, name)) and _owned(store, found):
            execution = found.metadata.get("_job") or found.name
            return _opened(store, found, Part(execution=execution, guest=True, strict=strict))
        context = open_run(store, experiment, name, now, resume=resume, parent=parent)
        process = Execution(name=context.name, schema_title=PROCESS, state=ExecutionState.RUNNING)
        store.put(process, now)
        store.associate(context.name, execution=process.name)
        return _opened(store, context, Part(execution=process.name, strict=strict))


def elsewhere(experiment: str, run: str | None, resume: bool, error: StoreError) -> OpenRun:
    """Where the store cannot be written a training goes on all the same: `error` is told."""
    folder = Path(tempfile.mkdtemp(prefix="nbtools-"))
    opened = begin(Store(folder), experiment or "default", run, resume, strict=False)
    warnings.warn(
        f"{error}. Work goes on, and run {opened.name!r} is kept in {folder}: "
        f"NBTOOLS_STORE={folder} shows it",
        RuntimeWarning,
        stacklevel=3,
    )
    return opened


def _owned(store: Store, context: Context) -> bool:
    """Whether another process, or a job, that is at work answers for the run's end."""
    if Run.of(context).state is not ExecutionState.RUNNING or store.journals is None:
        return False
    writers = journal.journals(store.journals, context.name)
    alive = any(not journal.is_guest(p) and not journal.abandoned(p) for p in writers)
    return alive or bool(context.metadata.get("_job"))


def _opened(store: Store, context: Context, part: Part) -> OpenRun:
    try:
        opened = OpenRun(store, context, part)
    except OSError as error:
        raise StoreError(
            f"cannot log to {store.journals}: {error.strerror}; free some space, or set "
            "NBTOOLS_STORE to another folder"
        ) from error
    if not part.guest and store.folder:
        folder = store.folder / "about" / context.name
        known = about.notebook(about.shell())
        about.ask(about.Question(store.folder, context.name, folder, Path.cwd(), known))
    return opened
