"""Jobs and schedules as they change: how far they are, what they say, what they leave."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar, Final

from nbtools import service
from nbtools.errors import RequestError
from nbtools.figures.markup import Markup
from nbtools.jobs import Jobs
from nbtools.monitor import Monitor
from nbtools.nouns import stamp
from nbtools.schedules import Schedules
from nbtools.watch import watch
from nbtools.widgets import still
from nbtools.widgets.question import TEXT
from nbtools.widgets.telling import told
from nbtools.widgets.view import Reply, View, script, style

#: characters of a log that are shown, its end; and bytes of a file that a page is given.
TAIL: Final = 40_000
LARGEST: Final = 50 << 20
#: jobs that ended long ago, at each press of the button.
EARLIER: Final = 50
#: what colours text in a terminal.
_COLOUR: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class JobsView(View):
    """The monitor. It looks as long as a page shows it."""

    PATIENCE = 150.0  # pages in the background are let to speak once a minute

    _esm, _css = script("jobs"), style()
    ASKED: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "earlier": {},
        "log": {"job": TEXT},
        "cancel": {"job": TEXT},
        "retry": {"job": TEXT},
        "outputs": {"job": TEXT},
        "file": {"job": TEXT, "name": TEXT},
        "report": {"job": TEXT},
        "pause": {"schedule": TEXT},
        "resume": {"schedule": TEXT},
        "run_now": {"schedule": TEXT},
    }

    def __init__(self) -> None:
        super().__init__()
        self._jobs = Jobs.open()
        self._monitor, self._schedules = Monitor(self._jobs), Schedules(self._jobs)
        self._earlier = 0

    def show(self) -> JobsView:
        """Display it, and look again and again."""
        super().show()
        self.follow()
        return self

    def look(self) -> None:
        """Tell the page the jobs at work, those that have ended lately, or were asked for
        besides, and the schedules.
        """
        sights, schedules = self._monitor.look(self._earlier), self._schedules.all()
        now = {
            "jobs": [told(sight.record()) for sight in sights],
            "more": len(sights) < sum(self._jobs.store.tally.jobs().values()),
            "schedules": [
                {"schedule": s.name, "state": str(s.state), "cron": s.cron, "notebook": s.notebook,
                 "next": stamp(s.next_run_time) or "", "reason": s.reason}
                for s in schedules
            ],
            "served": all(s.handle for s in schedules)  # others fire them
            or bool(service.running(self._jobs.settings.store)),
        }  # fmt: skip
        if now != self.told:
            self.told = now

    def picture(self) -> Markup:
        """The two tables."""
        jobs = [(j["job"], j["state"], f"{j['cell']} of {j['cells']}", j["error"] or j["text"])
                for j in self.told["jobs"]]  # fmt: skip
        plans = [(s["schedule"], s["state"], s["cron"], s["next"]) for s in self.told["schedules"]]
        return still.still(
            f"{len(jobs)} jobs, {len(plans)} schedules",
            still.table(("job", "state", "cells", ""), jobs),
            still.table(("schedule", "state", "cron", "next"), plans),
        )

    # -- asked ------------------------------------------------------------------------

    def ask_earlier(self) -> None:
        """Tell so many more that ended long ago."""
        self._earlier += EARLIER
        self.refresh(still=False)

    def ask_log(self, job: str) -> Reply:
        """The end of what a job has printed and shown so far."""
        said = []
        for event in watch(job, follow=False):
            if event.kind == "begin":
                said.append(f"\n[{event.cell}] {event.text}\n")
            elif event.kind in ("text", "result", "error", "note"):
                said.append(event.text if event.kind == "text" else f"{event.text}\n")
        whole = _COLOUR.sub("", "".join(said)).strip()
        return {"text": whole[-TAIL:], "cut": len(whole) > TAIL}, []

    def ask_cancel(self, job: str) -> None:
        """Ask it to stop."""
        self._jobs.cancel(job)
        self.refresh(still=False)

    def ask_retry(self, job: str) -> Reply:
        """Execute the same again."""
        made = self._jobs.get(job).retry()
        self.refresh(still=False)
        return {"job": made.name}, []

    def ask_outputs(self, job: str) -> Reply:
        """Values by name, and the files with their size in bytes."""
        found = self._jobs.outputs(self._jobs.get(job))
        files = [[name, path.stat().st_size] for name, path in found.paths.items()]
        return {"values": told(found.values), "files": files}, []

    def ask_file(self, job: str, name: str) -> Reply:
        """One of its files."""
        paths = self._jobs.outputs(self._jobs.get(job)).paths
        if name not in paths:
            raise RequestError(f"job {job} has no output file {name!r}")
        if paths[name].stat().st_size > LARGEST:
            raise RequestError(f"{name} is larger than 50 MiB: `nbtools outputs fetch` copies it")
        return {}, [paths[name].read_bytes()]

    def ask_report(self, job: str) -> Reply:
        """Its executed notebook as a page."""
        path = self._jobs.report(self._jobs.get(job))
        if path.stat().st_size > LARGEST:
            raise RequestError(f"{path} is larger than 50 MiB: open it from there")
        return {}, [path.read_bytes()]

    def ask_pause(self, schedule: str) -> None:
        """Have it not be due any more."""
        self._schedules.pause(schedule)
        self.refresh(still=False)

    def ask_resume(self, schedule: str) -> None:
        """Have it be due again."""
        self._schedules.resume(schedule)
        self.refresh(still=False)

    def ask_run_now(self, schedule: str) -> None:
        """Have it be due once more, at once."""
        self._schedules.run_now(schedule)
        self.refresh(still=False)
