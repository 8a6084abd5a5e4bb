"""What a handler is given, and how what is wrong is said in Google's words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from nbtools.errors import AlreadyExists, NbtoolsError, NotFound, RequestError, StateError
from nbtools.store import Store

if TYPE_CHECKING:
    from nbtools.emulator.catalog import Catalog
    from nbtools.emulator.hands import Hands

#: Google's word -> HTTP status, number in gRPC.
STATUS: Final = {
    "CANCELLED": (499, 1),
    "UNKNOWN": (500, 2),
    "INVALID_ARGUMENT": (400, 3),
    "DEADLINE_EXCEEDED": (504, 4),
    "NOT_FOUND": (404, 5),
    "ALREADY_EXISTS": (409, 6),
    "PERMISSION_DENIED": (403, 7),
    "RESOURCE_EXHAUSTED": (429, 8),
    "FAILED_PRECONDITION": (400, 9),
    "ABORTED": (409, 10),
    "OUT_OF_RANGE": (400, 11),
    "UNIMPLEMENTED": (501, 12),
    "INTERNAL": (500, 13),
    "UNAVAILABLE": (503, 14),
}
#: our errors in those words; the first that fits.
WORDS: Final[tuple[tuple[type[NbtoolsError], str], ...]] = (
    (NotFound, "NOT_FOUND"),
    (AlreadyExists, "ALREADY_EXISTS"),
    (StateError, "FAILED_PRECONDITION"),
    (RequestError, "INVALID_ARGUMENT"),
    (NbtoolsError, "INTERNAL"),
)


class Refused(NbtoolsError):
    """What the service refuses, with Google's word for why: `NOT_FOUND`, `ABORTED`, …"""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        STATUS[status]  # refuses a word that there is not


def word(error: NbtoolsError) -> str:
    """Google's word for what is wrong."""
    if isinstance(error, Refused):
        return error.status
    return next(word for kind, word in WORDS if isinstance(error, kind))


@dataclass(frozen=True)
class Call:
    """One call of an RPC."""

    store: Store  #: open
    now: datetime  #: UTC
    catalog: Catalog  #: the RPCs and their messages
    hands: Hands  #: begin jobs

    def new(self, message: str, **values: Any) -> Any:
        """A new message of Vertex AI's, as protobuf has it: `call.new("Context", name="…")`.

        One of another package is `call.catalog.message(name, package)(…)`.
        """
        return self.catalog.message(message)(**values)


#: what serves an RPC: of a call and a protobuf message, the protobuf message that answers.
Handler = Callable[[Call, Any], Any]
