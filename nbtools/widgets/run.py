"""A run as it grows, whoever logs to it: this kernel, another one, or a job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from nbtools import curation
from nbtools.errors import RequestError, StateError
from nbtools.experiments import current_run
from nbtools.figures import curves
from nbtools.figures.markup import Markup
from nbtools.jobs import Jobs
from nbtools.nouns import Context, Run
from nbtools.open_run import OpenRun
from nbtools.runs import find_run
from nbtools.runs_page import colour
from nbtools.states import ExecutionState
from nbtools.summaries import SYSTEM
from nbtools.widgets import still
from nbtools.widgets.question import NUMBER, TEXT, TEXTS
from nbtools.widgets.telling import curve, told
from nbtools.widgets.view import Reply, View, script, style

#: points of a curve on the page, and in the picture that stays.
POINTS: Final = 1_000
PICTURED: Final = 300
ENDS: Final = (ExecutionState.COMPLETE, ExecutionState.FAILED, ExecutionState.CANCELLED)
GOING: Final = (ExecutionState.NEW, ExecutionState.RUNNING)


class RunView(View):
    """One run."""

    _esm, _css = script("plot", "run"), style()
    ASKED: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "end": {"state": TEXT},
        "tag": {"tags": TEXTS},
        "untag": {"tags": TEXTS},
        "note": {"text": TEXT},
        "zoom": {"key": TEXT, "low": NUMBER, "high": NUMBER},
    }

    @classmethod
    def of(cls, name: str, experiment: str) -> RunView:
        """Of the run of that name, or of the current one. Raises NotFound, StateError."""
        opened = current_run()
        if not name and opened is None:
            raise StateError(
                "there is no run to show: call nbtools.start_run() first, or name one, "
                "for example nbtools.ui.run('last')"
            )
        jobs = Jobs.open()
        if name:
            run = find_run(jobs.store, jobs.clock(), name, experiment)
            opened = opened if opened is not None and opened.id == run.id else None
            return cls(jobs, run.id, opened)
        assert opened is not None
        return cls(jobs, opened.id, opened)

    def __init__(self, jobs: Jobs, context: str, opened: OpenRun | None = None) -> None:
        """`opened`: the run, where it is this process that logs to it."""
        super().__init__()
        self._jobs, self._context, self._opened = jobs, context, opened
        self._version: object = None
        self._follows = self._ended = False

    def show(self) -> RunView:
        """Display it, and follow the run until it ends."""
        super().show()
        self._follows = self.run.state in GOING
        if self._follows:
            self.follow()
        return self

    @property
    def run(self) -> Run:
        """The run as the store knows it now."""
        return Run.of(self._jobs.store.get(Context, self._context))

    def look(self) -> None:
        """Take in what was logged since, and tell the page."""
        store, now = self._jobs.store, self._jobs.clock()
        store.drain(now)
        run = self.run
        if run.job and run.state in GOING:
            self._jobs.get(run.job)  # whose process died is found so
            run = self.run
        if self._version != (version := (store.version, run.state)):
            self._version = version
            found = {k: curve(store.series(run.id, k), POINTS) for k in store.last(run.id)}
            keys = sorted(found, key=lambda key: (key.startswith(SYSTEM), key))
            with self.hold_sync():
                self.curves = {key: found[key].packed for key in keys}
                self.told = {**self._facts(run), "series": [
                    {"key": key, **found[key].about} for key in keys]}  # fmt: skip
        self._ended = self._follows and run.state not in GOING

    def refresh(self, *, still: bool = True) -> None:
        """As any view; at the run's end what stays takes the place of what was live."""
        super().refresh(still=still)
        if self._ended and not self.over:
            self.settle()

    def _facts(self, run: Run) -> dict[str, Any]:
        begun = run.create_time or self._jobs.clock()
        end = self._jobs.clock() if run.state in GOING else run.update_time or begun
        return {
            "experiment": run.experiment, "run": run.name, "state": str(run.state),
            "error": run.error, "seconds": max(0.0, (end - begun).total_seconds()),
            "going": run.state in GOING, "params": told(run.params), "metrics": told(run.metrics),
            "tags": list(run.tags), "notes": run.notes, "job": run.job,
            "ends": [str(s) for s in self._ends(run)],
        }  # fmt: skip

    def _ends(self, run: Run) -> tuple[ExecutionState, ...]:
        """The ways in which it can be ended from here."""
        if run.state not in GOING:
            return ()
        if run.job:
            return (ExecutionState.CANCELLED,)
        return ENDS if self._opened and self._opened.is_open and not self._opened.is_guest else ()

    def picture(self) -> Markup:
        """Its params, metrics and curves."""
        run, store = self.run, self._jobs.store
        # Of a kernel that is killed this is the last word: it says of when.
        going = run.state in GOING and run.update_time
        as_of = f", as of {run.update_time:%Y-%m-%d %H:%M:%S} UTC" if going else ""
        parts: list[str] = [
            still.paragraph(f"state {run.state}{as_of}{': ' * bool(run.error)}{run.error}")
        ]
        if run.tags:
            parts.append(still.paragraph(f"tags {', '.join(run.tags)}"))
        if run.notes:
            parts.append(still.paragraph(run.notes))
        parts.append(still.named({"param": run.params, "metric": run.metrics}))
        for i, key in enumerate(k for k in store.last(run.id) if not k.startswith(SYSTEM)):
            shown = curve(store.series(run.id, key), PICTURED)
            last = still.text(shown.drawn[-1][1]) if shown.drawn else ""
            said = f"{key}: {shown.count} points, the last {last}"
            chart = curves.chart(key, [curves.Curve(0, run.name, colour(i), shown.drawn)])
            parts += [still.paragraph(said), still.picture(chart, said)]
        return still.still(f"run {run.name} of experiment {run.experiment}", *parts)

    # -- asked ------------------------------------------------------------------------

    def ask_end(self, state: str) -> None:
        """End it, or cancel its job."""
        run = self.run
        if state not in self._ends(run):
            how = (
                "only the process that began it can end it"
                if run.state in GOING
                else "it has ended"
            )
            raise StateError(f"run {run.name!r} cannot be made {state} from here: {how}")
        if run.job:
            self._jobs.cancel(run.job)
        elif self._opened:
            self._opened.end(state)
        self.refresh()

    def ask_tag(self, tags: list[str]) -> None:
        """Add tags."""
        curation.tag(self._jobs.store, self.run, tags, self._jobs.clock())
        self.refresh(still=False)

    def ask_untag(self, tags: list[str]) -> None:
        """Take tags away."""
        curation.untag(self._jobs.store, self.run, tags, self._jobs.clock())
        self.refresh(still=False)

    def ask_note(self, text: str) -> None:
        """Say something about it, instead of what was said before."""
        curation.note(self._jobs.store, self.run, text, self._jobs.clock())
        self.refresh(still=False)

    def ask_zoom(self, key: str, low: float, high: float) -> Reply:
        """The points between two steps, as finely as they can be drawn."""
        if key not in self._jobs.store.last(self._context):
            raise RequestError(f"this run has no series {key!r}")
        found = curve(self._jobs.store.series(self._context, key), POINTS, low, high)
        return found.about, list(found.packed.values())
