"""Schedules that a file declares, `nbtools.yaml`: the way a team keeps them in git.

`read` checks the file against declared.schema.json, `difference` says what applying it
would change, `apply` does that, all or nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from nbtools import yaml_file
from nbtools.cron import written
from nbtools.duration import seconds
from nbtools.errors import RequestError
from nbtools.machine import Machine
from nbtools.nouns import place
from nbtools.schedule import Schedule
from nbtools.schedules import Schedules

FILE = "nbtools.yaml"
#: word of the file -> field of the record; the others have the same name.
WORDS = {"start": "start_time", "end": "end_time", "max_runs": "max_run_count",
         "max_concurrent": "max_concurrent_run_count"}  # fmt: skip
#: fields that say how a schedule stands, and not what was wanted.
_STANDING = {"state", "reason", "next_run_time", "started_run_count", "create_time", "update_time"}


@dataclass(frozen=True)
class Change:
    """What applying a file does to one schedule."""

    name: str  #: of the schedule
    kind: str  #: `add`, `change`, `remove` or `keep`
    #: (field, before, after) of what is changed
    details: tuple[tuple[str, object, object], ...] = ()


def read(path: Path) -> list[Schedule]:
    """The schedules that a file declares. Raises RequestError, saying where it is wrong."""
    data = yaml_file.read(path, Path(__file__).with_name("declared.schema.json"))
    made = []
    for name, said in data["schedules"].items():
        try:
            made.append(_schedule(str(name), said, path))
        except RequestError as error:
            raise RequestError(f"{path}: schedule {name}: {error}") from None
    return made


def difference(path: Path, schedules: Schedules) -> list[Change]:
    """What applying the file would change, in the order of names. Raises RequestError.

    A schedule that the same file has declared before and declares no more is removed. One
    that was created by hand, or by another file, is left alone.
    """
    new = {s.name: s for s in schedules.checked(read(path))}
    old = {s.name: s for s in schedules.all()}
    source = str(place(path))
    changes = []
    for name in sorted({*new, *old}):
        if name not in old:
            changes.append(Change(name, "add"))
        elif name in new:
            details = tuple(_details(old[name], new[name]))
            changes.append(Change(name, "change" if details else "keep", details))
        elif old[name].source == source:
            changes.append(Change(name, "remove"))
    return changes


def apply(path: Path, schedules: Schedules) -> list[Change]:
    """Make the schedules what the file says; returns what was changed.

    Raises RequestError, with nothing changed here; of those that another's clock fires some may
    have been, and the next time finds them so.
    """
    wanted = schedules.delegation.put(schedules.checked(read(path)))  # first: it may be refused
    with schedules.store.write():
        changes = difference(path, schedules)
        schedules.remember(wanted, replacing=True)
        gone = [change.name for change in changes if change.kind == "remove"]
        there = [name for name in gone if schedules.get(name).handle]
        gone = [name for name in gone if name not in there]
        while gone:  # one that others come after goes after them
            last = next(n for n in gone if not schedules.timetable.followers(n))
            schedules.delete(last)
            gone.remove(last)
    for name in there:
        schedules.delete(name)
    return changes


def _schedule(name: str, said: Mapping[str, Any], path: Path) -> Schedule:
    values = {WORDS.get(word, word): value for word, value in said.items()}
    folder = place(path).parent
    zone = values.pop("tz", "")
    if zone and not said.get("cron"):
        raise RequestError("tz without cron: it comes after others, in their zone")
    if values.get("cron"):
        values["cron"] = written(values["cron"], zone)
    for word in ("after", "notify", "secrets"):
        if isinstance(found := values.get(word, []), str):
            values[word] = [found]
        values[word] = tuple(values.get(word, ()))
    for word in ("max_age", "backoff", "timeout", "cpu_time"):
        if word in values:
            values[word] = seconds(str(values[word]))
    for word in ("start_time", "end_time"):
        if word in values:
            values[word] = _time(values[word])
    for word in ("notebook", "cwd", "output"):
        if values.get(word) and "://" not in str(values[word]):
            values[word] = str(folder / Path(values[word]).expanduser())
    values["machine"] = Machine.read(values.get("machine", {}), "machine")
    values["params"] = {k: _plain(v) for k, v in values.get("params", {}).items()}
    everything = values.get("misfire") == "all"
    values.setdefault("concurrency", "queue" if everything else "skip")
    return Schedule(name=name, source=str(place(path)), **values)


def _time(value: object) -> datetime:
    try:
        time = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        raise RequestError(f"{value!r} is no time: write 2026-03-01T08:00:00+01:00") from None
    if time.tzinfo is None:
        raise RequestError(f"{value} has no time zone: write 2026-03-01T08:00:00+01:00")
    return time.astimezone(UTC)


def _plain(value: Any) -> Any:
    """YAML reads a date where people write one; a parameter gets the text."""
    return value.isoformat() if isinstance(value, date) else value


def _details(old: Schedule, new: Schedule) -> Iterator[tuple[str, object, object]]:
    for field in fields(Schedule):
        before, after = getattr(old, field.name), getattr(new, field.name)
        if field.name not in _STANDING and before != after:
            yield field.name, before, after
