"""How the store takes in what runs have logged: each journal exactly once, as far as it goes.

How far a journal was read is written in the transaction that takes in what was read.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nbtools import journal
from nbtools.nouns import Context
from nbtools.states import ExecutionState

if TYPE_CHECKING:
    from nbtools.store import Store

#: what a journal's entries say of a run's metadata: the values of these are added to …
MERGED: Final = ("_params", "_metrics", "_about")
#: … and those of these put in the place of what was there.
REPLACED: Final = ("_state", "_tags", "_notes", "_pruned")


class Drain:
    """Of one store; `execute` carries out SQL."""

    def __init__(self, store: Store, execute: Callable[..., list[Any]], now: datetime) -> None:
        self._store, self._execute, self._now = store, execute, now

    def all(self, folder: Path) -> None:
        """Every journal in a folder; those that are at their end are removed."""
        ended = []
        for path in journal.journals(folder):
            try:
                abandoned = journal.abandoned(path)  # asked before reading: nothing comes after
                with self._store.write():
                    self._one(path, abandoned)
            except (FileNotFoundError, PermissionError):
                continue  # another reader was here first, or it is another user's
            if abandoned:
                ended.append(path)
        if ended:
            self._remove(ended)

    def _remove(self, ended: list[Path]) -> None:
        """What a journal says is nowhere else until the disk has what was taken in."""
        self._store.sync()
        removed = []
        for path in ended:  # before the rows: no row means no file, for any other reader
            with suppress(PermissionError):  # it stays, and so does how far it was read
                path.unlink(missing_ok=True)
                removed.append(path)
        with self._store.write():
            for path in removed:
                self._execute("DELETE FROM journals WHERE file = ?", path.name)

    def _one(self, path: Path, abandoned: bool) -> None:
        context = journal.context_of(path)
        rows = self._execute("SELECT position, keys FROM journals WHERE file = ?", path.name)
        position = rows[0]["position"] if rows else 0
        if rows and not abandoned and path.stat().st_size == position:
            return
        known = json.loads(rows[0]["keys"]) if rows else {}
        keys = {int(number): tuple(names) for number, names in known.items()}
        entries, series, position = journal.collect(path, position, keys)
        if self._store.find(Context, context) is not None:  # else its run was deleted meanwhile
            left = abandoned and not journal.is_guest(path)
            self._store.amend(Context, context, lambda c: _take_in(c, entries, left), self._now)
            if series:
                self._store.add_series(context, series)
        self._execute(
            "INSERT OR REPLACE INTO journals VALUES (?, ?, ?, ?)",
            path.name,
            context,
            position,
            json.dumps(keys),
        )


def _take_in(context: Context, entries: list[dict[str, Any]], abandoned: bool) -> Context:
    """A run's context after what its journal says."""
    meta = dict(context.metadata)
    for entry in entries:
        for key in MERGED:
            if entry.get(key):
                meta[key] = {**meta.get(key, {}), **entry[key]}
        for key in REPLACED:
            if key in entry:
                meta[key] = entry[key]
    if abandoned and meta["_state"] == ExecutionState.RUNNING and not meta.get("_job"):
        meta["_state"] = ExecutionState.FAILED
        meta["_error"] = "its process ended without ending the run (killed, or power lost)"
    return replace(context, metadata=meta)
