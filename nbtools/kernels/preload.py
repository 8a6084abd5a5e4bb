"""What a notebook will import, read from its source: what its zygote should have loaded.

Conservative: reading stops at the first statement after which an import may mean something
else, such as one that changes the environment, the search path or the working folder, or
installs a package. A module that lies beside the notebook is the notebook's own.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

#: names whose use may change what an import does.
TURNING = {"environ", "putenv", "chdir", "path", "set_start_method", "meta_path", "path_hooks"}
#: lines that are no Python and change nothing that an import could notice.
HARMLESS = ("%matplotlib", "%time", "%config", "%autosave", "%precision", "%%time", "%%capture")


def imports(notebook: Mapping[str, Any], folder: Path) -> tuple[str, ...]:
    """Top-level imports of the notebook's code cells, in order, without repetition.

    `folder` is where it will run: modules found there are left out.
    """
    found: dict[str, None] = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        source = cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])
        whole = _read(source, found)
        if not whole:
            break
    return tuple(name for name in found if not _own(name, folder))


def _read(source: str, found: dict[str, None]) -> bool:
    """Add a cell's imports; False when what comes after it had better not be read."""
    lines = []
    for line in source.splitlines():
        bare = line.lstrip()
        if bare.startswith(("!", "%")) and not bare.startswith(HARMLESS):
            break
        lines.append("" if bare.startswith("%") else line)
    whole = len(lines) == len(source.splitlines())
    try:
        tree = ast.parse("\n".join(lines))
    except SyntaxError:
        return False
    for statement in _statements(tree.body):
        if isinstance(statement, ast.Import):
            found.update(dict.fromkeys(alias.name for alias in statement.names))
        elif isinstance(statement, ast.ImportFrom):
            if statement.module and not statement.level:
                found[statement.module] = None
        elif _turns(statement):
            return False
    return whole


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Those that are executed when the cell is, as far as that is plain."""
    for statement in body:
        yield statement
        if isinstance(statement, ast.With):
            yield from _statements(statement.body)


def _turns(statement: ast.stmt) -> bool:
    return any(
        isinstance(node, ast.Attribute) and node.attr in TURNING for node in ast.walk(statement)
    )


def _own(name: str, folder: Path) -> bool:
    """Whether the name means a file beside the notebook, or is there already."""
    top = name.partition(".")[0]
    if top in sys.builtin_module_names or top == "__future__":
        return True
    return (folder / f"{top}.py").exists() or (folder / top).is_dir()
