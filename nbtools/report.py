"""An executed notebook as one HTML page that opens without a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nbtools.notebook import write_whole

if TYPE_CHECKING:
    from nbformat import NotebookNode


def write_report(notebook: NotebookNode, path: Path, title: str) -> None:
    """Write the executed notebook (an nbformat node) as a page to `path`."""
    from nbconvert import HTMLExporter

    # Everything a page would fetch from elsewhere is left out: a report is read offline.
    exporter = HTMLExporter(
        template_name="lab", mathjax_url="", require_js_url="", jquery_url="", mermaid_js_url=""
    )
    page, _ = exporter.from_notebook_node(notebook, resources={"metadata": {"name": title}})
    write_whole(path, page)
