"""A request to execute a notebook, checked before anything is remembered or begun."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from nbtools import keyring, registry, secrets
from nbtools.errors import RequestError
from nbtools.executor import Task, refuse
from nbtools.kernels.preload import imports
from nbtools.machine import Machine
from nbtools.notebook import Notebook
from nbtools.nouns import Artifact, Job, default_experiment, default_run, job_name, place, run_id
from nbtools.outputs import FILES
from nbtools.prepare import prepare
from nbtools.revision import ANSWER
from nbtools.settings import Settings

#: bytes of a notebook's name; disks take names of 255, and ours have more in them.
MAX_STEM = 200


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to execute, and how. Empty means: as the settings or the notebook say."""

    notebook: str | Path  #: the template
    params: Mapping[str, Any]  #: values for its parameters cell
    experiment: str = ""  #: default: the notebook's name
    run: str = ""  #: default: the job's name
    resume: bool = False  #: continue the run of that name instead of refusing
    output: str | Path = ""  #: deliver the executed notebook here too
    deliver_partial: bool = False  #: also when it did not reach its end
    keep_injected: bool = False  #: what was injected into it before stays, and ours comes behind
    kernel: str = ""  #: kernelspec name
    cwd: str | Path = ""  #: default: the notebook's folder, as in JupyterLab
    executor: str = ""  #: who runs it
    timeout: float = 0.0  #: seconds for the whole
    cell_timeout: float = 0.0  #: seconds for each cell
    memory: int = 0  #: bytes that its kernel may use; 0: no limit
    cpu_time: float = 0.0  #: seconds of CPU that it may use; 0: no limit
    threads: int = 0  #: CPU threads that libraries shall use; 0: as they like
    machine: Machine = Machine()  #: what it is to be executed on
    env: Mapping[str, str] = field(default_factory=dict)  #: more for its kernel's environment
    secrets: tuple[str, ...] = ()  #: names of secrets that its kernel's environment gets
    vertex: str = ""  #: `local`: Google's SDK in the notebook talks to the emulator of the store
    checkpoint: str = ""  #: keep the state after `cells`, or after those `tagged` checkpoint
    cache: bool = False  #: take a job that succeeded with the same before, if there is one
    inputs: tuple[str, ...] = ()  #: artifacts or files that the notebook reads
    report: bool = True  #: make a page of the executed notebook at once
    allow_unknown: bool = False  #: inject names that the parameters cell does not have
    sweep: str = ""  #: the sweep that it is a trial of
    trial: int = 0  #: which of its trials, from 1
    job: str = ""  #: the job's name; default: a new one
    schedule: str = ""  #: the schedule that asks


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A request that was found to be in order: all that is needed to begin."""

    request: Request  #: what was asked for
    job: Job  #: the record to remember
    task: Task  #: what the executor will get
    notebook: Notebook  #: the template
    prepared: str  #: the text of the notebook to execute
    source: Artifact | None = None  #: the template, where it is not what its file holds now
    revision: bytes = b""  #: what git said of that (`nbtools.revision`); empty: to be asked

    def lay_out(self) -> None:
        """Make the job's folder. Raises RequestError when it cannot be written."""
        try:
            # It may be there: of a job by the same name that was about to be remembered when
            # the machine went down.
            (self.task.folder / FILES).mkdir(parents=True, exist_ok=True)
            self.task.prepared.write_text(self.prepared, encoding="utf-8")
            self.task.kept.write_text(self.task.dumps())
            if self.revision:
                (self.task.folder / ANSWER).write_bytes(self.revision)
        except OSError as error:
            raise RequestError(
                f"cannot write {self.task.folder}: {error.strerror}; free some space, "
                "or set NBTOOLS_STORE to another folder"
            ) from None


