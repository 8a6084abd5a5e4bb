"""(notebook, parameters, identity) -> the notebook that an executor is given.

A pure function: papermill's translators write the values, in the notebook's language,
into a cell behind the parameters cell; the run's identity goes in as one value more.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import Any

from nbtools.errors import RequestError
from nbtools.notebook import INJECTED, Notebook
from nbtools.nouns import IDENTITY
from nbtools.secrets import Lookups


def prepare(
    notebook: Notebook,
    params: Mapping[str, Any],
    identity: Mapping[str, str],
    kernel: str,
    keep: bool = False,
) -> str:
    """The text of the notebook to execute.

    `params` are the values to inject, already checked (`Notebook.check`); `identity` says
    which job, experiment and run this is, and where its files go if not to the job's folder;
    `kernel` is the kernelspec that will run it. What
    was injected before gives way, or with `keep` stays before what is injected now.
    Raises RequestError when papermill cannot write parameters in the notebook's language.
    """
    import nbformat
    from papermill.exceptions import PapermillException
    from papermill.iorw import load_notebook_node
    from papermill.parameterize import parameterize_notebook

    if IDENTITY in params:
        raise RequestError(f"{IDENTITY} says which run this is: give the parameter another name")
    node = nbformat.from_dict(notebook.data)
    if (node.nbformat, node.nbformat_minor) >= (4, 5):
        _name_cells(node.cells)
    try:
        nbformat.validate(node)
        node = load_notebook_node(node)
    except nbformat.ValidationError as error:
        raise RequestError(
            f"{notebook.path} is not a valid notebook: {_reason(error)}; restore it, for "
            "example with git checkout, or open it in JupyterLab and save it again"
        ) from None
    python = notebook.language == "python"  # not every language has dicts, all have text
    before = _injected(node) if keep else ""
    lookups = Lookups(notebook.language)
    values = {
        **lookups.tokens(params),
        IDENTITY: dict(identity) if python else json.dumps(dict(identity)),
    }
    try:
        with _quiet("papermill"):
            node = parameterize_notebook(
                node, values, kernel_name=kernel, language=notebook.language
            )
    except (PapermillException, NotImplementedError) as error:
        if params:
            raise RequestError(f"{notebook.path.name} cannot take parameters: {error}") from None
    if before:
        cell = _injected_cell(node)
        cell.source = f"{before}\n{cell.source}"
    for cell in node.cells:
        cell.source = lookups.source(cell.source)
    node.metadata.papermill["parameters"] = dict(params)
    node.metadata.papermill["input_path"] = notebook.path.name
    node.metadata["nbtools"] = dict(identity)
    node.metadata.setdefault("kernelspec", {})["name"] = kernel
    node.metadata["kernelspec"].setdefault("display_name", kernel)
    return str(nbformat.writes(node))


def _injected_cell(node: Any) -> Any:
    """The cell that papermill has injected, or None."""
    return next((c for c in node.cells if INJECTED in c.metadata.get("tags", ())), None)


def _injected(node: Any) -> str:
    cell = _injected_cell(node)
    return cell.source if cell else ""


def _name_cells(cells: list[Any]) -> None:
    """Give ids to cells that have none, or another's; some tools leave them out or copy them."""
    taken = {cell.get("id") for cell in cells}
    met: set[Any] = set()
    for number, cell in enumerate(cells, 1):
        if cell.get("id") is None or cell["id"] in met:
            cell["id"] = next(
                name for extra in count() if (name := f"cell-{number}-{extra}") not in taken
            )
            taken.add(cell["id"])
        met.add(cell["id"])


def _reason(error: Any) -> str:
    """The first line of what nbformat says, short, with the number of the cell."""
    where = list(getattr(error, "absolute_path", ()))
    cell = f"its cell {where[1] + 1}: " if where[:1] == ["cells"] and len(where) > 1 else ""
    return cell + str(error).strip().splitlines()[0][:200]


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """What papermill warns of is either refused by `Notebook.check` or meant so."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
