"""How a record leaves the store, with everything that only says something about it."""

from __future__ import annotations

from collections.abc import Iterable

from nbtools.nouns import Artifact
from nbtools.rows import TABLES
from nbtools.store import Store


def remove(store: Store, kind: type, name: str) -> None:
    """Forget a record, its edges, and its series; no record of that name is no error.

    What refers to a record is found by asking the schema, so that a table made later is
    not forgotten here.
    """
    table = TABLES[kind]
    with store.write():
        for other, column in references(store, table):
            store._execute(f"DELETE FROM {other} WHERE {column} = ?", name)
        store._execute(f"DELETE FROM {table} WHERE name = ?", name)


def part(store: Store, parent: str, child: str) -> None:
    """Let a context no longer be the child of another; not being one is no error."""
    with store.write():
        store._execute("DELETE FROM children WHERE parent = ? AND child = ?", parent, child)


def references(store: Store, table: str) -> list[tuple[str, str]]:
    """The columns, as table and column, that hold names of that table's records."""
    rows = store._execute(
        'SELECT m.name AS other, f."from" AS own FROM sqlite_master AS m, '
        "pragma_foreign_key_list(m.name) AS f WHERE m.type = 'table' AND f.\"table\" = ? "
        "ORDER BY 1, 2",
        table,
    )
    return [(row["other"], row["own"]) for row in rows]


def elsewhere(store: Store, execution: str, context: str) -> bool:
    """Whether an execution belongs to another context than this one too."""
    sql = "SELECT 1 FROM context_executions WHERE execution = ? AND context <> ? LIMIT 1"
    return bool(store._execute(sql, execution, context))


def unused(store: Store, artifacts: Iterable[str]) -> list[str]:
    """Those of the artifacts that no execution and no context has anything to do with."""
    return [
        name
        for name in dict.fromkeys(artifacts)
        if store.find(Artifact, name) is not None
        and not any(
            store._execute(f"SELECT 1 FROM {other} WHERE {column} = ? LIMIT 1", name)
            for other, column in references(store, TABLES[Artifact])
        )
    ]
