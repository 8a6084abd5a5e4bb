"""What people do to runs that are there: tag them, note something, delete them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from nbtools import journal, removal
from nbtools.errors import RequestError, StateError
from nbtools.nouns import JOB, Artifact, Context, Execution, Job, Run
from nbtools.states import ExecutionState
from nbtools.store import Store

#: what a tag is made of: it is typed in a shell, and listed with commas between.
_TAG = re.compile(r"[\w.:/@+-]{1,64}")
LONGEST_NOTE = 10_000  #: characters
Change = Callable[[tuple[str, ...]], tuple[str, ...]]


@dataclass(frozen=True)
class Deleted:
    """What went with a run."""

    run: Run
    artifacts: tuple[str, ...]  #: the records of what it had left, as far as nothing else uses it
    files: int  #: how many files were removed
    kept: tuple[str, ...]  #: jobs that keep their record and their files


def tag(store: Store, run: Run, tags: Iterable[str], now: datetime) -> Run:
    """Add tags to a run; one that it has stays where it is.

    Raises RequestError, with nothing changed, when one has spaces or commas in it.
    """
    new = tuple(tags)
    for one in new:
        if not _TAG.fullmatch(one):
            raise RequestError(
                f"tag {one!r}: use at most 64 letters, digits and . : / @ + - _, "
                "for example baseline"
            )
    return _amend(store, run, lambda old: tuple(dict.fromkeys((*old, *new))), now)


def untag(store: Store, run: Run, tags: Iterable[str], now: datetime) -> Run:
    """Take tags from a run. Raises RequestError, with nothing changed, when it lacks one."""
    gone = set(tags)
    if missing := gone - set(run.tags):
        has = ", ".join(run.tags) or "none"
        raise RequestError(f"run {run.name!r} has no tag {sorted(missing)[0]!r}: it has {has}")
    return _amend(store, run, lambda old: tuple(t for t in old if t not in gone), now)


def note(store: Store, run: Run, text: str, now: datetime) -> Run:
    """Say something about a run instead of what was said before; blank: nothing.

    Raises RequestError when it is longer than 10,000 characters.
    """
    if len(text) > LONGEST_NOTE:
        raise RequestError(
            f"a note has at most {LONGEST_NOTE} characters, this has {len(text)}: "
            "keep it as an artifact"
        )
    meta = {"_notes": text.strip()}
    context = store.amend(
        Context, run.id, lambda c: replace(c, metadata={**c.metadata, **meta}), now
    )
    return Run.of(context)


def delete(store: Store, run: Run, now: datetime, *, jobs: bool = False) -> Deleted:
    """Forget a run: its context, its process, its series, its journals and its own files.

    What it left is forgotten too, unless something else has used it or a job that stays
    has made it. Jobs stay, with their folders, unless `jobs` is set. Raises StateError
    when the run, or a job of it, is still at work.
    """
    need_rest(store, run, now)
    run = Run.of(store.get(Context, run.id))
    executions = [
        execution
        for execution in store.select(Execution, context=run.id)
        if not removal.elsewhere(store, execution.name, run.id)
    ]
    made_by = [e for e in executions if Job.is_in(e)]
    goes = [e for e in executions if jobs or not Job.is_in(e)]
    with store.write():
        touched = [artifact.name for artifact in store.select(Artifact, context=run.id)]
        touched += [event.artifact for e in goes for event in store.events(execution=e.name)]
        removal.remove(store, Context, run.id)
        for execution in goes:
            removal.remove(store, Execution, execution.name)
        gone = removal.unused(store, touched)
        for name in gone:
            removal.remove(store, Artifact, name)
    # Files last: a crash before leaves files that nobody names, never names without files.
    files = sum(_remove_files(store, execution) for execution in goes)
    kept = tuple(e.name for e in made_by if not jobs)
    return Deleted(run, tuple(gone), files, kept)


def need_rest(store: Store, run: Run, now: datetime) -> None:
    """Raises StateError when a run, or a job of it, is still at work."""
    store.drain(now)
    unfinished = (ExecutionState.NEW, ExecutionState.RUNNING)
    for execution in store.select(Execution, JOB, context=run.id, states=unfinished):
        raise StateError(
            f"run {run.name!r} is still at work in job {execution.name}: wait, or cancel it"
        )
    # Without a journal nobody is at work, whatever the state says: a run that was taken in.
    if store.journals and journal.journals(store.journals, run.id):
        raise StateError(f"run {run.name!r} is still at work: end its process, then delete it")


def _amend(store: Store, run: Run, change: Change, now: datetime) -> Run:
    def amended(context: Context) -> Context:
        tags = change(tuple(context.metadata.get("_tags", ())))
        return replace(context, metadata={**context.metadata, "_tags": list(tags)})

    return Run.of(store.amend(Context, run.id, amended, now))


def _remove_files(store: Store, execution: Execution) -> int:
    """Empty the execution's own folder but for files that are an artifact still; how many."""
    if store.folder is None:
        return 0
    kind = "jobs" if Job.is_in(execution) else "runs"
    folder = store.folder / kind / execution.name
    if not folder.is_dir() or folder.is_symlink() or folder.parent != store.folder / kind:
        return 0
    files = [path for path in folder.rglob("*") if not path.is_dir() or path.is_symlink()]
    stay = {path for path in files if store.select(Artifact, uri=str(path), limit=1)}
    if not stay:
        shutil.rmtree(folder, ignore_errors=True)
        return len(files)
    for path in set(files) - stay:
        path.unlink(missing_ok=True)
    return len(files) - len(stay)
