"""How long a filter over 10,000 runs takes, each with 20 params and 20 metrics.

    python bench/filters.py

Prints milliseconds, the median of 15, for the names of what is found; then for whole records.
"""

import random
import statistics
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from nbtools import clauses
from nbtools.nouns import RUN, Context
from nbtools.store import Store

RUNS = 10_000
FILTERS = {
    "one number": "metadata._metrics.m7 > 0.99",
    "a number and a name": 'metadata._metrics.m7 > 0.9 AND display_name="r*7"',
    "a text": 'metadata._params.p3 = "adam"',
    "two numbers": "metadata._metrics.m7 > 0.9 AND metadata._metrics.m8 < 0.1",
    "one of two, and not": (
        "(metadata._metrics.m1 > 0.99 OR metadata._metrics.m2 > 0.99) AND NOT metadata._params.p1=1"
    ),
}


def fill(store: Store) -> None:
    numbers = random.Random(0)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    with store.write():
        for i in range(RUNS):
            params = {f"p{k}": numbers.choice([1, 0.1, "adam", True]) for k in range(20)}
            metrics = {f"m{k}": numbers.random() for k in range(20)}
            meta = {"_experiment": "e", "_state": "COMPLETE", "_job": ""}
            store.add(
                Context(
                    name=f"e-r{i}", display_name=f"r{i}", schema_title=RUN,
                    metadata={**meta, "_params": params, "_metrics": metrics},
                ), now,
            )  # fmt: skip


def median(work) -> float:
    taken = []
    for _ in range(15):
        begin = time.perf_counter()
        work()
        taken.append((time.perf_counter() - begin) * 1000)
    return statistics.median(taken)


def main() -> None:
    with TemporaryDirectory() as folder:
        store = Store(Path(folder))
        fill(store)
        print(f"{'filter':24} {'found':>6} {'names':>8} {'records':>8}   ms")
        for what, text in FILTERS.items():
            condition, _, values = clauses.of(Context, text, "")
            sql = f"SELECT t.name FROM contexts AS t WHERE t.schema_title = ? AND {condition}"
            found = len(store._execute(sql, RUN, *values))
            names = median(lambda sql=sql, values=values: store._execute(sql, RUN, *values))
            records = median(lambda text=text: store.select(Context, RUN, filter=text))
            print(f"{what:24} {found:6} {names:8.1f} {records:8.1f}")


if __name__ == "__main__":
    main()
