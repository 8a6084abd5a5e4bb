"""An executed notebook as one HTML page that opens without a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
from nbconvert import HTMLExporter

from nbtools.errors import RequestError
from nbtools.notebook import write_whole

if TYPE_CHECKING:
    from nbformat import NotebookNode

# Everything a page would fetch from elsewhere is left out: a report is read offline.
EXPORTER = HTMLExporter(
    template_name="lab", mathjax_url="", require_js_url="", jquery_url="", mermaid_js_url=""
)
#: What a notebook has printed is shown as it would be, but does nothing: browsers execute no
#: script of it, not even of its own templates, and fetch nothing.
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; "
    "media-src data:; form-action 'none'; base-uri 'none'"
)
_HEAD = "<head>"
# The first page takes a quarter of a second, any other a hundredth: a zygote that has
# imported this file has that behind it.
EXPORTER.from_notebook_node(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")]))


def write_report(notebook: NotebookNode, path: Path, title: str) -> None:
    """Write the executed notebook (an nbformat node) as a page to `path`. Raises RequestError
    for one that nbconvert makes no page of.
    """
    try:
        page, _ = EXPORTER.from_notebook_node(notebook, resources={"metadata": {"name": title}})
    except Exception as error:  # whatever a template or a filter stumbled over
        raise RequestError(
            f"no page can be made of {title}.ipynb: {' '.join(str(error).split()) or error!r}; "
            "mend that in the notebook"
        ) from error
    before, head, after = page.partition(_HEAD)  # as early as can be: it holds for what follows
    policy = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    write_whole(path, f"{before}{head}{policy}{after}")
