"""What the surroundings say: the environment and `[tool.nbtools]` in pyproject.toml.

This is the only reader of either. Everything else is handed a `Settings`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from nbtools.errors import RequestError

FOLDER = ".nbtools"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where things are and what holds when a request does not say."""

    store: Path  #: the folder that holds the store and the jobs
    store_reason: str = ""  #: why that folder
    experiment: str = ""  #: default experiment; empty: named after the notebook
    kernel: str = ""  #: default kernelspec; empty: the notebook's own
    executor: str = "local"  #: default executor
    timeout: float = 0.0  #: seconds a job may take; 0: no limit
    cell_timeout: float = 0.0  #: seconds a cell may take; 0: no limit
    no_color: bool = False  #: NO_COLOR is set: print without colours
    config_home: Path = Path()  #: where programs keep their configuration: ~/.config

    @classmethod
    def load(cls, cwd: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
        """Read them as seen from `cwd`; raises RequestError for what is not a setting."""
        cwd = Path.cwd() if cwd is None else cwd.resolve()
        environ = os.environ if environ is None else environ
        values, project = _pyproject(cwd)
        values["no_color"] = bool(environ.get("NO_COLOR"))
        home = Path(environ.get("HOME") or Path.home())
        values["config_home"] = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
        if environ.get("NBTOOLS_STORE"):
            values["store"] = Path(environ["NBTOOLS_STORE"]).expanduser().absolute()
            values["store_reason"] = "NBTOOLS_STORE says so"
        elif "store" in values and project:
            values["store"] = (project.parent / str(values["store"])).resolve()
            values["store_reason"] = f"[tool.nbtools] in {project} says so"
        elif found := _upwards(cwd, FOLDER):
            values["store"], values["store_reason"] = found, f"the project's {FOLDER} folder"
        else:
            values["store"] = _data_home(environ) / "nbtools"
            values["store_reason"] = f"the user's data folder: no {FOLDER} in {cwd} or above"
        return cls(**values)


def _upwards(folder: Path, name: str) -> Path | None:
    """The nearest `name` in `folder` or above it, as git looks for `.git`."""
    return next((p / name for p in (folder, *folder.parents) if (p / name).exists()), None)


def _pyproject(cwd: Path) -> tuple[dict[str, Any], Path | None]:
    path = _upwards(cwd, "pyproject.toml")
    # Reading bytes first: importing tomllib would cost every command that needs none of it.
    if not path or b"[tool.nbtools" not in (text := path.read_bytes()):
        return {}, path
    import tomllib

    try:
        table = tomllib.loads(text.decode())["tool"]["nbtools"]
    except (ValueError, KeyError) as error:
        raise RequestError(f"{path}: {error}; mend the file") from None
    surroundings = ("store_reason", "no_color", "config_home")
    types = {f.name: f.type for f in fields(Settings) if f.name not in surroundings}
    for key, value in table.items():
        if isinstance(value, dict):
            continue  # a table of its own, such as [tool.nbtools.clean], has its own reader
        if key not in types:
            raise RequestError(
                f"{path}: [tool.nbtools] has no setting {key!r}; there are {', '.join(types)}"
            )
        number = types[key] == "float"
        if not isinstance(value, int | float if number else str) or isinstance(value, bool):
            raise RequestError(
                f"{path}: {key} = {value!r} must be a {'number' if number else 'string'}"
            )
    return {k: v for k, v in table.items() if not isinstance(v, dict)}, path


def _data_home(environ: Mapping[str, str]) -> Path:
    if environ.get("XDG_DATA_HOME"):
        return Path(environ["XDG_DATA_HOME"])
    home = Path(environ.get("HOME") or Path.home())
    return home / ("Library/Application Support" if sys.platform == "darwin" else ".local/share")
