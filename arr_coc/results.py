"""Runs as a table of results, and what may be said about them.

Each run of a variant at a budget is one seed: other digits, other scenes, other first weights.
Runs with the same seed are tested on the same scenes, so variants are compared seed by seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd
from scipy import stats

SCORERS = ("information", "salience", "coupling")
COLUMNS = ["variant", "tokens", "seed", "accuracy", "seen", "sharp", "spent"]
SAME = ("explore", "lr", "epochs", "batch_size", "width", "test_scenes")


class Interval(NamedTuple):
    """A mean and how far it may be off."""

    mean: float
    low: float  #: NaN when there is one value only
    high: float
    values: int  #: how many

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


def interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """The mean of `values` and its t-interval at `level`: they vary like a bell, more or less."""
    series = pd.Series(values, dtype=float)
    half = stats.t.ppf((1 + level) / 2, len(series) - 1) * series.sem() if len(series) > 1 else None
    mean = float(series.mean())
    around = float("nan") if half is None else float(half)
    return Interval(mean, mean - around, mean + around, len(series))


def tidy(runs: pd.DataFrame) -> pd.DataFrame:
    """The complete runs of `get_experiment_df` as COLUMNS, a row a variant, budget and seed.

    Of runs that are the same twice the newest counts. Raises ValueError when there is none, or
    when some were trained otherwise than others: those cannot be compared.
    """
    runs = runs[runs["state"] == "COMPLETE"]
    runs = runs[runs["metric.test_accuracy"].notna()] if len(runs) else runs
    if runs.empty:
        raise ValueError("no complete run of train.ipynb: run some, or read results.csv")
    for name in SAME:
        if len(found := runs[f"param.{name}"].unique()) > 1:
            raise ValueError(
                f"{name} is {sorted(found)}: keep such runs in experiments of their own"
            )
    table = pd.DataFrame(
        {
            "variant": [variant(run) for _, run in runs.iterrows()],
            "tokens": runs["param.budget"].astype(int),
            "seed": runs["param.seed"].astype(int),
            **{name: runs[f"metric.test_{name}"].astype(float) for name in COLUMNS[3:]},
        }
    )
    table = table.drop_duplicates(["variant", "tokens", "seed"])  # the newest come first
    return table.sort_values(COLUMNS[:3], ignore_index=True)


def variant(run: pd.Series) -> str:
    """What a run is called: its allocator, and the scorers that it does without."""
    missing = [name for name in SCORERS if run[f"param.{name}"] == 0]
    if len(missing) == len(SCORERS):
        return f"{run['param.allocator']}, no scorers"
    return ", ".join([run["param.allocator"], *(f"no {name}" for name in missing)])


def summary(results: pd.DataFrame) -> pd.DataFrame:
    """Mean accuracy and its 95 % interval, a row a variant and budget."""
    rows = [
        {"variant": name, "tokens": tokens, **interval(list(group["accuracy"]))._asdict()}
        for (name, tokens), group in results.groupby(["variant", "tokens"])
    ]
    return pd.DataFrame(rows)


def differences(results: pd.DataFrame, against: str = "adaptive") -> pd.DataFrame:
    """How much better `against` answers than each other variant, seed by seed, a row a budget.

    The intervals hold together with 95 %: each is wider the more there are (Bonferroni). Where
    one holds 0, the data do not say which of the two is better.
    """
    wide = results.pivot(index=["tokens", "seed"], columns="variant", values="accuracy")
    if against not in wide:
        raise ValueError(f"no run of {against!r} to compare with")
    pairs = {
        (name, tokens): list(differs)
        for name in wide.columns.drop(against)
        for tokens, differs in (wide[against] - wide[name]).dropna().groupby("tokens")
        if len(differs) > 1
    }
    level = 1 - 0.05 / max(len(pairs), 1)
    rows = [
        {"than": name, "tokens": tokens, **interval(values, level)._asdict()}
        for (name, tokens), values in pairs.items()
    ]
    table = pd.DataFrame(rows, columns=["than", "tokens", *Interval._fields])
    table["verdict"] = [verdict(low, high) for low, high in zip(table.low, table.high, strict=True)]
    return table


def verdict(low: float, high: float) -> str:
    """What an interval of differences says, in a word or two."""
    if low > 0:
        return "better"
    return "worse" if high < 0 else "cannot be told"


def markdown(results: pd.DataFrame) -> str:
    """Means and differences with their intervals, as two tables for a README."""
    budgets = sorted(results["tokens"].unique())
    lines = ["| test accuracy with | " + " | ".join(f"{b} tokens" for b in budgets) + " |"]
    lines.append("|---" * (len(budgets) + 1) + "|")
    for name, group in results.groupby("variant"):
        by = dict(iter(group.groupby("tokens")["accuracy"]))
        cells = [str(interval(list(by[b]))) if b in by else "" for b in budgets]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += ["", "| adaptive better than | tokens | by | verdict |", "|---|---|---|---|"]
    for row in differences(results).itertuples():
        gap = f"{row.mean:+.3f} [{row.low:+.3f}, {row.high:+.3f}]"
        lines.append(f"| {row.than} | {row.tokens} | {gap} | {row.verdict} |")
    return "\n".join(lines) + "\n"
