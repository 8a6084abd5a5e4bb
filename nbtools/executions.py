"""Executions of one's own: steps that are no jobs, with what they read and left."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from nbtools import lineage, nouns
from nbtools.errors import NotFound, RequestError
from nbtools.experiments import current_run
from nbtools.nouns import FILE, JOB, PROCESS, Artifact, Execution, slug, utc_now
from nbtools.settings import Settings
from nbtools.states import ExecutionState
from nbtools.store import Store

#: an artifact, or its name, URI or path.
Named = str | Path | Artifact


class OpenExecution:
    """An execution that is at work. Made by `start_execution`, ended by its `with`."""

    def __init__(
        self, store: Store, execution: Execution, context: str, outputs: Iterable[Named]
    ) -> None:
        self._store, self._context, self._outputs = store, context, list(outputs)
        self.name: str = execution.name  #: its id

    def __enter__(self) -> OpenExecution:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if kind is None:
            try:
                self.assign_output_artifacts(self._outputs)
            except RequestError as missing:
                self._end(ExecutionState.FAILED, str(missing))
                raise
            self._end(ExecutionState.COMPLETE, "")
            return
        there = (o for o in self._outputs if isinstance(o, Artifact) or _there(o))
        self.assign_output_artifacts(there)
        self._end(ExecutionState.FAILED, f"{kind.__name__}: {error}")

    def assign_input_artifacts(self, artifacts: Iterable[Named]) -> None:
        """Say what it read: artifacts, or their names, URIs or paths. Raises NotFound."""
        for named in artifacts:
            lineage.read(self._store, self._found(named), self.name, utc_now())

    def assign_output_artifacts(self, artifacts: Iterable[Named]) -> None:
        """Say what it left: artifacts, or the URIs or paths of files. Raises NotFound."""
        for named in artifacts:
            found = self._made(named)
            lineage.left(self._store, found, self.name, self._context, utc_now())

    def _found(self, named: Named) -> Artifact:
        if isinstance(named, Artifact):
            return named
        try:
            return lineage.find(self._store, str(named))
        except NotFound:
            if nouns.local(str(named)):
                raise
            return lineage.of_uri(str(named), FILE)  # elsewhere: taken at its word

    def _made(self, named: Named) -> Artifact:
        """A path is what lies there now, whatever was called so before."""
        if isinstance(named, Artifact):
            return named
        path = nouns.local(str(named))
        if path is None:
            return lineage.of_uri(str(named), FILE)
        if not path.is_file():
            raise NotFound(f"no file {path}, which execution {self.name} was to leave: write it")
        return lineage.of_content(self._store, path)

    def _end(self, state: ExecutionState, error: str) -> None:
        end = {"error": error, "end_time": utc_now().isoformat()}
        self._store.amend(
            Execution,
            self.name,
            lambda e: replace(e, state=state, metadata={**e.metadata, **end}),
            utc_now(),
        )


def start_execution(
    display_name: str = "step",
    *,
    inputs: Iterable[Named] = (),
    outputs: Iterable[Named] = (),
    schema_title: str = PROCESS,
    metadata: Mapping[str, Any] | None = None,
) -> OpenExecution:
    """Begin an execution of one's own, for a `with`: COMPLETE at its end, FAILED by an error.

    `inputs` are looked up now, `outputs` when it ends, for they are not there yet. Within an
    open run it is part of that. Raises NotFound for an input that is not there, and for an
    output that was not left; RequestError for the schema of jobs, which nbtools itself makes.
    """
    if schema_title == JOB:
        raise RequestError(f"{JOB} is what jobs are: name another schema, such as {PROCESS}")
    run, now = current_run(), utc_now()
    store = Store(Settings.load().store)
    name = f"{slug(display_name, 40)}-{now:%Y%m%d-%H%M%S}-{os.urandom(4).hex()}"
    execution = Execution(
        name=name,
        schema_title=schema_title,
        display_name=display_name,
        state=ExecutionState.RUNNING,
        metadata=dict(metadata or {}),
    )
    context = run.id if run else ""
    with store.write():  # an input that is not there leaves nothing behind
        store.add(execution, now)
        if context:
            store.associate(context, execution=name)
        opened = OpenExecution(store, execution, context, outputs)
        opened.assign_input_artifacts(inputs)
    return opened


def _there(named: str | Path) -> bool:
    path = nouns.local(str(named))
    return path is not None and path.is_file()
