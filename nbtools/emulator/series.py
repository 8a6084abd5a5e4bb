"""TensorboardService: the points of time series.

Scalars are the points of a context's series, the same that nbtools logs to. Tensors and
blobs are kept as the messages that they come in.
"""

from __future__ import annotations

import os
import pwd
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final
from uuid import uuid4

from nbtools.emulator import paging
from nbtools.emulator.call import Call, Handler, Refused
from nbtools.emulator.tensorboards import BOARD, EXPERIMENT, RUN_, SERIES, find
from nbtools.journal import Series
from nbtools.resources import Resource

MOST_WRITTEN: Final = 5_000  #: points of a request
READ: Final = 1_000  #: points that are read of a series when no number is said
MOST_READ: Final = 10_000  #: points that may be asked for
MOST_AT_ONCE: Final = 20  #: series of a batch
SCALAR, TENSOR, BLOBS = "SCALAR", "TENSOR", "BLOB_SEQUENCE"
_FIRST, _LAST = -62_135_596_800, 253_402_300_799  # seconds: what a timestamp may be
_VALUES: Final = {SCALAR: "scalar", TENSOR: "tensor", BLOBS: "blobs"}


# -- writing -----------------------------------------------------------------------------


def write_run(call: Call, request: Any) -> Any:
    count = sum(len(data.values) for data in request.time_series_data)
    if count > MOST_WRITTEN:
        raise Refused("INVALID_ARGUMENT", f"a request has at most {MOST_WRITTEN} points: {count}")
    _write(call, request.tensorboard_run, request.time_series_data)
    return call.new("WriteTensorboardRunDataResponse")


def write_experiment(call: Call, request: Any) -> Any:
    find(call, EXPERIMENT, request.tensorboard_experiment)
    requests = request.write_run_data_requests
    count = sum(len(data.values) for one in requests for data in one.time_series_data)
    if count > MOST_WRITTEN:
        raise Refused("INVALID_ARGUMENT", f"a request has at most {MOST_WRITTEN} points: {count}")
    for one in requests:
        if not one.tensorboard_run.startswith(f"{request.tensorboard_experiment}/runs/"):
            raise Refused(
                "INVALID_ARGUMENT",
                f"{one.tensorboard_run} is not in {request.tensorboard_experiment}",
            )
        _write(call, one.tensorboard_run, one.time_series_data)
    return call.new("WriteTensorboardExperimentDataResponse")


def _write(call: Call, name: str, sent: Iterable[Any]) -> None:
    _, run = find(call, RUN_, name)
    scalars: dict[str, Series] = {}
    for data in sent:
        _, series = find(call, SERIES, f"{name}/timeSeries/{data.tensorboard_time_series_id}")
        kind = series.record["value_type"]
        if data.value_type and _type(data) != kind:
            raise Refused("INVALID_ARGUMENT", f"{series.name} holds {kind}, not {_type(data)}")
        for point in data.values:
            if point.WhichOneof("value") != _VALUES[kind]:
                raise Refused("INVALID_ARGUMENT", f"{series.name} holds {kind}: send such values")
        if kind == SCALAR:
            into = scalars.setdefault(series.display_name, Series())
            for point in data.values:
                into.add(point.step, _time(call, point), point.scalar.value)
        else:
            call.store.resources.write_tensors(series.name, _tensors(call, data.values))
    if scalars:
        call.store.add_series(run.context, scalars)


def _tensors(call: Call, points: Iterable[Any]) -> Iterator[tuple[int, float, bytes]]:
    for point in points:
        for blob in point.blobs.values:
            blob.id = blob.id or uuid4().hex
        yield point.step, _time(call, point), point.SerializeToString()


def _time(call: Call, point: Any) -> float:
    """When a point was made, in seconds since the epoch; now if it does not say."""
    if not point.HasField("wall_time"):
        return call.now.timestamp()
    if not _FIRST <= point.wall_time.seconds <= _LAST:
        raise Refused("INVALID_ARGUMENT", "wall_time is between the years 1 and 9999")
    return float(point.wall_time.seconds + point.wall_time.nanos / 1e9)


def _type(data: Any) -> str:
    known = data.DESCRIPTOR.fields_by_name["value_type"].enum_type.values_by_number
    return str(known[data.value_type].name) if data.value_type in known else str(data.value_type)


# -- reading -----------------------------------------------------------------------------


def read(call: Call, request: Any) -> Any:
    most = request.max_data_points or READ
    if most > MOST_READ or most < -1:
        raise Refused("INVALID_ARGUMENT", f"max_data_points is at most {MOST_READ}, or -1 for all")
    _no_filter(request)
    _, series = find(call, SERIES, request.tensorboard_time_series)
    _count(call, series)
    data = _data(call, series, most)
    return call.new("ReadTensorboardTimeSeriesDataResponse", time_series_data=data)


def batch_read(call: Call, request: Any) -> Any:
    _, board = find(call, BOARD, request.tensorboard)
    if len(request.time_series) > MOST_AT_ONCE:
        raise Refused("INVALID_ARGUMENT", f"a batch reads at most {MOST_AT_ONCE} time series")
    answer = call.new("BatchReadTensorboardTimeSeriesDataResponse")
    for name in request.time_series:
        _, series = find(call, SERIES, name)
        if not series.name.startswith(f"{board.name}/"):
            raise Refused("INVALID_ARGUMENT", f"{name} is not in {request.tensorboard}")
        answer.time_series_data.append(_data(call, series, READ))
    _count(call, board)
    return answer


