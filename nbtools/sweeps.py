"""Sweeps: a space of parameters, searched by many jobs in one experiment.

    done = nbtools.sweep("train.ipynb", {"lr": [1e-4, 1e-3], "width": "32:256:log"})
    done.get_data_frame(), done.report

A sweep is a context in the store, a child of its experiment; its trials are runs, which
know it by `_sweep`. What conducts it may die at any moment: `Sweep(name).resume()`.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbtools import conductor, lineage, objective, registry, runs, space, trials
from nbtools.conductor import Conductor, Notice
from nbtools.design import Design, whole
from nbtools.digests import digest
from nbtools.errors import AlreadyExists, NbtoolsError, NotFound, RequestError, StateError
from nbtools.jobs import Jobs
from nbtools.machine import Machine
from nbtools.notebook import Notebook
from nbtools.nouns import REPORT, SWEEP, Context, run_id, slug
from nbtools.request import Request, plan
from nbtools.space import Choices, Space
from nbtools.summaries import METRIC, SERIES
from nbtools.trials import Trial

if TYPE_CHECKING:
    import pandas as pd


class Sweep:
    """A sweep that is there, to look at, to go on with, or to cancel."""

    def __init__(self, name: str = "last", jobs: Jobs | None = None) -> None:
        """The sweep of that name, or an unmistakable beginning of it, or `last`.

        Raises NotFound, or RequestError when several would fit.
        """
        self._jobs = jobs or Jobs.open()
        store = self._jobs.store
        exact = store.find(Context, name)
        found = [exact] if exact and exact.schema_title == SWEEP else []
        if name == "last":
            found = store.select(Context, SWEEP, limit=1)
        elif not found and name:
            found = store.select(Context, SWEEP, prefix=name, limit=2)
        if not found:
            raise NotFound(f"no sweep {name!r}: `nbtools sweep list` shows them")
        if len(found) > 1:
            raise RequestError(f"{name!r} is the beginning of several sweeps: give more of it")
        self.name: str = found[0].name  #: unique in the store

    @classmethod
    def list(cls) -> builtins.list[Sweep]:
        """All sweeps, newest first."""
        jobs = Jobs.open()
        return [cls(context.name, jobs) for context in jobs.store.select(Context, SWEEP)]

    def __repr__(self) -> str:
        return f"Sweep({self.name!r})"

    def _context(self) -> Context:
        return self._jobs.store.get(Context, self.name)

    @property
    def design(self) -> Design:
        """What it is to do."""
        return Design.of(self._context())

    @property
    def experiment(self) -> str:
        """The experiment that its runs belong to."""
        return str(self._context().metadata["_experiment"])

    @property
    def state(self) -> str:
        """RUNNING, COMPLETE or CANCELLED; INTERRUPTED when nobody carries it out: resume it."""
        state = str(self._context().metadata["_state"])
        if state == "RUNNING" and not conductor.is_conducted(self.folder):
            return "INTERRUPTED"
        return state

    @property
    def folder(self) -> Path:
        """Where its files lie."""
        return trials.folder(self._jobs.store, self.name)

    @property
    def trials(self) -> builtins.list[Trial]:
        """Those that have begun, in order, as they stand now."""
        self._jobs.reconcile()
        now = self._jobs.clock()
        self._jobs.store.drain(now)
        return trials.trials(self._jobs.store, self._context(), now)

    @property
    def best(self) -> Trial:
        """The best of its completed trials; see `best_by`."""
        return self.best_by()

    def best_by(self, objective: str = "", direction: str = "") -> Trial:
        """The best by its own objective, or by another metric. Raises RequestError without
        an objective, NotFound when no completed trial has reported it.
        """
        design = self.design
        if objective:
            design = replace(design, objective=objective, direction=direction)
        if not design.objective:
            raise RequestError(
                f"sweep {self.name} has no objective: say --objective NAME and --direction"
            )
        if design.direction not in ("maximize", "minimize"):
            raise RequestError(
                f"say whether to --direction maximize or minimize {design.objective}"
            )
        store, now = self._jobs.store, self._jobs.clock()
        found = []
        for t in self.trials:
            context = store.get(Context, run_id(t.experiment, t.run))
            found.append(trials.trial(store, design, t.number, context, now, reused=t.reused))
        best = trials.best(found, design.direction)
        if best is None:
            raise NotFound(f"no completed trial of {self.name} has reported {design.objective} yet")
        return best

    def get_data_frame(self) -> pd.DataFrame:
        """A row a trial: trial, state, the objective, seconds, then a column a parameter that
        is varied, then run_name, job and error.
        """
        pandas = registry.need("pandas")
        design = self.design
        rows = []
        for t in self.trials:
            measure = {design.objective: t.value} if design.objective else {}
            rows.append({
                "trial": t.number, "state": t.state, **measure, "seconds": t.seconds,
                **{f"param.{name}": v for name, v in t.params.items()},
                "run_name": t.run, "job": t.job, "error": t.error,
            })  # fmt: skip
        value = [design.objective] if design.objective else []
        columns = ["trial", "state", *value, "seconds", *(f"param.{p}" for p in design.space),
                   "run_name", "job", "error"]  # fmt: skip
        made: pd.DataFrame = pandas.DataFrame(rows, columns=columns)
        return made

    @property
    def report(self) -> Path:
        """Its page: table and pictures as of now, in one file that opens without a network."""
        from nbtools.sweep_page import write

        path = self.folder / f"{self.name}.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, self)
        store, now = self._jobs.store, self._jobs.clock()
        artifact = lineage.of_file(f"{self.name}-report", path, REPORT)
        with store.write():
            store.put(artifact, now)
            store.associate(self.name, artifact=artifact.name)
        return path

    def _repr_html_(self) -> str:
        from nbtools.sweep_page import content

        return f'<div style="max-width: 60rem">{content(self)}</div>'

    def resume(
        self, *, parallel: int = 0, changed: bool = False, notice: Notice | None = None
    ) -> Sweep:
        """Go on with what is left, and return when all is done. What has ended is not done
        again, but for what was cancelled, or killed; what is at work is waited for.

        `changed` takes the notebook though it has changed since. Raises StateError when it
        has, or when the sweep is being carried out already, or is complete.
        """
        with conductor.alone(self.folder):
            design = self.design
            if self._context().metadata["_state"] == "COMPLETE":
                raise StateError(f"sweep {self.name} is complete: there is nothing to go on with")
            notebook = Notebook.read(design.request.notebook)
            now = digest(notebook.path)
            if now != design.sha256 and not changed:
                raise StateError(
                    f"{notebook.path.name} has changed since sweep {self.name} began: begin a new "
                    "one, or go on all the same with --changed"
                )
            self._put(replace(design, parallel=parallel or design.parallel, sha256=now))
            self._conduct(notice)
        return self

    def cancel(self) -> Sweep:
        """Stop it: its trials at work are cancelled, and no other is begun. Raises StateError
        when it is complete.
        """
        store, now = self._jobs.store, self._jobs.clock()
        if self._context().metadata["_state"] == "COMPLETE":
            raise StateError(f"sweep {self.name} is complete: there is nothing to cancel")
        self._say("CANCELLED")
        for context in trials.contexts(store, self.name):
            trial = trials.trial(store, self.design, 0, context, now)
            if not trial.ended and trial.job:
                with suppress(NbtoolsError):  # it may just have ended
                    self._jobs.cancel(trial.job)
        return self

    # -- inside ---------------------------------------------------------------------

    def _put(self, design: Design) -> None:
        more = {"design": design.metadata(), "_state": "RUNNING"}
        self._amend(more)

    def _say(self, state: str) -> None:
        self._amend({"_state": state})

    def _amend(self, more: Mapping[str, Any]) -> None:
        self._jobs.store.amend(
            Context, self.name, lambda c: replace(c, metadata={**c.metadata, **more}),
            self._jobs.clock(),
        )  # fmt: skip

    def _conduct(self, notice: Notice | None) -> None:
        try:
            self._say(Conductor(self._jobs, self.name, notice).run())
        finally:
            with suppress(OSError, NbtoolsError):  # a full disk keeps no page, and hides no reason
                _ = self.report


def sweep(
    notebook: str | Path,
    space: Mapping[str, Any],
    *,
    params: Mapping[str, Any] | None = None,
    search: str = "",
    trials: int = 0,
    objective: str = "",
    direction: str = "",
    parallel: int = 0,
    seed: int = 0,
    prune: bool = True,
    min_trials: int = 5,
    min_steps: int = 0,
    rerun: bool = False,
    name: str = "",
    experiment: str = "",
    kernel: str = "",
    cwd: str | Path = "",
    executor: str = "",
    timeout: float = 0.0,
    cell_timeout: float = 0.0,
    memory: int = 0,
    cpu_time: float = 0.0,
    threads: int = 0,
    machine: Machine | None = None,
    inputs: Iterable[str] = (),
    secrets: Iterable[str] = (),
    vertex: str = "",
    allow_unknown: bool = False,
    notice: Notice | None = None,
) -> Sweep:
    """Execute a notebook once for each point of a space, and return when all is done.

    `space` has for each parameter that is varied a list of choices, or text as on the
    command line (`"32:256:log"`, see `nbtools.space`); `params` are the same for all.
    `search` is grid (the default), random or tpe (through Optuna; needs `objective` and
    `direction`), the last two with so many `trials`. `objective` is the name of a metric,
    `direction` maximize or minimize. With `prune` trials that call `nbtools.report` end
    early when others do better, once `min_trials` are complete, after step `min_steps`.
    What was executed before with the same parameters is not executed again, unless `rerun`.
    `notice` is told of changes. The rest is as for `submit`.

    A failed trial does not end the others. Raises RequestError, with nothing begun, when
    something is wrong with the arguments. Ctrl-C cancels the trials at work and is raised
    again; `Sweep(name).resume()` goes on.
    """
    request = Request(
        notebook=notebook, params=params or {}, experiment=experiment, kernel=kernel, cwd=cwd,
        executor=executor, timeout=timeout, cell_timeout=cell_timeout, memory=memory,
        cpu_time=cpu_time, threads=threads, machine=machine or Machine(),
        inputs=tuple(inputs), secrets=tuple(secrets), vertex=vertex,
        allow_unknown=allow_unknown,
    )  # fmt: skip
    design = Design(
        request=request, space=_read(request, space), search=search, trials=trials,
        objective=objective, direction=direction, parallel=parallel, seed=seed, prune=prune,
        min_trials=min_trials, min_steps=min_steps, rerun=rerun,
    )  # fmt: skip
    jobs = Jobs.open()
    made = begin(jobs, design, name)
    with conductor.alone(made.folder):
        made._conduct(notice)
    return made


def _read(request: Request, given: Mapping[str, Any]) -> Space:
    return space.read(given, Notebook.read(request.notebook), request.allow_unknown)


def begin(jobs: Jobs, design: Design, name: str = "") -> Sweep:
    """Check a sweep, and remember it; nothing is executed yet. Raises RequestError."""
    store, now = jobs.store, jobs.clock()
    notebook = Notebook.read(design.request.notebook)
    design = whole(design, notebook)
    design = replace(design, sha256=digest(notebook.path))
    first = _first(design)
    asked = replace(design.request, params={**design.request.params, **first})
    experiment = plan(asked, jobs.settings, now, notebook).job.experiment  # refuses what is wrong
    for each in asked.inputs:
        lineage.find(store, each)
    if design.objective and not asked.allow_unknown:
        objective.check(design.objective, notebook, _reported(jobs, experiment))
    if design.search == "tpe":
        from nbtools.tpe import need_optuna

        need_optuna()
    design = replace(design, request=replace(design.request, experiment=experiment))
    if name and slug(name) != name:
        raise RequestError(
            f"sweep name {name!r}: use small letters, digits and hyphens, "
            f"for example {slug(name)!r}"
        )
    meta = {"_experiment": experiment, "_state": "RUNNING", "design": design.metadata()}
    for candidate in [name] if name else _names(notebook):
        run_id(experiment, f"{candidate}-{design.trials}-99")  # refuses names that are none
        context = Context(name=candidate, schema_title=SWEEP, display_name=candidate, metadata=meta)
        with store.write():
            taken = store.find(Context, candidate)
            if not taken:
                runs.need_experiment(store, experiment, now)
                store.add(context, now)
                store.add_child(experiment, candidate)
                return Sweep(candidate, jobs)
            if name:
                more = f", or `nbtools sweep resume {name}`" * (taken.schema_title == SWEEP)
                raise AlreadyExists(f"the name {name!r} is taken: choose another{more}")
    raise AssertionError("names without end have ended")


def _first(design: Design) -> dict[str, Any]:
    """A point of the space."""
    return {n: d.values[0] if isinstance(d, Choices) else d.low for n, d in design.space.items()}


def _names(notebook: Notebook) -> Iterator[str]:
    return (f"{slug(notebook.path.stem, 40)}-sweep-{number}" for number in count(1))


def _reported(jobs: Jobs, experiment: str) -> set[str]:
    """The metrics that runs of the experiment have."""
    columns = [c for block in jobs.store.table(experiment).blocks for c, _ in block.columns]
    return {c.removeprefix(p) for c in columns for p in (METRIC, SERIES) if c.startswith(p)}
