"""Where to look next: the contract, and the searches that know all their points at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from nbtools import space
from nbtools.design import Design
from nbtools.trials import Trial


class Search(Protocol):
    """Names the parameters of trials, which are numbered from 1 without a gap."""

    def ask(self, number: int) -> dict[str, Any] | None:
        """The parameters of a trial, the same each time; None when there is no such trial."""

    def tell(self, trial: Trial) -> None:
        """A trial has ended. Again is the same."""


class Listed:
    """Points in order: a grid, or draws that a seed decides."""

    def __init__(self, points: list[dict[str, Any]]) -> None:
        self._points = points

    def ask(self, number: int) -> dict[str, Any] | None:
        return self._points[number - 1] if number <= len(self._points) else None

    def tell(self, trial: Trial) -> None:
        """They are the same whatever comes out."""


def search(design: Design, folder: Path) -> Search:
    """The search of a sweep that keeps its files in `folder`."""
    if design.search == "tpe":
        from nbtools.tpe import Tpe

        return Tpe(design, folder)
    d = design
    return Listed(space.points(d.space, d.search, d.trials, d.seed, d.rerun))
