"""What makes two jobs the same, so that the second need not be executed."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from nbtools.digests import digest
from nbtools.nouns import JOB, Artifact, Context, Execution, Job, run_id, stamp
from nbtools.request import Plan
from nbtools.states import JobState
from nbtools.store import Store


def fingerprint(made: Plan, inputs: Sequence[Artifact]) -> str:
    """A digest of notebook, parameters, kernel, installed packages and declared inputs.

    Modules that lie beside the notebook, and data that it reads without saying, are not
    part of it: declare them as inputs.
    """
    cells = [[c["cell_type"], c["source"], c["metadata"]] for c in made.notebook.data["cells"]]
    parts = [
        cells,
        made.notebook.effective(made.job.params),
        made.job.kernel,
        packages(),
        sorted(_content(artifact) for artifact in inputs),
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=repr).encode()).hexdigest()


def packages() -> list[str]:
    """What is installed here, by name and version, and the interpreter."""
    folders = {Path(p) for p in sys.path if p.endswith("site-packages")}
    found = {info.name for folder in folders for info in folder.glob("*.dist-info")}
    return [sys.version, *sorted(found)]


def take(store: Store, fingerprint: str, now: datetime) -> Job | None:
    """As `find`; and written down that it was used, so that it is not pruned as an old one."""

    def used(execution: Execution) -> Execution:
        return replace(execution, metadata={**execution.metadata, "used_time": stamp(now)})

    with store.write():
        found = find(store, fingerprint)
        return Job.of(store.amend(Execution, found.name, used, now)) if found else None


def find(store: Store, fingerprint: str) -> Job | None:
    """The newest job of that fingerprint that succeeded and whose outputs are still there.

    One that was pruned has not executed all of it, and is none.
    """
    same = f'metadata.fingerprint.string_value = "{fingerprint}"'  # SQLite reads the others
    for execution in store.select(Execution, JOB, filter=same):
        job = Job.of(execution)
        notebook = Path(job.folder) / f"{Path(job.notebook).stem}.ipynb"
        run = store.find(Context, run_id(job.experiment, job.run))  # may have been deleted
        whole = run is not None and "_pruned" not in run.metadata
        if job.state is JobState.SUCCEEDED and notebook.exists() and whole:
            return job
    return None


def _content(artifact: Artifact) -> str:
    return digest(artifact.path) if artifact.path.is_file() else f"{artifact.uri} {artifact.etag}"
