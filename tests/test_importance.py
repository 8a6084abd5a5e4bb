"""Which params matter, by a forest and by ranks."""

import math
import random

import pytest
from scipy import stats

from nbtools.importance import importance, ranks


def rows(count):
    numbers = random.Random(0)
    made = [
        {"lr": 10 ** numbers.uniform(-4, -1), "opt": numbers.choice(["adam", "sgd"]),
         "seed": i, "flag": numbers.random() < 0.5, "same": 3}
        for i in range(count)
    ]  # fmt: skip
    metric = [-abs(math.log10(r["lr"]) + 2.5) + 0.4 * (r["opt"] == "adam") for r in made]
    return made, metric


def test_a_forest_finds_what_matters():
    found = importance(*rows(200))
    names = [name for name, _ in found.scores]
    assert names[:2] == ["lr", "opt"]
    assert set(names) == {"lr", "opt", "seed", "flag"}
    assert found.scores[1][1] > 5 * abs(dict(found.scores)["seed"])
    assert "random forest" in found.method
    assert found.caution == ""


def test_ranks_find_it_without_scikit_learn():
    made, metric = rows(200)
    found = importance(made, [r["lr"] ** 3 + (r["opt"] == "adam") * 1e-4 for r in made],
                       forest=False)  # fmt: skip
    scores = dict(found.scores)
    lr = [r["lr"] for r in made]
    expected = stats.spearmanr(lr, [a**3 + (r["opt"] == "adam") * 1e-4
                                    for a, r in zip(lr, made, strict=True)])  # fmt: skip
    assert scores["lr"] == pytest.approx(expected.statistic)
    assert scores["opt"] > scores["flag"]
    assert "pip install scikit-learn" in found.method
    assert len(metric) == 200


def test_the_same_runs_have_the_same_scores():
    assert importance(*rows(60)) == importance(*rows(60))


def test_few_runs_are_said_to_be_few():
    assert importance(*rows(8)).caution.startswith("8 runs and 4 params: take it as a hint")


@pytest.mark.parametrize("forest", [False, True])
@pytest.mark.parametrize(
    ("made", "metric"),
    [
        ([], []),
        ([{"a": 1}], [1.0]),
        ([{"a": 1}, {"a": 2}, {"a": 3}], [1.0, 2.0, 3.0]),
        ([{"a": i} for i in range(9)], [1.0] * 9),
        ([{"a": 1}] * 9, [float(i) for i in range(9)]),
    ],
)
def test_where_nothing_can_be_said_nothing_is(made, metric, forest):
    found = importance(made, metric, forest=forest)
    assert found.scores == ()
    assert found.method.startswith("Nothing to say")


@pytest.mark.parametrize("forest", [False, True])
def test_odd_values_are_no_matter(forest):
    odd = [1, 2.5, math.nan, math.inf, "x", None, True, [1], 10**400, {"a": 1}]
    made = [{"odd": value, "i": i} for i, value in enumerate(odd)] + [{"i": 11}]
    metric = [1e308, -1e308, 1e-300, *(float(i) for i in range(8))]
    found = importance(made, metric, forest=forest)
    assert {name for name, _ in found.scores} == {"odd", "i"}
    assert all(math.isfinite(score) for _, score in found.scores)


def test_ranks_share_their_places():
    values = [3.0, 1.0, 3.0, 2.0, 3.0]
    assert ranks(values) == stats.rankdata(values).tolist() == [4.0, 1.0, 4.0, 2.0, 4.0]
    assert ranks([]) == []
