"""`[tool.nbtools.clean]`: what a project says about cleaning, in pyproject.toml.

The filter asks for every file that git hands it, so a folder is looked at once, and TOML is
read only where the table is.
"""

from __future__ import annotations

import os

from nbtools.git.strip import DEFAULT, Options

_TABLE = b"[tool.nbtools.clean]"


class ProjectError(ValueError):
    """The table in pyproject.toml is wrong; the message names the file."""


class Projects:
    """The options that hold for a file: those of the nearest pyproject.toml with the table."""

    def __init__(self) -> None:
        self._known: dict[str, Options] = {}

    def options(self, path: str) -> Options:
        """The options for the notebook at `path`; raises ProjectError."""
        return self._of(os.path.dirname(os.path.abspath(path)))

    def _of(self, folder: str) -> Options:
        if folder not in self._known:
            found = table(os.path.join(folder, "pyproject.toml"))
            parent = os.path.dirname(folder)
            if found is not None:
                self._known[folder] = found
            elif parent == folder or os.path.exists(os.path.join(folder, ".git")):
                self._known[folder] = DEFAULT  # a repository is not told from outside of it
            else:
                self._known[folder] = self._of(parent)
        return self._known[folder]


def table(path: str) -> Options | None:
    """What a pyproject.toml says, None when it says nothing; raises ProjectError."""
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError:
        return None
    if _TABLE not in content:
        return None
    import tomllib

    try:
        values = tomllib.loads(content.decode())["tool"]["nbtools"]["clean"]
        return Options(**{key.replace("-", "_"): value for key, value in values.items()})
    except KeyError:
        return None  # the words stand in a comment or a string
    except ValueError as error:
        raise ProjectError(f"{path}: [tool.nbtools.clean]: {error}") from None
