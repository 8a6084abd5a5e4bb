"""A call to Vertex AI, repeated until it is answered: every one of ours may be.

What is too much for it now (429), what is not there now (5xx), and a connection that breaks
are waited for, each time twice as long, and by chance more or less so that many who wait do
not come back at once.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

LONGEST: Final = 32.0  #: seconds between two attempts at most


@dataclass(frozen=True)
class Calls:
    """How often, and how patiently."""

    attempts: int = 7  #: with the pauses between them half a minute, more or less
    pause: float = 0.5  #: seconds after the first failure
    timeout: float = 60.0  #: seconds that one attempt may take
    sleep: Callable[[float], object] = time.sleep
    chance: Callable[[], float] = random.random  #: from 0 to 1

    def __call__(self, rpc: Callable[..., Any], **request: Any) -> Any:
        """The answer. Raises what Google's client raises, when it is final."""
        for attempt in range(self.attempts):
            try:
                return rpc(**request, retry=None, timeout=self.timeout)
            except Exception as error:  # of several packages: `passing` says which may pass
                if attempt + 1 == self.attempts or not passing(error):
                    raise
                self.sleep(min(LONGEST, self.pause * 2**attempt) * (0.5 + self.chance()))
        raise AssertionError("not reached: attempts is at least 1")


def passing(error: Exception) -> bool:
    """Whether the same call may be answered later."""
    from google.api_core import exceptions
    from google.auth import exceptions as auth

    if isinstance(error, exceptions.GoogleAPICallError):
        return error.code in (429, 500, 502, 503, 504)
    return isinstance(error, OSError | auth.TransportError | exceptions.RetryError)
