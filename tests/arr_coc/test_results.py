"""What is said about the results follows from them."""

import math
from pathlib import Path

import pandas as pd
import pytest

from arr_coc import results

FOLDER = Path(results.__file__).parent


def runs(*rows):
    settings = {"explore": 0.5, "lr": 1e-3, "epochs": 1, "batch_size": 8, "width": 8}
    settings |= {"test_scenes": 10, "information": 1.0, "salience": 1.0, "coupling": 1.0}
    table = []
    for row in rows:
        run = {"allocator": "adaptive", "budget": 8, "seed": 0, **settings, **row}
        found = {f"metric.test_{name}": run.pop(name, 0.5) for name in results.COLUMNS[3:]}
        state = run.pop("state", "COMPLETE")
        table.append({"state": state, **{f"param.{k}": v for k, v in run.items()}, **found})
    return pd.DataFrame(table)


def test_an_interval_is_the_one_of_the_textbook():
    found = results.interval([1.0, 2.0, 3.0, 4.0, 5.0])
    half = 2.776445 * math.sqrt(2.5 / 5)  # t of 4 degrees of freedom at 97.5 %
    assert found == pytest.approx((3, 3 - half, 3 + half, 5), abs=1e-5)
    assert math.isnan(results.interval([1.0]).low)


def test_variants_are_named_and_the_newest_run_counts():
    table = results.tidy(
        runs(
            {"accuracy": 0.9},
            {"accuracy": 0.1},  # the same, older
            {"allocator": "uniform", "information": 0, "salience": 0, "coupling": 0},
            {"coupling": 0},
            {"seed": 1, "state": "FAILED"},
        )
    )
    by = table.set_index("variant")["accuracy"]
    assert by.to_dict() == {
        "adaptive": 0.9,
        "uniform, no scorers": 0.5,
        "adaptive, no coupling": 0.5,
    }


def test_runs_that_were_trained_otherwise_are_refused():
    with pytest.raises(ValueError, match="lr is .*experiments of their own"):
        results.tidy(runs({}, {"lr": 0.1}))
    with pytest.raises(ValueError, match="no complete run"):
        results.tidy(runs({"state": "RUNNING"}))


def test_differences_go_seed_by_seed_and_hold_together():
    rows = [
        {"seed": seed, "accuracy": base + gain, "allocator": name}
        for seed, base in enumerate((0.3, 0.6, 0.9))
        for name, gain in (
            ("adaptive", 0.05 + 0.001 * seed),
            ("uniform", 0),
            ("random", 0.04 * seed),
        )
    ]
    found = results.differences(results.tidy(runs(*rows))).set_index("than")
    assert found["mean"].to_dict() == pytest.approx({"uniform": 0.051, "random": 0.011})
    assert found["verdict"].to_dict() == {"uniform": "better", "random": "cannot be told"}
    alone = results.interval([0.05, 0.051, 0.052], level=1 - 0.05 / 2)
    assert found.loc["uniform", "low"] == pytest.approx(alone.low)


def test_the_readme_shows_the_results_that_are_kept():
    table = pd.read_csv(FOLDER / "results.csv")
    text = (FOLDER / "README.md").read_text()
    for part in results.markdown(table).split("\n\n"):
        assert part.rstrip() in text
    assert table.groupby(["variant", "tokens"])["seed"].nunique().min() >= 5