def plan(
    request: Request, settings: Settings, now: datetime, notebook: Notebook | None = None
) -> Plan:
    """Check everything that can be checked, and fill in what the request leaves open.

    `notebook` is the request's, where it has been read already. Raises RequestError with one
    sentence for each thing that is wrong.
    """
    executor_name = request.executor or settings.executor
    executor = registry.executor(executor_name)
    notebook = notebook or Notebook.read(request.notebook)
    _fits_the_disk(notebook.path)
    params = notebook.check(request.params, request.allow_unknown)
    kernel = executor.check(request.kernel or notebook.kernel or settings.kernel)
    name = request.job or job_name(notebook.path, now, os.urandom(4).hex())
    experiment = request.experiment or settings.experiment or default_experiment(notebook.path)
    run = request.run or default_run(experiment, name)
    if request.vertex:
        registry.vertex(request.vertex)  # refuses what there is not
    run_id(experiment, run)  # refuses names that Vertex AI would refuse
    needed = secrets.named([*request.secrets, *secrets.holes(params)])
    _shows_none(params, keyring.find(needed, settings))
    cwd = _folder(request.cwd or notebook.path.parent)
    task = Task(
        job=name,
        folder=settings.store / "jobs" / name,
        stem=notebook.path.stem,
        kernel=kernel,
        cwd=cwd,
        store=settings.store,
        output=_target(request.output, notebook.path),
        deliver_partial=request.deliver_partial,
        keep_injected=request.keep_injected,
        env=dict(request.env),
        timeout=_limit("timeout", request.timeout or settings.timeout),
        cell_timeout=_limit("cell_timeout", request.cell_timeout or settings.cell_timeout),
        memory=int(_limit("memory", request.memory)),
        threads=int(_limit("threads", request.threads)),
        cpu_time=_limit("cpu_time", request.cpu_time),
        machine=request.machine.filled(settings.machine, executor.takes),
        secrets=needed,
        vertex=request.vertex,
        checkpoint=_checkpoint(request.checkpoint, needed),
        report_wanted=request.report,
        warm=settings.warm,
        preload=settings.preload or imports(notebook.data, cwd),
    )
    refuse(executor_name, executor, task, cwd if cwd != notebook.path.parent else "")
    task = executor.accept(task)
    job = Job(
        name=name,
        notebook=str(notebook.path),
        experiment=experiment,
        run=run,
        params={**(notebook.injected() if request.keep_injected else {}), **params},
        executor=executor_name,
        kernel=kernel,
        folder=str(task.folder),
        output=task.output,
        schedule=request.schedule,
    )
    identity = {"job": name, "experiment": experiment, "run": run}
    if task.files:
        identity["files"] = task.files
    prepared = prepare(notebook, params, identity, kernel, request.keep_injected)
    return Plan(request=request, job=job, task=task, notebook=notebook, prepared=prepared)


def shares_cores(request: Request, settings: Settings) -> bool:
    """Whether jobs side by side take cores from each other, which are those of this machine."""
    return "threads" not in registry.executor(request.executor or settings.executor).lacks


def _fits_the_disk(notebook: Path) -> None:
    """Its results are named after it, and longer: refused now rather than at the end."""
    if len(os.fsencode(notebook.stem)) > MAX_STEM:
        raise RequestError(
            f"{notebook} has too long a name for the files made of it: "
            f"rename it to at most {MAX_STEM} letters"
        )


def _shows_none(params: Mapping[str, Any], found: secrets.Secrets) -> None:
    for name, value in params.items():
        if found.masking.plain(value) != value:
            raise RequestError(
                f"{name} holds the value of secret {' or '.join(found)}, and would show it: give "
                f"{{{{ secret.{next(iter(found))} }}}} instead"
            )


def _folder(path: str | Path) -> Path:
    folder = place(path)
    if not folder.is_dir():
        raise RequestError(f"no folder {folder} to execute in: name one with --cwd")
    return folder


def _target(output: str | Path, notebook: Path) -> str:
    """Where the executed notebook is to be delivered; refused now rather than at the end."""
    if not output or "://" in str(output):
        return str(output)  # of a URI the executor says whether it can
    target = place(output)
    if target.is_dir():
        target /= notebook.name
    if target.exists() and notebook.exists() and target.samefile(notebook):
        raise RequestError(f"the output {target} is the notebook itself: name another file")
    probe = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        probe.touch()
        probe.unlink(missing_ok=True)  # another thread may be asking for the same
    except OSError as error:
        raise RequestError(
            f"cannot write {target}: {error.strerror}; name a file in a folder that can be written"
        ) from None
    return str(target)


def _checkpoint(mode: str, secrets: tuple[str, ...]) -> str:
    if mode and secrets:
        raise RequestError(
            "a checkpoint keeps a kernel with its secrets for an hour: leave out the checkpoint, "
            f"or secret {', '.join(secrets)}"
        )
    if mode not in ("", "cells", "tagged"):
        raise RequestError(f"checkpoint must be cells or tagged, or empty for none: not {mode!r}")
    return mode


def _limit(name: str, seconds: float) -> float:
    if not seconds >= 0:
        raise RequestError(f"{name} must be a positive number, 0 for no limit: not {seconds}")
    return seconds
