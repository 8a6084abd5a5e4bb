"""Three-way merge of lines, as `git merge-file` does it, on strings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

Lines = Sequence[str]
#: More lines than people write into a cell.
MANY = 2000


@dataclass(frozen=True, slots=True)
class MergedText:
    """A text merged: the same twice when clean, else what each side makes of it."""

    ours: str  #: every clean change of both sides, and ours where they conflict
    theirs: str  #: every clean change of both sides, and theirs where they conflict
    conflicts: tuple[tuple[int, int], ...]  #: first and last line in `ours`, from 1

    @property
    def clean(self) -> bool:
        """Whether no line was changed by both sides in two ways."""
        return not self.conflicts


def merge_text(base: str, ours: str, theirs: str) -> MergedText:
    """Merge two changes of `base`; lines that touch count as one change, as in git."""
    if theirs in (ours, base):
        return MergedText(ours, ours, ())
    if base == ours:
        return MergedText(theirs, theirs, ())
    # Splitting between newlines, not after them: a newline put after a last line that
    # had none is an added line, not a change of that line.
    mine: list[str] = []
    yours: list[str] = []
    conflicts = []
    for left, right in _regions(base.split("\n"), ours.split("\n"), theirs.split("\n")):
        if left != right:
            conflicts.append((len(mine) + 1, max(len(mine) + len(left), len(mine) + 1)))
        mine += left
        yours += right
    return MergedText("\n".join(mine), "\n".join(yours), tuple(conflicts))


def common_text(ours: str, theirs: str) -> str:
    """The lines that both have: a base for two texts that have none."""
    mine = ours.split("\n")
    blocks = _blocks(mine, theirs.split("\n"))
    return "\n".join(line for a, _, size in blocks for line in mine[a : a + size])


def _regions(base: Lines, ours: Lines, theirs: Lines) -> Iterator[tuple[Lines, Lines]]:
    """Stretches of the result: the same twice, or ours and theirs where they conflict."""
    at = (0, 0, 0)
    for start, size, mine, yours in _shared(base, ours, theirs):
        before = base[at[0] : start], ours[at[1] : mine], theirs[at[2] : yours]
        yield _decided(*before)
        same = base[start : start + size]
        yield same, same
        at = (start + size, mine + size, yours + size)


def _decided(base: Lines, ours: Lines, theirs: Lines) -> tuple[Lines, Lines]:
    if ours == base:
        return theirs, theirs
    if theirs == base:
        return ours, ours
    return ours, theirs


def _shared(base: Lines, ours: Lines, theirs: Lines) -> Iterator[tuple[int, int, int, int]]:
    """Stretches of base that neither side touched: where in base, how long, where in each.

    An empty one at the end closes the walk.
    """
    left, right = list(_blocks(base, ours)), list(_blocks(base, theirs))
    i = j = 0
    while i < len(left) and j < len(right):
        a, mine, size_a = left[i]
        b, yours, size_b = right[j]
        start, end = max(a, b), min(a + size_a, b + size_b)
        if start < end:
            yield start, end - start, mine + start - a, yours + start - b
        if a + size_a < b + size_b:
            i += 1
        else:
            j += 1
    yield len(base), 0, len(ours), len(theirs)


def _blocks(a: Lines, b: Lines) -> Iterator[tuple[int, int, int]]:
    """What two texts share, in order. The equal ends are taken off first: matching costs
    more than a line for a line, and most of a text has not changed.
    """
    short = min(len(a), len(b))
    head = 0
    while head < short and a[head] == b[head]:
        head += 1
    tail = 0
    while tail < short - head and a[len(a) - 1 - tail] == b[len(b) - 1 - tail]:
        tail += 1
    if head:
        yield 0, 0, head
    left, right = a[head : len(a) - tail], b[head : len(b) - tail]
    # Of very many lines, those that recur match no more: matching each with each takes minutes.
    middle = SequenceMatcher(None, left, right, autojunk=len(right) > MANY)
    for i, j, size in middle.get_matching_blocks():
        if size:
            yield head + i, head + j, size
    if tail:
        yield len(a) - tail, len(b) - tail, tail
