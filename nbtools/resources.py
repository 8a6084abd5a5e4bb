"""What Vertex AI's services keep besides the graph, and the points that are no numbers: the SQL.

A resource is named as Vertex AI names it, without project and location:
`tensorboards/1/experiments/digits/runs/baseline`. Its record is JSON.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from nbtools import metadata
from nbtools.errors import AlreadyExists, NotFound
from nbtools.nouns import moment, stamp

_COLUMNS = (
    "name, type, parent, context, display_name, record, create_time, update_time, etag"  # in order
)


@dataclass(frozen=True, kw_only=True)
class Resource:
    """Something that a service of Vertex AI's keeps."""

    name: str  #: unique: `tensorboards/1/experiments/digits`
    type: str  #: what it is: `Tensorboard`, `TensorboardRun`, `MetadataSchema`, `Operation`, …
    parent: str = ""  #: name of the resource that it is in, and gone with
    context: str = ""  #: name of the context that its scalars are in, if it is a run
    display_name: str = ""  #: what people call it
    record: Mapping[str, Any] = field(default_factory=dict)  #: JSON object
    create_time: datetime | None = None  #: UTC; set when it is added
    update_time: datetime | None = None  #: UTC
    etag: int = 0  #: grows by one with each change

    @property
    def id(self) -> str:
        """The last part of its name."""
        return self.name.rpartition("/")[2]


