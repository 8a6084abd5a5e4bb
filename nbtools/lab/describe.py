"""Jobs and schedules as the screens show them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from jupyter_scheduler.models import DescribeJob, DescribeJobDefinition

from nbtools.lab.ids import definition_id, job_id
from nbtools.lab.slip import Slip
from nbtools.lab.status import STATUS
from nbtools.nouns import Job
from nbtools.outputs import FILES
from nbtools.schedule import Schedule, ScheduleState

#: in a job's folder: its notebook as it was, and what lay beside it where that was asked for.
INPUT = "input"


def job_model(job: Job, slip: Slip, update_time: datetime | None, backend: str) -> DescribeJob:
    """A job in the words of the screens; its files are another matter."""
    id_ = job_id(job.name, backend)
    return DescribeJob(
        job_id=id_,
        url=f"/jobs/{id_}",
        name=slip.name or Path(job.notebook).stem,
        input_filename=Path(job.notebook).name,
        runtime_environment_name=job.kernel,
        compute_type=job.executor,
        parameters=written(job.params),
        output_formats=list(slip.output_formats),
        idempotency_token=slip.token or None,
        job_definition_id=definition_id(job.schedule) if job.schedule else None,
        tags=list(slip.tags),
        status=STATUS[job.state],
        status_message=job.error or job.note or None,
        create_time=millis(job.create_time) or 0,
        update_time=millis(update_time) or 0,
        start_time=millis(job.start_time),
        end_time=millis(job.end_time),
        package_input_folder=slip.package_input_folder,
        packaged_files=sorted(side_paths(job, slip)),
    )


def definition_model(
    schedule: Schedule, slip: Slip, kernel: str, executor: str
) -> DescribeJobDefinition:
    """A schedule as a job definition; `kernel` and `executor` are what it leaves open."""
    zone, _, cron = schedule.cron.removeprefix("TZ=").partition(" ")
    return DescribeJobDefinition(
        job_definition_id=definition_id(schedule.name),
        name=slip.name or schedule.name,
        input_filename=Path(schedule.notebook).name,
        runtime_environment_name=schedule.kernel or kernel,
        compute_type=schedule.executor or executor,
        parameters=written(schedule.params),
        output_formats=list(slip.output_formats),
        tags=list(slip.tags),
        schedule=cron or None,
        timezone=zone or None,
        active=schedule.state is ScheduleState.ACTIVE,
        create_time=millis(schedule.create_time) or 0,
        update_time=millis(schedule.update_time) or 0,
        package_input_folder=False,
    )


def side_paths(job: Job, slip: Slip) -> dict[str, Path]:
    """What lies beside a job's notebook, by the names that a download gives it: what it has
    written, and what it was given. Links that lead elsewhere are left out.
    """
    found: dict[str, Path] = {}
    folder = Path(job.folder)
    for root in ([folder / INPUT] if slip.package_input_folder else []) + [folder / FILES]:
        whole = root.resolve()
        for path in root.rglob("*"):
            if path.is_file() and path.resolve().is_relative_to(whole):
                found[str(path.relative_to(root))] = path
    found.pop(Path(job.notebook).name, None)
    return found


def written(values: Mapping[str, Any]) -> dict[str, str]:
    """Parameters as text that, typed again, is the same value."""
    return {
        name: value if isinstance(value, str) else repr(value) for name, value in values.items()
    }


def millis(when: datetime | None) -> int | None:
    """Milliseconds since 1970, as jupyter-scheduler counts."""
    return int(when.timestamp() * 1000) if when else None
