"""Contexts, executions and artifacts as Vertex AI's messages, and what there may be in one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from nbtools.emulator import etags, names, values
from nbtools.emulator.call import Call, Refused
from nbtools.nouns import EXPERIMENT, RUN, Artifact, Context, Event, Execution
from nbtools.rows import Record
from nbtools.states import ExecutionState

#: kind -> its collection, and the word for one in messages.
COLLECTIONS: Final[dict[type, str]] = {
    Context: "contexts",
    Execution: "executions",
    Artifact: "artifacts",
}
#: schema of the contexts that hold the scalars of a tensorboard's run that is no experiment's;
#: no client sees them.
HIDDEN: Final = "nbtools.TensorboardRun"
#: version of a schema whose user names none.
VERSION: Final = "0.0.1"
MOST_LABELS: Final = 64
_LABEL = re.compile(r"[\w-]{0,64}")
_ALIKE = ("display_name", "description", "schema_title", "schema_version")


def message(call: Call, record: Record, store: str, parents: list[str] | None = None) -> Any:
    """A record as the message of its kind; `store` is the metadata store's full name."""
    kind = type(record)
    made = call.new(kind.__name__, name=f"{store}/{COLLECTIONS[kind]}/{record.name}")
    for field in _ALIKE:
        setattr(made, field, getattr(record, field))
    made.schema_version = record.schema_version or VERSION
    made.etag = etags.text(record.etag)
    made.labels.update(record.labels)
    values.fill(made.metadata, record.metadata)
    made.metadata.SetInParent()
    if record.create_time and record.update_time:
        made.create_time.FromDatetime(record.create_time)
        made.update_time.FromDatetime(record.update_time)
    if isinstance(record, Context):
        made.parent_contexts.extend(f"{store}/contexts/{parent}" for parent in parents or ())
    else:
        made.state = _states(made).values_by_name[record.state].number
    if isinstance(record, Artifact):
        made.uri = record.uri
    return made


def event(call: Call, found: Event, store: str) -> Any:
    """An event as its message."""
    made = call.new(
        "Event",
        artifact=f"{store}/artifacts/{found.artifact}",
        execution=f"{store}/executions/{found.execution}",
        type_=1 if found.type == "INPUT" else 2,
        labels=dict(found.labels),
    )
    if found.time:
        made.event_time.FromDatetime(found.time)
    return made


def created(kind: type[Record], name: str, sent: Any) -> Record:
    """The record that a message describes. Raises Refused."""
    record: Any = kind(name=name, schema_title=sent.schema_title, schema_version=VERSION)
    fields = ["display_name", "description", "schema_version", "labels", "metadata"]
    fields += ["uri"] if kind is Artifact else []
    fields += ["state"] if kind is not Context else []
    made: Record = changed(record, sent, fields)
    return made


def changed(record: Record, sent: Any, fields: list[str]) -> Record:
    """The record with those fields as the message has them. Raises Refused."""
    new: dict[str, Any] = {}
    for field in fields:
        if field == "metadata":
            new[field] = values.read(sent.metadata, record.metadata)
        elif field == "labels":
            new[field] = labels(sent.labels)
        elif field == "state":
            known = _states(sent).values_by_number
            if sent.state not in known:
                raise Refused("INVALID_ARGUMENT", f"there is no state {sent.state}")
            word = known[sent.state].name if sent.state else ""
            new[field] = word or ("NEW" if isinstance(record, Execution) else "LIVE")
        elif field in (*_ALIKE, "uri") and hasattr(sent, field):
            new[field] = getattr(sent, field)
            if field == "schema_version" and new[field] in ("", VERSION):
                # what nbtools has made stays without one: see `Job.is_in`
                new[field] = record.schema_version and VERSION
        else:
            raise Refused("INVALID_ARGUMENT", f"update_mask has no path {field!r} to change")
    if new.get("schema_title", record.schema_title) != record.schema_title:
        new["schema_version"] = new.get("schema_version") or record.schema_version or VERSION
    if len(new.get("display_name", "")) > 128:
        raise Refused("INVALID_ARGUMENT", "display_name is at most 128 characters long")
    whole: Record = _whole(replace(record, **new))
    return whole


def populated(sent: Any) -> list[str]:
    """The fields of a message that say something, of those that may be changed."""
    fixed = ("name", "etag", "create_time", "update_time", "parent_contexts")
    return [field.name for field, _ in sent.ListFields() if field.name not in fixed]


def labels(sent: Mapping[str, str]) -> dict[str, str]:
    """Labels as they were sent. Raises Refused when there can be none such."""
    for text in (*sent.keys(), *sent.values()):
        if not _LABEL.fullmatch(text.removeprefix("aiplatform.googleapis.com/")) or (
            text != text.lower()
        ):
            raise Refused(
                "INVALID_ARGUMENT",
                f"Invalid label {text!r}: use at most 64 small letters, digits, underscores "
                "and dashes",
            )
    if len(sent) > MOST_LABELS:
        raise Refused("INVALID_ARGUMENT", f"a resource has at most {MOST_LABELS} labels")
    return dict(sent)


def missing(kind: type, store: str, id_: str) -> Refused:
    """What to raise when there is no such record."""
    return Refused("NOT_FOUND", f"{kind.__name__} {store}/{COLLECTIONS[kind]}/{id_} is not found.")


def find(call: Call, kind: type[Record], name: str) -> Record:
    """The record of that full name. Raises Refused."""
    store, id_ = names.in_store(name, COLLECTIONS[kind])
    found = call.store.find(kind, id_)
    if found is None or found.schema_title == HIDDEN:
        raise missing(kind, store, id_)
    return found


def _states(sent: Any) -> Any:
    return sent.DESCRIPTOR.enum_types_by_name["State"]


def _whole(record: Any) -> Any:
    """A run as nbtools reads it: with its experiment, state, params and metrics."""
    if not isinstance(record, Context) or record.schema_title != RUN:
        return record
    meta = dict(record.metadata)
    experiment = meta.get("_experiment") or record.name.removesuffix(f"-{record.display_name}")
    if not record.display_name or f"{experiment}-{record.display_name}" != record.name:
        raise Refused(
            "INVALID_ARGUMENT",
            f"the id of a {RUN} is its {EXPERIMENT}'s and its display_name, joined by a hyphen: "
            f"{record.name!r} does not end with {record.display_name!r}",
        )
    meta["_experiment"] = experiment
    meta.setdefault("_state", str(ExecutionState.RUNNING))
    if meta["_state"] not in set(ExecutionState):
        raise Refused("INVALID_ARGUMENT", f"there is no state {meta['_state']!r} of a {RUN}")
    for key in ("_params", "_metrics"):
        if not isinstance(meta.setdefault(key, {}), Mapping):
            raise Refused("INVALID_ARGUMENT", f"{key} of a {RUN} is an object")
    return replace(record, metadata=meta)
