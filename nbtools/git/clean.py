"""Clean notebook files: in place, to look, or to show. Standard library only: hooks use it."""

from __future__ import annotations

import os
import sys

from nbtools.git.codec import NotANotebook, parse
from nbtools.git.project import ProjectError, Projects
from nbtools.git.strip import Options, strip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

#: A second process pays from about this many files on.
MANY = 64


class Outcome:
    """What became of one file."""

    __slots__ = ("error", "findings", "path", "text")

    def __init__(self, path: str, findings: list[str], error: str = "", text: str = "") -> None:
        self.path = path
        self.findings = findings  #: what was dirty; empty: it was clean
        self.error = error  #: why it could not be read or written; "" when it could
        self.text = text  #: the difference, when it was asked for


def files(paths: Iterable[str]) -> Iterator[str]:
    """The notebooks that `paths` name: files as they are, folders searched.

    Hidden folders, among them .ipynb_checkpoints, and virtual environments are passed over.
    """
    for path in paths:
        if not os.path.isdir(path):
            yield path
            continue
        for folder, folders, names in os.walk(path):
            folders[:] = sorted(
                name
                for name in folders
                if not name.startswith(".")
                and not os.path.exists(os.path.join(folder, name, "pyvenv.cfg"))
            )
            yield from (os.path.join(folder, n) for n in sorted(names) if n.endswith(".ipynb"))


def clean(paths: list[str], mode: str, flags: dict[str, Any]) -> list[Outcome]:
    """Clean each file; `mode` is write, check or diff. `flags` go over the project's table."""
    half = len(paths) // 2
    if len(paths) < MANY or not hasattr(os, "fork") or (os.cpu_count() or 1) < 2:
        return _all(paths, mode, flags)
    import marshal

    reading, writing = os.pipe()
    if not (child := os.fork()):
        code = 1
        try:
            outcomes = _all(paths[half:], mode, flags)
            with os.fdopen(writing, "wb") as pipe:
                pipe.write(marshal.dumps([(o.path, o.findings, o.error, o.text) for o in outcomes]))
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    first = _all(paths[:half], mode, flags)
    with os.fdopen(reading, "rb") as pipe:
        packed = pipe.read()
    if os.waitpid(child, 0)[1]:  # it died: what it did is whole, so the rest is done again
        return first + _all(paths[half:], mode, flags)
    return first + [Outcome(*fields) for fields in marshal.loads(packed)]  # noqa: S302 - our own child wrote it


def _all(paths: list[str], mode: str, flags: dict[str, Any]) -> list[Outcome]:
    projects = Projects()
    known: dict[int, Options] = {}
    outcomes = []
    for path in paths:
        try:
            options = projects.options(path)
            if flags:
                found = known.get(id(options))
                options = known[id(options)] = found or Options(**{**options.values(), **flags})
            outcomes.append(_one(path, mode, options))
        except NotANotebook as error:
            outcomes.append(Outcome(path, [], error.at(path)))
        except ProjectError as error:
            outcomes.append(Outcome(path, [], str(error)))
        except OSError as error:
            outcomes.append(Outcome(path, [], f"{path}: {error.strerror}"))
    return outcomes


def _one(path: str, mode: str, options: Options) -> Outcome:
    with open(path, "rb") as file:
        before = file.read()
    after = strip(before, options)
    if after == before:
        return Outcome(path, [])
    if mode == "write":
        replace(path, after)
        return Outcome(path, ["cleaned"])
    text = difference(path, before, after) if mode == "diff" else ""
    return Outcome(path, findings(before, after), text=text)


def replace(path: str, data: bytes) -> None:
    """Write a file so that it never holds a part: beside it, then renamed. Its mode is kept."""
    path = os.path.realpath(path) if os.path.islink(path) else path
    folder, name = os.path.split(path)
    beside = os.path.join(folder, f".{name}.{os.getpid()}.part")
    mode = os.stat(path).st_mode
    if not os.access(path, os.W_OK):
        raise PermissionError(13, "is read-only", path)
    try:
        with open(beside, "wb") as file:
            file.write(data)
            os.chmod(file.fileno(), mode & 0o7777)
        os.replace(beside, path)
    except BaseException:
        if os.path.exists(beside):
            os.unlink(beside)
        raise


def findings(before: bytes, after: bytes) -> list[str]:
    """What is dirty in `before`, of which `after` is the clean text: "3 outputs"…"""
    old, new = parse(before), parse(after)
    if "cells" not in old or len(old["cells"]) != len(new["cells"]):
        return ["outputs, counts or cells to drop"]
    counts = {"output": 0, "execution count": 0, "missing or doubled cell id": 0, "metadata key": 0}
    for was, now in zip(old["cells"], new["cells"], strict=True):
        counts["output"] += len(was.get("outputs", ())) - len(now.get("outputs", ()))
        counts["execution count"] += was.get("execution_count") != now.get("execution_count")
        counts["missing or doubled cell id"] += was.get("id") != now.get("id")
        counts["metadata key"] += len(was["metadata"]) - len(now["metadata"])
    gone = old["metadata"].keys() - new["metadata"].keys()
    found = [f"{count} {what}{'s' * (count > 1)}" for what, count in counts.items() if count]
    found += ["widget state"] * ("widgets" in gone)
    found += [f"metadata.{key}" for key in sorted(gone - {"widgets"})]
    return found or ["layout"]


def difference(path: str, before: bytes, after: bytes) -> str:
    """A unified diff from the file to its clean text."""
    import difflib

    old, new = (text.decode().splitlines(keepends=True) for text in (before, after))
    return "".join(
        line if line.endswith("\n") else line + "\n\\ No newline at end of file\n"
        for line in difflib.unified_diff(old, new, f"a/{path}", f"b/{path}")
    )


def report(outcomes: list[Outcome], mode: str) -> int:
    """Print what became of the files, errors to stderr; the exit code of the command."""
    dirty = [outcome for outcome in outcomes if outcome.findings]
    for outcome in outcomes:
        if outcome.error:
            sys.stderr.write(f"nbtools: {outcome.error}\n")
        elif outcome.text:
            sys.stdout.write(outcome.text)
        elif outcome.findings:
            sys.stdout.write(f"{outcome.path}: {', '.join(outcome.findings)}\n")
    if any(outcome.error for outcome in outcomes):
        return 2
    return 1 if dirty and mode == "check" else 0


def stream(mode: str, flags: dict[str, Any]) -> int:
    """Clean standard input to standard output; the exit code of the command."""
    before = sys.stdin.buffer.read()
    try:
        options = Projects().options("stdin.ipynb")
        after = strip(before, Options(**{**options.values(), **flags}))
    except NotANotebook as error:
        return report([Outcome("standard input", [], error.at("standard input"))], mode)
    except ProjectError as error:
        return report([Outcome("standard input", [], str(error))], mode)
    if mode == "write":
        sys.stdout.buffer.write(after)
        return 0
    if before == after:
        return 0
    text = difference("standard input", before, after) if mode == "diff" else ""
    return report([Outcome("standard input", findings(before, after), text=text)], mode)
