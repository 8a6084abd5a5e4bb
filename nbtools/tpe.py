"""Optuna: its sampler says where to look next, its pruner which trial to give up.

The study is a journal in the sweep's folder. The sweep asks and tells, and the kernels of
its trials ask the pruner; trial n of ours is Optuna's n - 1.
"""

from __future__ import annotations

import fcntl
import json
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nbtools import registry
from nbtools.design import Design
from nbtools.space import Choices, Dimension
from nbtools.trials import Trial

JOURNAL = "optuna.journal"


class Tpe:
    """Tree-structured Parzen estimator, knowing of trials at work (constant liar)."""

    def __init__(self, design: Design, folder: Path) -> None:
        """Open the study, or begin it. Raises MissingDependency without Optuna."""
        self._design = design
        self._optuna = need_optuna()
        self._storage = _storage(folder)
        self._study: Any = None

    def ask(self, number: int) -> dict[str, Any] | None:
        if number > self._design.trials:
            return None
        study = self._open()
        asked = study.get_trials(deepcopy=False)
        space = {name: _distribution(self._optuna, d) for name, d in self._design.space.items()}
        while len(asked) < number:
            study.ask(fixed_distributions=space)
            asked = study.get_trials(deepcopy=False)
        found = asked[number - 1].params
        if found.keys() != space.keys():  # killed while it was being asked
            trial = self._optuna.Trial(study, asked[number - 1]._trial_id)
            found = {name: _suggested(trial, name, d) for name, d in space.items()}
        return {name: _value(d, found[name]) for name, d in self._design.space.items()}

    def tell(self, trial: Trial) -> None:
        states = self._optuna.trial.TrialState
        study = self._open()
        asked = study.get_trials(deepcopy=False)
        if trial.number > len(asked) or asked[trial.number - 1].state.is_finished():
            return
        told = asked[trial.number - 1]
        self._storage.set_trial_user_attr(told._trial_id, "run", trial.run)
        if trial.state == "PRUNED":
            study.tell(trial.number - 1, state=states.PRUNED)
        elif trial.counts:
            study.tell(trial.number - 1, trial.value)
        else:
            study.tell(trial.number - 1, state=states.FAIL)

    def _open(self) -> Any:
        if self._study is None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that constant_liar may change some day
                done = len(self._storage.get_all_studies())
                self._study = self._optuna.create_study(
                    study_name="sweep",
                    storage=self._storage,
                    direction=self._design.direction,
                    load_if_exists=True,
                )
                begun = len(self._study.get_trials(deepcopy=False)) if done else 0
                # Another seed after each resumption: the same would repeat its first draws.
                seed = (self._design.seed + begun) % 2**32
                self._study.sampler = self._optuna.samplers.TPESampler(
                    seed=seed, constant_liar=True
                )
        return self._study


def should_prune(folder: Path, design: Design, number: int, step: int, value: float) -> bool:
    """Tell Optuna what a trial has at `step`, from its kernel, and ask whether to end it.

    A trial that has ended, and is executed once more, is not.
    """
    optuna = need_optuna()
    pruner = optuna.pruners.MedianPruner(
        n_startup_trials=design.min_trials, n_warmup_steps=design.min_steps + 1
    )
    storage = _storage(folder)
    study = optuna.load_study(study_name="sweep", storage=storage, pruner=pruner)
    id_ = storage.get_trial_id_from_study_id_trial_number(study._study_id, number - 1)
    if storage.get_trial(id_).state.is_finished():
        return False
    trial = optuna.Trial(study, id_)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a step reported again, by a trial begun again
        trial.report(value, step)
        return bool(trial.should_prune())


def need_optuna() -> Any:
    """Optuna, saying no more than it must. Raises MissingDependency."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tqdm's advice about widgets, in every trial's notebook
        optuna = registry.need("optuna")
        registry.need("optuna.storages.journal")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


class _Lock:
    """The journal's lock: the system opens it when its holder dies, whatever it died of."""

    def __init__(self, path: Path) -> None:
        self._path, self._held = path, -1

    def acquire(self) -> bool:
        self._held = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
        fcntl.flock(self._held, fcntl.LOCK_EX)
        return True

    def release(self) -> None:
        os.close(self._held)


def _storage(folder: Path) -> Any:
    optuna = need_optuna()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / JOURNAL
    with _held(_Lock(folder / f"{JOURNAL}.lock")) as lock:
        _mend(path)
    backend = optuna.storages.journal.JournalFileBackend(str(path), lock_obj=lock)
    return optuna.storages.JournalStorage(backend)


@contextmanager
def _held(lock: _Lock) -> Iterator[_Lock]:
    lock.acquire()
    try:
        yield lock
    finally:
        lock.release()


def _mend(path: Path) -> None:
    """Cut off a line that was being written when its process was killed: Optuna would read
    no further than it.
    """
    if not path.exists():
        return
    with path.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        if not size:
            return
        file.seek(size - 1)
        if file.read(1) != b"\n":
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)


def _distribution(optuna: Any, dimension: Dimension) -> Any:
    of = optuna.distributions
    if isinstance(dimension, Choices):
        return of.CategoricalDistribution([_label(value) for value in dimension.values])
    low, high = dimension.low, dimension.high
    step = None if dimension.log else dimension.pace or None
    if step:
        high = low + (dimension.count() - 1) * step
    if dimension.whole:
        return of.IntDistribution(low, high, log=dimension.log, step=step or 1)
    return of.FloatDistribution(low, high, log=dimension.log, step=step)


def _suggested(trial: Any, name: str, of: Any) -> Any:
    if hasattr(of, "choices"):
        return trial.suggest_categorical(name, of.choices)
    suggest = trial.suggest_int if isinstance(of.high, int) else trial.suggest_float
    return suggest(name, of.low, of.high, step=of.step, log=of.log)


def _label(value: Any) -> Any:
    """A choice as Optuna takes it: lists and dicts as text."""
    return json.dumps(value) if isinstance(value, list | dict) else value


def _value(dimension: Dimension, found: Any) -> Any:
    """What Optuna has chosen, as the notebook takes it."""
    if isinstance(dimension, Choices):
        same = (
            v for v in dimension.values if _label(v) == found and type(_label(v)) is type(found)
        )
        return next(same, found)
    if dimension.step and not dimension.whole:
        return float(f"{found:.12g}")
    return found
