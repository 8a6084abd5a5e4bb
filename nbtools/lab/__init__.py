"""JupyterLab's own job screens on nbtools, and a page of jobs beside them.

`scheduler.py` is a backend of jupyter-scheduler: what people do in its screens ("Create Job",
the lists, job definitions) is done by our engine in our store. `extension.py` is a server
extension with a page that shows jobs as they run; `labextensions/` has the launcher's card
that opens it. Only this package knows the words of jupyter-scheduler.

`etc/` says so to Jupyter: a wheel puts it where Jupyter looks, `nbtools lab` points there.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).parent


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    """What Jupyter's server loads, as it asks for it."""
    return [{"module": "nbtools.lab.extension"}]


def configured(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment in which Jupyter finds our configuration first, and our card too."""
    paths = [str(HERE / "etc"), environ.get("JUPYTER_CONFIG_PATH", "")]
    return {**environ, "JUPYTER_CONFIG_PATH": os.pathsep.join(filter(None, paths))}


def card() -> str:
    """The argument by which JupyterLab finds the card of its launcher."""
    return f"--LabApp.extra_labextensions_path={HERE / 'labextensions'}"
