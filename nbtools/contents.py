"""Questions to the store that walk its graph, each for many records at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from nbtools.nouns import Artifact, Event
from nbtools.rows import TABLES, Record, event_of, record_of
from nbtools.store import Store

#: values that one statement takes; SQLite's own limit was 999 for long.
BATCH = 500


def with_digest(store: Store, sha256: str) -> list[Artifact]:
    """The artifacts of that content, newest first. Reads every artifact's metadata."""
    sql = (
        "SELECT * FROM artifacts WHERE instr(metadata, ?) > 0 ORDER BY create_time DESC, name DESC"
    )
    found = store._read(partial(record_of, Artifact), store._execute(sql, f'"sha256": "{sha256}"'))
    return [artifact for artifact in found if artifact.metadata.get("sha256") == sha256]


def events(store: Store, column: str, names: Iterable[str], type: str) -> list[Event]:
    """The INPUT or OUTPUT events whose `column`, execution or artifact, is among `names`."""
    assert column in ("execution", "artifact")
    found = []
    for batch in _batches(names):
        marks = ", ".join("?" * len(batch))
        sql = f"SELECT * FROM events WHERE {column} IN ({marks}) AND type = ? ORDER BY time"
        found += store._read(event_of, store._execute(sql, *batch, type))
    return found


def pairs(store: Store, table: str, column: str, names: Iterable[str]) -> list[tuple[str, str]]:
    """The rows of an edge between contexts and what is in them, whose `column` is among `names`;
    each as the context, and what is in it. `table` is children, context_executions or
    context_artifacts.
    """
    ends = {"children": "parent, child"}.get(table) or f"context, {table[8:-1]}"
    found = []
    for batch in _batches(names):
        marks = ", ".join("?" * len(batch))
        sql = f"SELECT {ends} FROM {table} WHERE {column} IN ({marks}) ORDER BY 1, 2"
        found += [(row[0], row[1]) for row in store._execute(sql, *batch)]
    return found


def records(store: Store, kind: type[Record], names: Iterable[str]) -> dict[str, Record]:
    """The records of those names, by name; what is not there is left out."""
    found = dict[str, Record]()
    for batch in _batches(names):
        marks = ", ".join("?" * len(batch))
        sql = f"SELECT * FROM {TABLES[kind]} WHERE name IN ({marks})"
        rows = store._execute(sql, *batch)
        found.update({r.name: r for r in store._read(partial(record_of, kind), rows)})
    return found


def _batches(names: Iterable[str]) -> Iterator[list[str]]:
    every = list(dict.fromkeys(names))
    for start in range(0, len(every), BATCH):
        yield every[start : start + BATCH]
