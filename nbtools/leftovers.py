"""What a job that was stopped or has died left running: found by a mark, and ended.

A kernel takes its process group with it. What a notebook has put into a session of its own,
a server say, is in none, and has other parents when its own have ended; but it inherited the
environment, where the job's name is. Where there is no /proc nothing is found.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

#: variable of the environment -> the job that all processes with it belong to.
MARK = "NBTOOLS_JOB"
#: looks at most: what is killed may have begun another a moment before.
LOOKS = 10


def end(job: str, store: Path) -> int:
    """Kill every process that the job of that store has started; returns how many."""
    marks = {f"{MARK}={job}".encode(), f"NBTOOLS_STORE={store}".encode()}
    count = 0
    for _ in range(LOOKS):
        killed = sum(_kill(pid, marks) for pid in _processes())
        if not killed:
            break
        count += killed
    return count


def _processes() -> Iterator[int]:
    for folder in Path("/proc").glob("[0-9]*"):
        yield int(folder.name)


def _kill(pid: int, marks: set[bytes]) -> bool:
    if pid == os.getpid():
        return False
    try:
        handle = os.pidfd_open(pid)  # first: the number may be another's a moment later
    except (OSError, AttributeError):
        return False
    try:
        if marks <= set(Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            return True
    except OSError:  # it has ended, or is another user's
        return False
    finally:
        os.close(handle)
    return False
