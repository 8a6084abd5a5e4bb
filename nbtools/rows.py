"""A record as a row of its table, and back."""

from __future__ import annotations

import sqlite3
from dataclasses import fields, replace
from typing import Any, TypeVar

from nbtools import metadata
from nbtools.nouns import RUN, Artifact, Context, Event, Execution, Job, Run, moment, stamp
from nbtools.secrets import own

Record = TypeVar("Record", Context, Execution, Artifact)

TABLES: dict[type, str] = {Context: "contexts", Execution: "executions", Artifact: "artifacts"}
#: the tables of which each row can be understood, or not.
UNDERSTOOD = (*TABLES.values(), "events", "chunks")
#: what an edge joins, in the order of its columns.
ENDS: dict[str, tuple[type, type]] = {
    "events": (Execution, Artifact),
    "children": (Context, Context),
    "context_executions": (Context, Execution),
    "context_artifacts": (Context, Artifact),
}


def row_of(record: Context | Execution | Artifact) -> dict[str, Any]:
    """The values of a record by column. Raises RequestError when its metadata is no JSON."""
    values = {f.name: getattr(record, f.name) for f in fields(record)}
    for key in ("metadata", "labels"):
        values[key] = metadata.dumps(values[key])
    for key in ("create_time", "update_time"):
        values[key] = stamp(values[key])
    return values


def masked(record: Record) -> Record:
    """The record with `***` in the place of secrets, where this is a kernel that has some."""
    if not (masking := own().masking):
        return record
    said: dict[str, Any] = {"display_name": masking.text(record.display_name)}
    if isinstance(record, Artifact):  # an address may have a key in it
        said["uri"] = masking.text(record.uri)
    return replace(record, metadata=masking.fields(record.metadata), **said)


def record_of(kind: type[Record], row: sqlite3.Row | dict[str, Any]) -> Record:
    """The record that a row holds. Raises ValueError or TypeError when the row is damaged."""
    values = dict(row)
    for key in ("metadata", "labels"):
        values[key] = metadata.loads(values.get(key, "{}"))
    for key in ("create_time", "update_time"):
        values[key] = moment(values[key])
    return kind(**values)


def event_of(row: sqlite3.Row | dict[str, Any]) -> Event:
    """The event that a row holds. Raises as `record_of` does."""
    values = dict(row)
    labels = metadata.loads(values.pop("labels", "{}"))
    return Event(**{**values, "time": moment(values["time"]), "labels": labels})


def understand(table: str, row: dict[str, Any]) -> None:
    """Raise ValueError, TypeError or KeyError when a row of a record's or the events' table is
    not what it says it is: also a run, or a job, where its schema is theirs.
    """
    if table == "events":
        if event_of(row).type not in ("INPUT", "OUTPUT"):
            raise ValueError(f"{row['type']} is neither INPUT nor OUTPUT")
        return
    if table == "chunks":
        if not row["length"] or len(row["data"]) != 24 * row["length"]:
            raise ValueError(f"{len(row['data'])} bytes are not {row['length']} points")
        return
    record: Context | Execution | Artifact
    if table == "contexts":
        record = record_of(Context, row)
    elif table == "executions":
        record = record_of(Execution, row)
    else:
        record = record_of(Artifact, row)
    if isinstance(record, Context) and record.schema_title == RUN:
        Run.of(record)
    elif isinstance(record, Execution) and Job.is_in(record):
        Job.of(record)
