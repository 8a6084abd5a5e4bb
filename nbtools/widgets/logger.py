"""A small form that logs by hand into the current run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from nbtools.errors import RequestError, StateError
from nbtools.experiments import current_run
from nbtools.figures.markup import Markup
from nbtools.open_run import OpenRun
from nbtools.parameter import scalar
from nbtools.widgets import still
from nbtools.widgets.question import TEXT
from nbtools.widgets.telling import told
from nbtools.widgets.view import Reply, View, script, style

KINDS = ("param", "metric", "series", "artifact", "note")


class LoggerView(View):
    """The form."""

    _esm, _css = script("logger"), style()
    ASKED: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "log": {"kind": TEXT, "name": TEXT, "value": TEXT, "step": TEXT}
    }

    def __init__(self) -> None:
        super().__init__()
        self._logged: list[tuple[str, str, Any]] = []

    def look(self) -> None:
        """Tell the page the current run, and what was logged here."""
        run = current_run()
        self.told = {
            "run": f"{run.experiment} / {run.name}" if run else "",
            "kinds": list(KINDS),
            "logged": [told(one) for one in self._logged],
        }

    def picture(self) -> Markup:
        """What was logged by hand."""
        rows = [*self._logged] or [("", "", "nothing yet")]
        return still.still("logged by hand", still.table(("", "name", "value"), rows))

    def ask_log(self, kind: str, name: str, value: str, step: str) -> Reply:
        """Log one thing. Raises RequestError for what cannot be, StateError without a run."""
        run = current_run()
        if run is None:
            raise StateError("there is no run to log to: call nbtools.start_run() first")
        if kind not in KINDS:
            raise RequestError(f"{kind!r} cannot be logged here: choose {', '.join(KINDS)}")
        name = name.strip()
        if kind in ("param", "metric", "series") and not name:
            raise RequestError(f"a {kind} needs a name")
        logged = _log(run, kind, name, value, step.strip())
        self._logged.append((kind, name, logged))
        self.refresh()
        return {"run": run.name}, []


def _log(run: OpenRun, kind: str, name: str, value: str, step: str) -> Any:
    if kind == "note":
        run.set_notes(value)
        return value
    if kind == "artifact":
        return run.log_artifact(value.strip(), name).uri
    if kind == "param":
        run.log_params({name: scalar(value)})
        return scalar(value)
    number = scalar(value)
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise RequestError(f"{name}: {value!r} is no number")
    if kind == "metric":
        run.log_metrics({name: number})
        return number
    at = scalar(step) if step else None
    if at is not None and type(at) is not int:
        raise RequestError(f"step {step!r} is no whole number: leave it empty for the next one")
    run.log_time_series_metrics({name: number}, at)
    return number
