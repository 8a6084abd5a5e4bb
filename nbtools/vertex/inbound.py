"""An experiment from Vertex AI: its runs, and what belongs to them, become records of the store.

What only one side has changed since both last met is that side's. What both have changed is a
conflict: it is said, and stays as it is here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from nbtools.errors import NotFound
from nbtools.nouns import EXPERIMENT, RUN, Artifact, Context, Execution, Job
from nbtools.rows import Record
from nbtools.store import Store
from nbtools.vertex.boards import Board
from nbtools.vertex.form import BOARD_RUN, differing, fingerprint, form, here
from nbtools.vertex.ledger import Known, Ledger
from nbtools.vertex.series import all_of, same
from nbtools.vertex.service import COLLECTIONS, Service


@dataclass
class Pulled:
    """What an experiment has brought."""

    runs: list[str] = field(default_factory=list)  #: the ids of the contexts of all its runs
    new: int = 0  #: records that were not here before
    changed: int = 0  #: records that are as they are there now
    points: int = 0  #: points of series that were not here before
    conflicts: list[str] = field(default_factory=list)  #: what both sides have changed
    remarks: list[str] = field(default_factory=list)  #: what was not taken
    artifacts: dict[str, list[str]] = field(default_factory=dict)  #: those of each run


class Inbound:
    """Pulls from one place into a store."""

    def __init__(
        self,
        store: Store,
        service: Service,
        ledger: Ledger,
        now: datetime,
        *,
        staging: str = "",
        force: bool = False,
    ) -> None:
        """`force` takes theirs where both sides have changed something. `staging` is where
        files of ours go there.
        """
        self._store, self._service, self._ledger, self._now = store, service, ledger, now
        self._staging, self._force = ledger.staging(staging), force
        self.pulled = Pulled()

    def experiment(self, name: str) -> Pulled:
        """Pull one. Raises NotFound when there is none of that name there."""
        there = self._service.find(Context, name)
        if there is None or there.record.schema_title != EXPERIMENT:
            raise NotFound(f"no experiment {name!r} in {self._service.place.parent}")
        self._take(there.record)
        full = self._service.name(Context, name)
        wanted = f'schema_title="{RUN}" AND parent_contexts:"{full}"'
        found = [one.record for one in self._service.select(Context, wanted)]
        for record in sorted(found, key=lambda run: (run.create_time or self._now, run.name)):
            if not record.name.startswith(f"{name}-"):
                self.pulled.remarks.append(f"{record.name} is not named after its experiment")
                continue
            self._run(name, record)
        return self.pulled

    def _run(self, experiment: str, there: Context) -> None:
        display = there.display_name or there.name.removeprefix(f"{experiment}-")
        own = {"_experiment": experiment, "_state": there.metadata.get("_state", "COMPLETE")}
        if not self._take(there, display_name=display, metadata={**there.metadata, **own}):
            return
        self.pulled.runs.append(there.name)
        self._store.add_child(experiment, there.name)
        if outer := there.metadata.get("_parent"):
            parent = f"{experiment}-{outer}"
            if self._store.find(Context, parent) is not None:
                self._store.add_child(parent, there.name)
        artifacts, executions = self._service.within(there.name)
        board = None
        for one in artifacts:
            if one.record.schema_title == BOARD_RUN:
                board = str(one.record.metadata.get("resourceName", ""))
            elif self._take(one.record):
                self._store.associate(there.name, artifact=one.record.name)
                self.pulled.artifacts.setdefault(there.name, []).append(one.record.name)
        for one in executions:
            if self._take(one.record):
                self._store.associate(there.name, execution=one.record.name)
                self._events(one.record.name)
        if board:
            self._series(there.name, board)

    def _events(self, execution: str) -> None:
        artifacts, events = self._service.of_execution(execution)
        taken = {a.record.name for a in artifacts if self._take(a.record)}
        known = {event.artifact for event in self._store.events(execution=execution)}
        for event in events:
            if event.artifact in taken - known:
                self._store.add_event(event, self._now)

    # -- records ------------------------------------------------------------------------

    def _take(self, there: Record, **said: Any) -> bool:
        """Have a record here as it is there; whether there is one of that name now.

        `said` is what it has to say here besides.
        """
        kind, mark = type(there), fingerprint(there)
        collection = COLLECTIONS[kind]
        old: Any = self._store.find(kind, there.name)
        if old is None:
            self._store.add(replace(here(replace(there, **said)), etag=0), self._now)
            self._ledger.met(collection, there.name, mark)
            self.pulled.new += 1
            return True
        ours: Any = form(old, self._staging)
        known = self._ledger.base(collection, there.name)
        mine = fingerprint(ours)
        if mine == mark:
            self._ledger.met(collection, there.name, mark)
        elif mark in known.known:
            pass  # only we have changed it: a push sends that
        elif isinstance(there, Context) and there.schema_title == EXPERIMENT:
            pass  # everybody's: each says of it what he likes
        elif (mine == known.base or self._force) and not _job(old):
            new = here(replace(there, **said), old)
            same = old.metadata.get("sha256") == there.metadata.get("sha256")
            if isinstance(there, Artifact) and ours.uri == there.uri and same:
                new = replace(new, uri=old.uri)  # the file that is here
            self._store.amend(kind, there.name, lambda was: replace(new, etag=was.etag), self._now)
            self._ledger.met(collection, there.name, mark)
            self.pulled.changed += 1
        else:
            self._conflict(there, ours)
        return True

    def _conflict(self, there: Record, ours: Record) -> None:
        what = f"{type(there).__name__.lower()} {ours.display_name or there.name}"
        text = (
            f"{what} differs here and there: {differing(ours, there)}; --force takes theirs, "
            "`nbtools push --force` sends ours"
        )
        if text not in self.pulled.conflicts:
            self.pulled.conflicts.append(text)

    # -- series -------------------------------------------------------------------------

    def _series(self, context: str, run: str) -> None:
        """Points that are new there, of those series of a run of which something is new."""
        board = Board.of(self._service, run)
        known = self._ledger.series(context)
        known = replace(known, run=run)
        others: Mapping[str, int] = {}
        for key, there in board.series(run).items():
            if there.kind != "SCALAR":
                others = {**others, there.kind: others.get(there.kind, 0) + 1}
                continue
            old = known.keys.get(key, Known(there.id))
            if old.there == (there.last_step, there.last_time):
                continue
            if not self._points(context, key, board, run, old):
                continue
            taken = all_of(self._store.series(context, key), replace(old, id=there.id))
            new = (max(taken.there[0], there.last_step), max(taken.there[1], there.last_time))
            known = known.having(key, replace(taken, there=new))
        for kind, count in others.items():
            self.pulled.remarks.append(f"{count} series of {kind} of {context} stay there")
        self._ledger.note_series(context, known)

    def _points(self, context: str, key: str, board: Board, run: str, old: Known) -> bool:
        """Add the points of a series that are not here; whether both sides agree now."""
        theirs = board.read(run, old.id)
        mine = self._store.series(context, key)
        values = dict(zip(mine.steps, mine.values, strict=True))
        new, differ = [], 0
        for point in zip(theirs.steps, theirs.wall_times, theirs.values, strict=True):
            if point[0] not in values:
                new.append(point)
            elif not same(values[point[0]], point[2]):
                differ += 1
                if self._force:
                    new.append(point)
        if new:
            self._store.add_points(context, key, new)
            self.pulled.points += len(new)
        if differ and not self._force:
            self.pulled.conflicts.append(
                f"{differ} points of {key} of {context} have other values there: --force takes "
                "theirs, `nbtools push --force` sends ours"
            )
        # what is only here is still to be sent
        return not differ and set(values) <= set(theirs.steps)


def _job(old: Record) -> bool:
    """Whether it is a job of ours, which alone says how it stands."""
    return isinstance(old, Execution) and Job.is_in(old)
