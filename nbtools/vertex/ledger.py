"""What both sides had in common when they last met: their common ancestor, as in a merge.

For each record, by place: its fingerprint as it was left there, and those that were about to
be sent. So what is there now is ours, whatever moment a process was killed at, or somebody
else's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from nbtools.cloud import Place
from nbtools.resources import Resource
from nbtools.store import Store

TYPE: Final = "Synced"
_FOLDER: Final = "synced"


@dataclass(frozen=True)
class Base:
    """What is known of one record there."""

    base: str = ""  #: the fingerprint that both sides had
    sent: tuple[str, ...] = ()  #: those that may have arrived: no answer has said so

    @property
    def known(self) -> tuple[str, ...]:
        """Whatever there is ours when its fingerprint is one of these."""
        return tuple(filter(None, (self.base, *self.sent)))


@dataclass(frozen=True)
class Known:
    """What is known of one of a run's time series there."""

    id: str  #: of the series there
    count: int = 0  #: its first points, of ours, that are there
    digest: str = ""  #: of these
    #: the highest step, and the latest time (nanoseconds since the epoch), that are there or
    #: may be by us
    there: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class KnownSeries:
    """What is known of a run's time series there."""

    run: str = ""  #: resource name of the tensorboard's run
    keys: Mapping[str, Known] = field(default_factory=dict)

    def having(self, key: str, known: Known) -> KnownSeries:
        """With this of one of them."""
        return replace(self, keys={**self.keys, key: known})


class Ledger:
    """Of one store and one place."""

    def __init__(self, store: Store, place: Place, now: datetime) -> None:
        self._store, self._now = store, now
        self._root = f"{_FOLDER}/{place.project}/{place.location}"

    def base(self, collection: str, id: str) -> Base:
        """What is known of a record; nothing at first."""
        found = self._get(f"{collection}/{id}")
        return Base(found.get("base", ""), tuple(found.get("sent", ())))

    def about_to(self, collection: str, id: str, mark: str) -> None:
        """This fingerprint is about to be sent."""
        known = self.base(collection, id)
        if mark not in known.sent:
            self._set(f"{collection}/{id}", {"base": known.base, "sent": [*known.sent[-7:], mark]})

    def met(self, collection: str, id: str, mark: str) -> None:
        """Both sides have this fingerprint."""
        if self.base(collection, id) != Base(mark):
            self._set(f"{collection}/{id}", {"base": mark})

    def series(self, context: str) -> KnownSeries:
        """What is known of a run's series; nothing at first."""
        found = self._get(f"series/{context}")
        keys = {
            key: Known(**{**known, "there": tuple(known["there"])})
            for key, known in found.get("keys", {}).items()
        }
        return KnownSeries(found.get("run", ""), keys)

    def note_series(self, context: str, known: KnownSeries) -> None:
        """Write that down."""
        keys = {key: {**vars(one)} for key, one in known.keys.items()}
        self._set(f"series/{context}", {"run": known.run, "keys": keys})

    def staging(self, said: str) -> str:
        """The URI that files go below: what is said now, else where they went the last time."""
        known = str(self._get("staging/uri").get("uri", ""))
        if said and said != known:
            self._set("staging/uri", {"uri": said})
        return said or known

    def contexts(self) -> list[str]:
        """The contexts that have been there."""
        root = f"{self._root}/contexts"
        return [one.id for one in self._store.resources.below(root, TYPE)]

    def _get(self, name: str) -> Mapping[str, Any]:
        found = self._store.resources.find(f"{self._root}/{name}")
        return found.record if found else {}

    def _set(self, name: str, record: Mapping[str, Any]) -> None:
        resources = self._store.resources
        with self._store.write():
            if found := resources.find(f"{self._root}/{name}"):
                resources.put(replace(found, record=record), self._now)
            else:
                new = Resource(name=f"{self._root}/{name}", type=TYPE, record=record)
                resources.add(new, self._now)


def places(store: Store) -> list[Place]:
    """Those that something of this store has been at."""
    found = {tuple(one.name.split("/")[1:3]) for one in store.resources.select(TYPE)}
    return [Place(project, location) for project, location in sorted(found)]
