"""Elements of a page as text. What is not `Markup` is text of somebody's, and is escaped."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from typing import Final

#: what XML cannot hold, not even escaped.
_NEVER: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


def element(name: str, attributes: Mapping[str, object], *inner: str) -> Markup:
    """One element; an attribute that is None is left out."""
    named = "".join(
        f' {key}="{safe(str(value))}"' for key, value in attributes.items() if value is not None
    )
    return Markup(f"<{name}{named}>{joined(*inner)}</{name}>")


def joined(*parts: str) -> Markup:
    """Parts behind each other, escaped as far as they are not markup."""
    return Markup("".join(p if isinstance(p, Markup) else safe(p) for p in parts))


def safe(text: str) -> str:
    """Text as it may stand in an element or an attribute."""
    return escape(_NEVER.sub("\N{REPLACEMENT CHARACTER}", text))


def number(value: float) -> str:
    """A number for people: short, and exact for whole ones."""
    if isinstance(value, bool):
        return str(value)
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def place(value: float) -> str:
    """A coordinate, to a tenth of a pixel."""
    return f"{value:.1f}".removesuffix(".0")


def faint(lines: int) -> str | None:
    """The style of a figure in which so many lines cover each other."""
    return f"--alpha: {max(0.25, 50 / lines):.2f}" if lines > 60 else None
