"""Schedules that the clock of their executor fires, and no service of ours.

Our store has the record: what was asked for, where it was put (`handle`), and how it stood when
last looked at. So lists work offline, and say so; the truth is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from nbtools import registry
from nbtools.attempt import check_request
from nbtools.clock import Clock
from nbtools.errors import NotFound, RequestError
from nbtools.jobs import Jobs
from nbtools.placeholders import holes
from nbtools.prepare import prepare
from nbtools.schedule import Schedule, ScheduleState, Tick


class Delegation:
    """The schedules of one store that others fire."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs, self._clocks = jobs, dict[str, Clock]()

    def takes(self, schedule: Schedule) -> bool:
        """Whether a schedule is one of these."""
        return self.executor(schedule) in registry.CLOCKS

    def executor(self, schedule: Schedule) -> str:
        """Who executes it, by name."""
        return schedule.executor or self._jobs.settings.executor

    def check(self, schedule: Schedule) -> None:
        """Raises RequestError for what is asked for and its clock has not."""
        if not self.takes(schedule):
            if schedule.handle:
                raise RequestError(
                    f"schedule {schedule.name!r} is fired by {self.executor(schedule)}: delete it "
                    "first, then create it anew"
                )
            return
        clock = self._clock(schedule)
        why = [said for field, said in clock.lacks.items() if getattr(schedule, field)]
        if schedule.concurrency not in ("skip", "queue"):
            why.append(f"concurrency must be skip or queue there: not {schedule.concurrency!r}")
        if schedule.misfire == "all":
            why.append(
                "misfire all is for times that no service was there; it always is: of those while "
                "it was paused `nbtools schedule resume --catch-up` makes up for"
            )
        if schedule.max_concurrent_run_count < 1:
            why.append("max_concurrent must be 1 or more there: 0, without a limit, it has not")
        texts = {"output": schedule.output, **schedule.params}
        for name, value in texts.items():
            if found := list(holes(value)):
                why.append(
                    f"{name} holds {{{{ {found[0]} }}}}, and nobody there fills it in: have the "
                    "notebook ask the time, or leave it to `nbtools service`"
                )
        if why:
            raise RequestError("\n".join(why))

    def put(self, schedules: Iterable[Schedule]) -> list[Schedule]:
        """Have those be fired that are to be, and return all, with handles. Outside of any
        transaction: it takes its time. Again is the same. Raises RequestError.
        """
        return [self._put(s) if self.takes(s) else s for s in schedules]

    def standing(self, schedule: Schedule) -> Schedule:
        """The record as it stands there; as it stood, with the reason, when that cannot be said."""
        try:
            now = self._clock(schedule).look(schedule.handle)
        except NotFound:
            gone = "it is gone from there, somebody has deleted it: delete it here too"
            return replace(schedule, state=ScheduleState.COMPLETED, reason=gone, next_run_time=None)
        except RequestError as error:
            return replace(schedule, reason=f"as it was when last seen: {error}")
        return replace(schedule, reason="", **vars(now))

    def pause(self, schedule: Schedule) -> Schedule:
        """Have it not be due; returns how it stands."""
        return self._done(schedule, lambda clock: clock.pause(schedule.handle))

    def resume(self, schedule: Schedule, catch_up: bool) -> Schedule:
        """Have it be due again; returns how it stands."""
        return self._done(schedule, lambda clock: clock.resume(schedule.handle, catch_up))

    def delete(self, schedule: Schedule) -> None:
        """Have it never be due again. Raises Unavailable when that cannot be said."""
        self._clock(schedule).delete(schedule.handle)

    def history(self, schedule: Schedule, limit: int) -> list[Tick]:
        """The times at which it was due. Raises NotFound, Unavailable."""
        found = self._clock(schedule).history(schedule.handle, limit)
        return [replace(tick, schedule=schedule.name) for tick in found]

    # -- inside -----------------------------------------------------------------------

    def _clock(self, schedule: Schedule) -> Clock:
        name = self.executor(schedule)
        if name not in self._clocks:
            self._clocks[name] = registry.clock(name)
        return self._clocks[name]

    def _put(self, schedule: Schedule) -> Schedule:
        made = check_request(schedule, self._jobs.settings, self._jobs.clock())
        # No job and no run: each time is another.
        identity = {"experiment": made.job.experiment}
        prepared = prepare(made.notebook, made.job.params, identity, made.job.kernel)
        handle = self._clock(schedule).put(schedule, made.task, prepared)
        return self.standing(replace(schedule, handle=handle))

    def _done(self, schedule: Schedule, what: Callable[[Clock], None]) -> Schedule:
        what(self._clock(schedule))
        return self.standing(schedule)
