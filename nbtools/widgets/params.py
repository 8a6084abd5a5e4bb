"""A form of a notebook's parameters, checked as the command line checks them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from nbtools import service, value
from nbtools.errors import RequestError
from nbtools.figures.markup import Markup
from nbtools.jobs import Jobs
from nbtools.monitor import Monitor
from nbtools.notebook import Notebook
from nbtools.nouns import stamp
from nbtools.parameter import Parameter
from nbtools.request import Request
from nbtools.schedules import Schedules, create
from nbtools.widgets import still
from nbtools.widgets.question import FIELDS, TEXT
from nbtools.widgets.telling import told
from nbtools.widgets.view import Reply, View, script, style

#: jobs of the form that are shown.
SHOWN = 5


class ParamsView(View):
    """The form."""

    _esm, _css = script("params"), style()
    ASKED: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "check": {"values": FIELDS},
        "run": {"values": FIELDS, "experiment": TEXT, "run": TEXT},
        "schedule": {"values": FIELDS, "name": TEXT, "cron": TEXT, "tz": TEXT},
    }

    def __init__(self, notebook: str | Path) -> None:
        """Raises RequestError when there is none, or its parameters cannot be read."""
        super().__init__()
        self._notebook = Notebook.read(notebook)
        if self._notebook.parameters is None:
            raise RequestError(
                f"{notebook} is written in {self._notebook.language}: its parameters can be set "
                "with nbtools.run, not listed"
            )
        self._known = {p.name: p for p in self._notebook.parameters}
        self._jobs = Jobs.open()
        self._names: list[str] = []
        self.over = True  #: nothing changes until something is begun

    def look(self) -> None:
        """Tell the page the fields, and how the jobs stand that it has begun."""
        sights = Monitor(self._jobs, self._names).look() if self._names else []
        self.told = {
            "notebook": self._notebook.path.name,
            "fields": [_field(p) for p in self._known.values()],
            "jobs": [told(sight.record()) for sight in sights],
        }
        self.over = all(sight.job.state.final for sight in sights)

    def picture(self) -> Markup:
        """The parameters, and the jobs that were begun here."""
        rows = [(p.name, p.type or "any", p.source, p.help) for p in self._known.values()]
        jobs = [(j["job"], j["state"], j["error"]) for j in self.told["jobs"]]
        return still.still(
            f"parameters of {self._notebook.path.name}",
            still.table(("name", "type", "default", "help"), rows),
            still.table(("job", "state", ""), jobs),
        )

    # -- asked ------------------------------------------------------------------------

    def ask_check(self, values: dict[str, str]) -> Reply:
        """What is wrong with the values, by parameter."""
        wrong = {}
        for name, text in values.items():
            try:
                self._values({name: text})
            except RequestError as error:
                wrong[name] = str(error)
        return {"wrong": wrong}, []

    def ask_run(self, values: dict[str, str], experiment: str, run: str) -> Reply:
        """Begin a job."""
        request = Request(
            notebook=self._notebook.path, params=self._values(values),
            experiment=experiment.strip(), run=run.strip(),
        )  # fmt: skip
        job = self._jobs.submit(request)
        self._names = [job.name, *self._names][:SHOWN]
        was_over = self.over
        self.refresh()
        if was_over:
            self.over = False
            self.follow()
        return {"job": job.name}, []

    def ask_schedule(self, values: dict[str, str], name: str, cron: str, tz: str) -> Reply:
        """Create a schedule; the next times at which it is due."""
        if not cron.strip():
            raise RequestError("a schedule needs a cron expression, for example 0 2 * * *")
        params = self._values(values)
        made = create(name.strip(), cron.strip(), self._notebook.path, params, tz=tz.strip())
        due = [stamp(when) for when in Schedules(self._jobs).next(made.name, 3)]
        served = made.handle or service.running(self._jobs.settings.store)  # others may fire it
        return {"schedule": made.name, "due": due, "served": bool(served)}, []

    def _values(self, texts: Mapping[str, str]) -> dict[str, Any]:
        """The parameters that the form's texts stand for. Raises RequestError."""
        read = {name: _read(self._known.get(name), text) for name, text in texts.items()}
        return self._notebook.check(read)


def _read(parameter: Parameter | None, text: str) -> Any:
    if parameter is None:
        return text
    for choice in value.choices(parameter.type) or ():
        if str(choice) == text:
            return choice
    return parameter.read(text)


def _field(parameter: Parameter) -> dict[str, Any]:
    choices = value.choices(parameter.type)
    kind = "flag" if parameter.type == "bool" else "choice" if choices else "text"
    default = parameter.default if isinstance(parameter.default, str | bool) else parameter.source
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    limits = [f"{words[k]} {v:g}" for k, v in value.limits(parameter.type).items()]
    return {
        "name": parameter.name,
        "type": parameter.type or "any",
        "kind": kind,
        "choices": [str(choice) for choice in choices or ()],
        "default": str(parameter.default) if choices else str(default),
        "help": "; ".join(filter(None, [parameter.help, *limits])),
    }
