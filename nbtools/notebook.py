"""A notebook as data: read, written whole or not at all, and its parameters."""

from __future__ import annotations

import json
import keyword
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from nbtools.errors import RequestError
from nbtools.nouns import IDENTITY, place
from nbtools.parameter import COMPUTED, Parameter, near, parse, scalar
from nbtools.value import plain

#: tag of the cell in which papermill puts values.
INJECTED: Final = "injected-parameters"


@dataclass(frozen=True, slots=True)
class Notebook:
    """A notebook file, version 4 of the format."""

    path: Path  #: absolute
    data: Mapping[str, Any]  #: the JSON object
    parameters: tuple[Parameter, ...] | None  #: None: written in a language we cannot read
    has_parameters_cell: bool

    @classmethod
    def read(cls, path: str | Path) -> Notebook:
        """Read the file; raises RequestError when it is missing or is not a notebook."""
        path = place(path)
        data = _load(path)
        source = _parameters_cell(data)
        parameters: tuple[Parameter, ...] | None = ()
        if source is not None:
            try:
                parameters = parse(source) if _language(data) == "python" else None
            except RequestError as error:
                raise RequestError(f"{path.name}: {error}") from None
        return cls(path, data, parameters, source is not None)

    @property
    def kernel(self) -> str:
        """The kernelspec that the notebook names, or ""."""
        return str(self.data["metadata"].get("kernelspec", {}).get("name", ""))

    @property
    def language(self) -> str:
        """The language that the notebook names; python when it names none."""
        return _language(self.data)

    @property
    def identity(self) -> Mapping[str, Any]:
        """The job, experiment and run that nbtools has prepared it for; empty for any other."""
        said = self.data["metadata"].get("nbtools")
        ours = IDENTITY in (_tagged(self.data, INJECTED) or "") and isinstance(said, Mapping)
        return said if ours else {}

    def check(self, params: Mapping[str, Any], allow_unknown: bool = False) -> dict[str, Any]:
        """`params` as the notebook takes them.

        Raises RequestError, naming every misfit at once: unknown names with the names that
        were probably meant, and values that fit neither annotation nor default.
        """
        if params and not self.has_parameters_cell and not allow_unknown:
            raise RequestError(
                f"{self.path.name} has no parameters cell: give the cell that holds its "
                "parameters the tag `parameters` (in JupyterLab: property inspector, Common tools)"
            )
        fitted: dict[str, Any] = {}
        wrong: list[str] = []
        for name, value in params.items():
            try:
                fitted[name] = self._fit(name, value, allow_unknown)
            except RequestError as error:
                wrong.append(str(error))
        if wrong:
            raise RequestError("\n".join(wrong))
        return fitted

    def read_value(self, name: str, text: str) -> Any:
        """The value that `text`, as a person types it, stands for as parameter `name`."""
        known = {p.name: p for p in self.parameters or ()}
        return known[name].read(text) if name in known else scalar(text)

    def effective(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Every parameter's value for an execution with `params`: theirs over the defaults.

        A default that only running it would tell, or that JSON cannot hold, is given as
        it is written.
        """
        values: dict[str, Any] = {}
        for p in self.parameters or ():
            try:
                values[p.name] = p.source if p.default is COMPUTED else plain(p.name, p.default)
            except RequestError:
                values[p.name] = p.source
        return {**values, **params}

    def injected(self) -> dict[str, Any]:
        """The values that were injected before, by papermill or by us, where they can be read."""
        cell = _tagged(self.data, INJECTED)
        if cell is None or _language(self.data) != "python":
            return {}
        with suppress(RequestError):  # code that somebody has written there himself
            found = {p.name: p.default for p in parse(cell) if p.default is not COMPUTED}
            return {k: plain(k, v) for k, v in found.items() if k != IDENTITY}
        return {}

    def _fit(self, name: str, value: Any, allow_unknown: bool) -> Any:
        for parameter in self.parameters or ():
            if parameter.name == name:
                return parameter.fit(value)
        if self.parameters is not None:
            if not allow_unknown:
                raise RequestError(self._unknown(str(name)))
            if not str(name).isidentifier() or keyword.iskeyword(name):
                raise RequestError(f"{name}: Python has no such variable; give another name")
        return plain(name, value)

    def _unknown(self, name: str) -> str:
        parameters = self.parameters or ()
        if meant := near(name, parameters):
            return f"{name}: no such parameter; did you mean {' or '.join(meant)}?"
        names = ", ".join(p.name for p in parameters) or "none"
        return f"{name}: no such parameter; {self.path.name} has {names}"


def write_whole(path: Path, text: str) -> None:
    """Write `text` so that `path` never holds a part of it: beside it, then renamed."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with beside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _load(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (FileNotFoundError, NotADirectoryError):
        raise RequestError(f"no notebook at {path}{_neighbours(path)}") from None
    except OSError as error:
        raise RequestError(f"cannot read {path}: {error.strerror}; name a notebook file") from None
    except UnicodeDecodeError:
        raise RequestError(f"{path} is not a notebook: it is not UTF-8 text") from None
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        if conflict := re.search(r"^(<{7}|>{7})( |$)", text, re.MULTILINE):
            line = text.count("\n", 0, conflict.start()) + 1
            raise RequestError(
                f"{path} has an unresolved merge conflict (git's markers in line {line}): "
                "resolve it first"
            ) from None
        if path.suffix != ".ipynb":
            raise RequestError(f"{path} is not a notebook: name an .ipynb file") from None
        raise RequestError(
            f"{path} is not a notebook, its JSON is broken: {error}; restore it, for example "
            "with git checkout"
        ) from None
    version = data.get("nbformat") if isinstance(data, dict) else None
    if not isinstance(version, int):
        raise RequestError(f"{path} is JSON but not a notebook: it has no nbformat; name an .ipynb")
    if version > 4:
        raise RequestError(
            f"{path} is written in format {version} of notebooks: save it in format 4"
        )
    return _tidy(path, _converted(path, data) if version < 4 else data)


def _converted(path: Path, data: dict[str, Any]) -> dict[str, Any]:
    """An old notebook in version 4 of the format."""
    import nbformat

    try:
        old = nbformat.reads(json.dumps(data), as_version=data["nbformat"])
        return dict(nbformat.convert(old, 4))
    except Exception as error:  # noqa: BLE001 - nbformat raises whatever it stumbles over
        raise RequestError(
            f"{path} cannot be read as format {data['nbformat']} of notebooks "
            f"({' '.join(str(error).split())[:200] or type(error).__name__}): "
            "open it in JupyterLab and save it again"
        ) from None


def _tidy(path: Path, data: dict[str, Any]) -> dict[str, Any]:
    """`data` in the shape that reading relies on, null taken as absent; else RequestError.

    The rest of the format is checked when the notebook is prepared: that takes its time.
    """
    cells = data.get("cells")
    if not isinstance(cells, list):
        raise RequestError(f"{path} is not a valid notebook: it has no list of cells")
    metadata = _object(path, "its metadata", data.get("metadata"))
    for key in ("kernelspec", "language_info"):
        if key in metadata:
            metadata[key] = _object(path, f"its {key}", metadata[key])
            if not metadata[key]:
                del metadata[key]
    tidied = []
    for number, given in enumerate(cells, 1):
        cell = _object(path, f"its cell {number}", given, may_be_null=False)
        cell["metadata"] = _object(path, f"the metadata of its cell {number}", cell.get("metadata"))
        source = cell.setdefault("source", "")
        if not isinstance(source, str | list) or not all(isinstance(s, str) for s in source):
            raise RequestError(
                f"{path} is not a valid notebook: the source of its cell {number} is not text; "
                "restore it, for example with git checkout"
            )
        tidied.append(cell)
    minor = data.get("nbformat_minor")
    return {**data, "metadata": metadata, "cells": tidied,
            "nbformat_minor": minor if isinstance(minor, int) else 5}  # fmt: skip


def _object(path: Path, what: str, found: Any, may_be_null: bool = True) -> dict[str, Any]:
    """The JSON object without what is null in it."""
    if found is None and may_be_null:
        return {}
    if not isinstance(found, dict):
        raise RequestError(
            f"{path} is not a valid notebook: {what} is not an object; restore it, for example "
            "with git checkout"
        )
    return {k: v for k, v in found.items() if v is not None or k == "execution_count"}


def _neighbours(path: Path) -> str:
    import difflib

    names = [p.name for p in path.parent.glob("*.ipynb")] if path.parent.is_dir() else []
    close = difflib.get_close_matches(path.name, names, n=2, cutoff=0.5)
    if close:
        return f"; did you mean {' or '.join(close)}?"
    return "; name an .ipynb file that exists"


def _language(data: Mapping[str, Any]) -> str:
    meta = data["metadata"]
    name = meta.get("kernelspec", {}).get("language") or meta.get("language_info", {}).get("name")
    return str(name or "python").lower()


def _parameters_cell(data: Mapping[str, Any]) -> str | None:
    return _tagged(data, "parameters")


def _tagged(data: Mapping[str, Any], tag: str) -> str | None:
    for cell in data["cells"]:
        tags = cell["metadata"].get("tags")
        if isinstance(tags, list) and tag in tags:
            return "".join(cell["source"])
    return None
