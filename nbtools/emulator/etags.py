"""Etags as the SDK reads them: digits, and of one length, since it compares them as text."""

from __future__ import annotations

from typing import Final

from nbtools.emulator.call import Refused

_FIRST: Final = 10**12


def text(etag: int) -> str:
    """The etag of a record as its message has it."""
    return str(_FIRST + etag)


def check(kind: str, etag: int, sent: str, status: str = "ABORTED") -> None:
    """Raise Refused when what was sent was made of another state. The SDK looks for these words."""
    if sent and sent != text(etag):
        raise Refused(
            status,
            f"Specified {kind} `etag`: `{sent}` does not match server `etag`: `{text(etag)}`",
        )
