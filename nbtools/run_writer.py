"""torch's SummaryWriter, whose scalars also reach the store. Imported by `tensorboard.writer`."""

from __future__ import annotations

import atexit
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from nbtools.mirrors.event_files import TAGS
from nbtools.open_run import OpenRun
from nbtools.shipment import Shipping


class RunWriter(SummaryWriter):
    """Everything torch's writer does; scalars, hyperparameters and their metrics are logged too."""

    def __init__(
        self, run: OpenRun, folder: Path, flush_secs: float, shipping: Shipping | None
    ) -> None:
        self._run, self._shipping = run, shipping
        self._tags: set[str] = set()
        folder.mkdir(parents=True, exist_ok=True)
        self._notes = os.open(folder / TAGS, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        super().__init__(str(folder), flush_secs=flush_secs)
        if shipping is not None:
            atexit.register(self.close)

    def add_scalar(
        self,
        tag: str,
        scalar_value: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        new_style: bool = False,
        double_precision: bool = False,
    ) -> None:
        """One step of a series, in the event file and in the store."""
        super().add_scalar(tag, scalar_value, global_step, walltime, new_style, double_precision)
        self._log({tag: scalar_value}, global_step, walltime)

    def add_scalars(
        self,
        main_tag: str,
        tag_scalar_dict: Mapping[str, Any],
        global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:
        """One step of several series, `main_tag/name` in the store."""
        super().add_scalars(main_tag, tag_scalar_dict, global_step, walltime)
        named = {f"{main_tag}/{name}": value for name, value in tag_scalar_dict.items()}
        self._log(named, global_step, walltime)

    def add_hparams(
        self,
        hparam_dict: dict[str, Any],
        metric_dict: dict[str, Any],
        hparam_domain_discrete: Mapping[str, Sequence[Any]] | None = None,
        run_name: str | None = None,
        global_step: int | None = None,
    ) -> None:
        """What went in and what came out; in the store the run's params and metrics."""
        super().add_hparams(hparam_dict, metric_dict, hparam_domain_discrete, run_name, global_step)
        given = {name: value for name, value in hparam_dict.items() if value is not None}
        self._run.log_params(given)
        self._run.log_metrics(metric_dict)

    def flush(self) -> None:
        """Write what waits; where files are shipped, ship them now, without waiting for it."""
        super().flush()
        if self._shipping is not None:
            self._shipping.soon()

    def close(self) -> None:
        """Write what waits; where files are shipped, wait until they are, or warn of the rest."""
        if self.all_writers is None:
            return
        super().close()
        os.close(self._notes)
        if self._shipping is not None:
            atexit.unregister(self.close)
            self._shipping.end()

    def _log(self, values: Mapping[str, Any], step: int | None, walltime: float | None) -> None:
        if new := [tag for tag in values if tag not in self._tags]:
            # Before they are logged: whoever writes the store's series here leaves these out.
            os.write(self._notes, "".join(json.dumps(tag) + "\n" for tag in new).encode())
            self._tags.update(new)
        self._run.log_time_series_metrics(values, step, walltime)
