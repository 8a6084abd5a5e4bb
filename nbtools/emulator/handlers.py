"""Which function serves which RPC, and how one is called: in one transaction, if it writes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from nbtools.emulator import (
    deprecated,
    discovery,
    executions,
    lineage,
    locations,
    metadata,
    operations,
    schedules,
    series,
    stores,
    templates,
    tensorboards,
    workbench,
)
from nbtools.emulator.call import Call, Handler, Refused
from nbtools.emulator.catalog import Catalog, Method
from nbtools.emulator.hands import Hands
from nbtools.store import Store

#: every RPC that is served; the others are answered with 501.
HANDLERS: Final[Mapping[str, Handler]] = {
    **metadata.HANDLERS,
    **lineage.HANDLERS,
    **stores.HANDLERS,
    **tensorboards.HANDLERS,
    **series.HANDLERS,
    **operations.HANDLERS,
    **locations.HANDLERS,
    **templates.HANDLERS,
    **executions.HANDLERS,
    **schedules.HANDLERS,
    **workbench.HANDLERS,
    **deprecated.HANDLERS,
}
#: those that begin or end processes see to their transactions themselves: what is done by then
#: cannot be taken back, and takes too long for others to wait.
APART: Final = frozenset({*executions.HANDLERS, *schedules.HANDLERS})
#: RPCs that begin so change nothing.
READING: Final = ("Get", "List", "Query", "Read", "BatchRead", "Export", "Wait", "Check")
_LOCATION = re.compile(r"projects/[^/]+/locations/[^/]+")


class Service:
    """Serves the RPCs on a store. Safe to use from several threads."""

    def __init__(self, catalog: Catalog, store: Store, clock: Callable[[], datetime]) -> None:
        self._catalog, self._store, self._clock = catalog, store, clock
        self.hands = Hands(store, clock)
        self._seen: tuple[int, int] | None = None  # the store's version when all was shown
        self._counts: tuple[int, int] | None = None  # and how much there was

    def answer(self, method: Method, request: Any) -> Any:
        """The message, or the iterator of messages, that answers. Raises NbtoolsError."""
        handler = HANDLERS.get(method.name)
        if handler is None:
            raise Refused(
                "UNIMPLEMENTED", f"{method.name} is not served by the emulator: see COVERAGE.md"
            )
        call = Call(self._store, self._clock(), self._catalog, self.hands)
        if method.name.rpartition(".")[2].startswith(READING):
            self._look(call, request)
            return handler(call, request)
        if method.name in APART:
            return handler(call, request)
        with self._store.write():
            return handler(call, request)

    def _look(self, call: Call, request: Any) -> None:
        """Take in what nbtools' own runs have logged since the last time."""
        self._store.drain(call.now)
        location = _LOCATION.match(next((v for _, v in request.ListFields() if v is str(v)), ""))
        if location and self._store.version != self._seen:
            if self._store.resources.counts() != self._counts:
                discovery.show(call, location[0])
                self._counts = self._store.resources.counts()
            self._seen = self._store.version
