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


def series_keys(store: Store, context: str) -> list[str]:
    """The names of a run's time series."""
    sql = "SELECT key FROM series WHERE context = ? ORDER BY key"
    return [row["key"] for row in store._execute(sql, context)]


def reads(store: Store) -> list[tuple[str, str, str, str]]:
    """Who has read what: execution, artifact, what that is called, and where it lies."""
    sql = (
        "SELECT e.execution, a.name, a.display_name, a.uri FROM events AS e "
        "JOIN artifacts AS a ON a.name = e.artifact WHERE e.type = 'INPUT'"
    )
    return [tuple(row) for row in store._execute(sql)]


def leavers(store: Store) -> dict[str, list[str]]:
    """The executions that have left each artifact."""
    found: dict[str, list[str]] = {}
    for row in store._execute("SELECT execution, artifact FROM events WHERE type = 'OUTPUT'"):
        found.setdefault(row["artifact"], []).append(row["execution"])
    return found


def left(store: Store, schema_title: str) -> list[tuple[str, str]]:
    """The executions that have left an artifact of a schema, and what that is called."""
    sql = (
        "SELECT e.execution, a.display_name FROM events AS e JOIN artifacts AS a "
        "ON a.name = e.artifact WHERE e.type = 'OUTPUT' AND a.schema_title = ?"
    )
    return [tuple(row) for row in store._execute(sql, schema_title)]


def held(store: Store) -> list[tuple[str, str, str]]:
    """The contexts, the artifacts that are in each, and what those are called."""
    sql = (
        "SELECT c.context, a.name, a.display_name FROM context_artifacts AS c "
        "JOIN artifacts AS a ON a.name = c.artifact"
    )
    return [tuple(row) for row in store._execute(sql)]


def _batches(names: Iterable[str]) -> Iterator[list[str]]:
    every = list(dict.fromkeys(names))
    for start in range(0, len(every), BATCH):
        yield every[start : start + BATCH]
