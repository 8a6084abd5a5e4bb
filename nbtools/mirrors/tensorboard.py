"""The mirror of TensorBoard: a run's time series as event files in the run's own folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nbtools.mirror import KeyedPoint, MirroredRun
from nbtools.mirrors.event_files import EventFiles

FOLDER = "tensorboard"  #: below a run's folder


class TensorboardMirror:
    """Event files in `<run's folder>/tensorboard`, or in `log_dir`; needs neither torch nor TF.

    Where `log_dir` is a URI they are written locally and shipped there whole.
    """

    def __init__(self, log_dir: str = "") -> None:
        self._log_dir = log_dir
        self._files: EventFiles | None = None
        self._shipment: Any = None

    def start(self, run: MirroredRun) -> None:
        folder = run.folder / FOLDER
        if "://" in self._log_dir:
            from nbtools.shipment import Shipment

            self._shipment = Shipment.make(run.store, folder, self._log_dir)
        elif self._log_dir:
            folder = Path(self._log_dir)
        self._files = EventFiles(folder)

    def params(self, values: Mapping[str, Any]) -> None:
        """Event files of scalars have no place for them; the store has them."""

    def metrics(self, values: Mapping[str, Any]) -> None:
        """As params."""

    def points(self, points: Sequence[KeyedPoint]) -> None:
        self._need().add(points)

    def artifact(self, path: Path, name: str, schema_title: str) -> None:
        """As params."""

    def flush(self) -> bool:
        self._need().flush()
        if self._shipment is not None:
            self._shipment.ship_if_due()
        return True  # what is not shipped yet, its shipment remembers

    def end(self, state: str) -> None:
        """Event files have no word for it."""

    def close(self) -> None:
        if self._files is not None:
            self._files.close()
        if self._shipment is not None:
            self._shipment.close()

    def _need(self) -> EventFiles:
        assert self._files is not None, "start comes first"
        return self._files
