"""One record there, as it is to be: made, changed, or left where somebody else has changed it."""

from __future__ import annotations

from typing import Final

from nbtools.errors import Aborted, AlreadyExists, RequestError, StateError
from nbtools.rows import Record
from nbtools.vertex.form import differing, fingerprint
from nbtools.vertex.ledger import Base, Ledger
from nbtools.vertex.service import COLLECTIONS, Service

_RACES: Final = 5  #: others may be faster, so many times


class Conflict(StateError):
    """What is there is neither what we left there nor what we have: nothing was overwritten."""


class Records:
    """Writes records to a place."""

    def __init__(self, service: Service, ledger: Ledger, force: bool = False) -> None:
        """`force` overwrites what others have changed."""
        self._service, self._ledger, self._force = service, ledger, force

    def write(self, new: Record) -> bool:
        """Have a record there, in the form of there; whether anything was to be done.

        Raises Conflict.
        """
        kind, collection = type(new), COLLECTIONS[type(new)]
        known, mark = self._ledger.base(collection, new.name), fingerprint(new)
        if known.base == mark and not known.sent and not self._force:
            return False
        fresh = not known.known
        for _ in range(_RACES):
            there = None if fresh else self._service.find(kind, new.name)
            fresh = False
            try:
                if there is None:
                    self._need_never_there(new, known)
                    self._ledger.about_to(collection, new.name, mark)
                    self._service.create(new)
                elif fingerprint(there.record) != mark:
                    self._need_ours(new, there.record, known)
                    self._ledger.about_to(collection, new.name, mark)
                    self._service.update(new, there.etag)
            except Conflict:
                raise
            except (AlreadyExists, Aborted):
                continue  # made by us, whose answer was lost, or by others
            except RequestError:
                now = self._service.find(kind, new.name)
                if there is None or now is None or now.etag == there.etag:
                    raise  # it was not about the state of it
                continue
            self._ledger.met(collection, new.name, mark)
            return True
        raise StateError(f"{_words(new)} is being changed by others all the time: try again later")

    def _need_never_there(self, new: Record, known: Base) -> None:
        if known.base and not self._force:
            raise Conflict(
                f"{_words(new)} was deleted at {self._service.place.project} since: --force makes "
                "it anew"
            )

    def _need_ours(self, new: Record, there: Record, known: Base) -> None:
        if not self._force and fingerprint(there) not in known.known:
            raise Conflict(
                f"{_words(new)} was changed at {self._service.place.project} since: "
                f"{differing(new, there)}; `nbtools pull` says more, --force overwrites it"
            )


def _words(record: Record) -> str:
    return f"{type(record).__name__.lower()} {record.display_name or record.name!r}"
