"""Asking for a notebook to be executed: in the background, or waiting for its end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from nbtools.errors import NotebookFailed
from nbtools.jobs import Jobs, SubmittedJob
from nbtools.machine import Machine
from nbtools.states import JobState


def submit(
    notebook: str | Path,
    params: Mapping[str, Any] | None = None,
    *,
    experiment: str = "",
    run: str = "",
    resume: bool = False,
    output: str | Path = "",
    kernel: str = "",
    cwd: str | Path = "",
    executor: str = "",
    timeout: float = 0.0,
    cell_timeout: float = 0.0,
    memory: int = 0,
    cpu_time: float = 0.0,
    threads: int = 0,
    machine: Machine | None = None,
    checkpoint: str = "",
    cache: bool = False,
    inputs: Iterable[str] = (),
    secrets: Iterable[str] = (),
    vertex: str = "",
    allow_unknown: bool = False,
) -> SubmittedJob:
    """Begin to execute a notebook and return its job at once; it outlives this process.

    The arguments are those of `Request`. Raises RequestError, with nothing begun, when
    something is wrong with them.
    """
    from nbtools.request import Request

    request = Request(
        notebook=notebook,
        params=params or {},
        experiment=experiment,
        run=run,
        resume=resume,
        output=output,
        kernel=kernel,
        cwd=cwd,
        executor=executor,
        timeout=timeout,
        cell_timeout=cell_timeout,
        memory=memory,
        cpu_time=cpu_time,
        threads=threads,
        machine=machine or Machine(),
        checkpoint=checkpoint,
        cache=cache,
        inputs=tuple(inputs),
        secrets=tuple(secrets),
        vertex=vertex,
        allow_unknown=allow_unknown,
    )
    return Jobs.open().submit(request)


def run(
    notebook: str | Path, params: Mapping[str, Any] | None = None, **options: Any
) -> SubmittedJob:
    """Execute a notebook, wait for its end, and return the finished job.

    Takes what `submit` takes. Raises NotebookFailed, which holds the job, when it does not
    succeed. Ctrl-C cancels the job, waits for its kernel to end, and is raised again.
    """
    job = submit(notebook, params, **options)
    try:
        job = job.wait()
    except KeyboardInterrupt:
        job.cancel().wait()
        raise
    if job.state is not JobState.SUCCEEDED:
        raise NotebookFailed(f"job {job.name} is {job.state}: {job.error}", job)
    return job
