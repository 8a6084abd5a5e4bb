"""States in jupyter-scheduler's words, at this edge only."""

from __future__ import annotations

from jupyter_scheduler.models import Status

from nbtools.states import JobState

#: a job whose kernel is starting is IN_PROGRESS: the screens let nothing else be stopped.
STATUS = {
    JobState.QUEUED: Status.QUEUED,
    JobState.PENDING: Status.IN_PROGRESS,
    JobState.RUNNING: Status.IN_PROGRESS,
    JobState.CANCELLING: Status.STOPPING,
    JobState.SUCCEEDED: Status.COMPLETED,
    JobState.FAILED: Status.FAILED,
    JobState.CANCELLED: Status.STOPPED,
    JobState.EXPIRED: Status.FAILED,
}


def states(status: Status) -> frozenset[JobState]:
    """Our states that a status stands for; none for CREATED, which nothing of ours is."""
    return frozenset(state for state, theirs in STATUS.items() if theirs is status)
