"""What differs between runs, which is best, what several seeds come to."""

import math
from datetime import UTC, datetime, timedelta

import pytest
from scipy import stats

from nbtools import comparison
from nbtools.comparison import best, compare, group
from nbtools.errors import NotFound, RequestError
from nbtools.nouns import Run
from nbtools.runs import close_run, open_run
from nbtools.states import ExecutionState
from nbtools.store import Store

NOW = datetime(2024, 1, 2, tzinfo=UTC)


@pytest.fixture
def add(store_folder):
    store = Store(store_folder)
    count = iter(range(1000))

    def add(name, params=None, metrics=None, series=None, experiment="e", state="COMPLETE", **meta):
        now = NOW + timedelta(seconds=next(count))
        context = open_run(store, experiment, name, now, params=params)
        for key, value in (series or {}).items():
            store.add_points(context.name, key, [(1, 0.0, 9.9), (2, 0.0, value)])

        def change(old):
            from dataclasses import replace

            return replace(old, metadata={**old.metadata, "_metrics": metrics or {}, **meta})

        store.amend(type(context), context.name, change, now)
        close_run(store, context.name, ExecutionState(state), "", now)

    return add


def test_only_what_differs_is_shown(add):
    add("a", {"lr": 0.1, "opt": "adam", "n": 1}, {"acc": math.nan}, {"loss": 0.5})
    add("b", {"lr": 0.2, "opt": "adam", "n": 1.0}, {"acc": math.nan}, {"loss": 0.5})
    frame = compare(["a", "b"])
    assert list(frame.columns) == ["a", "b"]
    assert frame.to_dict("index") == {"param.lr": {"a": 0.1, "b": 0.2}}
    everything = compare(["a", "b"], all=True)
    assert list(everything.index) == [
        "state", "param.lr", "param.opt", "param.n", "metric.acc", "time_series_metric.loss",
    ]  # fmt: skip


def test_missing_nan_and_bools_are_told_apart(add):
    add("a", {"x": math.nan, "flag": True, "only": None, "list": [1, math.nan]})
    add("b", {"flag": 1, "list": [1, math.nan]})
    frame = compare(["a", "b"])
    assert list(frame.index) == ["param.x", "param.flag"]
    assert frame.loc["param.x", "b"] is None
    assert frame.loc["param.flag", "a"] is True


def test_tags_notes_and_surroundings_are_compared(add):
    about = {"git": {"commit": "1"}, "host": "h", "files": "/x/a"}
    add("a", _tags=["x"], _about=about)
    add("b", _notes="n", _about={**about, "git": {"commit": "2"}, "files": "/x/b"})
    assert list(compare(["a", "b"]).index) == ["tags", "notes", "about.git.commit"]


def test_two_runs_of_one_name_are_told_apart(add):
    add("a", {"x": 1}, experiment="e")
    add("a", {"x": 2}, experiment="f")
    add("b", {"x": 2}, experiment="f")
    assert list(compare(["e-a", "f-a", "b"]).columns) == ["e-a", "f-a", "b"]


def test_what_cannot_be_compared_is_said(add):
    add("a")
    with pytest.raises(RequestError, match="name the runs to compare"):
        compare([])
    with pytest.raises(NotFound, match="no run 'z'"):
        compare(["a", "z"])
    assert compare(["a", "a"]).empty


def test_the_best_run_has_the_most_or_the_least(add):
    add("old", metrics={"acc": 0.9, "text": "x"}, series={"loss": 0.3})
    add("new", metrics={"acc": 0.9}, series={"loss": 0.1})
    add("low", metrics={"acc": 0.1})
    add("nan", metrics={"acc": math.nan}, series={"loss": math.nan})
    add("failed", metrics={"acc": 1.0}, state="FAILED")
    add("other", metrics={"acc": 1.0}, experiment="f")
    assert best("e", "acc").name == "old"
    assert best("e", "metric.acc", "min").name == "low"
    assert best("e", "loss", "min").name == "new"
    assert best("e", "acc", filter='NOT display_name="old"').name == "new"


