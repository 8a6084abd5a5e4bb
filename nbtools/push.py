"""Send what could not be sent: to mirrors that were away, and files to their URIs.

Killed halfway it goes on there; done twice it is done once: mirrors keep to that.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from nbtools import farewell, registry
from nbtools.errors import NotFound, StateError
from nbtools.jobs import Jobs
from nbtools.mirror import Mirror, MirroredRun, reason
from nbtools.mirroring import Feeder
from nbtools.nouns import Artifact, Context, Run
from nbtools.registry import own_process
from nbtools.runs import run_folder
from nbtools.secrets import own
from nbtools.shipment import Shipment, shipments
from nbtools.spool import Spool, spools
from nbtools.states import ExecutionState
from nbtools.store import Store

AT_WORK = "its job is still at work"


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What became of one thing that was kept."""

    mirror: str  #: the mirror's name, or the URI that files go to
    what: str  #: the run's name in its experiment, or the folder
    count: int = 0  #: how many entries or files were sent
    left: str = ""  #: one sentence: why some of it is left; "" when all is safe
    notes: tuple[str, ...] = ()  #: what was not sent, and need not be


def push(store: Store, mirror: str = "") -> Iterator[Sent]:
    """Send what is kept for that mirror, or for all, and every folder on its way.

    Whatever a mirror raises is in what it yields; the rest is sent all the same.
    """
    if store.folder is None:
        return
    for spool in spools(store.folder, mirror):
        yield _send(store, spool)
    for shipment in shipments(store.folder):
        if mirror in ("", shipment.uri):
            yield _ship(shipment)


def push_job(jobs: Jobs, name: str) -> Iterator[Sent]:
    """Send what is kept of the run of a job, once that has ended. Raises NotFound."""
    jobs.get(name)  # who looks writes down how it ended
    for spool in farewell.of_job(jobs.settings.store, name):
        yield _send(jobs.store, spool)


def waiting(store: Store) -> Iterator[Sent]:
    """What is kept for mirrors, and for URIs; nothing is sent."""
    if store.folder is None:
        return
    for spool in spools(store.folder):
        count = spool.path.stat().st_size - spool.position if spool.path.exists() else 0
        what = "is being sent, the run is at work" if spool.written_to() else "is left"
        left = f"{count:,} bytes of its journal: {what}"
        if spool.shown:
            left = f"how its job ends: the run is shown as {spool.shown}"
        yield Sent(mirror=spool.mirror, what=_name(spool.run), left=left)
    for shipment in shipments(store.folder):
        if count := len(list(shipment.waiting())):
            left = f"{count} files"
            yield Sent(mirror=shipment.uri, what=str(shipment.folder), left=left)


def send_run(store: Store, run: Run, mirror: str, options: Mapping[str, Any]) -> Sent:
    """Tell a mirror a run that has ended, from the store alone, whether it heard of it or not.

    Raises StateError while the run is at work, as the registry does for the mirror, and
    whatever the mirror raises.
    """
    if store.folder is None:
        raise NotFound("a store in memory has no mirrors: name a folder")
    if run.state is ExecutionState.RUNNING:
        raise StateError(f"run {run.name!r} is at work: push it when it has ended")
    context = store.get(Context, run.id)
    folder = run_folder(store.folder, run)
    told = MirroredRun.of(context, store.folder, folder, f"{run.id}.store")
    other = registry.mirror(mirror, options)
    try:
        count = _tell_all(store, other, told)
        other.end(run.state)
    finally:
        other.close()
    return Sent(mirror=mirror, what=_name(told), count=count)


def _tell_all(store: Store, mirror: Mirror, run: MirroredRun) -> int:
    mirror.start(run)
    if run.params:
        mirror.params(run.params)
    series = store.points(run.id)
    points = [(k, *point) for k, points in series.items() for point in points]
    points.sort(key=lambda point: (point[1], point[2]))  # as they may have been logged
    if points:
        mirror.points(points)
    if run.metrics:
        mirror.metrics(run.metrics)
    for artifact in store.select(Artifact, context=run.id)[::-1]:
        if artifact.path.exists():
            mirror.artifact(artifact.path, artifact.display_name, artifact.schema_title)
    return len(points)


def _send(store: Store, spool: Spool) -> Sent:
    name = _name(spool.run)
    if not spool.lock():
        return Sent(mirror=spool.mirror, what=name, left="a process that is at work sends it")
    feeder = Feeder(spool)
    left = ""
    try:
        if not spool.current():
            return Sent(mirror=spool.mirror, what=name)
        state = _state(store, spool.run.id)
        if spool.written_to():
            feeder.feed()
            feeder.drop()
            left = "the run is still at work"
        elif spool.shown and state in (None, spool.shown):
            spool.remove()
        elif spool.shown and not state:
            left = AT_WORK
        else:
            feeder.finish(state or "")
            left = AT_WORK if spool.shown else ""
    except Exception as error:  # noqa: BLE001 - one mirror's failure must not keep the others waiting
        left = reason(error)
        with suppress(Exception):  # it has failed already, which is reported
            feeder.drop()
    finally:
        spool.unlock()
    return Sent(mirror=spool.mirror, what=name, count=feeder.told, left=left)


def _ship(shipment: Shipment) -> Sent:
    what = str(shipment.folder)
    if not shipment.lock():
        return Sent(mirror=shipment.uri, what=what, left="a process that is at work ships it")
    count = len(list(shipment.waiting()))
    try:
        shipment.close()
    except Exception as error:  # noqa: BLE001 - one remote's failure must not keep the others waiting
        count -= len(list(shipment.waiting()))
        left = reason(error)
        return Sent(mirror=shipment.uri, what=what, count=count, left=left)
    finally:
        shipment.unlock()
    return Sent(mirror=shipment.uri, what=what, count=count)


def _state(store: Store, run: str) -> str | None:
    """How a run ended; "" when its job is still to say so, None when it was deleted."""
    context = store.find(Context, run)
    if context is None:
        return None
    state = Run.of(context).state
    return "" if state is ExecutionState.RUNNING else str(state)


def _name(run: MirroredRun) -> str:
    return f"{run.experiment}/{run.name}"


if __name__ == "__main__":
    own_process()
    for one in push_job(Jobs.open(), sys.argv[1]):
        said = own().masking.text(f"{one.mirror}: {one.left or 'all sent'}")
        print(said)  # noqa: T201 - to a file beside the job's
