"""Where in git a notebook stands: the commit, and whether it was changed since.

git is asked once a job, when the job begins, and nobody waits for the answer: it is written
into the job's folder while the kernel starts, and read when the job has ended. A filter
that git calls for a changed notebook takes longer than all the rest of beginning a job.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Final

from nbtools.settings import environment

#: the file of git's answer in a job's folder.
ANSWER: Final = "revision"
#: what a git hook sets and its programs inherit: it names the repository of the hook.
_INHERITED: Final = (
    "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_OBJECT_DIRECTORY",
    "GIT_COMMON_DIR",
)  # fmt: skip


@dataclass(frozen=True)
class Revision:
    """What git said of one file."""

    commit: str  #: the commit that was checked out, in hexadecimal
    branch: str  #: its branch; "" when it is on none
    dirty: bool  #: the file is not as in that commit: changed, or not in it at all


def ask(file: Path, folder: Path) -> None:
    """Begin to find out where `file` stands; `read` finds the answer in `folder`.

    Without a repository, or without git, nothing is begun and there will be no answer; one
    that is there already holds.
    """
    if (folder / ANSWER).exists() and (folder / ANSWER).stat().st_size:
        return
    if not any((parent / ".git").exists() for parent in file.parents):
        return
    command = ["git", "--no-optional-locks", "status", "--porcelain=v2", "--branch"]
    command += ["--no-ahead-behind", "--ignored", "--untracked-files=all", "--", file.name]
    env = {name: value for name, value in environment().items() if name not in _INHERITED}
    try:
        with (folder / ANSWER).open("wb") as answer:
            git = subprocess.Popen(
                command,
                cwd=file.parent,
                env={**env, "GIT_LITERAL_PATHSPECS": "1"},
                stdin=subprocess.DEVNULL,
                stdout=answer,
                stderr=subprocess.DEVNULL,
            )
    except OSError:
        return  # no git here: a job needs none
    Thread(target=git.wait, daemon=True).start()  # else it stays a zombie for as long as we live


def read(folder: Path) -> Revision | None:
    """What git answered; None when it was not asked, has not answered, or knows no commit."""
    try:
        lines = (folder / ANSWER).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    heads = dict(line[2:].split(" ", 1) for line in lines if line.startswith("# branch."))
    commit, branch = heads.get("branch.oid", ""), heads.get("branch.head", "")
    if not commit or commit == "(initial)":
        return None
    dirty = any(not line.startswith("#") for line in lines)
    return Revision(commit, "" if branch == "(detached)" else branch, dirty)
