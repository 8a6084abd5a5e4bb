"""How a job's run ended, told to its mirrors by a process of its own when the job is over.

A mirror at work in the job's kernel cannot know it. Whoever carries the task out, or finds
that it has died, begins that process: it writes down how the job ended, and sends it. What it
cannot send stays for `nbtools push`.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from nbtools import leftovers
from nbtools.executor import Task
from nbtools.mirror import reason, warn
from nbtools.spool import Spool, spools

LOG = "push.log"  #: in the job's folder: what became of it


def of_job(store: Path, job: str) -> Iterator[Spool]:
    """What is kept for mirrors of the run of a job."""
    return (spool for spool in spools(store) if spool.run.folder.parent.name == job)


def begin(task: Task, environ: Mapping[str, str]) -> None:
    """Begin that process, in `environ`, if a mirror is still to hear; returns at once."""
    if next(of_job(task.store, task.job), None) is None:
        return
    env = {name: value for name, value in environ.items() if name != leftovers.MARK}
    try:
        with (task.folder / LOG).open("ab") as log:
            subprocess.Popen(
                [sys.executable, "-P", "-m", "nbtools.push", task.job],
                cwd=task.cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
    except OSError as error:
        warn(f"how job {task.job} ended is not sent ({reason(error)}): `nbtools push` sends it")
