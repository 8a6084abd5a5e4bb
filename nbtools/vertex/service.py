"""Vertex ML Metadata, in our records: contexts, executions, artifacts, and what joins them.

Each call may be repeated. What Google's clients raise is raised as ours, see `cloud.told`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC
from functools import cached_property
from typing import Any, Final

from nbtools.cloud import Endpoint, Place, told
from nbtools.errors import AlreadyExists, NotFound, RequestError
from nbtools.nouns import Artifact, Context, Event, Execution
from nbtools.registry import need
from nbtools.rows import Record
from nbtools.vertex.calls import Calls
from nbtools.vertex.form import MOST_BYTES

COLLECTIONS: Final[dict[type, str]] = {
    Context: "contexts",
    Execution: "executions",
    Artifact: "artifacts",
}
_FIELDS: Final = ("display_name", "description", "labels", "metadata")
OPERATION: Final = 300.0  #: seconds that an operation may take
#: nodes and edges that one request joins at most.
MOST_JOINED: Final = 100


@dataclass(frozen=True)
class There:
    """A record as it was read there."""

    record: Any  #: Context, Execution or Artifact
    etag: str  #: of that state of it


class Service:
    """The metadata store of a place."""

    def __init__(self, place: Place, endpoint: Endpoint, calls: Calls | None = None) -> None:
        """Costs nothing. Raises RequestError when the place is none."""
        self.place, self.endpoint = place, endpoint
        self.calls = calls or Calls()
        self.store = f"{place.parent}/metadataStores/default"
        self._schemas: set[str] = set()

    def client(self, kind: str) -> Any:
        """A client of that class of Google's. Raises MissingDependency."""
        found = getattr(need("google.cloud.aiplatform_v1"), kind)
        return self.endpoint.client(found, self.place.vertex)  # REST: it survives a fork

    def call(self, client: str, rpc: str, **request: Any) -> Any:
        """The answer to one RPC of the metadata or the tensorboard client."""
        with told(self.endpoint.where(self.place.vertex)):
            return self.calls(getattr(getattr(self, client), rpc), **request)

    def done(self, client: str, rpc: str, **request: Any) -> Any:
        """What the operation that an RPC begins has made, when it is done."""
        with told(self.endpoint.where(self.place.vertex)):
            begun = self.calls(getattr(getattr(self, client), rpc), **request)
            return begun.result(timeout=OPERATION)

    @cached_property
    def metadata(self) -> Any:
        return self.client("MetadataServiceClient")

    @cached_property
    def tensorboard(self) -> Any:
        return self.client("TensorboardServiceClient")

    def name(self, kind: type, id: str) -> str:
        """The full name of a record there."""
        return f"{self.store}/{COLLECTIONS[kind]}/{id}"

    # -- records ------------------------------------------------------------------------

    def find(self, kind: type[Record], id: str) -> There | None:
        """The record of that name there, or None."""
        try:
            found = self.call("metadata", f"get_{_noun(kind)}", name=self.name(kind, id))
        except NotFound:
            return None
        return _read(kind, found)

    def create(self, record: Record) -> None:
        """Make it there. Raises AlreadyExists, and RequestError when it is too large."""
        kind = type(record)
        self._need_schema(kind, record.schema_title)
        fields = (*_FIELDS, "schema_title", "schema_version")
        sent = self._message(record, fields)
        noun = _noun(kind)
        request = {"parent": self.store, noun: sent, f"{noun}_id": record.name}
        try:
            self.call("metadata", f"create_{noun}", request=request)
        except NotFound:  # nobody has used the metadata store of this place so far
            self._need_store()
            self.call("metadata", f"create_{noun}", request=request)

    def update(self, record: Record, etag: str) -> None:
        """Change it there. Raises Aborted when it is no longer what had that etag."""
        sent = self._message(record, _FIELDS)
        sent.name, sent.etag = self.name(type(record), record.name), etag
        paths = [*_FIELDS, *_more(type(record))]
        noun = _noun(type(record))
        request = {noun: sent, "update_mask": {"paths": paths}}
        self.call("metadata", f"update_{noun}", request=request)

    def select(self, kind: type[Record], filter: str) -> Iterator[There]:
        """Those that a filter holds for."""
        rpc = f"list_{COLLECTIONS[kind]}"
        request = {"parent": self.store, "filter": filter, "page_size": 1000}
        while True:
            page = next(self.call("metadata", rpc, request=request).pages)
            for found in getattr(page, COLLECTIONS[kind]):
                yield _read(kind, found)
            if not page.next_page_token:
                return
            request["page_token"] = page.next_page_token

    # -- edges --------------------------------------------------------------------------

    def add_child(self, parent: str, child: str) -> None:
        """Make one context the child of another; again is the same."""
        self.call(
            "metadata", "add_context_children",
            context=self.name(Context, parent), child_contexts=[self.name(Context, child)],
        )  # fmt: skip

    def associate(self, context: str, artifacts: Iterable[str], executions: Iterable[str]) -> None:
        """Put artifacts and executions into a context; again is the same."""
        names = [("artifacts", self.name(Artifact, a)) for a in artifacts]
        names += [("executions", self.name(Execution, e)) for e in executions]
        for start in range(0, len(names), MOST_JOINED):
            part = names[start : start + MOST_JOINED]
            self.call(
                "metadata", "add_context_artifacts_and_executions",
                context=self.name(Context, context),
                artifacts=[name for what, name in part if what == "artifacts"],
                executions=[name for what, name in part if what == "executions"],
            )  # fmt: skip

    def add_events(self, execution: str, events: Iterable[Event]) -> None:
        """Say what an execution read and left; again is the same."""
        sent = [
            {
                "artifact": self.name(Artifact, event.artifact),
                "type_": event.type,
                "labels": dict(event.labels),
            }
            for event in events
        ]
        for start in range(0, len(sent), MOST_JOINED):
            self.call(
                "metadata", "add_execution_events",
                execution=self.name(Execution, execution),
                events=sent[start : start + MOST_JOINED],
            )  # fmt: skip

    def within(self, context: str) -> tuple[list[There], list[There]]:
        """The artifacts and the executions in a context."""
        inside = f'in_context("{self.name(Context, context)}")'
        return list(self.select(Artifact, inside)), list(self.select(Execution, inside))

    def of_execution(self, execution: str) -> tuple[list[There], list[Event]]:
        """The artifacts that an execution read or left, and how."""
        found = self.call(
            "metadata", "query_execution_inputs_and_outputs",
            execution=self.name(Execution, execution),
        )  # fmt: skip
        events = [
            Event(
                execution=execution,
                artifact=event.artifact.rpartition("/")[2],
                type=event.type_.name,
                time=event.event_time.astimezone(UTC) if event.event_time else None,
                labels=dict(event.labels),
            )
            for event in found.events
        ]
        return [_read(Artifact, artifact) for artifact in found.artifacts], events

    # -- inside -------------------------------------------------------------------------

    def _message(self, record: Record, fields: Iterable[str]) -> Any:
        types = need("google.cloud.aiplatform_v1")
        values = {name: getattr(record, name) for name in fields if name != "metadata"}
        values |= {name: getattr(record, name) for name in _more(type(record))}
        made = getattr(types, type(record).__name__)(**values)
        struct = type(made).pb(made).metadata
        struct.SetInParent()
        struct.update(record.metadata)
        if struct.ByteSize() > MOST_BYTES:
            raise RequestError(
                f"the metadata of {record.name} are {struct.ByteSize():,} bytes, and Vertex "
                f"AI takes {MOST_BYTES:,}: log fewer or shorter params"
            )
        return made

    def _need_schema(self, kind: type, title: str) -> None:
        """Register a schema of ours: Vertex AI takes those that it knows."""
        if not title.startswith("nbtools.") or title in self._schemas:
            return
        types = need("google.cloud.aiplatform_v1")
        schema = types.MetadataSchema(
            schema=f"title: {title}\ntype: object\n",
            schema_version="0.0.1",
            schema_type=f"{kind.__name__.upper()}_TYPE",
        )
        request = {
            "parent": self.store,
            "metadata_schema": schema,
            "metadata_schema_id": f"{title.lower().replace('.', '-')}-v0-0-1",
        }
        try:
            self.call("metadata", "create_metadata_schema", request=request)
        except AlreadyExists:
            pass  # by us, earlier, or by somebody else who pushes here
        except NotFound:
            self._need_store()
            self._need_schema(kind, title)
        self._schemas.add(title)

    def _need_store(self) -> None:
        store: dict[str, Any] = {"parent": self.place.parent, "metadata_store": {}}
        with suppress(AlreadyExists):  # somebody was faster
            self.done("metadata", "create_metadata_store", **store, metadata_store_id="default")


def _noun(kind: type) -> str:
    return kind.__name__.lower()


def _more(kind: type) -> tuple[str, ...]:
    """Fields that only some kinds have."""
    return {Context: (), Execution: ("state",), Artifact: ("state", "uri")}[kind]


def _read(kind: type[Record], found: Any) -> There:
    from google.protobuf.json_format import MessageToDict

    raw = type(found).pb(found)
    made: Any = kind(
        name=found.name.rpartition("/")[2],
        schema_title=found.schema_title,
        display_name=found.display_name,
        metadata=MessageToDict(raw.metadata),
        create_time=raw.create_time.ToDatetime(UTC),
        update_time=raw.update_time.ToDatetime(UTC),
        labels=dict(found.labels),
        description=found.description,
        schema_version=found.schema_version,
    )
    own: Mapping[str, Any] = {name: getattr(found, name) for name in _more(kind)}
    if "state" in own:
        own = {**own, "state": found.state.name}
    return There(replace(made, **own), found.etag)
