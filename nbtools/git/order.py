"""Three-way merge of the order of cells: who inserted, who moved.

Cells are names here. A cell that a side inserted follows the cell before it, wherever
that one goes; a cell that one side moved goes where that side put it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Hashable, Sequence
from typing import TypeVar

Name = TypeVar("Name", bound=Hashable)


def merge_order(
    base: Sequence[Name], ours: Sequence[Name], theirs: Sequence[Name], kept: Collection[Name]
) -> tuple[list[Name], list[Name]]:
    """The kept cells in their merged order, and those that both sides moved apart."""
    known = [name for name in base if name in kept]
    mine, yours = _seen(known, ours), _seen(known, theirs)
    spine, torn = _moves(known, mine, yours)
    groups = _inserted(set(known), ours, kept), _inserted(set(known), theirs, kept)
    result: list[Name] = []
    done: set[Name] = set()
    for anchor in [None, *spine]:
        group = [] if anchor is None else [anchor]
        group += _interleaved(*(groups[side].get(anchor, []) for side in (0, 1)))
        for name in group:
            if name not in done:
                result.append(name)
                done.add(name)
    return result, torn


def same_place(
    base: Sequence[Name], ours: Sequence[Name], theirs: Sequence[Name], kept: Collection[Name]
) -> list[tuple[list[Name], list[Name], bool]]:
    """What both sides inserted at the same place, each something that the other lacks; and
    whether it takes the place of cells that both deleted.
    """
    known = {name for name in base if name in kept}
    either = {*ours, *theirs}
    both = {name for name in {*ours} & {*theirs} if name in kept}
    # Cells that both inserted are places too: what stands before and after them is apart.
    mine, yours = _inserted(known | both, ours, kept), _inserted(known | both, theirs, kept)
    gone = set()
    anchor: Name | None = None
    for name in base:
        if name in known:
            anchor = name
        elif name not in either:
            gone.add(anchor)
    return [(mine[a], yours[a], a in gone) for a in mine if a in yours]


def _seen(known: Sequence[Name], side: Sequence[Name]) -> list[Name]:
    """The known cells in a side's order; one that the side deleted follows its neighbour."""
    wanted = set(known)
    order = [name for name in side if name in wanted]
    there = set(order)
    for i, name in enumerate(known):
        if name not in there:
            order.insert(order.index(known[i - 1]) + 1 if i else 0, name)
            there.add(name)
    return order


def _moves(
    known: list[Name], ours: list[Name], theirs: list[Name]
) -> tuple[list[Name], list[Name]]:
    if theirs in (known, ours):
        return ours, []
    if ours == known:
        return theirs, []
    mine, yours = moved(known, ours), moved(known, theirs)
    result = [name for name in ours if name not in yours - mine]
    for i, name in enumerate(theirs):
        if name in yours - mine:
            # Beside a neighbour that stayed: one that ours moved tells nothing of the place.
            after = theirs[i + 1] if i + 1 < len(theirs) else None
            if i and (theirs[i - 1] not in mine or after is None or after in mine | yours):
                result.insert(result.index(theirs[i - 1]) + 1, name)
            else:
                result.insert(result.index(after) if i and after is not None else 0, name)
    both = [name for name in ours if name in mine & yours]
    return result, [n for n in both if _before(ours, n) != _before(theirs, n)]


def _before(order: list[Name], name: Name) -> Name | None:
    at = order.index(name)
    return order[at - 1] if at else None


def moved(known: Sequence[Name], order: Sequence[Name]) -> set[Name]:
    """The fewest cells that must have moved: all outside a longest rising stretch."""
    rank = {name: i for i, name in enumerate(known)}
    tails: list[int] = []
    ends: list[Name] = []
    before: dict[Name, Name | None] = {}
    for name in order:
        at = bisect_left(tails, rank[name])
        before[name] = ends[at - 1] if at else None
        tails[at : at + 1] = [rank[name]]
        ends[at : at + 1] = [name]
    moved = set(order)
    last = ends[-1] if ends else None
    while last is not None:
        moved.discard(last)
        last = before[last]
    return moved


def _inserted(
    known: Collection[Name], side: Sequence[Name], kept: Collection[Name]
) -> dict[Name | None, list[Name]]:
    """The cells a side inserted, by the known cell that they follow."""
    groups: dict[Name | None, list[Name]] = {}
    anchor: Name | None = None
    for name in side:
        if name in known:
            anchor = name
        elif name in kept:
            groups.setdefault(anchor, []).append(name)
    return groups


def _interleaved(ours: list[Name], theirs: list[Name]) -> list[Name]:
    """Both groups, ours first, joined where they hold the same cell."""
    result: list[Name] = []
    rest = list(theirs)
    for name in ours:
        if name in rest:
            at = rest.index(name)
            result += rest[:at]
            rest = rest[at + 1 :]
        result.append(name)
    return result + rest
