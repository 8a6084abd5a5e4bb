"""JupyterLab's own job screens on nbtools, and a page of jobs beside them.

`scheduler.py` is a backend of jupyter-scheduler: what people do in its screens ("Create a
notebook job", the lists, job definitions) is done by our engine in our store. `extension.py`
is a server extension with a page that shows jobs as they run. Only this package knows the
words of jupyter-scheduler.
"""

from __future__ import annotations

from pathlib import Path


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    """What Jupyter's server loads, as it asks for it."""
    return [{"module": "nbtools.lab.extension"}]


def labextensions() -> Path:
    """The folder in which JupyterLab finds the card of its launcher."""
    return Path(__file__).parent / "labextensions"
