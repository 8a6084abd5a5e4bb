"""Logging without a line of logging: what torch, scikit-learn and Lightning know themselves.

    nbtools.autolog()      # once, before the training; it needs an open run, or a job

torch: the optimizer's settings as params; every `every` steps the learning rate and the
last loss that `backward` was called on, as series. scikit-learn: the settings of an
estimator and how long its fit took, and its score on what it was fitted to. Lightning: its
hyperparameters, and at the end of each epoch the metrics that its trainer knows. What is
not imported yet is met when it is.
"""

from __future__ import annotations

import functools
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from importlib.machinery import ModuleSpec
from threading import local
from typing import Any

from nbtools import experiments
from nbtools.errors import NbtoolsError

#: where each library is taken hold of.
TORCH, SKLEARN = "torch", "sklearn.base"
LIGHTNING = ("lightning.pytorch", "pytorch_lightning")


class _Logger:
    """Logs to the open run; a fault of ours is said once, and training goes on."""

    def __init__(self, every: int) -> None:
        self.every = every
        self._said = False

    def log(self, work: Callable[[], None]) -> None:
        try:
            work()
        except NbtoolsError as error:
            if not self._said:
                self._said = True
                warnings.warn(f"autolog logs nothing: {error}", RuntimeWarning, stacklevel=4)

    def params(self, prefix: str, given: Mapping[str, Any]) -> None:
        """Those that can be logged; objects by their names."""
        values = {f"{prefix}{k}": _plain(v) for k, v in given.items() if v is not None}
        self.log(lambda: experiments.log_params(values))

    def series(self, values: Mapping[str, float], step: int | None = None) -> None:
        self.log(lambda: experiments.log_time_series_metrics(values, step=step))

    def metrics(self, values: Mapping[str, Any]) -> None:
        self.log(lambda: experiments.log_metrics(values))


_done: dict[str, _Logger] = {}


def autolog(every: int = 10) -> None:
    """Log what training loops know themselves; again is the same with another `every`.

    `every`: torch's steps from one logged step to the next; a loss on a GPU is only read
    then, because reading it waits for the GPU.
    """
    if _done:
        for logger in _done.values():
            logger.every = every
        return
    logger = _Logger(every)
    hooks = {TORCH: _torch, SKLEARN: _sklearn, **dict.fromkeys(LIGHTNING, _lightning)}
    for name, hook in hooks.items():
        _done[name] = logger
        if name in sys.modules:
            hook(sys.modules[name], logger)
        else:
            sys.meta_path.insert(0, _Finder(name, functools.partial(_apply, hook, logger)))


def _apply(hook: Callable[[Any, _Logger], None], logger: _Logger, module: Any) -> None:
    hook(module, logger)


class _Finder:
    """Hears when a module is imported, once."""

    def __init__(self, name: str, then: Callable[[Any], None]) -> None:
        self._name, self._then = name, then

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if name != self._name:
            return None
        sys.meta_path.remove(self)
        from importlib.util import find_spec

        spec = find_spec(name)
        if spec is None or spec.loader is None:
            return None
        execute, then = spec.loader.exec_module, self._then

        def exec_module(module: Any) -> None:
            execute(module)
            then(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


# -- torch ---------------------------------------------------------------------------------


def _torch(torch: Any, logger: _Logger) -> None:
    state: dict[str, Any] = {"loss": None, "steps": 0, "met": set()}
    backward = torch.Tensor.backward

    @functools.wraps(backward)
    def noting(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.numel() == 1:
            state["loss"] = self.detach()
        return backward(self, *args, **kwargs)

    def stepped(optimizer: Any, args: Any, kwargs: Any) -> None:
        if id(optimizer) not in state["met"]:
            state["met"].add(id(optimizer))
            logger.params("optimizer.", {"name": type(optimizer).__name__, **optimizer.defaults})
        state["steps"] += 1
        if state["steps"] % logger.every and state["steps"] != 1:
            return
        values = {"learning_rate": float(optimizer.param_groups[0]["lr"])}
        if state["loss"] is not None:
            values["loss"] = float(state["loss"])
        logger.series(values, step=state["steps"])

    torch.Tensor.backward = noting
    # Not by its attribute: `torch.optim` takes the name away.
    optimizers = sys.modules["torch.optim.optimizer"]
    optimizers.register_optimizer_step_post_hook(stepped)


# -- scikit-learn --------------------------------------------------------------------------


def _sklearn(base: Any, logger: _Logger) -> None:
    inside = local()

    def noting(fit: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(fit)
        def fitting(self: Any, *args: Any, **kwargs: Any) -> Any:
            if getattr(inside, "busy", False):  # an estimator fits others inside
                return fit(self, *args, **kwargs)
            inside.busy = True
            begin = time.perf_counter()
            try:
                fitted = fit(self, *args, **kwargs)
                seconds = time.perf_counter() - begin
                _fitted(logger, self, args, seconds)
            finally:
                inside.busy = False
            return fitted

        fitting.__dict__["_nbtools"] = True
        return fitting

    def wrap(cls: type) -> None:
        fit = vars(cls).get("fit")
        if callable(fit) and not getattr(fit, "_nbtools", False):
            cls.fit = noting(fit)  # type: ignore[attr-defined]
        subs: list[type] = cls.__subclasses__()
        for sub in subs:
            wrap(sub)

    wrap(base.BaseEstimator)
    begun = base.BaseEstimator.__init_subclass__

    def init_subclass(cls: type, /, **kwargs: Any) -> None:
        begun(**kwargs)
        wrap(cls)

    base.BaseEstimator.__init_subclass__ = classmethod(init_subclass)


def _fitted(logger: _Logger, estimator: Any, args: tuple[Any, ...], seconds: float) -> None:
    name = type(estimator).__name__
    logger.params(f"{name}.", estimator.get_params(deep=False))
    values: dict[str, Any] = {f"{name}.fit_seconds": seconds}
    if hasattr(estimator, "score") and len(args) >= 2:
        try:
            values[f"{name}.training_score"] = float(estimator.score(*args[:2]))
        except Exception as error:  # noqa: BLE001 - an estimator's own methods raise anything
            warnings.warn(f"autolog has no score of {name}: {error}", RuntimeWarning, stacklevel=5)
    logger.metrics(values)


# -- Lightning -----------------------------------------------------------------------------


def _lightning(module: Any, logger: _Logger) -> None:
    base: Any = module.callbacks.Callback

    def report(trainer: Any) -> None:
        values = {key: float(value) for key, value in trainer.callback_metrics.items()}
        if values and not trainer.sanity_checking:
            logger.series({**values, "epoch": trainer.current_epoch}, step=trainer.global_step)

    class Autolog(base):  # type: ignore[misc]
        """Logs to the open run."""

        def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
            logger.params("", dict(getattr(pl_module, "hparams", {})))

        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            report(trainer)

        def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
            report(trainer)

    fit = module.Trainer.fit

    @functools.wraps(fit)
    def fitting(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not any(isinstance(callback, Autolog) for callback in self.callbacks):
            self.callbacks.append(Autolog())
        return fit(self, *args, **kwargs)

    module.Trainer.fit = fitting


def _plain(value: Any) -> Any:
    """A param as it can be logged: anything but a number, text or a bool by its words."""
    return value if isinstance(value, bool | int | float | str) else str(value)[:200]
