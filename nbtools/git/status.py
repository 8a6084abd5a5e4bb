"""Whether notebooks are cleaned on their way into git: what is installed, and if it works."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from nbtools.doctor import Finding
from nbtools.git.codec import NotANotebook
from nbtools.git.install import git
from nbtools.git.project import ProjectError, Projects
from nbtools.git.strip import strip

_PROBE = (
    b'{"cells": [{"cell_type": "code", "execution_count": 1, "metadata": {}, "outputs": '
    b'[{"name": "stdout", "output_type": "stream", "text": "x"}], "source": ""}], '
    b'"metadata": {}, "nbformat": 4, "nbformat_minor": 4}'
)
_FEW = 5


def examine() -> list[Finding]:
    """Every finding of this repository; those with a `mend` are wrong. Raises NoRepository."""
    top = git("rev-parse", "--show-toplevel")
    scopes = [
        scope
        for scope, flag in (("repository", "--local"), ("global", "--global"))
        if git("config", flag, "--get-regexp", r"^filter\.nbtools\.", check=False)
    ]
    found = [_path()]
    if not scopes:
        return [*found, Finding("filter", "not installed", "nbtools git install"), *_blobs(top)]
    found.append(Finding("filter", f"installed, scope: {' and '.join(scopes)}"))
    again = "nbtools git install" + ("" if "repository" in scopes else " --global")
    found += _commands(again)
    found += _attributes(top, again)
    found += _worktrees()
    found += _cache()
    found += _blobs(top)
    return found


def _path() -> Finding:
    where = shutil.which("nbtools")
    if where:
        return Finding("PATH", f"nbtools is {where}")
    return Finding("PATH", "nbtools is not on PATH; the filter does not need it, you may")


def _commands(again: str) -> Iterator[Finding]:
    """Whether what git is told to run is there, and does what it should."""
    for key in ("process", "clean", "smudge"):
        command = git("config", "--get", f"filter.nbtools.{key}", check=False)
        if not command:
            yield Finding(f"filter.{key}", "missing", again)
            continue
        words = shlex.split(command)
        missing = [word for word in words if Path(word).is_absolute() and not Path(word).exists()]
        if missing:
            what = "interpreter" if missing[0] == words[0] else "program"
            yield Finding(f"filter.{key}", f"{what} moved: no {missing[0]}", again)
        elif key == "clean":
            yield _probe(command, again)
    for key in ("diff.nbtools.textconv", "merge.nbtools.driver"):
        if not git("config", "--get", key, check=False):
            yield Finding(key, "missing", again)
    if git("config", "--type=bool", "--get", "filter.nbtools.required", check=False) != "true":
        yield Finding("filter.required", "off: a filter that cannot start passes outputs", again)


def _probe(command: str, again: str) -> Finding:
    # As git does it: through the shell.
    line = command.replace("%f", "probe.ipynb")
    done = subprocess.run(["sh", "-c", line], input=_PROBE, capture_output=True, check=False)
    if done.returncode == 0 and b'"outputs": []' in done.stdout:
        return Finding("filter works", command)
    said = done.stderr.decode(errors="replace").strip().splitlines() or ["it keeps outputs"]
    return Finding("filter fails", said[-1], again)


def _notebooks(top: str) -> list[str]:
    listed = git("-C", top, "ls-files", "-z", "--", "*.ipynb")
    return [name for name in listed.split("\0") if name and "\n" not in name]


def _attributes(top: str, again: str) -> Iterator[Finding]:
    """Which notebooks are passed through us, and which attributes say otherwise."""
    names = ["any.ipynb", *_notebooks(top)]
    done = subprocess.run(
        ["git", "-C", top, "check-attr", "-z", "--stdin", "filter", "merge"],
        input="\0".join(names) + "\0", capture_output=True, text=True, check=False,
    )  # fmt: skip
    words = done.stdout.split("\0")
    others: dict[tuple[str, str], list[str]] = {}
    for name, attribute, value in zip(words[0::3], words[1::3], words[2::3], strict=False):
        if value != "nbtools":
            others.setdefault((attribute, value), []).append(name)
    if not others:
        yield Finding("attributes", "*.ipynb passes through nbtools")
    unset = [name for (name, value), files in others.items() if _unset(value, files)]
    if unset:
        yield Finding("attributes", f"no {', '.join(unset)} is set for *.ipynb", again)
    for (attribute, value), files in others.items():
        if _unset(value, files):
            continue
        named = [name for name in files if name != "any.ipynb"] or ["*.ipynb"]
        yield Finding(
            "attributes",
            f"overridden: {attribute}={value} for {few(named)}",
            f"take {attribute} out of the .gitattributes that says so; "
            f"git check-attr -a {shlex.quote(named[0])} shows it",
        )


def _unset(value: str, files: list[str]) -> bool:
    return value == "unspecified" and "any.ipynb" in files


def _worktrees() -> Iterator[Finding]:
    listed = git("worktree", "list", "--porcelain", check=False)
    count = sum(line.startswith("worktree ") for line in listed.splitlines())
    if count > 1:
        yield Finding("worktrees", f"{count}, all served by the same configuration")


def _cache() -> Iterator[Finding]:
    if "--keep-local-outputs" in git("config", "--get", "filter.nbtools.process", check=False):
        from nbtools.git.cache import Cache

        cache = Cache.here()
        used = cache.used() if cache else 0
        yield Finding("local outputs", f"kept, {used / 1e6:.1f} MB in {cache and cache.folder}")


def _blobs(top: str) -> Iterator[Finding]:
    """Notebooks in git whose blobs are dirty all the same: added before, or around us."""
    dirty, broken, projects = [], [], Projects()
    names = _notebooks(top)
    for name, data in zip(names, _contents(top, names), strict=False):
        try:
            if strip(data, projects.options(f"{top}/{name}")) != data:
                dirty.append(name)
        except NotANotebook as error:
            broken.append(error.at(name))
        except ProjectError as error:
            yield Finding("pyproject", str(error), "mend the table")
            return
    if dirty:
        files = " ".join(map(shlex.quote, dirty)) if len(dirty) <= _FEW else "'*.ipynb'"
        yield Finding(
            "in git",
            f"{len(dirty)} of {len(names)} notebooks are not clean: {few(dirty)}",
            f"git add --renormalize -- {files} && git commit",
        )
    for sentence in broken[:_FEW]:
        yield Finding("in git", sentence, "mend the file and git add it")
    if not dirty and not broken:
        yield Finding("in git", f"{len(names)} notebooks, all clean")


def _contents(top: str, names: list[str]) -> Iterator[bytes]:
    """Each notebook as the index holds it."""
    with subprocess.Popen(
        ["git", "-C", top, "cat-file", "--batch"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as batch:
        assert batch.stdin
        assert batch.stdout
        for name in names:
            batch.stdin.write(b":0:" + name.encode(errors="surrogateescape") + b"\n")
            batch.stdin.flush()
            head = batch.stdout.readline().split()
            if head[-1:] == [b"missing"] or len(head) < 3:
                yield b""  # in conflict: there is no one blob
                continue
            yield batch.stdout.read(int(head[-1]))
            batch.stdout.read(1)
        batch.stdin.close()


def few(names: list[str]) -> str:
    """The first names, and how many more."""
    more = len(names) - _FEW
    return ", ".join(names[:_FEW]) + (f" and {more} more" if more > 0 else "")
