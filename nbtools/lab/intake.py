"""What the screens ask for, in our words: checked, and refused with one sentence."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jupyter_scheduler.exceptions import InputUriError

from nbtools import registry
from nbtools.errors import RequestError
from nbtools.lab.slip import FORMATS
from nbtools.notebook import Notebook
from nbtools.settings import FOLDER, Settings

#: the environment that means: whichever kernel the notebook names.
OWN_KERNEL = "the notebook's kernel"
#: what is not copied with a folder.
LEFT_OUT = (FOLDER, ".git", ".ipynb_checkpoints", "__pycache__")


def notebook_at(root: Path, uri: str) -> Path:
    """The notebook of a path below the server's root. Raises InputUriError."""
    whole = Path(os.path.normpath(root / uri.removeprefix("RTC:").lstrip("/")))
    if not whole.is_relative_to(root) or not whole.is_file():
        raise InputUriError(uri)
    return whole


def takes_folder(executor: str, settings: Settings) -> bool:
    """Whether the executor of that name, or the default one, has folders of ours to work in.

    Raises RequestError when there is none of that name.
    """
    return "cwd" not in registry.executor(executor or settings.executor).lacks


def kernel_of(environment: str | None) -> str:
    """The kernelspec of an environment; empty: the notebook's own."""
    return "" if environment in (None, "", OWN_KERNEL) else str(environment)


def formats_of(asked: Sequence[str] | None) -> tuple[str, ...]:
    """The output formats, found in order; none asked for are all. Raises RequestError."""
    for name in asked or ():
        if name not in FORMATS:
            raise RequestError(f"no output format {name!r}: there is {', '.join(FORMATS)}")
    return tuple(asked or FORMATS)


def params_of(notebook: Path, texts: Mapping[str, str] | None) -> dict[str, Any]:
    """The values that were typed, as the parameters cell takes them; it is `plan` that
    refuses those that it does not have, or that do not fit.
    """
    known = Notebook.read(notebook)
    return {name: known.read_value(name, text) for name, text in (texts or {}).items() if name}


def need_none(environment_parameters: Mapping[str, Any] | None) -> None:
    """Raises RequestError for parameters of an environment: ours have none."""
    if environment_parameters:
        names = ", ".join(environment_parameters)
        raise RequestError(
            f"environments have no parameters, and {names} is given: "
            "set limits with `nbtools submit` or in [tool.nbtools]"
        )


def copy_folder(source: Path, to: Path, without: Sequence[Path]) -> None:
    """Copy a folder but for what lies in `without`, and for stores and caches.

    Raises RequestError when something of it cannot be read or written.
    """
    out = {path.resolve() for path in without}

    def ignore(folder: str, names: list[str]) -> set[str]:
        return {n for n in names if n in LEFT_OUT or (Path(folder) / n).resolve() in out}

    try:
        shutil.copytree(source, to, ignore=ignore, symlinks=True, dirs_exist_ok=True)
    except (OSError, shutil.Error) as error:
        reason = error.args[0][0][2] if isinstance(error, shutil.Error) else error.strerror
        raise RequestError(
            f"cannot copy {source}: {reason}; mend that, or run without its folder"
        ) from None
