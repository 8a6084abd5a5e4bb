"""Random edits of both sides: nothing is lost, nothing invented, nothing invalid."""

import json
import random
from collections import Counter
from itertools import count

import pytest

from nbtools.git.merge import merge
from tests.git.scratch import cell, marker, notebook, read

SEEDS = 4000


class Edits:
    """One history: a base and two sides made from it. Every line ever written is unique."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.words = (f"line{n}" for n in count())
        self.ids = self.random.random() < 0.7
        base = [self.cell(f"c{i}") for i in range(self.random.randrange(8))]
        self.three = [base, self.side(base, "a"), self.side(base, "b")]
        if self.random.random() < 0.1:
            self.three[0] = None

    def bytes(self):
        minor = 5 if self.ids else 4
        return [b"" if side is None else notebook(*side, minor=minor) for side in self.three]

    def cell(self, id):
        kind = self.random.choice(["code", "code", "code", "markdown", "raw"])
        source = "\n".join(next(self.words) for _ in range(self.random.randrange(7)))
        outputs = [next(self.words)] if kind == "code" else ()
        return cell(source, id if self.ids else "", kind, outputs)

    def side(self, base, name):
        cells = json.loads(json.dumps(base))
        for number in range(self.random.randrange(7)):
            edit = self.random.choice(
                [self.insert, self.insert, self.delete, self.move, self.swap, self.line,
                 self.line, self.replace, self.shorten, self.tag, self.rerun, self.retype]
            )  # fmt: skip
            edit(cells, f"{name}{number}")
        return cells

    def insert(self, cells, id):
        cells.insert(self.random.randrange(len(cells) + 1), self.cell(id))

    def delete(self, cells, _):
        if cells:
            del cells[self.random.randrange(len(cells))]

    def move(self, cells, _):
        if cells:
            part = cells.pop(self.random.randrange(len(cells)))
            cells.insert(self.random.randrange(len(cells) + 1), part)

    def swap(self, cells, _):
        if cells:
            cells[0], cells[-1] = cells[-1], cells[0]

    def edit(self, cells, change):
        if cells:
            part = self.random.choice(cells)
            lines = "".join(part["source"]).split("\n")
            change(lines, self.random.randrange(len(lines)))
            part["source"] = "\n".join(lines).splitlines(keepends=True)

    def line(self, cells, _):
        self.edit(cells, lambda lines, at: lines.insert(at, next(self.words)))

    def replace(self, cells, _):
        self.edit(cells, lambda lines, at: lines.__setitem__(at, next(self.words)))

    def shorten(self, cells, _):
        self.edit(cells, lambda lines, at: lines.__delitem__(at))

    def tag(self, cells, _):
        if cells:
            self.random.choice(cells)["metadata"].setdefault("tags", []).append(next(self.words))

    def rerun(self, cells, _):
        for part in cells:
            if part["cell_type"] == "code":
                part.update(execution_count=self.random.randrange(99), outputs=[])
                break

    def retype(self, cells, _):
        for part in cells:
            if part["cell_type"] == "markdown":
                part["cell_type"] = "raw"
                break


def lines(cells):
    parts = (c for c in cells or () if not marker(c))
    return {line for c in parts for line in "".join(c["source"]).split("\n") if line}


def content(cells):
    return Counter(
        (c["cell_type"], "".join(c["source"]), tuple(sorted(c["metadata"].get("tags", ()))))
        for c in cells
        if c["source"]
    )


def outputs_stay(result, sides, seed):
    """Outputs are gone only where the source is neither side's."""
    for part in result:
        versions = [c for side in sides for c in side if c.get("id") == part["id"]]
        held = [c.get("outputs") for c in versions if c["source"] == part["source"]]
        assert not held or part.get("outputs") in held, seed


@pytest.mark.parametrize("start", range(0, SEEDS, 500))
def test_random_edits(start):
    for seed in range(start, start + 500):
        edits = Edits(seed)
        base, ours, theirs = edits.bytes()
        assert merge(base, ours, base).data == ours, seed
        assert merge(base, base, theirs).data == theirs, seed
        merged = merge(base, ours, theirs)
        result = read(merged.data)["cells"]
        found = lines(result)
        known, mine, yours = map(lines, edits.three)
        # A line is missing only where the side that had not written it deleted it.
        assert mine - found <= known - yours, seed
        assert yours - found <= known - mine, seed
        assert found <= mine | yours, seed
        assert bool(merged.conflicts) == any(map(marker, result)), seed
        assert (
            all(c.get("execution_count") is None for c in result)
            or base in (ours, theirs)
            or (ours == theirs)
        ), seed
        if edits.three[0] is None:
            continue
        other = merge(base, theirs, ours)
        assert bool(other.conflicts) == bool(merged.conflicts), seed
        if not merged.conflicts:
            assert content(read(other.data)["cells"]) == content(result), seed
            if edits.ids:
                outputs_stay(result, edits.three[1:], seed)
                # Without ids, a cell written anew cannot be told from another.
                assert not found & (known - (mine & yours)), seed