def test_without_a_number_there_is_no_best(add):
    add("a", metrics={"text": "x", "flag": True, "nan": math.nan})
    for metric in ("text", "flag", "nan", "none"):
        with pytest.raises(NotFound, match=f"no complete run of experiment 'e' has .* '{metric}'"):
            best("e", metric)
    with pytest.raises(NotFound, match="no experiment 'z'"):
        best("z", "text")
    with pytest.raises(RequestError, match="use 'max' or 'min'"):
        best("e", "text", "most")


def test_an_infinite_metric_is_best_of_all(add):
    add("a", metrics={"m": 10**400})
    add("b", metrics={"m": 1e308})
    assert best("e", "m").name == "a"
    assert best("e", "m", "min").name == "b"


def test_groups_over_seeds_have_mean_spread_and_interval(add):
    scores = {0.1: [0.8, 0.9, 0.85, math.nan], 0.01: [0.5]}
    for lr, found in scores.items():
        for seed, value in enumerate(found):
            add(f"r{lr}-{seed}".replace(".", ""), {"lr": lr, "seed": seed}, {"acc": value})
    add("without", {"lr": 0.1}, {})
    add("nolr", {"seed": 1}, {"acc": 0.7})
    frame = group("e", by=["lr"], metric="acc")
    assert list(frame.columns) == ["lr", "n", "lost", "mean", "std", "low", "high"]
    assert list(frame["n"]) == [1, 3, 1]
    assert list(frame["lost"]) == [0, 2, 0]
    assert frame["lr"].tolist()[:2] == [0.01, 0.1]
    assert math.isnan(frame["lr"].tolist()[2])
    three = frame.iloc[1]
    interval = stats.t.interval(0.95, 2, loc=0.85, scale=stats.sem([0.8, 0.9, 0.85]))
    assert three["mean"] == pytest.approx(0.85)
    assert three["std"] == pytest.approx(0.05)
    assert (three["low"], three["high"]) == pytest.approx(interval, rel=1e-6)
    assert frame.iloc[0][["std", "low", "high"]].isna().all()


def test_groups_by_two_params_and_by_none(add):
    for i, (a, b) in enumerate([(1, "x"), (1, "y"), ("one", "x"), (1, "x"), (None, [1])]):
        add(f"r{i}", {"a": a, "b": b}, {"m": float(i)})
    frame = group("e", by=["a", "param.b"], metric="m")
    assert frame[["a", "b", "n"]].values.tolist() == [
        [1, "x", 2], [1, "y", 1], ["one", "x", 1], [None, "[1]", 1],
    ]  # fmt: skip
    whole = group("e", by=[], metric="m")
    assert (whole.iloc[0]["n"], whole.iloc[0]["mean"]) == (5, 2.0)


def test_what_cannot_be_grouped_is_said(add):
    add("a", {"lr": 1}, {"m": 1.0})
    with pytest.raises(RequestError, match="no run of 'e' has a param 'width' to group by"):
        group("e", by=["width"], metric="m")
    with pytest.raises(RequestError, match="no complete run of 'e' has a number for 'x'"):
        group("e", by=["lr"], metric="x")
    with pytest.raises(RequestError, match=r"level 0\.9: only 0\.95"):
        group("e", by=["lr"], metric="m", level=0.9)


@pytest.mark.parametrize("freedom", [*range(1, 40), 50, 100, 1000, 10**6])
def test_students_percentiles_are_scipys(freedom):
    assert comparison.student(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=1e-6)


def test_a_run_is_compared_with_itself_whatever_it_holds():
    run = Run(experiment="e", name="r", state=ExecutionState.COMPLETE,
              params={"d": {"a": [math.nan]}, "s": "x"}, metrics={"m": -0.0})  # fmt: skip
    assert comparison.differences([run, run], {}) == {}


@pytest.mark.parametrize("values", [[1e308, 1.2e308], [-1e308, 1e308], [1e-320, 2e-320], [5.0]])
def test_extreme_values_have_a_mean(values):
    found = comparison.spread([*values, math.inf])
    assert found["mean"] == pytest.approx(sum(v / len(values) for v in values))
    assert (found["n"], found["lost"]) == (len(values), 1)
