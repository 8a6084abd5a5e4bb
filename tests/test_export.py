"""The table of runs for other programs, read back by them."""

import csv
import io
import json
import math
from datetime import UTC, datetime

import pandas
import pytest

from nbtools.export import export
from nbtools.nouns import Run
from nbtools.runs import list_runs, open_run
from nbtools.store import Store

NOW = datetime(2024, 1, 2, tzinfo=UTC)
PARAMS = [
    {"lr": 0.1, "name": 'a,"b"\nc', "flag": True, "n": 1, "mixed": 1, "list": [1, 2]},
    {"lr": math.nan, "name": "ü", "n": 2, "mixed": "two", "huge": 10**30},
    {"lr": -math.inf, "half": "\udcff"},
]


@pytest.fixture
def store():
    store = Store(None)
    for i, params in enumerate(PARAMS):
        context = open_run(store, "e", f"r{i}", NOW, params=params)
        store.add_points(context.name, "loss", [(1, 10.5, 0.5), (2, 11.5, float(i) or math.nan)])
    return store


def runs(store):
    return list_runs(store, NOW)[::-1]


def test_csv_is_read_back(store):
    text = export(store, runs(store), "csv").decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert list(rows[0]) == [
        "experiment_name", "run_name", "run_type", "state", "param.lr", "param.name", "param.flag",
        "param.n", "param.mixed", "param.list", "param.huge", "param.half",
        "time_series_metric.loss",
    ]  # fmt: skip
    assert [row["param.lr"] for row in rows] == ["0.1", "NaN", "-Infinity"]
    assert rows[0]["param.name"] == 'a,"b"\nc'
    assert rows[0]["param.list"] == "[1, 2]"
    assert rows[2]["param.n"] == ""
    assert rows[2]["param.half"] == "\\udcff"
    frame = pandas.read_csv(io.StringIO(text))
    assert frame["time_series_metric.loss"].tolist()[1:] == [1.0, 2.0]


def test_json_is_json_and_has_the_points_when_asked(store):
    def refuse(word):
        raise AssertionError(word)

    text = export(store, runs(store), "json").decode()
    rows = json.loads(text, parse_constant=refuse)
    assert rows[1]["param.lr"] == "NaN"
    assert rows[2]["param.lr"] == "-Infinity"
    assert rows[1]["param.huge"] == 10**30
    assert "series" not in rows[0]
    text = export(store, runs(store), "json", series=True).decode()
    rows = json.loads(text, parse_constant=refuse)
    assert rows[0]["series"] == {"loss": [[1, 10.5, 0.5], [2, 11.5, "NaN"]]}
    assert rows[2]["series"] == {"loss": [[1, 10.5, 0.5], [2, 11.5, 2.0]]}


def test_parquet_keeps_types_and_what_is_missing(store):
    frame = pandas.read_parquet(io.BytesIO(export(store, runs(store)[:2], "parquet")))
    assert str(frame["param.n"].dtype) == "Int64"
    assert str(frame["param.flag"].dtype) == "boolean"
    assert frame["param.flag"].isna().tolist() == [False, True]
    assert frame["param.lr"].tolist()[0] == 0.1
    assert frame["param.mixed"].tolist() == ["1", "two"]
    assert frame["param.list"].tolist()[0] == "[1, 2]"
    assert frame["param.huge"].tolist()[1] == str(10**30)
    assert frame["run_name"].tolist() == ["r0", "r1"]


@pytest.mark.parametrize("format", ["csv", "json", "parquet"])
def test_no_runs_are_an_empty_table(store, format):
    data = export(store, list[Run](), format)
    if format == "json":
        assert json.loads(data) == []
    else:
        read = pandas.read_csv if format == "csv" else pandas.read_parquet
        frame = read(io.BytesIO(data))
        assert (len(frame), frame.columns[0]) == (0, "experiment_name")
