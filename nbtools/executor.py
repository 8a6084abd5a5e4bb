"""The contract of executors: who runs a prepared notebook.

An executor is a pair of hands. It gets a `Task`, a notebook with its parameters already
in it, and says what it sees as an `Observation`; `jobs.py` alone decides what that makes
of the job. An implementation is one file in `executors/`, named in `registry.py`, and
passes the suite in `tests/contracts/`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from nbtools.errors import RequestError
from nbtools.machine import Machine
from nbtools.nouns import moment, stamp
from nbtools.secrets import Secrets
from nbtools.states import JobState

#: how the error of a task begins that was killed from outside, or whose machine went down.
DIED = "its process died"


@dataclass(frozen=True, kw_only=True)
class Task:
    """What an executor needs to know; all of it, and nothing of the store's."""

    job: str  #: the job's name; starting it twice is an error
    folder: Path  #: the job's folder: `prepared.ipynb` is there, results come there
    stem: str  #: results are called `{stem}.ipynb` and `{stem}.html`
    kernel: str  #: kernelspec name
    cwd: Path  #: the kernel's working directory
    store: Path  #: what NBTOOLS_STORE says in the kernel
    output: str = ""  #: deliver the executed notebook here too
    deliver_partial: bool = False  #: also when it did not reach its end
    keep_injected: bool = False  #: it was prepared so: see `Request`
    timeout: float = 0.0  #: seconds for the whole; 0: no limit
    cell_timeout: float = 0.0  #: seconds for each cell; 0: no limit
    memory: int = 0  #: bytes that the kernel and what it started may use; 0: no limit
    cpu_time: float = 0.0  #: seconds of CPU that they may use; 0: no limit
    threads: int = 0  #: CPU threads that libraries shall use; 0: as they like
    machine: Machine = Machine()  #: what it is to be executed on
    env: Mapping[str, str] = field(default_factory=dict)  #: more for the kernel's environment
    secrets: tuple[str, ...] = ()  #: names; the values are not the task's to hold
    vertex: str = ""  #: `local`: Google's SDK in the notebook talks to the emulator of the store
    files: str = ""  #: a URI: the kernel cannot reach `folder`, and ships there what it writes
    checkpoint: str = ""  #: keep the kernel's state: after all `cells`, or those `tagged`
    first: int = 0  #: the first cell to execute, from 0: the others are as they shall be
    thaw: str = ""  #: where the kernel is frozen that has executed them
    setup: str = ""  #: code to execute there first, unseen
    report_wanted: bool = True  #: make a page of the executed notebook
    warm: bool = True  #: fork the kernel from a process that has its imports loaded
    preload: tuple[str, ...] = ()  #: those imports

    @property
    def prepared(self) -> Path:
        """The notebook to execute."""
        return self.folder / "prepared.ipynb"

    @property
    def kept(self) -> Path:
        """This task itself, for whoever goes on when the one who made it is gone."""
        return self.folder / "task.json"

    @property
    def executed(self) -> Path:
        """The executed notebook; there only when all of it was executed."""
        return self.folder / f"{self.stem}.ipynb"

    @property
    def transcript(self) -> Path:
        """What happened so far (`nbtools.transcript`); there from the first cell on."""
        return self.folder / "transcript.jsonl"

    @property
    def partial(self) -> Path:
        """What was executed until it stopped; there when it did not reach its end."""
        return self.folder / f"{self.stem}.partial.ipynb"

    @property
    def report(self) -> Path:
        """The executed notebook as a page."""
        return self.folder / f"{self.stem}.html"

    def dumps(self) -> str:
        """The task as JSON."""
        values = {**asdict(self), "machine": self.machine.dumps()}
        return json.dumps({k: str(v) if isinstance(v, Path) else v for k, v in values.items()})

    @classmethod
    def loads(cls, text: str) -> Task:
        """The task that `dumps` wrote."""
        values = json.loads(text)
        for key in ("folder", "cwd", "store"):
            values[key] = Path(values[key])
        for key in ("preload", "secrets"):
            values[key] = tuple(values.get(key, ()))
        values["machine"] = Machine.loads(values.get("machine", {}))
        return cls(**values)


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What an executor sees of a task at one moment; each is complete in itself."""

    state: JobState
    cell: int = 0  #: the last cell begun, from 1; 0 before the first
    cells: int = 0  #: how many there are; 0: not known yet
    text: str = ""  #: the last line printed
    error: str = ""  #: one sentence: why it ended without success
    start_time: datetime | None = None  #: UTC
    end_time: datetime | None = None  #: UTC

    def dumps(self) -> str:
        """The observation as one line of JSON."""
        values = asdict(self)
        for key in ("start_time", "end_time"):
            values[key] = stamp(values[key])
        return json.dumps(values)

    @classmethod
    def loads(cls, text: str | bytes) -> Observation:
        """The observation that `dumps` wrote."""
        values = json.loads(text)
        for key in ("start_time", "end_time"):
            values[key] = moment(values[key])
        values["state"] = JobState(values["state"])
        return cls(**values)


class Executor(Protocol):
    """Who runs a task."""

    #: fields of `Task` that it has no equivalent of -> one sentence to whoever asks for it.
    lacks: Mapping[str, str]
    #: what nobody asks for and yet is different -> one sentence. `kernels`: it takes any name,
    #: for it knows none; `progress`: it does not see how far a notebook is; `partial`: of one
    #: that was cancelled nothing comes back; `store`: the notebook cannot reach ours, its run
    #: comes home with it.
    differs: Mapping[str, str]
    #: the fields of `Machine` that it can give.
    takes: frozenset[str]

    def accept(self, task: Task) -> Task:
        """The task with what it leaves open filled in, before anything is remembered.

        Raises RequestError for what this executor cannot do with it.
        """

    def check(self, kernel: str) -> str:
        """The kernelspec to use for `kernel` ("" is this executor's default).

        Raises RequestError, naming what there is, when it has no such kernel.
        """

    def start(self, task: Task, secrets: Secrets) -> str:
        """Begin, and return a handle; the task lives on when this process ends.

        `secrets` are those that the task names. They are handed to its kernel, in memory, and
        to no file, log, argument or other process's environment; what is kept of the
        task's output has `***` in their place.

        Raises AlreadyExists when the task's job was started before.
        """

    def begun(self, folder: Path) -> str:
        """The handle of the task in a job's folder, "" when nothing has been heard of it yet:
        whoever started it may have been killed before writing it down.
        """

    def poll(self, handle: str, now: datetime) -> Observation:
        """What is to be seen of it now. Never raises for a task that failed or died."""

    def wait(self, handles: Sequence[str], seconds: float) -> None:
        """Return when one of them may have ended, after `seconds` at the latest."""

    def stop(self, handle: str) -> None:
        """Ask it to stop: interrupt first, then kill. Does not wait. Again is the same."""


def refuse(name: str, executor: Executor, task: Task, cwd: str | Path = "") -> None:
    """Raises RequestError for what is asked for and the executor of that name has not.

    `cwd` is what somebody asks for: a task has one in any case.
    """
    asked = {**vars(task), "cwd": cwd}
    why = [said for word, said in executor.lacks.items() if asked[word]]
    for word in task.machine.asked:
        if word not in executor.takes:
            flag = "machine" if word == "type" else word.replace("_", "-")
            why.append(f"executor {name} has no --{flag}: leave it out, or choose another executor")
    if why:
        raise RequestError("\n".join(why))
