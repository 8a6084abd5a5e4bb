"""An experiment that is there: its description and its runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nbtools.errors import NotFound
from nbtools.experiment_run import ExperimentRun
from nbtools.nouns import EXPERIMENT, Context
from nbtools.settings import Settings
from nbtools.store import Store

if TYPE_CHECKING:
    import pandas as pd


class Experiment:
    """An experiment that is there. Raises NotFound."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._context()

    def __repr__(self) -> str:
        return f"Experiment({self.name!r})"

    @classmethod
    def list(cls) -> Sequence[Experiment]:
        """All experiments, newest first."""
        return [
            cls(context.name)
            for context in Store(Settings.load().store).select(Context, EXPERIMENT)
        ]

    @property
    def description(self) -> str:
        """What `init` was told of it."""
        return str(self._context().metadata.get("description", ""))

    def runs(self) -> Sequence[ExperimentRun]:
        """Its runs, newest first."""
        return ExperimentRun.list(self.name)

    def get_data_frame(self) -> pd.DataFrame:
        """Its runs side by side; see get_experiment_df."""
        from nbtools.experiments import get_experiment_df

        return get_experiment_df(self.name)

    def _context(self) -> Context:
        found = Store(Settings.load().store).find(Context, self.name)
        if found is None or found.schema_title != EXPERIMENT:
            raise NotFound(f"no experiment {self.name!r}: `nbtools runs list` shows what there is")
        return found
