"""CONTRACT: whose history can be moved here, and what of it.

An importer reads another tracker's files where they lie and yields its runs in our words.
It writes nothing and imports none of that tracker's packages: who moves has often removed
them. What it cannot take, or takes as something else than it was, it counts in `remarks`,
by a plain-English name: nothing is lost silently. `importing.py` puts the runs into the store.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from nbtools.nouns import FILE
from nbtools.states import ExecutionState

#: step, wall time (seconds since the epoch), value
Point = tuple[int, float, float]
#: what was not taken, or not as it was, in plain English -> how many
Remarks = Counter[str]


@dataclass(frozen=True, kw_only=True)
class ImportedFile:
    """A file that a run left behind, where it lies now."""

    name: str  #: what its run calls it: a path below the run
    uri: str  #: an absolute path, or a URI
    schema_title: str = FILE  #: `system.Artifact`, `system.Model`, …


@dataclass(frozen=True, kw_only=True)
class ImportedRun:
    """A run as another tracker kept it, in our words."""

    id: str  #: by which that tracker knows it; the same whenever it is read again
    experiment: str  #: the experiment's, project's or folder's name, as it was
    name: str  #: its name, as it was
    state: ExecutionState
    error: str = ""  #: one sentence: why it did not end well, if that is known
    params: Mapping[str, Any] = field(default_factory=dict)  #: numbers, text or bools by name
    #: what came out besides `series`, or in its place: the last value of a series needs none
    metrics: Mapping[str, Any] = field(default_factory=dict)
    #: every point of each metric, in the order in which they were logged
    series: Mapping[str, list[Point]] = field(default_factory=dict)
    tags: tuple[str, ...] = ()  #: a word each, or `key=value`
    notes: str = ""  #: what its user wrote about it
    parent: str = ""  #: the id of the run that it was nested in
    start_time: datetime | None = None  #: UTC
    end_time: datetime | None = None  #: UTC
    files: tuple[ImportedFile, ...] = ()
    about: Mapping[str, Any] = field(default_factory=dict)  #: what else was kept: user, commit, …


class Importer(Protocol):
    """Reads what one tracker has written."""

    title: str  #: its name, as its makers write it

    def finds(self, path: Path) -> bool:
        """Whether this tracker's history lies at `path`, a file or a folder."""

    def runs(self, path: Path, remarks: Remarks) -> Iterator[ImportedRun]:
        """Each run there, once; one that was continued with all of its parts.

        Counts in `remarks` what is left out. Raises RequestError when what lies there
        cannot be read at all, and OSError.
        """
