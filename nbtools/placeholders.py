"""`{{ scheduled_time }}` and friends in parameter values and output paths.

    {{ scheduled_time }}            2026-03-29T02:00:00+02:00, in the schedule's zone
    {{ scheduled_date - 1d }}       2026-03-28
    {{ scheduled_time | %Y/%m }}    2026/03
    {{ train.artifacts.model }}     the file that train's job of that time has left
    {{ train.outputs.accuracy }}    what its run reported
    {{ secret.API_KEY }}            left as it is: see `nbtools.secrets`

Nothing but these is understood: no code, no attributes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from nbtools.errors import RequestError
from nbtools.value import texts

_HOLE = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_INSIDE = re.compile(
    r"\s*(?P<name>[\w-]+(?:\.[\w-]+)*?)"
    r"(?:\s+(?P<sign>[+-])\s*(?P<count>\d+)(?P<unit>[smhdw]))?"
    r"(?:\s*\|\s*(?P<form>.*?%.*?))?\s*"
)
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
TIMES = ("scheduled_time", "scheduled_date")
NAMES = (*TIMES, "schedule", "job", "attempt")


@dataclass(frozen=True)
class Surroundings:
    """What placeholders stand for in one attempt of one tick."""

    time: datetime  #: the scheduled time
    zone: tzinfo  #: the schedule's
    schedule: str  #: its name
    job: str  #: the name of the attempt's job
    attempt: int  #: from 1
    #: `outputs`, `artifacts` or `job` of a schedule before, and the name -> the value
    before: Callable[[str, str, str], Any]


def fill(value: Any, around: Surroundings) -> Any:
    """`value` with its placeholders filled in, in lists and objects too.

    A text that is one placeholder and nothing else becomes its value, a number say. Raises
    RequestError for one that is not known.
    """
    if isinstance(value, Mapping):
        return {key: fill(item, around) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [fill(item, around) for item in value]
    if not isinstance(value, str):
        return value
    if (whole := _HOLE.fullmatch(value)) and "{{" not in whole[1]:
        return _value(whole[1], around)
    return _HOLE.sub(lambda hole: str(_value(hole[1], around)), value)


def holes(value: Any) -> Iterator[str]:
    """The name in each placeholder of a value. Raises RequestError for one that is malformed."""
    return (_parts(hole[1])["name"] for text in texts(value) for hole in _HOLE.finditer(text))


def is_secret(name: str) -> bool:
    """Whether this is the name in `{{ secret.NAME }}`."""
    first, _, rest = name.partition(".")
    return first == "secret" and bool(rest) and "." not in rest


def check(value: Any, before: tuple[str, ...] = (), secrets: bool = False) -> None:
    """Raises RequestError for a placeholder that will have no value; `before` are the
    schedules that this one comes after, `secrets` says whether there may be some.
    """
    for name in holes(value):
        schedule, _, rest = name.partition(".")
        kind, _, wanted = rest.partition(".")
        if secrets and is_secret(name):
            continue
        if name in NAMES or (schedule in before and rest == "job"):
            continue
        if schedule in before and kind in ("outputs", "artifacts") and wanted:
            continue
        known = [*NAMES, *(f"{b}.{k}" for b in before for k in ("outputs.…", "artifacts.…", "job"))]
        known += ["secret.…"] * secrets
        raise RequestError(f"no placeholder {{{{ {name} }}}}: there is {', '.join(known)}")


def _value(inside: str, around: Surroundings) -> Any:
    parts = _parts(inside)
    name = parts["name"]
    if name in TIMES:
        return _time(parts, around)
    if name in NAMES:
        return getattr(around, name)
    if is_secret(name):
        return f"{{{{ {name} }}}}"
    schedule, _, rest = name.partition(".")
    kind, _, wanted = rest.partition(".")
    if kind not in ("outputs", "artifacts", "job"):
        raise RequestError(f"no placeholder {{{{ {name} }}}}: there is {', '.join(NAMES)}")
    return around.before(schedule, kind, wanted)


def _time(parts: Mapping[str, str | None], around: Surroundings) -> str:
    time = around.time.astimezone(around.zone)
    if parts["count"]:
        step = timedelta(**{UNITS[str(parts["unit"])]: int(parts["count"])})
        step = -step if parts["sign"] == "-" else step
        try:
            if parts["unit"] in ("d", "w"):
                time += step  # a day ago is the same time of day, whatever the clock did since
            else:
                time = (time.astimezone(UTC) + step).astimezone(around.zone)
        except OverflowError:
            raise RequestError(f"{parts['count']}{parts['unit']} is beyond the calendar") from None
    if parts["form"]:
        return time.strftime(parts["form"])
    return f"{time:%Y-%m-%d}" if parts["name"] == "scheduled_date" else time.isoformat()


def _parts(inside: str) -> dict[str, Any]:
    found = _INSIDE.fullmatch(inside)
    timed = found and (found["count"] or found["form"])
    if not found or (timed and found["name"] not in TIMES):
        raise RequestError(
            f"{{{{{inside}}}}} is no placeholder: write {{{{ scheduled_time }}}}, "
            "{{ scheduled_date - 1d }} or {{ scheduled_time | %Y-%m-%d }}"
        )
    return found.groupdict()
