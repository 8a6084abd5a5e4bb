"""Which params matter for a metric: by a random forest, else by rank correlation."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from statistics import fmean
from typing import Any, Final

FEWEST: Final = 4  #: runs without which nothing can be said
FEW: Final = 50  #: runs below which what is said is a hint
TREES: Final = 100
FORGETTING: Final = 5  #: times that each param is shuffled


@dataclass(frozen=True)
class Importance:
    """How much of a metric each param explains."""

    scores: tuple[tuple[str, float], ...]  #: param and score, the highest first
    method: str  #: how it was found, in one sentence
    caution: str = ""  #: why it is not to be relied on, if so


def importance(
    rows: Sequence[Mapping[str, Any]], metric: Sequence[float], *, forest: bool = True
) -> Importance:
    """The scores of the params of `rows` for the metric, a finite number a row.

    With scikit-learn, if `forest`: how much worse a random forest predicts the metric when
    one param is shuffled, in parts of the metric's variance. Without: the rank correlation
    of a number and the metric (0 to 1), or for words the part of the ranks' variance that
    lies between them, as its root. Only params that differ are there.
    """
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: [row.get(name) for row in rows] for name in names}
    columns = {n: v for n, v in columns.items() if len({_word(one) for one in v}) > 1}
    low, high = min(metric, default=0.0), max(metric, default=0.0)
    if len(rows) < FEWEST or low == high or not columns:
        why = f"needs {FEWEST} runs that differ in a param and in the metric"
        return Importance((), f"Nothing to say: it {why}.")
    known = forest and bool(find_spec("sklearn"))
    found, method = _forest(columns, metric) if known else _ranks(columns, metric)
    scores = sorted(found.items(), key=lambda pair: -pair[1])
    caution = ""
    if len(rows) < FEW or len(rows) < 5 * len(columns):
        caution = (
            f"{len(rows)} runs and {len(columns)} params: take it as a hint, "
            "a few more runs may turn it round."
        )
    return Importance(tuple(scores), method, caution)


def _forest(
    columns: Mapping[str, Sequence[Any]], metric: Sequence[float]
) -> tuple[dict[str, float], str]:
    import numpy
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance

    data = numpy.array([_coded(values) for values in columns.values()]).T
    # Of values near the largest double the variance would be infinite.
    target = numpy.array(metric) / max(1.0, *(abs(v) for v in metric))
    model = RandomForestRegressor(TREES, min_samples_leaf=2, oob_score=True, random_state=0)
    model.fit(data, target)
    found = permutation_importance(
        model, data, target, n_repeats=FORGETTING, random_state=0, scoring="r2"
    )
    scores = dict(zip(columns, map(float, found.importances_mean), strict=True))
    fit = float(model.oob_score_)
    said = (
        f"A random forest of {TREES} trees (scikit-learn), each param shuffled {FORGETTING} "
        f"times: the loss of R². On runs it has not seen its R² is {fit:.2f}"
    )
    return scores, said + ("." if fit > 0.3 else ", so it explains little of the metric.")


def _ranks(
    columns: Mapping[str, Sequence[Any]], metric: Sequence[float]
) -> tuple[dict[str, float], str]:
    target = ranks(metric)
    scores = {}
    for name, values in columns.items():
        if all(_is_number(v) for v in values):
            scores[name] = abs(_correlation(ranks([float(v) for v in values]), target))
        else:
            scores[name] = _between([_word(v) for v in values], target)
    return scores, (
        "Rank correlation of each param alone with the metric, 0 to 1; what params do "
        "together is not seen (a forest sees it: pip install scikit-learn)."
    )


def ranks(values: Sequence[float]) -> list[float]:
    """The rank of each value from 1; equals share the mean of theirs."""
    order = sorted(range(len(values)), key=lambda i: values[i])
    found = [0.0] * len(values)
    begin = 0
    while begin < len(order):
        end = begin
        while end + 1 < len(order) and values[order[end + 1]] == values[order[begin]]:
            end += 1
        for i in order[begin : end + 1]:
            found[i] = (begin + end) / 2 + 1
        begin = end + 1
    return found


def _correlation(left: Sequence[float], right: Sequence[float]) -> float:
    a, b = fmean(left), fmean(right)
    across = math.fsum((x - a) * (y - b) for x, y in zip(left, right, strict=True))
    spread = math.fsum((x - a) ** 2 for x in left) * math.fsum((y - b) ** 2 for y in right)
    return across / math.sqrt(spread) if spread else 0.0


def _between(words: Sequence[str], target: Sequence[float]) -> float:
    groups: dict[str, list[float]] = {}
    for word, value in zip(words, target, strict=True):
        groups.setdefault(word, []).append(value)
    mean = fmean(target)
    whole = math.fsum((v - mean) ** 2 for v in target)
    part = math.fsum(len(g) * (fmean(g) - mean) ** 2 for g in groups.values())
    return math.sqrt(part / whole) if whole else 0.0


def _coded(values: Sequence[Any]) -> list[float]:
    """Numbers as they are, anything else by its place among the sorted words."""
    if all(_is_number(value) for value in values):
        return [float(value) for value in values]
    words = sorted({_word(value) for value in values})
    return [float(words.index(_word(value))) for value in values]


def _word(value: Any) -> str:
    return repr(float(value)) if _is_number(value) else f"{type(value).__name__} {value}"


def _is_number(value: Any) -> bool:
    largest = sys.float_info.max
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and (-largest <= value <= largest)
    )
