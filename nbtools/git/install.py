"""Tell git to pass notebooks through the filter, the diff and the merge driver; and undo it.

Only git's own configuration of this machine is written, never a file that a pull could
change and that would make git run something.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from nbtools.errors import RequestError
from nbtools.notebook import write_whole
from nbtools.settings import Settings

LINE = "*.ipynb filter=nbtools diff=nbtools merge=nbtools"
START = Path(__file__).with_name("start.py")
SECTIONS = ("filter.nbtools", "diff.nbtools", "merge.nbtools")


class NoRepository(RequestError):
    """git is missing, or this is no repository."""


@dataclass(frozen=True)
class Scope:
    """Where the configuration lies and which file names the notebooks."""

    name: str  #: repository or global
    flag: str  #: what git config takes
    attributes: Path  #: the file that gets the line

    @classmethod
    def find(cls, everywhere: bool = False, tracked: bool = False) -> Scope:
        """The scope as seen from the working folder; raises NoRepository."""
        if everywhere:
            return cls("global", "--global", _global_attributes())
        top = git("rev-parse", "--show-toplevel")
        if tracked:
            return cls("repository", "--local", Path(top) / ".gitattributes")
        # Of a linked worktree, `.git` is a file: git knows where its info folder is.
        return cls("repository", "--local", Path(git("rev-parse", "--git-path", "info/attributes")))


def git(*arguments: str, check: bool = True) -> str:
    """What git prints, without its last newline; raises NoRepository with git's own sentence."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise NoRepository("git is not on PATH; install it") from None
    if check and done.returncode:
        said = done.stderr.strip().splitlines()
        reason = said[-1].removeprefix("fatal: ") if said else f"git {arguments[0]} failed"
        raise NoRepository(f"{reason}; run this inside a git repository")
    return done.stdout.rstrip("\n")


def settings(keep_local_outputs: bool = False, python: str = sys.executable) -> dict[str, str]:
    """What git is told: key -> value."""
    start = f"{shlex.quote(_posix(python))} -I -S {shlex.quote(_posix(str(START)))}"
    keep = " --keep-local-outputs" if keep_local_outputs else ""
    return {
        "filter.nbtools.process": f"{start} process{keep}",
        # libgit2 and other clients know only these two.
        "filter.nbtools.clean": f"{start} clean{keep} %f",
        "filter.nbtools.smudge": f"{start} smudge{keep} %f",
        # Without it, a filter that cannot start lets every output through.
        "filter.nbtools.required": "true",
        "diff.nbtools.textconv": f"{start} textconv",
        "diff.nbtools.cachetextconv": "false",
        "merge.nbtools.name": "notebooks, cell by cell",
        "merge.nbtools.driver": f"{start} merge %O %A %B %L %P %X %Y",
    }


def install(scope: Scope, keep_local_outputs: bool = False) -> bool:
    """Write configuration and attributes; whether anything changed."""
    changed = False
    for key, value in settings(keep_local_outputs).items():
        if git("config", scope.flag, "--get", key, check=False) != value:
            _configure(scope.flag, "--replace-all", key, value)
            changed = True
    lines = _lines(scope.attributes)
    if LINE not in lines:
        kept = [line for line in lines if not _ours(line)]
        _write(scope.attributes, [*kept, LINE])
        changed = True
    return changed


def uninstall(scope: Scope) -> bool:
    """Take out what `install` wrote, nothing else; whether there was anything."""
    changed = False
    for section in SECTIONS:
        pattern = "^" + section.replace(".", r"\.") + r"\."
        if git("config", scope.flag, "--get-regexp", pattern, check=False):
            _configure(scope.flag, "--remove-section", section)
            changed = True
    lines = _lines(scope.attributes)
    if any(_ours(line) for line in lines):
        _write(scope.attributes, [line for line in lines if not _ours(line)])
        changed = True
    return changed


def _configure(*arguments: str) -> None:
    done = subprocess.run(
        ["git", "config", *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RequestError(f"git config: {done.stderr.strip() or 'failed'}; mend it and try again")


def _global_attributes() -> Path:
    named = git("config", "--global", "--type=path", "--get", "core.attributesFile", check=False)
    if named:
        return Path(named)
    return Settings.load().config_home / "git" / "attributes"


def _posix(path: str) -> str:
    return path.replace(os.sep, "/")


def _ours(line: str) -> bool:
    return "filter=nbtools" in line.split()


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def _write(path: Path, lines: list[str]) -> None:
    try:
        if not lines:
            path.unlink()
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path.resolve(), "\n".join(lines) + "\n")
    except OSError as error:
        raise RequestError(
            f"cannot write {path}: {error.strerror}; check its permissions"
        ) from None
