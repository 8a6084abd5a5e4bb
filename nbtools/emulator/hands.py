"""Beginning jobs of nbtools for those who ask through the emulator."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from threading import Lock

from nbtools.errors import NbtoolsError
from nbtools.executor import Task
from nbtools.jobs import Jobs
from nbtools.nouns import Execution, Job
from nbtools.settings import Settings
from nbtools.store import Store


class Hands:
    """The jobs of the emulator's store. Safe to use from several threads."""

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        assert store.folder is not None  # an emulator's store is one on disk
        self.folder: Path = store.folder
        self.jobs = Jobs(store, replace(Settings.load(), store=store.folder), clock)
        #: held while a job or a schedule is made: name, folder and record are taken together, and
        #: what that needs is imported by one thread at a time
        self.alone = Lock()
        self._giving = Lock()
        self._begun: list[Job] = []

    def hand_over(self, task: Task) -> None:
        """Have a job begun that is remembered. Why it cannot be, the job itself says."""
        with self._giving:
            self.jobs.wait(self._begun, 0.0)  # runners that have nothing to do are used again
            self._begun = [job for job in self._begun if self._goes_on(job.name)]
            with suppress(NbtoolsError):  # the job is FAILED with that reason
                self._begun.append(self.jobs.hand_over(task))

    def _goes_on(self, name: str) -> bool:
        there = self.jobs.store.find(Execution, name) is not None
        return there and not self.jobs.look(name)[0].state.final
