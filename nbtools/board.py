"""TensorBoard on runs, by their names, also on those that wrote no event file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from nbtools import registry
from nbtools.errors import NotFound, RequestError
from nbtools.mirrors.event_files import EventFiles
from nbtools.mirrors.tensorboard import FOLDER
from nbtools.nouns import Run, stamp
from nbtools.runs import find_run, list_runs, run_folder
from nbtools.spool import spools, write_whole
from nbtools.states import ExecutionState
from nbtools.store import Store

EXPORTED = "exported.json"  #: in a run's log folder: the run as it was when all was exported


class Board:
    """A folder in which TensorBoard finds runs; what the store has of them is written there."""

    def __init__(
        self, store: Store, tree: Path, experiment: str = "", names: Sequence[str] = ()
    ) -> None:
        """`tree` is an empty folder; `names` are runs as `find_run` takes them, all by default."""
        if store.folder is None:
            raise RequestError("a store in memory has no event files: name a folder")
        self._store, self._folder, self._tree = store, store.folder, tree
        self._experiment, self._names = experiment, names
        self._files: dict[str, EventFiles] = {}
        self._ends: dict[str, dict[str, Any]] = {}  # of each run: its series' lengths and ends

    def refresh(self, now: datetime) -> list[Run]:
        """Take in what runs have logged since; returns those that have something to show.

        Raises NotFound for a run or an experiment that there is not, OSError.
        """
        runs = self._runs(now)
        several = len({run.experiment for run in runs}) > 1
        held = {s.run.id for s in spools(self._folder, "tensorboard") if not _free(s)}
        shown = []
        for run in runs:
            folder = run_folder(self._folder, run) / FOLDER
            if run.id not in held:  # else its own process writes them
                self._export(run, folder)
            if folder.is_dir():
                link = self._tree / run.experiment / run.name if several else self._tree / run.name
                link.parent.mkdir(exist_ok=True)
                if not link.is_symlink():
                    link.symlink_to(folder.resolve())
                shown.append(run)
        return shown

    def _runs(self, now: datetime) -> list[Run]:
        if not self._names:
            return list_runs(self._store, now, self._experiment)
        return [find_run(self._store, now, name, self._experiment) for name in self._names]

    def _export(self, run: Run, folder: Path) -> None:
        """Write the series that the store has and the event files have not."""
        ended = run.state is not ExecutionState.RUNNING
        mark = json.dumps({"update_time": stamp(run.update_time)})
        done = folder / EXPORTED
        if ended and done.exists() and done.read_text() == mark:
            return
        series = self._store.points(run.id)
        ends = {key: (len(points), points[-1]) for key, points in series.items()}
        before = self._ends.get(run.id, {})
        changed = [key for key in series if ends[key] != before.get(key)]
        if changed:
            if run.id not in self._files:
                self._files[run.id] = EventFiles(folder)
            files = self._files[run.id]
            files.add((key, *point) for key in changed for point in series[key])
            files.flush()
            self._ends[run.id] = ends
        if ended:
            if files_of := self._files.pop(run.id, None):
                files_of.close()
            if folder.is_dir():
                write_whole(done, mark)


def serve(logdir: Path, port: int | None, host: str) -> str:
    """Start TensorBoard on a folder, in threads of this process; returns its URL.

    Without `port` the first free one from 6006 on. Raises RequestError when the port is
    taken, MissingDependency without tensorboard.
    """
    registry.need("tensorboard")
    from tensorboard import default, main_lib, program

    main_lib.global_init()
    board = program.TensorBoard(plugins=default.get_plugins())
    argv = ["tensorboard", f"--logdir={logdir}", f"--host={host}", "--reload_interval=5"]
    board.configure([*argv, *([] if port is None else [f"--port={port}"])])
    try:
        url: str = board.launch()
    except program.TensorBoardServerException as error:
        raise RequestError(f"TensorBoard cannot start: {error}; give another --port") from None
    return url


def stop() -> None:
    """End the processes that TensorBoard's plugins have begun; the rest ends with ours."""
    from multiprocessing import active_children

    children = active_children()
    for child in children:
        child.terminate()
    for child in children:
        child.join(5)
        if child.is_alive():
            child.kill()


def none_shown(experiment: str) -> NotFound:
    """What to say where there is nothing to see."""
    where = f"experiment {experiment!r} has" if experiment else "there are"
    return NotFound(
        f"{where} no runs with time series yet: log them with log_time_series_metrics, "
        "or write them with nbtools.tensorboard.writer()"
    )


def _free(spool: Any) -> bool:
    """Whether nobody feeds this spool's mirror now."""
    free: bool = spool.lock()
    spool.unlock()
    return free
