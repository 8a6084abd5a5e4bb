"""The mirror of Weights & Biases: the same run there, online or offline.

W&B takes steps in ascending order only. As long as they ascend, W&B's own step is ours;
what comes late gets the next free one, and `nbtools_step`, by which W&B draws, is always
the true one. How rows get their steps depends on the journal alone, so a run that is told
again from its beginning gives the same rows, and those that W&B has are left out. Only the
end of a run says that W&B has all of it.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from nbtools import registry
from nbtools.mirror import KeyedPoint, MirroredRun
from nbtools.spool import write_whole

STEP = "nbtools_step"  #: the column of each row that holds the step as it was logged
#: seconds that W&B's service may take to let go of a run that has been finished before.
RELEASE = 10.0
NO_NAME = re.compile(r"[^\w.-]+", re.ASCII)  #: what W&B takes in no artifact's name


class WandbMirror:
    """A run of `project` (the experiment's name by default) with the run's own id and name.

    `mode` is online, offline or disabled, as WANDB_MODE, which holds when it is not given.
    `finish_timeout` is in seconds: so long W&B may take to send the rest when a run ends.
    """

    def __init__(
        self, project: str = "", entity: str = "", mode: str = "", finish_timeout: float = 60.0
    ) -> None:
        self._project, self._entity, self._mode = project, entity, mode
        self._finish_timeout = finish_timeout
        self._run: Any = None
        self._state = "FAILED"
        self._seen, self._step = 0, -1  #: W&B has the rows before `_seen`; the last row told
        self._logged = object()  #: the last step as it was logged, whatever row that became

    def start(self, run: MirroredRun) -> None:
        wandb = registry.need("wandb")
        folder = run.folder.parent / "wandb" / run.part  # beside the run's files: no output of it
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("wandb/offline-run-*"):
            if not list(old.glob("*.synced")):
                shutil.rmtree(old, ignore_errors=True)  # what is told again, whole
        memo = folder / "first.json"  # where W&B was before this was told for the first time
        self._run = self._open(wandb, run, folder)
        self._seen = self._run.step
        first = json.loads(memo.read_text()) if memo.exists() else self._seen
        self._step = first - 1
        write_whole(memo, json.dumps(first))
        self._run.define_metric("*", step_metric=STEP)

    def _open(self, wandb: Any, run: MirroredRun, folder: Path) -> Any:
        settings = wandb.Settings(
            console="off",
            silent=True,
            finish_timeout=self._finish_timeout,
            finish_timeout_raises=True,
        )
        deadline = time.monotonic() + RELEASE
        while True:
            try:
                return wandb.init(
                    project=self._project or run.experiment,
                    entity=self._entity or None,
                    mode=self._mode or None,
                    id=run.id,
                    name=run.name,
                    group=run.parent or None,
                    tags=run.tags or None,
                    notes=run.notes or None,
                    dir=str(folder),
                    resume="allow",
                    reinit="create_new",  # the user's own wandb run is left alone
                    settings=settings,
                )
            except Exception as error:  # of many kinds, some of them private
                if "is in use" in str(error) and time.monotonic() < deadline:
                    time.sleep(0.1)
                    continue
                _release(wandb)  # it keeps the run's id of an attempt that failed
                raise

    def params(self, values: Mapping[str, Any]) -> None:
        self._run.config.update(dict(values), allow_val_change=True)

    def metrics(self, values: Mapping[str, Any]) -> None:
        self._run.summary.update(dict(values))

    def points(self, points: Sequence[KeyedPoint]) -> None:
        for (step, wall_time), row in groupby(points, key=lambda point: point[1:3]):
            if step != self._logged:
                self._step = step if step > self._step else self._step + 1
                self._logged = step
            if self._step < self._seen:
                continue
            values = {key: value for key, _, _, value in row}
            self._run.log({**values, STEP: step, "_timestamp": wall_time}, step=self._step)

    def artifact(self, path: Path, name: str, schema_title: str) -> None:
        wandb = registry.need("wandb")
        kind = schema_title.rpartition(".")[2].lower()
        kept = wandb.Artifact(NO_NAME.sub("-", name), type=kind)
        if path.is_dir():
            kept.add_dir(str(path), policy="immutable")
        else:
            kept.add_file(str(path), policy="immutable")  # no copy: it lies in the run's folder
        self._run.log_artifact(kept)

    def flush(self) -> bool:
        return False

    def end(self, state: str) -> str:
        self._state = state or "COMPLETE"
        return self._state

    def close(self) -> None:
        run, self._run = self._run, None
        if run is not None:
            run.finish(exit_code=0 if self._state == "COMPLETE" else 1)
            _release(registry.need("wandb"))  # it has not written all of it before


def _release(wandb: Any) -> None:
    """Wait for W&B's service, and end it, unless somebody's run is at work there."""
    if wandb.setup().most_recent_active_run is None:
        wandb.teardown()
