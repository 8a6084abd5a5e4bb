"""Runs exchanged with Vertex AI: pushed there, pulled from there, and what waits for it.

service = connect(Settings.load(), "vertex://my-project/us-central1")
for sent in push_runs(store, service, Way(staging="gs://bucket"), ["digits-one"], utc_now()):
    ...
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from nbtools.cloud import Endpoint, Place
from nbtools.digests import digest
from nbtools.errors import RequestError, Unavailable
from nbtools.mirror import reason
from nbtools.nouns import RUN, Artifact, Context
from nbtools.push import Sent
from nbtools.settings import Settings
from nbtools.shipment import remote
from nbtools.spool import spools
from nbtools.store import Store
from nbtools.vertex.calls import Calls
from nbtools.vertex.form import fingerprint, form
from nbtools.vertex.inbound import Inbound, Pulled
from nbtools.vertex.ledger import Ledger, places
from nbtools.vertex.outbound import Outbound
from nbtools.vertex.series import keys
from nbtools.vertex.service import Service

MIRROR = "vertex"  #: the name of the mirror
#: runs that are pushed at once.
AT_ONCE = 4


@dataclass(frozen=True)
class Way:
    """How runs go there."""

    staging: str = ""  #: URI that their files go below; "": they stay here
    tensorboard: str = ""  #: resource name of the board of experiments that have none
    force: bool = False  #: overwrite what others have changed


def connect(settings: Settings, to: str = "", calls: Calls | None = None) -> Service:
    """The service of that place, or of the settings'. Raises RequestError when it is none."""
    return Service(Place.of(settings, to), Endpoint.of(settings), calls)


def push_runs(
    store: Store, service: Service, way: Way, runs: Sequence[str], now: datetime
) -> Iterator[Sent]:
    """Push runs, by the names of their contexts, each in its own order; in the order given.

    What keeps one from being there is in what it yields; the others are pushed all the same.
    """
    ledger = Ledger(store, service.place, now)
    out = Outbound(
        store, service, ledger,
        staging=way.staging, tensorboard=way.tensorboard, force=way.force,
    )  # fmt: skip

    away: list[str] = []  #: why there is no way there: nobody else waits for that too

    def one(name: str) -> Sent:
        what = _words(store, name)
        if away:
            return Sent(mirror=uri(service.place), what=what, left=away[0])
        try:
            pushed = out.run(name)
        except Unavailable as error:
            away.append(reason(error))
            return Sent(mirror=uri(service.place), what=what, left=reason(error))
        except Exception as error:  # noqa: BLE001 - one run's failure must not keep others waiting
            return Sent(mirror=uri(service.place), what=what, left=reason(error))
        left = "; ".join(pushed.conflicts)
        count, notes = pushed.records + pushed.points, tuple(pushed.remarks)
        return Sent(mirror=uri(service.place), what=what, count=count, left=left, notes=notes)

    if runs:
        yield one(runs[0])  # clients are made, and the experiment
        with ThreadPoolExecutor(AT_ONCE) as pool:
            yield from pool.map(one, runs[1:])


def changed(store: Store, place: Place, staging: str, now: datetime) -> list[str]:
    """The runs that have been there and have changed here since, oldest first; not those that
    a mirror is about to tell.
    """
    ledger = Ledger(store, place, now)
    told = {s.run.id for s in spools(store.folder, MIRROR)} if store.folder else set()
    found = []
    for name in ledger.contexts():
        context = store.find(Context, name)
        if context is None or context.schema_title != RUN or name in told:
            continue
        known = ledger.series(name).keys
        lengths = {key: len(store.series(name, key).steps) for key in keys(store, name)}
        if fingerprint(form(context, staging)) != ledger.base("contexts", name).base or any(
            key not in known or known[key].count != length for key, length in lengths.items()
        ):
            found.append(context)
    return [context.name for context in sorted(found, key=lambda c: c.create_time or now)]


def push_changed(store: Store, settings: Settings, now: datetime) -> Iterator[Sent]:
    """Push the runs that have been at some place and have changed since, to that place."""
    for place in places(store):
        runs = changed(store, place, settings.staging_bucket, now)
        service = Service(place, Endpoint.of(settings))
        yield from push_runs(store, service, Way(settings.staging_bucket), runs, now)


def waiting(store: Store, settings: Settings, now: datetime) -> Iterator[Sent]:
    """The runs that have been at some place and have changed since."""
    for place in places(store):
        for name in changed(store, place, settings.staging_bucket, now):
            yield Sent(mirror=uri(place), what=_words(store, name), left="changed since")


def pull(store: Store, service: Service, way: Way, experiment: str, now: datetime) -> Pulled:
    """Bring an experiment from there. Raises NotFound, and what `cloud.told` says."""
    ledger = Ledger(store, service.place, now)
    inbound = Inbound(store, service, ledger, now, staging=way.staging, force=way.force)
    return inbound.experiment(experiment)


def fetch(store: Store, artifacts: Mapping[str, Sequence[str]], to: Path) -> Iterator[Path]:
    """Copy the files of artifacts, by run, into folders below `to` that are called as the runs.

    Those that are there with the same content are left. Raises RequestError.
    """
    for run, names in artifacts.items():
        for name in names:
            artifact = store.get(Artifact, name)
            if "://" not in artifact.uri:  # a path: of this machine, or of one that is away
                continue
            target = to / run / (artifact.uri.rstrip("/").rpartition("/")[2] or name)
            if target.is_file() and digest(target) == artifact.metadata.get("sha256"):
                continue
            if target.is_dir():  # a model of TensorFlow's is a folder, put there whole
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_name(f".{target.name[:100]}.part")
            fs, path = remote(artifact.uri)
            try:
                if fs.isdir(path):
                    shutil.rmtree(part, ignore_errors=True)  # of one that was interrupted
                    fs.get(path, str(part), recursive=True)
                else:
                    fs.get_file(path, str(part))
            except Exception as error:  # noqa: BLE001 - whatever the library of that remote raises
                raise RequestError(f"cannot fetch {artifact.uri}: {reason(error)}") from None
            part.replace(target)
            yield target


def uri(place: Place) -> str:
    """As it is named on the command line."""
    return f"vertex://{place.project}/{place.location}"


def _words(store: Store, name: str) -> str:
    context = store.get(Context, name)
    return f"{context.metadata['_experiment']}/{context.display_name}"
