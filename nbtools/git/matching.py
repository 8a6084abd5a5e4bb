"""Which cell of one version of a notebook is which cell of another."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from difflib import SequenceMatcher

from nbtools.git.document import Cell

#: Words shared, of all words, from which two cells without a common id are one cell
#: edited; a cell that also left its place must be surer.
NEAR, FAR = 0.5, 0.75
#: Of more pairs than these, only cells that lie about as far down are compared.
PAIRS = 20_000


def numbered(cells: Sequence[Cell]) -> bool:
    """Whether ids only count cells, as nbstripout writes them: they tell nothing."""
    return bool(cells) and all(cell.id == str(i) for i, cell in enumerate(cells))


def match(base: Sequence[Cell], side: Sequence[Cell]) -> dict[int, int]:
    """Cells of `side` that are cells of `base`: by id, by source, then by likeness."""
    found: dict[int, int] = {}
    if not numbered(side):
        found = _by_id(base, side)
    _by_source(base, side, found)
    _by_likeness(base, side, found)
    _by_place(base, side, found, numbered(side))
    return found


def _words(source: str) -> Counter[str]:
    """Words only: any two cells of code share their brackets and signs."""
    return Counter(re.findall(r"\w+", source) or source.split())


def _shared(a: Counter[str], b: Counter[str]) -> float:
    total = a.total() + b.total()
    return 2 * (a & b).total() / total if total else 0.0


def _by_id(base: Sequence[Cell], side: Sequence[Cell]) -> dict[int, int]:
    known, mine = _unique(base), _unique(side)
    return {j: known[name] for name, j in mine.items() if name in known}


def _unique(cells: Sequence[Cell]) -> dict[str, int]:
    counts = Counter(cell.id for cell in cells)
    return {cell.id: i for i, cell in enumerate(cells) if cell.id and counts[cell.id] == 1}


def _rest(cells: Sequence[Cell], taken: set[int]) -> list[int]:
    return [i for i in range(len(cells)) if i not in taken]


def _by_source(base: Sequence[Cell], side: Sequence[Cell], found: dict[int, int]) -> None:
    """Equal sources in order; then, for cells that moved, wherever they are."""
    left, right = _rest(base, set(found.values())), _rest(side, set(found))
    if not left or not right:
        return
    counting = numbered(side)
    keys = [_key(base[i], counting) for i in left]
    mine = [_key(side[j], counting) for j in right]
    for i, j, size in SequenceMatcher(None, keys, mine, autojunk=False).get_matching_blocks():
        found.update({right[j + k]: left[i + k] for k in range(size)})
    # Blank cells say nothing: one that moved cannot be told from another.
    some = [i for i in left if base[i].source.strip()]
    _elsewhere(
        {i: (base[i].kind, base[i].source) for i in some},
        {j: (side[j].kind, side[j].source) for j in right},
        found,
    )
    # Its type changed.
    _elsewhere({i: base[i].source for i in some}, {j: side[j].source for j in right}, found)


def _key(cell: Cell, counting: bool) -> tuple[str, ...]:
    """What equal cells have in common; blank cells have nothing but their id, if it tells."""
    blank = not cell.source.strip()
    return (cell.kind, cell.source, "" if counting or not blank else cell.id)


def _elsewhere(
    base: Mapping[int, Hashable], side: Mapping[int, Hashable], found: dict[int, int]
) -> None:
    """Pair what is left by equal keys, wherever it is."""
    taken = set(found.values())
    places: dict[Hashable, list[int]] = {}
    for i, key in base.items():
        if i not in taken:
            places.setdefault(key, []).append(i)
    for j, key in side.items():
        if j not in found and places.get(key):
            found[j] = places[key].pop(0)


def _by_likeness(base: Sequence[Cell], side: Sequence[Cell], found: dict[int, int]) -> None:
    left, right = _rest(base, set(found.values())), _rest(side, set(found))
    if not left or not right:
        return
    back = {i: j for j, i in found.items()}
    # Where a cell lies: its neighbours among the cells that are known already.
    place_of_base = _places(len(base), {i: i for i in back})
    place_of_side = _places(len(side), found)
    words = {i: _words(base[i].source) for i in left}
    few = len(left) * len(right) <= PAIRS
    reach = len(left) if few else PAIRS // (2 * len(right)) + 5
    pairs = []
    for at, j in enumerate(right):
        mine = _words(side[j].source)
        middle = at * len(left) // len(right)
        for i in left[max(0, middle - reach) : middle + reach]:
            near = any(a == b for a, b in zip(place_of_base[i], place_of_side[j], strict=True))
            alike = base[i].kind == side[j].kind
            if near or (alike and few):
                score = _shared(words[i], mine)
                if score >= (NEAR if near and alike else FAR):
                    pairs.append((-score, abs(i - j), j, i))
    taken = set(back)
    for _, _, j, i in sorted(pairs):
        if j not in found and i not in taken:
            found[j] = i
            taken.add(i)


def _by_place(
    base: Sequence[Cell], side: Sequence[Cell], found: dict[int, int], counting: bool
) -> None:
    """Cells that no id tells apart, and that stand alone between the same neighbours."""
    back = {i: i for i in found.values()}
    left: dict[tuple[int, int], int | None] = {}
    right: dict[tuple[int, int], int | None] = {}
    for cells, known, alone in ((base, back, left), (side, found, right)):
        places = _places(len(cells), known)
        for i in _rest(cells, set(known)):
            alone[places[i]] = None if places[i] in alone else i
    for place, j in right.items():
        one = left.get(place)
        if one is None or j is None or base[one].kind != side[j].kind:
            continue
        if counting or not (base[one].id and side[j].id):
            found[j] = one


def _places(count: int, known: dict[int, int]) -> list[tuple[int, int]]:
    """For each cell the nearest known cell before and after it, by its number in base."""
    before, last = [], -1
    for i in range(count):
        last = known.get(i, last)
        before.append(last)
    after, last = [], -2
    for i in reversed(range(count)):
        last = known.get(i, last)
        after.append(last)
    return list(zip(before, reversed(after), strict=True))
