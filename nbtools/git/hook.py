"""The hooks of .pre-commit-hooks.yaml: `start.py hook NAME [FLAGS] FILES`.

They run from a clone with whatever python3 there is, so they import the standard library
alone. None calls `git add`: what a hook changed, you look at and stage.
"""

from __future__ import annotations

import sys
from importlib import import_module

from nbtools.git.clean import clean, files, report
from nbtools.git.strip import FIELDS, Options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: hooks of other modules: name -> where its `main(arguments)` lies
OTHERS = {
    "conflicts": "nbtools.git.conflicts",
    "large": "nbtools.git.large",
    "secrets": "nbtools.git.secrets",
}


def main(arguments: list[str]) -> int:
    """Run one hook; its exit code."""
    name, rest = arguments[1:2], arguments[2:]
    if name and name[0] in OTHERS:
        return int(import_module(OTHERS[name[0]]).main(rest))
    if name not in (["clean"], ["check"]):
        sys.stderr.write(f"nbtools: no hook {name}; there are clean, check, {', '.join(OTHERS)}\n")
        return 2
    try:
        flags, paths = parse(rest)
        Options(**flags)
    except ValueError as error:
        sys.stderr.write(f"nbtools: {error}\n")
        return 2
    mode = "check" if name == ["check"] else "write"
    outcomes = clean(list(files(paths)), mode, flags)
    code = report(outcomes, mode)
    # pre-commit runs a hook's files in groups: each must say that it changed something.
    return code or int(any(outcome.findings for outcome in outcomes))


def parse(arguments: list[str]) -> tuple[dict[str, Any], list[str]]:
    """The flags of `nbtools clean` and the files; raises ValueError for what is neither."""
    flags: dict[str, Any] = {}
    paths: list[str] = []
    words = iter(arguments)
    for word in words:
        if word == "--":
            paths += words
        elif not word.startswith("--"):
            paths.append(word)
        else:
            flag, given, value = word[2:].partition("=")
            field = flag.replace("-", "_")
            if field not in FIELDS:
                names = ", ".join("--" + name.replace("_", "-") for name in FIELDS)
                raise ValueError(f"no flag {word!r}; there are {names}")
            kind = FIELDS[field][0]
            if kind == "flag":
                flags[field] = True
                continue
            text = value if given else next(words, "")
            flags[field] = text if kind == "size" else [*flags.get(field, ()), *text.split()]
    return flags, paths