def export(call: Call, request: Any) -> Any:
    _no_filter(request)
    _, series = find(call, SERIES, request.tensorboard_time_series)
    page = paging.page(request, call.now, default=1000, most=MOST_READ)
    points = _points(call, series)
    word, _, direction = request.order_by.strip().partition(" ")
    if word not in ("", "step", "wall_time") or direction.strip() not in ("", "asc", "desc"):
        raise Refused("INVALID_ARGUMENT", "order_by is step or wall_time, and desc if you like")
    if word == "wall_time":
        points.sort(key=lambda point: point.wall_time.ToNanoseconds())
    if direction.strip() == "desc":
        points.reverse()
    here, token = page.cut(points)
    _count(call, series)
    return call.new(
        "ExportTensorboardTimeSeriesDataResponse",
        time_series_data_points=here,
        next_page_token=token,
    )


def read_blobs(call: Call, request: Any) -> Iterator[Any]:
    _, series = find(call, SERIES, request.time_series)
    wanted = set(request.blob_ids)
    found = []
    for _, _, data in call.store.resources.tensors(series.name):
        point = call.new("TimeSeriesDataPoint")
        point.ParseFromString(data)
        found += [b for b in point.blobs.values if not wanted or b.id in wanted]
    if missing := wanted - {blob.id for blob in found}:
        raise Refused("NOT_FOUND", f"{series.name} has no blob {sorted(missing)[0]}")
    _count(call, series)
    return (call.new("ReadTensorboardBlobDataResponse", blobs=[blob]) for blob in found)


def describe(call: Call, series: Resource, made: Any) -> None:
    """Say in the message of a series where it ends."""
    if series.record["value_type"] == SCALAR:
        run = call.store.resources.get(series.parent)
        step, time = call.store.resources.end(run.context, series.display_name) or (0, None)
    else:
        tensors = call.store.resources.tensors(series.name)
        step, time = (tensors[-1][0], max(t for _, t, _ in tensors)) if tensors else (0, None)
        if series.record["value_type"] == BLOBS:
            points = _points(call, series)
            lengths = [len(point.blobs.values) for point in points]
            made.metadata.max_blob_sequence_length = max(lengths, default=0)
    made.metadata.max_step = step
    if time is not None:
        made.metadata.max_wall_time.FromNanoseconds(round(time * 1e6) * 1000)


def _data(call: Call, series: Resource, most: int) -> Any:
    points = _points(call, series)
    if 0 < most < len(points):
        # as on Vertex AI a sample, but the same each time, and with the end in it
        chosen = random.Random(series.name).sample(range(len(points) - 1), most - 1)  # noqa: S311
        points = [points[i] for i in sorted(chosen)] + points[-1:]
    made = call.new("TimeSeriesData", tensorboard_time_series_id=series.id, values=points)
    kinds = made.DESCRIPTOR.fields_by_name["value_type"].enum_type.values_by_name
    made.value_type = kinds[series.record["value_type"]].number
    return made


def _points(call: Call, series: Resource) -> list[Any]:
    """All points as messages, in the order of steps; blobs without their bytes."""
    kind = call.catalog.message("TimeSeriesDataPoint")
    found = []
    if series.record["value_type"] == SCALAR:
        run = call.store.resources.get(series.parent)
        kept = call.store.series(run.context, series.display_name)
        for step, time, value in zip(kept.steps, kept.wall_times, kept.values, strict=True):
            point = kind(step=step)
            point.scalar.value = value
            point.wall_time.FromNanoseconds(round(time * 1e6) * 1000)
            found.append(point)
        return found
    for _, time, data in call.store.resources.tensors(series.name):
        point = kind()
        point.ParseFromString(data)
        point.wall_time.FromNanoseconds(round(time * 1e6) * 1000)
        for blob in point.blobs.values:
            blob.data = b""
        found.append(point)
    return found


def _no_filter(request: Any) -> None:
    if request.filter:
        raise Refused("UNIMPLEMENTED", "the emulator reads points without a filter only")


# -- size and usage ----------------------------------------------------------------------


def size(call: Call, request: Any) -> Any:
    _, board = find(call, BOARD, request.tensorboard)
    return call.new(
        "ReadTensorboardSizeResponse", storage_size_byte=call.store.resources.size(board.name)
    )


def usage(call: Call, request: Any) -> Any:
    """How often data were read, by month and by user: there is one, whose store it is."""
    _, board = find(call, BOARD, request.tensorboard)
    found = call.store.resources.find(f"{board.name}/usage")
    answer = call.new("ReadTensorboardUsageResponse")
    for month, count in (found.record if found else {}).items():
        user = pwd.getpwuid(os.getuid()).pw_name
        answer.monthly_usage_data[month].user_usage_data.add(username=user, view_count=count)
    return answer


def _count(call: Call, what: Resource) -> None:
    board = "/".join(what.name.split("/")[:2])
    name, month, resources = f"{board}/usage", f"{call.now:%Y%m}", call.store.resources
    with call.store.write():
        found = resources.find(name)
        if found is None:
            new = Resource(name=name, type="TensorboardUsage", parent=board, record={month: 1})
            resources.add(new, call.now)
        else:
            counts = {**found.record, month: found.record.get(month, 0) + 1}
            resources.put(replace(found, record=counts), call.now)


HANDLERS: Mapping[str, Handler] = {
    "TensorboardService.WriteTensorboardRunData": write_run,
    "TensorboardService.WriteTensorboardExperimentData": write_experiment,
    "TensorboardService.ReadTensorboardTimeSeriesData": read,
    "TensorboardService.BatchReadTensorboardTimeSeriesData": batch_read,
    "TensorboardService.ExportTensorboardTimeSeriesData": export,
    "TensorboardService.ReadTensorboardBlobData": read_blobs,
    "TensorboardService.ReadTensorboardSize": size,
    "TensorboardService.ReadTensorboardUsage": usage,
}
