"""What a run was made of: the commit and what was changed since, packages, command, host.

Found out in the background, once for runs that begin within a few seconds, and written
into the run's metadata as `_about`; the change itself and the list of packages are files.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nbtools.errors import NbtoolsError
from nbtools.nouns import Context, utc_now
from nbtools.secrets import own
from nbtools.settings import Settings
from nbtools.store import Store

#: seconds for which what was found out holds for the next run.
FRESH = 5.0
#: seconds that git may take.
PATIENCE = 10.0
#: bytes of the change that are kept.
LIMIT = 10 << 20
CHANGE, PACKAGES = "changes.patch", "packages.txt"


@dataclass(frozen=True)
class Question:
    """A run that wants to know."""

    store: Path  #: the store's folder
    context: str  #: the run's context
    folder: Path  #: where its files about itself are to lie
    cwd: Path  #: where the work is done
    known: Mapping[str, Any]  #: what is known already


class _Asker:
    """A thread that answers questions, and is gone when there are none."""

    def __init__(self) -> None:
        self._questions: queue.SimpleQueue[Question] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._at_work = False
        self._last: tuple[float, Path, dict[str, Any], bytes] | None = None

    def ask(self, question: Question) -> None:
        self._questions.put(question)
        with self._lock:
            if not self._at_work:
                self._at_work = True
                # No daemon: a short script waits here until its run says what it was.
                threading.Thread(target=self._work, name="nbtools-about").start()

    def _work(self) -> None:
        while True:
            with self._lock:
                if self._questions.empty():
                    self._at_work = False
                    return
            question = self._questions.get()
            with suppress(OSError, NbtoolsError):  # the run is worth more than what is about it
                self._answer(question)

    def _answer(self, question: Question) -> None:
        now = time.monotonic()
        if not self._last or self._last[0] + FRESH < now or self._last[1] != question.cwd:
            self._last = (now, question.cwd, *_git(question.cwd))
        _, _, git, change = self._last
        from nbtools.cache import packages  # here, as below: a run begins without waiting

        question.folder.mkdir(parents=True, exist_ok=True)
        if change:
            (question.folder / CHANGE).write_bytes(own().masking.data(change)[:LIMIT])
        (question.folder / PACKAGES).write_text("\n".join(packages()) + "\n")
        about = {**surroundings(), **question.known, "files": str(question.folder)}
        if git:
            about["git"] = git
        store = Store(question.store)
        try:
            store.amend(
                Context,
                question.context,
                lambda c: replace(c, metadata={**c.metadata, "_about": about}),
                utc_now(),
            )
        finally:
            store.close()


_asker = _Asker()
if hasattr(os, "register_at_fork"):  # the thread is the parent's, and so are its questions
    os.register_at_fork(after_in_child=_asker.__init__)  # type: ignore[misc]


def ask(question: Question) -> None:
    """Have a run's `_about` written soon; the process does not end before that."""
    _asker.ask(question)


def shell() -> Any:
    """The shell of this process if it is a notebook's; never imports IPython."""
    module = sys.modules.get("IPython")
    return module.get_ipython() if module else None


def notebook(shell: Any) -> dict[str, Any]:
    """The notebook and the cell that a run is begun in, where it is one."""
    if shell is None:
        return {}
    found: dict[str, Any] = {}
    path = shell.user_ns.get("__vsc_ipynb_file__") or Settings.load().notebook
    if path:
        found["notebook"] = str(path)
    sources = shell.user_ns.get("In", [])
    if sources and sources[-1]:
        found["cell"] = {"execution_count": len(sources) - 1, "source": sources[-1][:4000]}
    return found


def surroundings() -> dict[str, Any]:
    """The command, the host, the interpreter, and who."""
    import getpass
    import platform
    import socket

    found = {
        "command": " ".join(getattr(sys, "orig_argv", sys.argv))[:2000],
        "host": socket.gethostname(),
        "python": platform.python_version(),
        "platform": platform.platform(),
    }
    with suppress(OSError, KeyError, ImportError):
        found["user"] = getpass.getuser()
    return found


def _git(cwd: Path) -> tuple[dict[str, Any], bytes]:
    """Commit, branch, remote and whether anything was changed; and the change."""
    commit = _ask_git(cwd, "rev-parse", "HEAD")
    if not commit:
        return {}, b""
    change = _ask_git(cwd, "diff", "--no-ext-diff", "--no-textconv", "HEAD")
    found = {
        "commit": commit.decode().strip(),
        "branch": _ask_git(cwd, "rev-parse", "--abbrev-ref", "HEAD").decode().strip(),
        "dirty": bool(change),
    }
    if remote := _ask_git(cwd, "config", "--get", "remote.origin.url").decode().strip():
        found["remote"] = _without_password(remote)
    return found, change


def _without_password(url: str) -> str:
    scheme, found, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}" if found else url


def _ask_git(cwd: Path, *words: str) -> bytes:
    import subprocess

    try:
        done = subprocess.run(
            ["git", "-c", "core.fsmonitor=false", *words],  # noqa: S607 - the user's own
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return b""
    return done.stdout if done.returncode == 0 else b""
