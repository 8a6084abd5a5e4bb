"""The files of a run whose store nobody will look into, on their way to the job's client.

They are shipped below a URI, from which they are fetched with the executed notebook: in the
background while a cell is at work, and at the end of each cell all that is there.
"""

from __future__ import annotations

import atexit
from pathlib import Path

from nbtools.errors import NbtoolsError
from nbtools.mirror import reason
from nbtools.shipment import Shipment, Shipping

ADVICE = "it is lost with this machine if that stays so"


class Homeward:
    """What one run leaves in its folder, on its way. Not for forks."""

    def __init__(self, store: Path, folder: Path, uri: str) -> None:
        """Nothing is shipped, nor imported for it, before there is a file."""
        self._store, self._folder, self._uri = store, folder, uri
        self._shipping: Shipping | None = None
        self._ended = False
        self.error = ""  #: why not all of them are there; empty when they are

    def begin(self) -> None:
        """Ship from now on: a file is about to be written."""
        if self._shipping is None and not self.error:
            self._begin()

    def settle(self) -> None:
        """Ship what is there, and wait until it is; `error` says why it is not."""
        if self._ended or not any(path.is_file() for path in self._folder.rglob("*")):
            return
        if self._shipping is None:
            self._begin()  # what was missing may have been installed
        if self._shipping is not None:
            self.error = self._shipping.settle()

    def _begin(self) -> None:
        try:
            shipment = Shipment.make(self._store, self._folder, self._uri)
        except NbtoolsError as error:
            self.error = str(error)
        except Exception as error:  # noqa: BLE001 - whatever a bucket's library raises: no fault
            self.error = reason(error)  # of the notebook's
        else:
            self._shipping = Shipping(shipment, ADVICE)
            atexit.register(self._end)

    def _end(self) -> None:
        self._ended = True
        if self._shipping is not None:
            self._shipping.end()
