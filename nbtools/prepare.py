"""(notebook, parameters, identity) -> the notebook that an executor is given.

A pure function: papermill's translators write the values, in the notebook's language,
into a cell behind the parameters cell; the run's identity goes in as one value more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nbtools.errors import RequestError
from nbtools.notebook import Notebook
from nbtools.nouns import IDENTITY


def prepare(
    notebook: Notebook, params: Mapping[str, Any], identity: Mapping[str, str], kernel: str
) -> str:
    """The text of the notebook to execute.

    `params` are the values to inject, already checked (`Notebook.check`); `identity` says
    which job, experiment and run this is; `kernel` is the kernelspec that will run it.
    Raises RequestError when papermill cannot write parameters in the notebook's language.
    """
    import nbformat
    from papermill.exceptions import PapermillException
    from papermill.iorw import load_notebook_node
    from papermill.parameterize import parameterize_notebook

    node = nbformat.from_dict(notebook.data)
    for number, cell in enumerate(node.cells):
        if (node.nbformat, node.get("nbformat_minor", 0)) >= (4, 5):
            cell.setdefault("id", f"cell-{number}")  # some tools leave it out; nbformat warns
    try:
        nbformat.validate(node)
        node = load_notebook_node(node)
    except nbformat.ValidationError as error:
        reason = str(error).strip().splitlines()[0]
        raise RequestError(f"{notebook.path} is not a valid notebook: {reason}") from None
    values = {**params, IDENTITY: dict(identity)}
    try:
        node = parameterize_notebook(node, values, kernel_name=kernel, language=notebook.language)
    except PapermillException as error:
        if params:
            raise RequestError(f"{notebook.path.name} cannot take parameters: {error}") from None
    node.metadata.papermill["parameters"] = dict(params)
    node.metadata.papermill["input_path"] = notebook.path.name
    node.metadata["nbtools"] = dict(identity)
    node.metadata.setdefault("kernelspec", {})["name"] = kernel
    node.metadata["kernelspec"].setdefault("display_name", kernel)
    return str(nbformat.writes(node))
