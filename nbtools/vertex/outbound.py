"""A run, with all that belongs to it, to Vertex AI: as if the SDK had logged it there.

First the records, then what joins them, then the points. Everything may be done again, and
what is there already is left, so that a push that was killed is continued by another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

from nbtools.delivery import deliver
from nbtools.errors import Aborted, NotFound
from nbtools.nouns import EXPERIMENT, Artifact, Context, Event, Execution, local
from nbtools.store import Store
from nbtools.vertex import boards
from nbtools.vertex.boards import Board
from nbtools.vertex.form import BOARD_RUN, VERSION, fingerprint, form, staged
from nbtools.vertex.ledger import Ledger
from nbtools.vertex.records import Conflict, Records
from nbtools.vertex.series import SeriesPush, keys
from nbtools.vertex.service import Service

BACKING = "backing_tensorboard_resource"


@dataclass
class Pushed:
    """What became of one run."""

    records: int = 0  #: contexts, executions and artifacts that were made or changed
    points: int = 0  #: points of series that were sent
    conflicts: list[str] = field(default_factory=list)  #: what was left as others have it
    remarks: list[str] = field(default_factory=list)  #: what stays here


class Outbound:
    """Pushes runs of a store to one place. Several threads may, each another run."""

    def __init__(
        self,
        store: Store,
        service: Service,
        ledger: Ledger,
        *,
        staging: str = "",
        tensorboard: str = "",
        force: bool = False,
    ) -> None:
        """`staging` is the URI that files go below; "": where they went the last time, if they
        did. `tensorboard` is the resource name of the board of an experiment that has none; "":
        the place's default one.
        """
        self._store, self._service, self._ledger = store, service, ledger
        self._staging, self._tensorboard, self._force = ledger.staging(staging), tensorboard, force
        self._records = Records(service, ledger, force)
        self._boards: dict[str, Board] = {}
        self._lock = Lock()

    def run(self, name: str, metadata: Mapping[str, Any] | None = None) -> Pushed:
        """Push the run whose context is `name`; `metadata` holds what is newer than the store's.

        A conflict keeps nothing else from being pushed, and is in the answer.
        """
        pushed = Pushed()
        context = self._store.get(Context, name)
        context = replace(context, metadata={**context.metadata, **(metadata or {})})
        self.open(context, pushed)
        self._graph(context, pushed)
        if keys(self._store, name):
            try:
                sending = SeriesPush(self._store, self._ledger, self._service, self._force)
                pushed.points += sending.send(name, partial(self.board_run, context))
            except Conflict as conflict:
                pushed.conflicts.append(str(conflict))
        return pushed

    def open(self, context: Context, pushed: Pushed) -> None:
        """Have a run's context there, in its experiment, and in the run that it is part of."""
        self._experiment(context)
        self._write(context, pushed)
        outer = context.metadata.get("_parent")
        parents = [context.metadata["_experiment"]]
        if outer:
            parent = self._store.find(Context, f"{parents[0]}-{outer}")
            if parent is not None:
                self.open(parent, pushed)
                parents.append(parent.name)
        self._once(context.name, "parents", parents, lambda: self._adopt(context, parents))

    def artifact(self, run: str, artifact: Artifact, pushed: Pushed) -> None:
        """Have one of a run's artifacts there, and its file."""
        self._stage(artifact, pushed)
        self._write(artifact, pushed)
        self._service.associate(run, [artifact.name], [])

    def board(self, context: Context) -> Board:
        """The TensorBoard behind a run's experiment, which it gets now if it has none."""
        experiment = context.metadata["_experiment"]
        with self._lock:
            if experiment not in self._boards:
                self._boards[experiment] = Board(self._service, self._backing(experiment))
            return self._boards[experiment]

    def board_run(self, context: Context) -> str:
        """The resource name of a run in its experiment's TensorBoard, made if it is not there,
        with the artifact that says so.
        """
        known = self._ledger.series(context.name).run
        if known and not self._force:
            return known
        board = self.board(context)
        run = board.open_run(context.metadata["_experiment"], context.display_name)
        link = Artifact(
            name=f"{context.name}-tb-run",
            schema_title=BOARD_RUN,
            schema_version=VERSION,
            uri=f"https://{self._service.place.vertex}/v1/{run}",
            metadata={"resourceName": run, "vertex_experiment_tracking": True},
        )
        self._records.write(link)
        self._service.associate(context.name, [link.name], [])
        self._ledger.note_series(context.name, replace(self._ledger.series(context.name), run=run))
        return run

    def told(self, run: str, series: Mapping[str, tuple[str, int]]) -> None:
        """A mirror has sent all points of a run's series: by key the id there, and how many."""
        sending = SeriesPush(self._store, self._ledger, self._service)
        sending.told(run, self._ledger.series(run).run, series)

    # -- inside -------------------------------------------------------------------------

    def _experiment(self, context: Context) -> None:
        """Have a run's experiment there. It is everybody's: one that is there stays as it is."""
        name = context.metadata["_experiment"]
        with self._lock:
            if self._ledger.base("contexts", name).base and not self._force:
                return
            new = form(self._store.get(Context, name))
            meta = {k: v for k, v in new.metadata.items() if k != BACKING}
            there = self._service.find(Context, name)
            if there is None:
                self._records.write(replace(new, metadata=meta))
            elif there.record.schema_title != EXPERIMENT:
                raise Conflict(
                    f"{name} is a {there.record.schema_title} there, and no experiment: push to "
                    "another place, or name the experiment anew"
                )
            else:
                self._ledger.met("contexts", name, fingerprint(there.record))

    def _backing(self, experiment: str) -> str:
        """The resource name of an experiment's board; that it has one is said there now."""
        board = ""
        while True:
            there = self._service.find(Context, experiment)
            if there is None:
                place = self._service.place.project
                raise NotFound(f"experiment {experiment} is gone from {place}: --force makes it")
            if found := there.record.metadata.get(BACKING):
                return str(found)
            board = board or self._tensorboard or boards.default(self._service)
            meta = {**there.record.metadata, BACKING: board}
            try:
                self._service.update(replace(there.record, metadata=meta), there.etag)
            except Aborted:
                continue  # it has changed meanwhile, by our own request if its answer was lost
            return board

    def _adopt(self, context: Context, parents: list[str]) -> None:
        for parent in parents:
            self._service.add_child(parent, context.name)

    def _graph(self, context: Context, pushed: Pushed) -> None:
        """Executions and artifacts, and what joins them to the run and to each other."""
        inside = [a for a in self._store.select(Artifact, context=context.name) if _ours(a)]
        executions = self._store.select(Execution, context=context.name)
        events = {e.name: _first(self._store.events(execution=e.name)) for e in executions}
        artifacts = {a.name: a for a in inside}
        for event in (event for found in events.values() for event in found):
            if event.artifact not in artifacts:
                artifact = self._store.get(Artifact, event.artifact)
                if _ours(artifact):
                    artifacts[artifact.name] = artifact
        for artifact in sorted(artifacts.values(), key=lambda a: a.name):
            self._stage(artifact, pushed)
            self._write(artifact, pushed)
        for execution in sorted(executions, key=lambda e: e.name):
            self._write(execution, pushed)
        names = sorted(a.name for a in inside), sorted(e.name for e in executions)
        if any(names):
            self._once(
                context.name, "inside", names,
                lambda: self._service.associate(context.name, *names),
            )  # fmt: skip
        for name, found in sorted(events.items()):
            joined = [e for e in found if e.artifact in artifacts]
            if joined:
                told = [[e.artifact, e.type] for e in joined]
                self._once(name, "events", told, partial(self._service.add_events, name, joined))

    def _write(self, record: Any, pushed: Pushed) -> None:
        try:
            pushed.records += self._records.write(form(record, self._staging))
        except Conflict as conflict:
            pushed.conflicts.append(str(conflict))

    def _stage(self, artifact: Artifact, pushed: Pushed) -> None:
        """Have an artifact's file below the staging URI."""
        path = local(artifact.uri)
        if path is None or not path.is_file():
            return
        if not self._staging:
            pushed.remarks.append(
                f"{artifact.display_name} stays on this machine: set staging_bucket to send files"
            )
            return
        to, _, name = staged(artifact, self._staging).rpartition("/")
        content = str(artifact.metadata.get("sha256") or path.stat().st_mtime_ns)
        self._once(artifact.name, "file", [to, content], lambda: _deliver(path, to, name))

    def _once(self, name: str, what: str, said: object, work: Callable[[], object]) -> None:
        """Do what is not known to have been done: joining again is the same, but a request."""
        mark = fingerprint(Context(name=name, schema_title=what, metadata={"said": said}))
        if self._force or self._ledger.base(what, name).base != mark:
            work()
            self._ledger.met(what, name, mark)


def _deliver(path: Path, to: str, name: str) -> None:
    deliver({name: path}, to, overwrite=True)  # the name of its folder is the artifact's own


def _ours(artifact: Artifact) -> bool:
    return artifact.schema_title != BOARD_RUN


def _first(events: list[Event]) -> list[Event]:
    """Of several events between the same two the first, as Vertex AI keeps them."""
    found: dict[str, Event] = {}
    for event in events:
        found.setdefault(event.artifact, event)
    return list(found.values())
