"""git as the commands here use it: start it, read what it says, raise when it fails."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nbtools.errors import RequestError


class GitFailed(RequestError):
    """git refused; the message is git's own."""


@dataclass(frozen=True, slots=True)
class Repository:
    """A folder inside a work tree; paths are as seen from it."""

    folder: Path

    @classmethod
    def at(cls, path: Path) -> Repository:
        """The repository that holds `path`; raises GitFailed when there is none."""
        folder = path if path.is_dir() else path.parent
        repository = cls(folder)
        try:
            repository.git("rev-parse", "--show-toplevel")
        except GitFailed as error:
            raise GitFailed(f"{folder}: {error}; go to a folder of a repository") from None
        return repository

    @property
    def root(self) -> Path:
        """The top of the work tree."""
        return Path(self.git("rev-parse", "--show-toplevel").decode().rstrip("\n"))

    def git(self, *arguments: str, stdin: bytes = b"", ok: Sequence[int] = (0,)) -> bytes:
        """What `git ARGUMENTS` prints."""
        command = ["git", *arguments]
        try:
            done = subprocess.run(
                command, cwd=self.folder, input=stdin, capture_output=True, check=False
            )
        except FileNotFoundError:
            what = "git" if self.folder.is_dir() else str(self.folder)
            raise GitFailed(f"{what} was not found; install git, or go to a folder") from None
        if done.returncode not in ok:
            said = done.stderr.decode(errors="replace").strip().partition("\n")[0]
            why = said.removeprefix("fatal: ") or f"{arguments[0]} ended with {done.returncode}"
            raise GitFailed(f"git: {why}")
        return done.stdout

    def blob(self, name: str) -> bytes:
        """The bytes of an object."""
        return self.git("cat-file", "blob", name)

    def lines(self, *arguments: str, stdin: bytes = b"") -> list[str]:
        """What git prints with `-z`, piece by piece; any byte a file name may have survives."""
        found = self.git(*arguments, stdin=stdin).decode(errors="surrogateescape")
        return found.split("\0")[:-1]

    def keep(self, data: bytes) -> str:
        """Put bytes into git's own store, for two weeks at least; gives the object's name."""
        return self.git("hash-object", "-w", "--stdin", "--no-filters", stdin=data).decode().strip()
