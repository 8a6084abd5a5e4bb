"""The contract of mirrors: who else hears of a run.

A mirror repeats a run elsewhere: event files for TensorBoard, a run on W&B. It is fed by
a thread of its own (`mirroring.py`) with what the run's journal says, so it may be slow,
unreachable or broken without a training loop noticing. Whatever a method raises means
"not now": what was not safe is told again later, to a new mirror of the same run, from
the last `flush` on that returned True. So telling it twice must be the same as telling
it once. An implementation is one file in `mirrors/`, named in `registry.py`, and passes
the suite in `tests/contracts/test_mirror.py`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from nbtools import metadata
from nbtools.nouns import Context, moment, stamp

#: key, step, wall time (seconds since the epoch), value (may be NaN)
KeyedPoint = tuple[str, int, float, float]


@dataclass(frozen=True, kw_only=True)
class MirroredRun:
    """What a mirror is told of a run at first."""

    id: str  #: the name of its context, unique in the store
    experiment: str  #: the experiment it belongs to
    name: str  #: its name in the experiment
    store: Path  #: the store's folder
    folder: Path  #: where the run's files lie
    part: str = ""  #: names what one process logged to it; the same when that is told again
    params: Mapping[str, Any] = field(default_factory=dict)  #: those that it began with
    metrics: Mapping[str, Any] = field(default_factory=dict)  #: of one that is continued
    tags: tuple[str, ...] = ()
    notes: str = ""
    parent: str = ""  #: the name of the outer run, if any
    create_time: datetime | None = None  #: UTC

    @classmethod
    def of(cls, context: Context, store: Path, folder: Path, part: str) -> MirroredRun:
        """Read a run's context, as it is now."""
        meta = context.metadata
        return cls(
            id=context.name,
            experiment=meta["_experiment"],
            name=context.display_name,
            store=store,
            folder=folder,
            part=part,
            params=meta.get("_params", {}),
            metrics=meta.get("_metrics", {}),
            tags=tuple(meta.get("_tags", ())),
            notes=meta.get("_notes", ""),
            parent=meta.get("_parent", ""),
            create_time=context.create_time,
        )

    def dumps(self) -> str:
        """The record as JSON."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        values["store"], values["folder"] = str(self.store), str(self.folder)
        values["create_time"] = stamp(self.create_time)
        return metadata.dumps(values)

    @classmethod
    def loads(cls, text: str) -> MirroredRun:
        """The record that `dumps` wrote."""
        values = metadata.loads(text)
        values["store"], values["folder"] = Path(values["store"]), Path(values["folder"])
        values["tags"] = tuple(values["tags"])
        values["create_time"] = moment(values["create_time"])
        return cls(**values)


class Mirror(Protocol):
    """One run elsewhere. Made without arguments but its options, as keywords.

    Every method is called from one thread. All of them may raise anything.
    """

    def start(self, run: MirroredRun) -> None:
        """Begin, or continue a run that was mirrored before."""

    def params(self, values: Mapping[str, Any]) -> None:
        """What went in: numbers, text or bools by name."""

    def metrics(self, values: Mapping[str, Any]) -> None:
        """What came out: the last value of each."""

    def points(self, points: Sequence[KeyedPoint]) -> None:
        """Points of time series, as they were logged; a step again replaces the old."""

    def artifact(self, path: Path, name: str, schema_title: str) -> None:
        """A file that the run keeps; it is there while this is called."""

    def flush(self) -> bool:
        """Send what was told. True when all of it is safe there and need not be told again."""

    def end(self, state: str) -> str | None:
        """The run has ended: COMPLETE, FAILED, CANCELLED; "" when its job is still to say how.

        Then it returns as what the run is shown there until that is known, if it is shown as
        anything; another mirror is told, unless it comes to that.
        """

    def close(self) -> None:
        """Let go; after `end`, all that was told is safe when this returns."""


class MirrorWarning(UserWarning):
    """A mirror, or a URI, does not hear of a run for now; the run itself is not touched."""


def warn(message: str) -> None:
    """Give a MirrorWarning; never raises, also where warnings are errors."""
    with suppress(MirrorWarning):
        warnings.warn(message, MirrorWarning, stacklevel=3)


def reason(error: BaseException) -> str:
    """What was raised, on one line of at most 300 characters."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
