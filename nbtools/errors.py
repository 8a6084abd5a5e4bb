"""One tree of errors: whose fault it is decides the exit code.

Every message is one sentence that says what to do next.
"""

from __future__ import annotations


class NbtoolsError(Exception):
    """Anything nbtools raises on purpose; `exit_code` is what the command ends with."""

    exit_code = 2


class RequestError(NbtoolsError):
    """The request was wrong: a file, a name or a value that cannot be as given."""


class NotFound(RequestError):
    """No record of that name; Vertex AI's NOT_FOUND."""


class AlreadyExists(RequestError):
    """A record of that name is there already; Vertex AI's ALREADY_EXISTS."""


class StateError(RequestError):
    """The record is in a state that does not allow this; Vertex AI's FAILED_PRECONDITION."""


class Aborted(StateError):
    """Somebody else was faster: what was to be changed is no longer what was read."""


class MissingDependency(RequestError):
    """An optional package is not installed; the message holds the pip line."""


class Unavailable(RequestError):
    """A service cannot be reached, or does not answer; Vertex AI's UNAVAILABLE. What was asked
    for may have happened all the same.
    """


class StoreError(NbtoolsError):
    """The store cannot be read or written: disk full, permissions, damage."""


class NotebookFailed(NbtoolsError):
    """The notebook was executed and did not succeed.

    `job` is the finished record (`nbtools.nouns.Job`), with its outputs in place.
    """

    exit_code = 1

    def __init__(self, message: str, job: object) -> None:
        super().__init__(message)
        self.job = job
