"""A run as named columns, and runs in the order of one."""

import math
from datetime import UTC, datetime, timedelta

import pytest

from nbtools import columns
from nbtools.errors import RequestError
from nbtools.nouns import Run
from nbtools.runs import list_runs, open_run
from nbtools.states import ExecutionState
from nbtools.store import Store

NOW = datetime(2024, 1, 2, tzinfo=UTC)


def run(name, experiment="e", params=None, metrics=None, **more):
    return Run(
        experiment=experiment, name=name, state=ExecutionState.COMPLETE, params=params or {},
        metrics=metrics or {}, create_time=NOW, **more,
    )  # fmt: skip


def test_a_row_has_the_columns_of_get_experiment_df():
    one = run("r", params={"lr": 0.1}, metrics={"acc": 0.9})
    assert columns.row(one, {"e-r": {"loss": 0.3}}) == {
        "experiment_name": "e",
        "run_name": "r",
        "run_type": "system.ExperimentRun",
        "state": "COMPLETE",
        "param.lr": 0.1,
        "metric.acc": 0.9,
        "time_series_metric.loss": 0.3,
    }


def test_the_ends_of_series_are_those_of_the_store():
    store = Store(None)
    for i, (experiment, name) in enumerate([("e", "a"), ("e", "b"), ("f", "a")]):
        context = open_run(store, experiment, name, NOW + timedelta(seconds=i),
                           params={"n": 1, "s": "x", "t": [1]})  # fmt: skip
        store.add_points(context.name, "loss", [(1, 0.0, 5.0), (2, 0.0, float(i))])
    store.add_points("e-b", "odd", [(1, 0.0, math.inf)])
    assert columns.ends(store) == {
        "e-a": {"loss": 0.0},
        "e-b": {"loss": 1.0, "odd": math.inf},
        "f-a": {"loss": 2.0},
    }
    assert set(columns.ends(store, "f")) == {"f-a"}
    assert {r.id for r in list_runs(store, NOW)} == set(columns.ends(store))


def test_columns_stand_in_their_groups():
    rows = [{"state": 1, "metric.b": 1, "param.z": 1}, {"time_series_metric.l": 1, "param.a": 1}]
    assert columns.names(rows) == [
        "state", "param.z", "param.a", "metric.b", "time_series_metric.l",
    ]  # fmt: skip


def test_only_chosen_columns_in_their_order():
    runs = [run("a", params={"lr": 1}, tags=("x", "y")), run("b")]
    assert columns.chosen(runs, {}, ["tags", "param.lr", "begun"]) == [
        {"tags": "x, y", "param.lr": 1, "begun": NOW},
        {"tags": "", "begun": NOW},
    ]


def test_a_column_that_no_run_has_is_refused_with_a_likely_one():
    with pytest.raises(RequestError) as caught:
        columns.chosen([run("a", params={"lr": 1})], {}, ["param.lrr"])
    assert str(caught.value) == "no run here has a column 'param.lrr': did you mean param.lr?"
    with pytest.raises(RequestError, match="`nbtools runs export` shows all"):
        columns.ordered([run("a")], {}, "-xyzzy")
    assert columns.chosen([], {}, ["param.lr"]) == []


def test_runs_are_sorted_with_nan_and_missing_last_in_both_directions():
    values = {"a": 2, "b": math.nan, "c": None, "d": "x", "e": -math.inf, "f": 2.0, "g": 10**400}
    runs = [run(n, metrics={} if v is None else {"m": v}) for n, v in values.items()]
    assert "".join(r.name for r in columns.ordered(runs, {}, "metric.m")) == "eafgdbc"
    assert "".join(r.name for r in columns.ordered(runs, {}, "-metric.m")) == "dgafebc"
