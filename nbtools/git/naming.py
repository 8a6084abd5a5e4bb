"""What cells are called: while two sides are merged, and in the notebook that results."""

from __future__ import annotations

from collections.abc import Iterable
from zlib import crc32

from nbtools.git.document import Cell
from nbtools.git.matching import numbered
from nbtools.git.values import ordered

#: A cell's name while merging: its number in base, or the side that made it and the number.
Name = int | tuple[str, int]


def named(matched: dict[int, int], count: int, side: str) -> list[Name]:
    """The names of a side's cells: those of base, or their own."""
    return [matched.get(i, (side, i)) for i in range(count)]


def twins(
    ours: list[Cell], names: list[Name], theirs: list[Cell], their_names: list[Name]
) -> list[Name]:
    """Their names, where a cell that both sides inserted alike has one name: the same id,
    or the same source at the same place.
    """
    mine: dict[object, list[Name]] = {}
    counting = numbered(ours) or numbered(theirs)
    for name, keys in _inserted(ours, names, counting):
        for key in keys:
            mine.setdefault(key, []).append(name)
    taken: set[Name] = set()
    result = list(their_names)
    for number, (name, keys) in enumerate(_inserted(theirs, their_names, counting)):
        if isinstance(name, int):
            continue
        free = (n for key in keys for n in mine.get(key, []) if n not in taken)
        if (found := next(free, None)) is not None:
            result[number] = found
            taken.add(found)
    return result


def _inserted(
    cells: list[Cell], names: list[Name], counting: bool
) -> Iterable[tuple[Name, list[object]]]:
    """Every cell with its name; those inserted with what tells them: id, or place and source."""
    anchor: Name | None = None
    for cell, name in zip(cells, names, strict=True):
        keys: list[object] = []
        if isinstance(name, int):
            anchor = name
        else:
            keys = [cell.id] if cell.id and not counting else []
            if cell.source.strip():
                keys.append((anchor, cell.kind, cell.source))
        yield name, keys


def stem(cell: Cell) -> str:
    """What the ids of marker cells begin with; an id has at most 64 characters."""
    return (cell.id or f"{crc32(cell.source.encode()):08x}")[:48]


def with_ids(cells: list[Cell], wanted: bool, counted: bool) -> list[Cell]:
    """Cells with ids as the format wants them: all of them and unique, or none at all."""
    seen: set[str] = set()
    result = []
    for number, cell in enumerate(cells):
        first = name = str(number) if counted else cell.id or stem(cell)
        tries = 1
        while name in seen:
            tries += 1
            name = f"{first[:60]}-{tries}"
        seen.add(name)
        data = {**cell.data, "id": name}
        if not wanted:
            del data["id"]
        result.append(Cell(ordered({**cell.data, "id": ""}, data), cell.kind, cell.source, name))
    return result
