"""Prometheus metrics of a store's jobs, schedules and services, served over HTTP.

What they say is counted in the store when they are asked for, so several services, and one
that was begun anew, say the same.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from nbtools.errors import RequestError, StoreError
from nbtools.registry import need
from nbtools.schedule import ScheduleState, TickState
from nbtools.service import running
from nbtools.states import JobState
from nbtools.store import Store
from nbtools.timetable import NOTICE_STATES

if TYPE_CHECKING:
    from prometheus_client.core import Metric

#: seconds of the histogram's buckets; the last has no bound.
BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)


class Collector:
    """The metrics of the store in `folder`; `clock` says what is waiting by now."""

    def __init__(self, folder: Path, clock: Callable[[], datetime]) -> None:
        self._folder, self._clock = folder, clock

    def describe(self) -> list[Metric]:
        """Nothing: the registry need not count everything to know the names."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All of them as they stand now, each time from the store."""
        from prometheus_client.core import GaugeMetricFamily

        found: list[Metric] = []
        try:
            store = Store(self._folder)
            try:
                found += _of_store(store, self._clock())
            finally:
                store.close()
        except StoreError:  # told by the service itself, and here by the 0
            found = []
        yield GaugeMetricFamily(
            "nbtools_store_up", "Whether the store could be read: 1 or 0.", value=bool(found)
        )
        yield from found
        yield from _of_services(self._folder)


def serve(folder: Path, clock: Callable[[], datetime], host: str, port: int) -> str:
    """Serve them in a thread for as long as this process lives; returns the URL.

    `port` 0 is any that is free. Raises RequestError when it cannot be had, and
    MissingDependency without prometheus_client.
    """
    prometheus = need("prometheus_client")
    registry = prometheus.CollectorRegistry()
    prometheus.ProcessCollector(registry=registry)
    registry.register(Collector(folder, clock))
    try:
        server, _ = prometheus.start_http_server(port, host, registry)
    except OSError as error:  # also a name that is no host's
        raise RequestError(
            f"cannot serve metrics on {host} port {port}: {error.strerror or error}; "
            "choose another --metrics-port or --metrics-host"
        ) from None
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{server.server_port}/metrics"


def _of_store(store: Store, now: datetime) -> Iterator[Metric]:
    from prometheus_client.core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
    )

    tally = store.tally
    yield _by_state("nbtools_jobs", "Jobs by state.", JobState, tally.jobs())
    yield _by_state("nbtools_schedules", "Schedules by state.", ScheduleState, tally.schedules())
    yield _by_state("nbtools_notices", "Notices by state.", NOTICE_STATES, tally.notices())
    yield GaugeMetricFamily(
        "nbtools_queue_length",
        "Scheduled times that wait for room and could begin now.",
        value=len(store.timetable.waiting(now)),
    )
    ticks = tally.ticks()
    at_work = GaugeMetricFamily(
        "nbtools_ticks_unfinished",
        "Scheduled times of a schedule that wait or are at work.",
        labels=("schedule", "state"),
    )
    ended = CounterMetricFamily(
        "nbtools_ticks",
        "Scheduled times of a schedule that have come to their end, by how.",
        labels=("schedule", "state"),
    )
    for (schedule, state), count in ticks.items():
        family = ended if TickState(state).final else at_work
        family.add_metric((schedule, state), count)
    yield at_work
    yield ended
    last = GaugeMetricFamily(
        "nbtools_schedule_last_success_timestamp_seconds",
        "The last scheduled time of a schedule that has SUCCEEDED.",
        labels=("schedule",),
    )
    for schedule, time in tally.successes().items():
        last.add_metric((schedule,), time.timestamp())
    yield last
    if next_time := store.timetable.next_time():
        yield GaugeMetricFamily(
            "nbtools_next_run_timestamp_seconds",
            "When the next schedule is due.",
            value=next_time.timestamp(),
        )
    delays = tally.delays()
    delay = HistogramMetricFamily(
        "nbtools_start_delay_seconds",
        "From a scheduled time to the start of its job, the first attempt of each.",
    )
    delay.add_metric((), _buckets(delays), sum(delays))
    yield delay


def _of_services(folder: Path) -> Iterator[Metric]:
    from prometheus_client.core import GaugeMetricFamily

    found = running(folder)
    yield GaugeMetricFamily("nbtools_services", "Services that run.", value=len(found))
    beat = GaugeMetricFamily(
        "nbtools_service_last_beat_timestamp_seconds",
        "The last sign of life of a service.",
        labels=("host", "pid"),
    )
    for service in found:
        beat.add_metric((service.host, str(service.pid)), service.beat.timestamp())
    yield beat


def _by_state(name: str, text: str, states: Iterable[str], counts: Mapping[str, int]) -> Metric:
    """A gauge with every state, also those that none is in: what is absent cannot alert."""
    from prometheus_client.core import GaugeMetricFamily

    family = GaugeMetricFamily(name, text, labels=("state",))
    for state in states:
        family.add_metric((str(state),), counts.get(str(state), 0))
    return family


def _buckets(values: list[float]) -> list[tuple[str, float]]:
    """(bound, how many are at most that) of each bucket."""
    counts = [0] * (len(BOUNDS) + 1)
    for value in values:
        counts[bisect_left(BOUNDS, value)] += 1
    return list(zip((*map(str, BOUNDS), "+Inf"), accumulate(counts), strict=True))
