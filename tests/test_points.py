"""Series in chunks are what a dict of steps would be."""

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbtools.journal import Series
from nbtools.nouns import RUN, Context
from nbtools.points import FULL
from nbtools.store import Store

NOW = datetime(2024, 1, 2, tzinfo=UTC)
POINTS = st.tuples(st.integers(-5, 40), st.floats(0, 9), st.floats(allow_nan=False))


@pytest.fixture
def store():
    store = Store(None)
    store.add(Context(name="c", schema_title=RUN), NOW)
    return store


def of(points):
    series = Series()
    for point in points:
        series.add(*point)
    return series


@given(st.lists(st.lists(POINTS, max_size=30), max_size=12))
def test_a_series_is_what_a_dict_would_be(batches):
    store = Store(None)
    store.add(Context(name="c", schema_title=RUN), NOW)
    model = {}
    for batch in batches:
        store.add_points("c", "loss", batch)
        model.update({step: (step, time, value) for step, time, value in batch})
    expected = [model[step] for step in sorted(model)]
    assert store.points("c").get("loss", []) == expected
    assert store.last_step("c") == (expected[-1][0] if expected else 0)
    (last,) = store.table().blocks[0].columns or [("", "")]
    assert (last == ("time_series_metric.loss", "f")) == bool(expected)


def test_a_series_that_grows_point_by_point_has_few_chunks(store):
    for step in range(10_000):
        store.add_points("c", "loss", [(step, 0.0, step / 2)])
    rows = store._execute("SELECT length FROM chunks")
    assert sum(row["length"] for row in rows) == 10_000
    assert len(rows) < 20
    assert max(row["length"] for row in rows) <= FULL
    assert list(store.series("c", "loss").values) == [step / 2 for step in range(10_000)]


def test_a_point_takes_at_most_thirty_bytes(tmp_path):
    store = Store(tmp_path)
    store.add(Context(name="c", schema_title=RUN), NOW)
    count = 100_000
    store.add_series("c", {"loss": of((n, 1.7e9 + n, n / 7) for n in range(count))})
    store._execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert (tmp_path / "store.sqlite").stat().st_size <= 30 * count
    assert len(store.series("c", "loss").steps) == count


def test_a_step_written_again_is_replaced_wherever_it_lies(store):
    store.add_series("c", {"loss": of((n, 0.0, 0.0) for n in range(5000))})
    store.add_points("c", "loss", [(7, 1.0, math.nan), (6000, 1.0, 3.0)])
    store.add_points("c", "loss", [(8, 1.0, 5.0)])
    points = store.points("c")["loss"]
    assert len(points) == 5001
    assert math.isnan(points[7][2])
    assert points[8] == (8, 1.0, 5.0)
    assert points[-1] == (6000, 1.0, 3.0)
