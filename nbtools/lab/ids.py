"""Ids in jupyter-scheduler's URLs: words joined by single hyphens, two of them at least.

A job's id is its name, a job definition's is the name of its schedule; a hyphen that cannot
stay one becomes an underscore, which our names do not have.
"""

from __future__ import annotations

import re

_SECOND = re.compile(r"(?<=-)-")
_DEFINITION = "schedule-"


def job_id(name: str, backend: str = "") -> str:
    """The id of a job. `backend` is ours where jupyter-scheduler has several."""
    return f"{backend}:{_SECOND.sub('_', name)}" if backend else _SECOND.sub("_", name)


def job_named(id_: str) -> str:
    """The name of the job of an id."""
    return id_.rpartition(":")[2].replace("_", "-")


def definition_id(schedule: str) -> str:
    """The id of a schedule as a job definition."""
    return _DEFINITION + schedule.replace("-", "_")


def schedule_named(id_: str) -> str:
    """The name of the schedule of a job definition's id."""
    return id_.removeprefix(_DEFINITION).replace("_", "-")
