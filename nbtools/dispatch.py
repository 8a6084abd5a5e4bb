"""Carries out what is due: ticks are made, begun and brought to their end. Exactly once.

Three steps, each a transaction that looks again before it writes, so that any number of
services may do this on one store and each may die anywhere: `take` makes the ticks of what
is due, `begin` the jobs of ticks, `settle` writes down how they ended. A tick is one row,
its job has one name, and a job is begun under a lock: doing a step again does nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from nbtools.attempt import attempt, inputs_of
from nbtools.due import Decision, decide, first_time, follow, retry_time
from nbtools.errors import AlreadyExists, NbtoolsError, RequestError
from nbtools.executor import Task
from nbtools.jobs import Jobs, SubmittedJob
from nbtools.nouns import Execution
from nbtools.schedule import FAILED_BEFORE, Schedule, ScheduleState, Tick, TickState
from nbtools.states import JobState
from nbtools.timetable import Notice

#: schedules that one transaction takes care of.
BATCH = 200
#: a job that was remembered this long ago and is not begun was left by a service that died.
ADOPT = timedelta(seconds=2)
#: a schedule that was looked at this long after now shows that the clock was put back.
BACK = timedelta(seconds=60)

_ENDS = {
    JobState.SUCCEEDED: TickState.SUCCEEDED,
    JobState.CANCELLED: TickState.CANCELLED,
    JobState.FAILED: TickState.FAILED,
    JobState.EXPIRED: TickState.FAILED,
}


class Dispatcher:
    """Does what is due with the schedules of one store."""

    def __init__(self, jobs: Jobs, parallel: int) -> None:
        """`parallel`: so many jobs of schedules at work at a time, whichever service began
        them; 0: no limit.
        """
        self.jobs, self.store, self.parallel = jobs, jobs.store, parallel
        self.timetable = jobs.store.timetable

    def round(self, now: datetime) -> list[SubmittedJob]:
        """Do all that is due at `now`; returns the jobs at work."""
        self.take(now)
        return self.settle(now) + self.begin(now)

    def take(self, now: datetime) -> int:
        """Make the ticks of all that is due; returns how many."""
        made = 0
        while self.timetable.due(now, 1):
            with self.store.write():
                for schedule in self.timetable.due(now, BATCH):
                    made += self._apply(self._decide(schedule, now), now)
        return made

    def begin(self, now: datetime) -> list[SubmittedJob]:
        """Begin the ticks that are waiting, as far as there is room; returns their jobs."""
        begun: list[SubmittedJob] = []
        for tick in self.timetable.waiting(now):
            if self._full():
                break
            schedule = self.timetable.find(tick.schedule)
            if schedule is None:
                continue
            if schedule.concurrency == "replace" and self.timetable.has_newer(tick):
                self._skip(tick, now)
            elif self._fits(schedule) and (job := self._begin(schedule, tick, now)):
                begun.append(job)
        return begun

    def settle(self, now: datetime) -> list[SubmittedJob]:
        """Look at the jobs at work, and write down what has ended; returns those that go on."""
        working = []
        for tick in self.timetable.in_state(TickState.STARTED):
            try:
                job = self._look(tick, now)
            except RequestError as error:  # somebody has removed the job or its folder
                self.end(tick, TickState.FAILED, str(error), now)
                continue
            if job.state.final:
                self.end(tick, _ENDS[job.state], job.error, now)
                continue
            schedule = self.timetable.find(tick.schedule)
            replaced = schedule is not None and schedule.concurrency == "replace"
            if replaced and job.state is not JobState.CANCELLING and self.timetable.has_newer(tick):
                self.jobs.cancel(job.name)
            working.append(job)
        return working

    def end(self, tick: Tick, state: TickState, reason: str, now: datetime) -> None:
        """Write down how an attempt of a tick ended, and what follows from it: another
        attempt, the schedules that come after, a notice.
        """
        with self.store.write():
            found = self.timetable.tick(tick.schedule, tick.time)
            if found is None or (found.state, found.attempt) != (tick.state, tick.attempt):
                return  # another service was first
            schedule = self.timetable.find(tick.schedule)
            again = retry_time(schedule, tick, now) if schedule else None
            if schedule and schedule.concurrency == "replace" and self.timetable.has_newer(tick):
                again = None
                reason = f"replaced by the run that was due after it; {reason}".rstrip("; ")
            if state is TickState.FAILED and again:
                self.timetable.change(
                    replace(tick, state=TickState.QUEUED, attempt=tick.attempt + 1,
                            not_before=again, reason=reason), now,
                )  # fmt: skip
                return
            ended = replace(tick, state=state, reason=reason)
            self.timetable.change(ended, now)
            if schedule:
                self._tell(schedule, ended, now)
                self._followers(ended, now)

    def clock_was_put_back(self, now: datetime) -> int:
        """Take up again the schedules that wait for a time that a wrong clock made the next.

        Times that were seen to before stay seen to. Returns how many were changed.
        """
        with self.store.write():
            found = self.timetable.ahead(now + BACK)
            for schedule in found:
                again = first_time(schedule, now) if schedule.cron else None
                self.timetable.put(replace(schedule, next_run_time=again, update_time=now))
        return len(found)

    # -- inside -----------------------------------------------------------------------

    def _decide(self, schedule: Schedule, now: datetime) -> Decision:
        try:
            return decide(schedule, self.timetable.unfinished(schedule.name), now)
        except NbtoolsError as error:  # such as a time zone that is no longer installed
            reason = f"it cannot be said when it is due: {error}"
            paused = replace(schedule, state=ScheduleState.PAUSED, reason=reason)
            return Decision((), paused)

    def _apply(self, decision: Decision, now: datetime) -> int:
        """To be called within a transaction."""
        new = [self.timetable.add(tick, now) for tick in decision.ticks]
        again = sum(
            tick.state is TickState.QUEUED
            for tick, is_new in zip(decision.ticks, new, strict=True) if not is_new
        )  # fmt: skip
        count = decision.schedule.started_run_count - again  # seen to before the clock went back
        self.timetable.put(replace(decision.schedule, started_run_count=count, update_time=now))
        return sum(new)

    def _full(self) -> bool:
        return bool(self.parallel) and self.timetable.count(TickState.STARTED) >= self.parallel

    def _fits(self, schedule: Schedule) -> bool:
        limit = schedule.max_concurrent_run_count
        if schedule.concurrency == "allow" or not limit:
            return True
        return self.timetable.count(TickState.STARTED, schedule.name) < limit

    def _skip(self, tick: Tick, now: datetime) -> None:
        reason = "replaced by the run that was due after it (concurrency replace)"
        with self.store.write():
            if self.timetable.tick(tick.schedule, tick.time) == tick:
                self.timetable.change(replace(tick, state=TickState.SKIPPED, reason=reason), now)

    def _begin(self, schedule: Schedule, tick: Tick, now: datetime) -> SubmittedJob | None:
        started = replace(tick, state=TickState.STARTED, job=tick.name, not_before=None, reason="")
        try:
            made = attempt(schedule, tick, self.jobs, now)
            inputs = inputs_of(made, self.jobs)
            with self.store.write():
                mine = self.timetable.tick(tick.schedule, tick.time) == tick
                if not mine or self._full() or not self._fits(schedule):
                    return None
                self.timetable.change(started, now)
                self.jobs.remember(made, inputs)
        except AlreadyExists as error:
            self._known(tick, started, str(error), now)
            return None
        except RequestError as error:  # the notebook is gone, say, or was changed
            self.end(tick, TickState.FAILED, f"attempt {tick.attempt}: {error}", now)
            return None
        return self._hand_over(made.task)

    def _known(self, tick: Tick, started: Tick, reason: str, now: datetime) -> None:
        """There is a job of that name: it is the one, if it is this schedule's."""
        job = self.store.find(Execution, tick.name)
        if job is None or job.metadata.get("schedule") != tick.schedule:
            self.end(tick, TickState.FAILED, reason, now)
            return
        with self.store.write():
            if self.timetable.tick(tick.schedule, tick.time) == tick:
                self.timetable.change(started, now)

    def _hand_over(self, task: Task) -> SubmittedJob:
        try:
            return self.jobs.hand_over(task)
        except RequestError:  # the job is FAILED and says why
            return self.jobs.look(task.job)[0]

    def _look(self, tick: Tick, now: datetime) -> SubmittedJob:
        job = self.jobs.look(tick.job)[0]
        if job.handle or job.state.final or (job.create_time and now - job.create_time < ADOPT):
            return job
        return self._hand_over(Task.loads(_kept(job)))

    def _followers(self, tick: Tick, now: datetime) -> None:
        """Make the ticks of the schedules that come after; within a transaction."""
        for schedule in self.timetable.followers(tick.schedule):
            others = [self.timetable.tick(name, tick.time) for name in schedule.after]
            if schedule.state is not ScheduleState.ACTIVE:
                continue
            if tick.state is TickState.SUCCEEDED:
                if not _all_succeeded(others):
                    continue
                reason = ""
            else:
                reason = f"{FAILED_BEFORE.format(tick.schedule)}: it is {tick.state}"
            unfinished = self.timetable.unfinished(schedule.name)
            decision = follow(schedule, tick.time, unfinished, reason)
            self._apply(decision, now)
            for skipped in decision.ticks:
                if skipped.state is TickState.SKIPPED:
                    self._followers(skipped, now)

    def _tell(self, schedule: Schedule, tick: Tick, now: datetime) -> None:
        """Leave notices of a failure, or of a success after one; within a transaction."""
        if not schedule.notify or tick.state not in (TickState.FAILED, TickState.SUCCEEDED):
            return
        before = self.timetable.before(tick)
        recovered = before is not None and before.state is TickState.FAILED
        if tick.state is TickState.SUCCEEDED and not recovered:
            return
        kind = "FAILED" if tick.state is TickState.FAILED else "RECOVERED"
        message = json.dumps({
            "schedule": schedule.name, "notebook": schedule.notebook, "kind": kind,
            "scheduled_time": tick.time.isoformat(), "job": tick.job, "attempt": tick.attempt,
            "reason": tick.reason,
        })  # fmt: skip
        for target in schedule.notify:
            self.timetable.add_notice(
                Notice(schedule=schedule.name, time=tick.time, kind=kind, target=target,
                       not_before=now, message=message)
            )  # fmt: skip


def _all_succeeded(ticks: Iterable[Tick | None]) -> bool:
    return all(tick is not None and tick.state is TickState.SUCCEEDED for tick in ticks)


def _kept(job: SubmittedJob) -> str:
    path = Path(job.folder) / "task.json"
    try:
        return path.read_text()
    except OSError as error:
        raise RequestError(f"cannot read {path}: {error.strerror}") from None
