"""The table of runs is what a DataFrame made row by row would be."""

import math
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbtools.frame import frame
from nbtools.journal import Journal
from nbtools.nouns import RUN, Context, utc_now
from nbtools.runs import open_run
from nbtools.store import Store

NOW = datetime(2024, 1, 2, tzinfo=UTC)
VALUES = st.one_of(
    st.integers(-(2**60), 2**60), st.floats(), st.booleans(), st.text(max_size=4).map(str)
)
NAMES = st.sampled_from(["a", "b", "c c", "ü"])
RUNS = st.lists(
    st.tuples(st.dictionaries(NAMES, VALUES), st.dictionaries(NAMES, VALUES),
              st.dictionaries(NAMES, st.floats())), max_size=6,
)  # fmt: skip


def same(one, other):
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return one == other and isinstance(one, str) == isinstance(other, str)


@given(RUNS)
@settings(max_examples=60)
def test_it_is_what_rows_would_make(runs):
    store = Store(None)
    rows = []
    for number, (params, metrics, ends) in enumerate(runs):
        when = NOW + timedelta(seconds=number)
        meta = {"_experiment": "e", "_state": "COMPLETE", "_params": params, "_metrics": metrics}
        store.add(Context(name=f"e-{number}", schema_title=RUN, display_name=f"r{number}",
                          metadata=meta), when)  # fmt: skip
        for key, value in ends.items():
            store.add_points(f"e-{number}", key, [(1, 0.0, 0.0), (2, 0.0, value)])
        row = {f"param.{k}": v for k, v in params.items()}
        row |= {f"metric.{k}": v for k, v in metrics.items()}
        row |= {f"time_series_metric.{k}": v for k, v in ends.items()}
        rows.insert(0, {"experiment_name": "e", "run_name": f"r{number}", "run_type": RUN,
                        "state": "COMPLETE", **row})  # fmt: skip
    made = frame(store.table("e"))
    expected = pd.DataFrame(rows, dtype=object)
    assert set(made.columns) >= set(expected.columns)
    assert len(made) == len(rows)
    for column in expected.columns:
        for value, wanted in zip(made[column], expected[column], strict=True):
            wanted = math.nan if wanted is None else wanted
            assert same(value, wanted), (column, value, wanted)


def test_whole_numbers_stay_whole_where_every_run_has_one():
    store = Store(None)
    for number in range(3):
        open_run(store, "e", f"r{number}", NOW, params={"depth": number, "flag": True})
    open_run(store, "other", "r", NOW, params={"depth": 0.5})
    made = frame(store.table("e"))
    assert (made["param.depth"].dtype, made["param.flag"].dtype) == ("int64", "bool")
    assert list(made["param.depth"]) == [2, 1, 0]
    assert frame(store.table())["param.depth"].dtype == "float64"


def test_a_summary_that_is_missing_or_old_is_made_anew():
    store = Store(None)
    open_run(store, "e", "r", NOW, params={"lr": 1.0})
    store._execute("DELETE FROM summaries")
    assert list(frame(store.table())["param.lr"]) == [1.0]
    store._execute("UPDATE summaries SET etag = 0, state = 'OLD'")
    assert list(frame(store.table())["state"]) == ["RUNNING"]


def test_the_machines_own_series_are_no_results(tmp_path):
    store = Store(tmp_path)
    run = open_run(store, "e", "r", NOW)
    journal = Journal(store.journals, run.name)
    journal.point({"system/load": 1.0, "loss": 0.5}, 1, 1.0)
    journal.close()
    store.drain(utc_now())
    assert [c for c in frame(store.table()) if "time_series" in c] == ["time_series_metric.loss"]
    assert set(store.points(run.name)) == {"system/load", "loss"}


def test_asked_again_the_table_is_new_only_when_something_was_written(store_folder):
    import nbtools

    with nbtools.start_run("a"):
        nbtools.log_metrics({"m": 1})
    first = nbtools.get_experiment_df()
    first.loc[0, "metric.m"] = 99  # hers: what is asked for next is not changed by it
    assert list(nbtools.get_experiment_df()["metric.m"]) == [1]
    with nbtools.start_run("b"):
        nbtools.log_metrics({"m": 2})
    assert list(nbtools.get_experiment_df()["metric.m"]) == [2, 1]
    other = Store(store_folder)
    open_run(other, "default", "c", utc_now())
    other.close()
    assert list(nbtools.get_experiment_df()["run_name"]) == ["c", "b", "a"]


def test_no_runs_make_an_empty_table():
    assert list(frame(Store(None).table()).columns) == [
        "experiment_name", "run_name", "run_type", "state",
    ]  # fmt: skip
    assert frame(Store(None).table()).empty


@pytest.fixture(autouse=True)
def fresh_session(store_folder, monkeypatch):
    from nbtools import experiments

    monkeypatch.setattr(experiments, "_session", experiments._Session())
