"""TensorboardService: boards, and the experiments, runs and time series in them, each alike."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final
from uuid import uuid4

from nbtools import removal
from nbtools.emulator import etags, names, operations, paging, records, wire
from nbtools.emulator.call import Call, Handler, Refused
from nbtools.nouns import RUN, Context
from nbtools.resources import Resource

MOST_IN_BATCH: Final = 1_000  #: runs or time series that are created at once


@dataclass(frozen=True)
class Kind:
    """One of the four."""

    type: str  #: name of its message
    field: str  #: where a request has it
    collections: tuple[str, ...]  #: what its name is made of
    page: int  #: resources on a page that no size is said for
    most: int  #: at most
    fixed: tuple[str, ...] = ()  #: fields that no update changes

    @property
    def plural(self) -> str:
        """As the names of RPCs and of fields of lists have it."""
        return self.type if self.type.endswith("Series") else f"{self.type}s"


_ALL = ("tensorboards", "experiments", "runs", "timeSeries")
BOARD: Final = Kind("Tensorboard", "tensorboard", _ALL[:1], 100, 100, ("blob_storage_path_prefix",))
EXPERIMENT: Final = Kind(
    "TensorboardExperiment", "tensorboard_experiment", _ALL[:2], 50, 1000, ("source",)
)
RUN_: Final = Kind("TensorboardRun", "tensorboard_run", _ALL[:3], 50, 1000)
SERIES: Final = Kind(
    "TensorboardTimeSeries", "tensorboard_time_series", _ALL, 50, 1000,
    ("value_type", "plugin_name", "display_name"),
)  # fmt: skip
KINDS: Final = (BOARD, EXPERIMENT, RUN_, SERIES)


def find(call: Call, kind: Kind, name: str) -> tuple[str, Resource]:
    """The location, and the resource of that full name. Raises Refused."""
    location = names.ids(name, *kind.collections)[0]
    found = call.store.resources.find(names.split(name)[1])
    if found is None:
        raise Refused("NOT_FOUND", f"{kind.type} {name} is not found.")
    return location, found


def shown(call: Call, found: Resource, location: str) -> Any:
    """A resource as its message, with what is counted when it is asked for."""
    made = wire.message(call, found, location)
    if found.type == BOARD.type:
        made.run_count = len(call.store.resources.below(found.name, RUN_.type))
    elif found.type == SERIES.type and found.parent:
        from nbtools.emulator import series

        series.describe(call, found, made)
    return made


def create(kind: Kind, call: Call, request: Any) -> Any:
    """Also each of the requests of a batch."""
    location, parent = names.split(request.parent)
    if kind is not BOARD:
        outer = KINDS[KINDS.index(kind) - 1]
        location, within = find(call, outer, request.parent)
        parent = within.name
    sent = getattr(request, kind.field)
    asked = getattr(request, f"{kind.field}_id", "")
    if kind in (EXPERIMENT, RUN_) and not asked:
        raise Refused("INVALID_ARGUMENT", f"{kind.field}_id is required")
    id_ = names.new_id(asked, kind.type) if asked else str(uuid4().int % 10**18)
    made = Resource(
        name=f"{parent}/{kind.collections[-1]}/{id_}".lstrip("/"),
        type=kind.type,
        parent=parent,
        display_name=sent.display_name,
        record=_checked(kind, sent),
    )
    if kind is BOARD and not sent.display_name:
        raise Refused("INVALID_ARGUMENT", "display_name of a Tensorboard is required")
    if kind in (RUN_, SERIES):
        made = _named_once(call, kind, replace(made, display_name=made.display_name or id_))
    if kind is RUN_:
        made = replace(made, context=_context(call, made))
    if kind is BOARD and sent.is_default:
        _only_default(call)
    new = call.store.resources.add(made, call.now)
    answer = shown(call, new, location)
    if kind is BOARD:
        progress = call.new("CreateTensorboardOperationMetadata")
        return operations.done(call, answer.name, answer, progress)
    return answer


def _checked(kind: Kind, sent: Any) -> dict[str, Any]:
    """What there is to keep of a message. Raises Refused."""
    if len(sent.display_name) > 128:
        raise Refused("INVALID_ARGUMENT", "display_name is at most 128 characters long")
    if "labels" in sent.DESCRIPTOR.fields_by_name:
        records.labels(sent.labels)
    if kind is SERIES:
        if not sent.value_type:
            raise Refused("INVALID_ARGUMENT", "value_type of a TensorboardTimeSeries is required")
        if len(sent.plugin_data) > 65_000:
            raise Refused("INVALID_ARGUMENT", "plugin_data is at most 65KB")
    kept = wire.record(sent)
    for computed in ("run_count", "metadata", "display_name", "blob_storage_path_prefix"):
        kept.pop(computed, None)
    return {**kept, "display_name": sent.display_name}


def _named_once(call: Call, kind: Kind, made: Resource) -> Resource:
    """Refuse a display name that another in the same parent has."""
    for other in call.store.resources.select(
        kind.type, made.parent, display_name=made.display_name
    ):
        if other.name != made.name:
            raise Refused(
                "ALREADY_EXISTS",
                f"{kind.type} with display_name {made.display_name!r} already exists in "
                f"{made.parent}: {other.id}",
            )
    return replace(made, record={**made.record, "display_name": made.display_name})


def _context(call: Call, run: Resource) -> str:
    """The context whose series a run's scalars are: the experiment's run of that name, or one
    of its own, which nobody sees.
    """
    experiment, name = run.name.split("/")[3], run.id
    found = call.store.find(Context, f"{experiment}-{name}")
    ours = found and found.schema_title == RUN
    if found and ours and not call.store.resources.select(run.type, context=found.name):
        return found.name
    call.store.put(Context(name=run.name, schema_title=records.HIDDEN), call.now)
    return run.name


def _only_default(call: Call) -> None:
    """The default board, if there is one, is no longer."""
    for board in call.store.resources.select(BOARD.type):
        if board.record.get("is_default"):
            record = {key: v for key, v in board.record.items() if key != "is_default"}
            call.store.resources.put(replace(board, record=record), call.now)


def get(kind: Kind, call: Call, request: Any) -> Any:
    location, found = find(call, kind, request.name)
    return shown(call, found, location)


def list_(kind: Kind, call: Call, request: Any) -> Any:
    location, parent = names.split(request.parent)
    if kind is not BOARD:
        find(call, KINDS[KINDS.index(kind) - 1], request.parent)
    page = paging.page(request, call.now, default=kind.page, most=kind.most)
    there = page.old(call.store.resources.select(kind.type, parent))
    here, token = page.cut(wire.matching(there, request.filter, request.order_by))
    answer = call.new(f"List{kind.plural}Response", next_page_token=token)
    made = [wire.masked(shown(call, r, location), request.read_mask) for r in here]
    getattr(answer, _field(kind)).extend(made)
    return answer


def _field(kind: Kind) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind.plural).lower()


def update(kind: Kind, call: Call, request: Any) -> Any:
    sent = getattr(request, kind.field)
    location, old = find(call, kind, sent.name)
    etags.check(kind.type, old.etag, sent.etag)
    paths = [path for path in request.update_mask.paths if path != "*"]
    fields = paths or [field.name for field, _ in sent.ListFields()]
    fields = [field for field in fields if field not in wire.APART]
    new = {**old.record}
    kept = _checked(kind, sent)
    for field in fields:
        if field not in sent.DESCRIPTOR.fields_by_name or field in ("run_count", "metadata"):
            raise Refused("INVALID_ARGUMENT", f"update_mask has no path {field!r} to change")
        same = kept.get(field) == old.record.get(field)
        if field in kind.fixed and not same:
            raise Refused("INVALID_ARGUMENT", f"{field} of a {kind.type} cannot be changed")
        new[field] = kept.get(field)
    if kind is BOARD and new.get("is_default") and not old.record.get("is_default"):
        _only_default(call)
    kept = {key: value for key, value in new.items() if value is not None}
    changed = replace(old, record=kept, display_name=kept.get("display_name", ""))
    if kind is RUN_:
        changed = _named_once(call, kind, changed)
    answer = shown(call, call.store.resources.put(changed, call.now), location)
    if kind is BOARD:
        progress = call.new("UpdateTensorboardOperationMetadata")
        return operations.done(call, answer.name, answer, progress)
    return answer


def delete(kind: Kind, call: Call, request: Any) -> Any:
    """With all that is in it, points too."""
    _, found = find(call, kind, request.name)
    resources = call.store.resources
    runs = [found] if kind is RUN_ else resources.below(found.name, RUN_.type)
    if kind is SERIES:
        run = resources.get(found.parent)
        resources.forget_series(run.context, found.display_name)
    for run in runs:
        resources.forget_series(run.context)
    resources.remove(found.name)
    for run in runs:
        if run.context == run.name:
            removal.remove(call.store, Context, run.context)
    return operations.done(call, request.name)


def batch_runs(call: Call, request: Any) -> Any:
    made = _batch(RUN_, call, request, within=request.parent)
    return call.new("BatchCreateTensorboardRunsResponse", tensorboard_runs=made)


def batch_series(call: Call, request: Any) -> Any:
    made = _batch(SERIES, call, request, within=f"{request.parent}/runs/")
    return call.new("BatchCreateTensorboardTimeSeriesResponse", tensorboard_time_series=made)


def _batch(kind: Kind, call: Call, request: Any, within: str) -> list[Any]:
    if len(request.requests) > MOST_IN_BATCH:
        raise Refused("INVALID_ARGUMENT", f"a batch has at most {MOST_IN_BATCH} requests")
    find(call, EXPERIMENT, request.parent)
    for one in request.requests:
        one.parent = one.parent or request.parent
        if not one.parent.startswith(within) or (kind is RUN_ and one.parent != within):
            raise Refused("INVALID_ARGUMENT", f"parent {one.parent} is not in {request.parent}")
    return [create(kind, call, one) for one in request.requests]


HANDLERS: Mapping[str, Handler] = {
    f"TensorboardService.{verb}{kind.plural if verb == 'List' else kind.type}": partial(
        handler, kind
    )
    for kind in KINDS
    for verb, handler in (
        ("Create", create),
        ("Get", get),
        ("List", list_),
        ("Update", update),
        ("Delete", delete),
    )
} | {
    "TensorboardService.BatchCreateTensorboardRuns": batch_runs,
    "TensorboardService.BatchCreateTensorboardTimeSeries": batch_series,
}
