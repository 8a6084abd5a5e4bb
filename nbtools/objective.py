"""Whether a notebook will report its sweep's objective, as far as reading it tells.

A sweep of hours whose objective is misspelt is worth nothing. The notebook is read, never
executed, and refused only where it plainly logs other metrics and not this one.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterable, Iterator
from pathlib import Path

from nbtools.errors import RequestError
from nbtools.notebook import Notebook

#: calls that log metrics whose names are written beside them,
LOGS = {"log_metrics", "log_time_series_metrics"}
#: and those after which there is a metric of any name.
ANY = {"report", "autolog", "run_line_magic"}


def check(objective: str, notebook: Notebook, known: Iterable[str]) -> None:
    """Raise RequestError where the notebook will not report it; `known` are the metrics that
    earlier runs of the experiment have reported.
    """
    known = set(known)
    tree = _tree(notebook)
    if not objective or objective in known or tree is None:
        return
    calls = {_name(n.func) for n in ast.walk(tree) if isinstance(n, ast.Call)}
    names = {k for node in ast.walk(tree) for k in _names(node)}
    if objective in names or _cannot_tell(tree, notebook.path.parent):
        return
    keys = known | {k for node in ast.walk(tree) for k in _keys(node)}
    # What is reported gets any name, and yet this one may be a slip of the pen.
    cutoff = 0.8 if calls & ANY else 0.6
    close = difflib.get_close_matches(objective, sorted(keys), n=3, cutoff=cutoff)
    if calls & ANY and not close:
        return
    what = "does not log it" if calls & LOGS else "logs no metrics"
    meant = f"did you mean {' or '.join(close)}?" if close else (
        f"there is {', '.join(sorted(keys))}" if keys and calls & LOGS else
        f"add nbtools.log_metrics({{{objective!r}: …}})"
    )  # fmt: skip
    raise RequestError(
        f"objective {objective!r}: {notebook.path.name} {what}; {meant} "
        "(--allow-unknown takes it all the same)"
    )


def _tree(notebook: Notebook) -> ast.Module | None:
    """All of its code; None where that is not Python."""
    if notebook.language != "python":
        return None
    found: list[ast.stmt] = []
    for cell in notebook.data["cells"]:
        if cell["cell_type"] == "code":
            try:
                found += ast.parse("".join(cell["source"])).body
            except (SyntaxError, ValueError, RecursionError):  # a magic may run anything
                return None
    return ast.Module(found, [])


def _name(called: ast.expr) -> str:
    return called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")


def _names(node: ast.AST) -> Iterator[str]:
    """What may be a metric's name: any text, any argument's."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.keyword) and node.arg:
        yield node.arg


def _keys(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Dict):
        for key in node.keys:
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                yield key.value


def _cannot_tell(tree: ast.Module, folder: Path) -> bool:
    """Whether names are made at run time, or code of the user's own is at work."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr) and _is_key(tree, node):
            return True
        if isinstance(node, ast.ImportFrom) and (node.level or _own(node.module or "", folder)):
            return True
        if isinstance(node, ast.Import) and any(_own(a.name, folder) for a in node.names):
            return True
    return False


def _is_key(tree: ast.Module, text: ast.JoinedStr) -> bool:
    return any(
        (isinstance(node, ast.Dict) and text in node.keys)
        or (isinstance(node, ast.DictComp) and node.key is text)
        or (isinstance(node, ast.Subscript) and node.slice is text)
        for node in ast.walk(tree)
    )


def _own(module: str, folder: Path) -> bool:
    """Whether the module lies beside the notebook."""
    top = module.partition(".")[0]
    return (folder / f"{top}.py").exists() or (folder / top).is_dir()