class Resources:
    """Those of one store, by way of its `execute`. Writes belong into `Store.write`."""

    def __init__(self, execute: Callable[..., list[Any]]) -> None:
        self._execute = execute

    def find(self, name: str) -> Resource | None:
        """The resource of that name, or None."""
        rows = self._execute(f"SELECT {_COLUMNS} FROM resources WHERE name = ?", name)
        return _resource(rows[0]) if rows else None

    def get(self, name: str) -> Resource:
        """The resource of that name; raises NotFound."""
        if (found := self.find(name)) is None:
            raise NotFound(f"no {name}")
        return found

    def add(self, resource: Resource, now: datetime) -> Resource:
        """Remember a new one. Raises AlreadyExists, or NotFound when its parent is not there."""
        created = resource.create_time or now
        new = replace(resource, create_time=created, update_time=now, etag=1)
        try:
            self._execute(
                f"INSERT INTO resources ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                *_row(new),
            )
        except sqlite3.IntegrityError:
            if self.find(new.name):
                raise AlreadyExists(f"there is already a {new.type} {new.name}") from None
            raise NotFound(f"no {new.parent or new.context}") from None
        return new

    def put(self, resource: Resource, now: datetime) -> Resource:
        """Write down a changed one that is there; returns it with a new etag."""
        new = replace(resource, update_time=now, etag=resource.etag + 1)
        name, type_, parent, context, display_name, record, _, update_time, etag = _row(new)
        self._execute(
            "UPDATE resources SET type = ?, parent = ?, context = ?, display_name = ?, "
            "record = ?, update_time = ?, etag = ? WHERE name = ?",
            type_, parent, context, display_name, record, update_time, etag, name,
        )  # fmt: skip
        return new

    def select(
        self, type: str, parent: str = "", *, context: str = "", display_name: str = ""
    ) -> list[Resource]:
        """Those of a type, in a parent, of a context, that are called so; oldest first."""
        wheres, values = ["type = ?"], [type]
        for column, value in (
            ("parent", parent), ("context", context), ("display_name", display_name),
        ):  # fmt: skip
            if value:
                wheres.append(f"{column} = ?")
                values.append(value)
        rows = self._execute(
            f"SELECT {_COLUMNS} FROM resources WHERE {' AND '.join(wheres)} "
            "ORDER BY create_time, name",
            *values,
        )
        return [_resource(row) for row in rows]

    def below(self, name: str, type: str) -> list[Resource]:
        """Those of a type whose name begins with `name/`."""
        rows = self._execute(
            f"SELECT {_COLUMNS} FROM resources WHERE name > ? AND name < ? AND type = ?",
            f"{name}/", f"{name}0", type,
        )  # fmt: skip
        return [_resource(row) for row in rows]

    def remove(self, name: str) -> None:
        """Forget one with all that is in it."""
        self._execute("DELETE FROM resources WHERE name = ?", name)

    def trim(self, type: str, keep: int) -> None:
        """Forget all of a type but the newest."""
        self._execute(
            "DELETE FROM resources WHERE type = ? AND name NOT IN "
            "(SELECT name FROM resources WHERE type = ? ORDER BY create_time DESC LIMIT ?)",
            type, type, keep,
        )  # fmt: skip

    def unseen(self, schema_title: str) -> list[tuple[str, str]]:
        """Context and key of every series, of contexts of that schema, that no resource is for;
        but not those of the machine's state.
        """
        # CROSS: a run first, then what is in it; the other way is each series by each.
        rows = self._execute(
            "SELECT s.context, s.key FROM series AS s "
            "JOIN contexts AS c ON c.name = s.context AND c.schema_title = ? "
            "WHERE s.key NOT GLOB 'system/*' AND NOT EXISTS "
            "(SELECT 1 FROM resources AS run CROSS JOIN resources AS r ON r.parent = run.name "
            "AND r.type = 'TensorboardTimeSeries' AND r.display_name = s.key "
            "WHERE run.context = s.context)",
            schema_title,
        )
        return [(row["context"], row["key"]) for row in rows]

    def unlisted(self) -> list[tuple[str, str]]:
        """Schedule, by its resource's name, and name of every job that one which is a resource
        has begun, and that is none itself.
        """
        rows = self._execute(
            "SELECT s.name, t.job FROM resources AS s "
            "JOIN ticks AS t ON t.schedule = substr(s.name, length('schedules/') + 1) "
            "JOIN executions AS e ON e.name = t.job "
            "WHERE s.type = 'Schedule' AND NOT EXISTS "
            "(SELECT 1 FROM resources WHERE name = 'notebookExecutionJobs/' || t.job)"
        )
        return [(row["name"], row["job"]) for row in rows]

    def counts(self) -> tuple[int, int]:
        """How many series there are, and how many resources."""
        rows = self._execute(
            "SELECT (SELECT count(*) FROM series) AS s, (SELECT count(*) FROM resources) AS r"
        )
        return rows[0]["s"], rows[0]["r"]

    # -- points that are no numbers -------------------------------------------------------

    def write_tensors(self, resource: str, points: Iterable[tuple[int, float, bytes]]) -> None:
        """Write step, wall time (seconds since the epoch) and data; a step again replaces it."""
        for step, wall_time, data in points:
            self._execute(
                "INSERT OR REPLACE INTO tensors VALUES (?, ?, ?, ?)",
                resource, step, wall_time, data,
            )  # fmt: skip

    def tensors(self, resource: str) -> list[tuple[int, float, bytes]]:
        """What was written, in the order of steps."""
        rows = self._execute("SELECT * FROM tensors WHERE resource = ? ORDER BY step", resource)
        return [(row["step"], row["wall_time"], row["data"]) for row in rows]

    def end(self, context: str, key: str) -> tuple[int, float] | None:
        """Step and wall time (seconds since the epoch) of a series' last point, if it has one."""
        rows = self._execute(
            "SELECT last_step, length, data FROM chunks WHERE context = ? AND key = ? "
            "ORDER BY last_step DESC, number DESC LIMIT 1",
            context, key,
        )  # fmt: skip
        if not rows:
            return None
        (time,) = struct.unpack_from("<d", rows[0]["data"], 16 * rows[0]["length"] - 8)
        return rows[0]["last_step"], time

    def size(self, name: str) -> int:
        """Bytes that the points of all time series below `name` take."""
        rows = self._execute(
            "SELECT (SELECT ifnull(sum(length(data)), 0) FROM tensors "
            "WHERE resource > ?1 AND resource < ?2) + "
            "(SELECT ifnull(sum(length(data)), 0) FROM chunks WHERE context IN "
            "(SELECT context FROM resources WHERE name > ?1 AND name < ?2)) AS bytes",
            f"{name}/", f"{name}0",
        )  # fmt: skip
        return int(rows[0]["bytes"])

    def forget_series(self, context: str, key: str = "") -> None:
        """Forget a context's points: of one series, or of all."""
        for table in ("chunks", "series"):
            sql = f"DELETE FROM {table} WHERE context = ? AND ? IN ('', key)"
            self._execute(sql, context, key)


def _row(resource: Resource) -> tuple[Any, ...]:
    return (
        resource.name,
        resource.type,
        resource.parent or None,
        resource.context or None,
        resource.display_name,
        metadata.dumps(resource.record),
        stamp(resource.create_time),
        stamp(resource.update_time),
        resource.etag,
    )


def _resource(row: sqlite3.Row) -> Resource:
    values = dict(row)
    for key in ("create_time", "update_time"):
        values[key] = moment(values[key])
    return Resource(
        **{
            **values,
            "parent": values["parent"] or "",
            "context": values["context"] or "",
            "record": metadata.loads(values["record"]),
        }
    )
