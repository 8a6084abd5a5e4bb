"""The states of jobs and executions, and the one table of what may follow what.

The words are Vertex AI's `JobState` and ML Metadata's `Execution.State`, without
their prefixes; adapters at the edges add them.
"""

from __future__ import annotations

from enum import StrEnum


class JobState(StrEnum):
    """Where a job stands."""

    QUEUED = "QUEUED"  #: remembered, not yet handed to an executor
    PENDING = "PENDING"  #: the executor has it; its kernel is starting
    RUNNING = "RUNNING"  #: cells are being executed
    CANCELLING = "CANCELLING"  #: asked to stop, not yet stopped
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"  #: never started in time

    @property
    def final(self) -> bool:
        """Whether nothing can follow."""
        return not MAY_FOLLOW[self]


class ExecutionState(StrEnum):
    """Where an execution, or an experiment run, stands in ML Metadata's words."""

    NEW = "NEW"
    RUNNING = "RUNNING"
    COMPLETE = "COMPLETE"
    FAILED = "FAILED"
    CACHED = "CACHED"
    CANCELLED = "CANCELLED"


_Q, _P, _R, _C = JobState.QUEUED, JobState.PENDING, JobState.RUNNING, JobState.CANCELLING
_ENDS = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED})

#: state -> the states that may follow it. An observer may look late, so a state may
#: be jumped over; it may never be gone back to, and an end is an end.
MAY_FOLLOW: dict[JobState, frozenset[JobState]] = {
    _Q: frozenset({_P, _R, _C}) | _ENDS,
    _P: frozenset({_R, _C}) | _ENDS,
    _R: frozenset({_C}) | _ENDS,
    _C: _ENDS,
    JobState.SUCCEEDED: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCELLED: frozenset(),
    JobState.EXPIRED: frozenset(),
}

#: how a job's state reads on its execution and its run.
AS_EXECUTION: dict[JobState, ExecutionState] = {
    _Q: ExecutionState.NEW,
    _P: ExecutionState.NEW,
    _R: ExecutionState.RUNNING,
    _C: ExecutionState.RUNNING,
    JobState.SUCCEEDED: ExecutionState.COMPLETE,
    JobState.FAILED: ExecutionState.FAILED,
    JobState.CANCELLED: ExecutionState.CANCELLED,
    JobState.EXPIRED: ExecutionState.FAILED,
}
