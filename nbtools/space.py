"""A space of parameters: what a sweep may choose from, as its user writes it.

lr=1e-4,3e-4,1e-3    choices
layers=1:4           a range with both its ends; whole numbers when both are
width=32:256:log     the same, as many small ones as large: spread by ratio
dropout=0:0.5:0.1    a range in steps
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from random import Random
from typing import Any

from nbtools.errors import RequestError
from nbtools.notebook import Notebook
from nbtools.parameter import Parameter, scalar
from nbtools.value import plain

#: points of a grid; more would not come to an end.
MOST = 100_000


@dataclass(frozen=True)
class Choices:
    """One of several values."""

    values: tuple[Any, ...]

    def __str__(self) -> str:
        return ",".join(v if isinstance(v, str) else json.dumps(v) for v in self.values)

    def count(self) -> int:
        """How many values a grid takes."""
        return len(self.values)

    def grid(self) -> Iterator[Any]:
        """Those values, in order."""
        yield from self.values

    def draw(self, random: Random) -> Any:
        """A value by chance."""
        return random.choice(self.values)


@dataclass(frozen=True)
class Range:
    """A number from `low` to `high`, both included."""

    low: float
    high: float
    log: bool = False  #: spread by ratio, not by difference
    step: float = 0  #: distance between two; 0: none, and 1 between whole numbers

    def __str__(self) -> str:
        end = ":log" if self.log else f":{self.step!r}" if self.step else ""
        return f"{self.low!r}:{self.high!r}{end}"

    @property
    def whole(self) -> bool:
        """Whether it holds whole numbers only."""
        return all(isinstance(number, int) for number in (self.low, self.high, self.step))

    @property
    def pace(self) -> float:
        """The distance between two of its numbers, 0 where there is always one between."""
        return self.step or (1 if self.whole else 0)

    def count(self) -> int:
        """How many values a grid takes; of a range by ratio each is twice the one before,
        or ten times where it is not of whole numbers. 0: no end of them.
        """
        if self.log:
            ratio = math.log(self.high / self.low) / math.log(2 if self.whole else 10)
            return int(ratio + 1e-9) + 1
        return int((self.high - self.low) / self.pace + 1e-9) + 1 if self.pace else 0

    def grid(self) -> Iterator[Any]:
        """Those values, in order."""
        for number in range(self.count()):
            yield self._at(number)

    def draw(self, random: Random) -> Any:
        """A value by chance."""
        if self.log and self.whole:
            found = math.exp(random.uniform(math.log(self.low - 0.5), math.log(self.high + 0.5)))
            return min(max(round(found), self.low), self.high)
        if self.log:
            return math.exp(random.uniform(math.log(self.low), math.log(self.high)))
        if self.pace:
            return self._at(random.randrange(self.count()))
        return random.uniform(self.low, self.high)

    def _at(self, number: int) -> Any:
        if self.log and self.whole:
            return self.low * 2**number
        if self.whole:
            return self.low + number * self.pace
        found = self.low * 10**number if self.log else self.low + number * self.pace
        return float(f"{found:.12g}")  # 0.1 + 0.2 is 0.3 to people


Dimension = Choices | Range
Space = Mapping[str, Dimension]


def read(given: Mapping[str, Any], notebook: Notebook, allow_unknown: bool = False) -> Space:
    """The space that is written as text, or given as lists and ranges, by parameter.

    Raises RequestError, naming every misfit, for what is no space, or none of this notebook's.
    """
    if not given:
        raise RequestError("there is nothing to vary: give a space, such as lr=1e-4,3e-4,1e-3")
    known = {p.name: p for p in notebook.parameters or ()}
    space: dict[str, Dimension] = {}
    wrong: list[str] = []
    for name, spec in given.items():
        try:
            space[name] = _fitted(name, _dimension(name, spec, known.get(name)), notebook,
                                  allow_unknown)  # fmt: skip
        except RequestError as error:
            wrong.append(str(error))
    if wrong:
        raise RequestError("\n".join(wrong))
    return space


def grid(space: Space) -> list[dict[str, Any]]:
    """Every combination, the last parameter changing first. Raises RequestError where there
    is no end of them.
    """
    for name, dimension in space.items():
        if not dimension.count():
            raise RequestError(
                f"{name}={dimension} has no end of values: give a step, as in "
                f"{dimension}:{_some_step(dimension)}, or --search random --trials 20"
            )
    count = math.prod(dimension.count() for dimension in space.values())
    if count > MOST:
        raise RequestError(
            f"the grid has {count:,} points: give fewer, or --search random --trials 20"
        )
    combined = product(*(dimension.grid() for dimension in space.values()))
    return [dict(zip(space, values, strict=True)) for values in combined]


def points(
    space: Space, search: str, count: int, seed: int, again: bool = False
) -> list[dict[str, Any]]:  # fmt: skip
    """The points that a search without feedback goes through: all of a grid, or `draws`."""
    return draws(space, count, seed, again) if search == "random" else grid(space)


def draws(space: Space, count: int, seed: int, again: bool = False) -> list[dict[str, Any]]:
    """So many points by chance, always the same for a seed. Unless `again`, each only once;
    fewer where there are not as many.
    """
    random, found = Random(seed), list[dict[str, Any]]()  # noqa: S311 - no secret is made of it
    met: set[str] = set()
    fruitless = 0
    while len(found) < count and fruitless < 1000:
        point = {name: dimension.draw(random) for name, dimension in space.items()}
        key = json.dumps(point, sort_keys=True)
        fruitless = fruitless + 1 if key in met else 0
        if again or key not in met:
            found.append(point)
        met.add(key)
    return found


def dumps(space: Space) -> dict[str, Any]:
    """The space as JSON takes it."""
    return {
        name: {"choices": list(d.values)} if isinstance(d, Choices) else vars(d)
        for name, d in space.items()
    }


def loads(said: Mapping[str, Any]) -> Space:
    """The space that `dumps` wrote."""
    return {
        name: Choices(tuple(d["choices"])) if "choices" in d else Range(**d)
        for name, d in said.items()
    }


def _dimension(name: str, spec: Any, parameter: Parameter | None) -> Dimension:
    if isinstance(spec, Choices | Range):
        return spec
    if not isinstance(spec, str):
        values = plain(name, list(spec) if isinstance(spec, range) else spec)
        return Choices(tuple(values) if isinstance(values, list) else (values,))
    parts = [part.strip() for part in spec.split(":")]
    numbers = [scalar(part) for part in parts[:2]]
    text = parameter is not None and parameter.type == "str"
    if len(parts) > 1 and not text and all(map(_is_number, numbers)):
        return _range(name, spec, numbers, parts[2:])
    pieces = _pieces(spec)
    if not all(pieces):
        raise RequestError(f"{name}={spec}: a choice is empty: write {name}=1,2,3")
    return Choices(tuple(parameter.read(p) if parameter else scalar(p) for p in pieces))


def _range(name: str, spec: str, ends: list[Any], rest: list[str]) -> Range:
    low, high = ends
    step = scalar(rest[0]) if len(rest) == 1 and rest[0] != "log" else 0
    if len(rest) > 1 or not _is_number(step):
        raise RequestError(
            f"{name}={spec} is no range: write {name}=LOW:HIGH, LOW:HIGH:log or LOW:HIGH:STEP"
        )
    if not low < high:
        raise RequestError(f"{name}={spec}: a range goes up: its low end must be below its high")
    if rest == ["log"] and low <= 0:
        raise RequestError(f"{name}={spec}: a range by ratio begins above 0")
    if rest and rest != ["log"] and not 0 < step <= high - low:
        raise RequestError(f"{name}={spec}: the step must be above 0, and fit between the ends")
    return Range(low, high, rest == ["log"], step)


def _fitted(
    name: str, dimension: Dimension, notebook: Notebook, allow_unknown: bool
) -> Dimension:  # fmt: skip
    def fit(value: Any) -> Any:
        return notebook.check({name: value}, allow_unknown)[name]

    if isinstance(dimension, Range):
        for end in (dimension.low, dimension.high):
            fit(end)
        if not dimension.whole:
            fit(dimension.low + (dimension.high - dimension.low) / math.pi)  # not a whole number
        return dimension
    if not dimension.values:
        raise RequestError(f"{name}: there is nothing to choose from: give values")
    distinct = {json.dumps(value): value for value in map(fit, dimension.values)}
    return Choices(tuple(distinct.values()))


def _pieces(text: str) -> Iterable[str]:
    """`text` at its commas, but those in brackets."""
    pieces, depth = [""], 0
    for letter in text:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth <= 0:
            pieces.append("")
        else:
            pieces[-1] += letter
    return [piece.strip() for piece in pieces]


def _is_number(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value)


def _some_step(dimension: Dimension) -> str:
    span = dimension.high - dimension.low if isinstance(dimension, Range) else 1.0
    return f"{span / 5:.2g}"
