"""When a cron expression is due: pure, with time zones and the two changes of the clock.

The rules are Debian cron's. A time of day that a change leaves out is due when the gap ends;
one that comes twice is due the first time. What is due every few minutes goes on as it did.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from itertools import islice

from nbtools.errors import RequestError

#: what people write in place of an expression.
NAMED = {
    "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0", "@daily": "0 0 * * *", "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}  # fmt: skip
#: how Vertex AI writes a time zone before an expression.
_ZONE = re.compile(r"(?:CRON_)?TZ=(\S+)\s+")


@lru_cache(maxsize=1024)
def written(expression: str, zone: str = "") -> str:
    """The expression as Vertex AI writes it, `TZ=Europe/Berlin 0 2 * * *`; found in order.

    `zone` is an IANA name; one written before the expression will do; without either it is
    UTC. Raises RequestError, saying what is wrong.
    """
    found = _ZONE.match(expression.strip())
    fields = expression.strip()[found.end() if found else 0 :]
    if found and zone and found[1] != zone:
        raise RequestError(f"two time zones, {found[1]} and {zone}: give one of them")
    zone = zone or (found[1] if found else "UTC")
    whole = f"TZ={zone} {' '.join(NAMED.get(fields.lower(), fields).split())}"
    if next(times(whole, datetime(2024, 1, 1, tzinfo=UTC)), None) is None:
        raise RequestError(f"cron {fields!r} is never due: no such day will come")
    return whole


def zone_of(cron: str) -> tzinfo:
    """The time zone that a whole expression (of `written`) is meant in."""
    return _parts(cron)[0]


def times(cron: str, after: datetime) -> Iterator[datetime]:
    """The times, in UTC, at which a whole expression is due, beginning after `after`.

    Raises RequestError for an expression or a zone that is none.
    """
    from cronsim import CronSim, CronSimError

    zone, fields = _parts(cron)
    try:
        found = CronSim(fields, after.astimezone(zone))
    except CronSimError as error:
        said = str(error)[0].lower() + str(error)[1:]
        raise RequestError(
            f"cron {fields!r}: {said}; write minute, hour, day of month, month and day of week, "
            "for example '0 2 * * *' for 2 o'clock each day"
        ) from None
    for time in found:
        due = time.astimezone(UTC)
        if due > after:  # asked in the hour that comes twice, it begins in the first of the two
            yield due


def upcoming(cron: str, after: datetime, count: int) -> list[datetime]:
    """The next `count` times after `after`, in UTC."""
    return list(islice(times(cron, after), count))


def _parts(cron: str) -> tuple[tzinfo, str]:
    found = _ZONE.match(cron)
    if not found:
        return UTC, cron
    return _zone(found[1]), cron[found.end() :]


@lru_cache(maxsize=64)
def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # a folder of zones is no zone
        raise RequestError(
            f"no time zone {name!r}: give an IANA name, for example Europe/Berlin or UTC"
        ) from None
