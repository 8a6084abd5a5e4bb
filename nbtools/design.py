"""What a sweep is to do: its space, how it is searched, and what counts as good.

Written into the metadata of the sweep's context when it begins.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from nbtools import space
from nbtools.errors import RequestError
from nbtools.machine import Machine
from nbtools.notebook import Notebook
from nbtools.nouns import Context
from nbtools.request import Request
from nbtools.space import Space

SEARCHES = ("grid", "random", "tpe")
DIRECTIONS = ("maximize", "minimize")


@dataclass(frozen=True, kw_only=True)
class Design:
    """Empty means: to be filled in by `whole`."""

    request: Request  #: the notebook, and how each trial is executed
    space: Space  #: what is varied
    search: str = ""  #: grid, random or tpe
    trials: int = 0  #: how many; a grid has as many as points
    objective: str = ""  #: the metric that says how well a trial did
    direction: str = ""  #: maximize or minimize
    parallel: int = 0  #: trials at a time; 0: as many as this machine has room for
    seed: int = 0  #: of what is drawn by chance; 0: any
    prune: bool = True  #: end trials early that others leave behind
    min_trials: int = 5  #: completed trials before any is pruned
    min_steps: int = 0  #: a trial is not pruned at this step or an earlier
    rerun: bool = False  #: execute also what was executed before with the same parameters
    sha256: str = ""  #: of the notebook's file when the sweep began

    @classmethod
    def of(cls, context: Context) -> Design:
        """The design that a sweep's context holds."""
        said = context.metadata["design"]
        known = {f.name for f in fields(Request)}
        request = {k: v for k, v in said["request"].items() if k in known}
        for key in ("inputs", "secrets"):
            request[key] = tuple(request.get(key, ()))
        request["machine"] = Machine.loads(request.get("machine", {}))
        own = {f.name for f in fields(cls)}
        values = {k: v for k, v in said.items() if k in own}
        values["request"], values["space"] = Request(**request), space.loads(said["space"])
        return cls(**values)

    def metadata(self) -> Mapping[str, Any]:
        """The design as JSON takes it."""
        request = {**asdict(self.request), "notebook": str(self.request.notebook)}
        request["machine"] = self.request.machine.dumps()
        request["output"], request["cwd"] = str(request["output"]), str(request["cwd"])
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        return {**plain, "request": request, "space": space.dumps(self.space)}


def whole(design: Design, notebook: Notebook) -> Design:
    """The design with what was left open filled in. Raises RequestError for what cannot be."""
    d = design
    search = d.search or ("random" if d.trials else "grid")
    if search not in SEARCHES:
        raise RequestError(f"search is {search!r}: there is {', '.join(SEARCHES)}")
    for what, number in (("trials", d.trials), ("parallel", d.parallel), ("seed", d.seed),
                         ("min_trials", d.min_trials), ("min_steps", d.min_steps)):  # fmt: skip
        if number < 0:
            raise RequestError(f"{what} is {number}: it must not be negative")
    if d.direction and d.direction not in DIRECTIONS:
        raise RequestError(f"direction is {d.direction!r}: there is {' and '.join(DIRECTIONS)}")
    if d.objective and not d.direction:
        raise RequestError(f"say whether to --direction maximize or minimize {d.objective}")
    if d.direction and not d.objective:
        raise RequestError(f"say what to {d.direction}: --objective NAME of a metric")
    if search == "tpe" and not d.objective:
        raise RequestError("tpe learns from an objective: give --objective and --direction")
    if search != "grid" and not d.trials:
        raise RequestError(f"{search} has no end of its own: say how many --trials")
    if search == "grid" and d.trials:
        raise RequestError("a grid has as many trials as points: use --search random, or no trials")
    if both := d.space.keys() & d.request.params.keys():
        raise RequestError(f"{', '.join(sorted(both))}: varied and fixed at the same time")
    seed = d.seed or int.from_bytes(os.urandom(4)) + 1
    if search == "tpe":
        points: list[dict[str, Any]] = [{}] * d.trials
    else:
        points = space.points(d.space, search, d.trials, seed, d.rerun)
    params = notebook.check(d.request.params, d.request.allow_unknown)
    return replace(
        d,
        request=replace(d.request, params=params, notebook=str(notebook.path)),
        search=search,
        trials=len(points),
        seed=seed,
    )
