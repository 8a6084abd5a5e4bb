"""A notebook as data: read, written whole or not at all, and its parameters."""

from __future__ import annotations

import json
import keyword
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbtools.errors import RequestError
from nbtools.parameter import COMPUTED, Parameter, near, parse
from nbtools.value import plain


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
        path = Path(path).expanduser().absolute()
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
        return str(self.data.get("metadata", {}).get("kernelspec", {}).get("name", ""))

    @property
    def language(self) -> str:
        """The language that the notebook names; python when it names none."""
        return _language(self.data)

    def check(self, params: Mapping[str, Any], allow_unknown: bool = False) -> dict[str, Any]:
        """`params` as the notebook takes them.

        Raises RequestError, naming every misfit at once: unknown names with the names that
        were probably meant, and values that fit neither annotation nor default.
        """
        if params and not self.has_parameters_cell:
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
    if not path.exists():
        raise RequestError(f"no notebook at {path}{_neighbours(path)}")
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise RequestError(f"cannot read {path}: {error.strerror}; name a notebook file") from None
    except UnicodeDecodeError:
        raise RequestError(f"{path} is not a notebook: it is not UTF-8 text") from None
    try:
        data = json.loads(text)
    except ValueError as error:
        if "\n<<<<<<< " in text:
            raise RequestError(
                f"{path} holds git's conflict markers: resolve the merge first"
            ) from None
        raise RequestError(
            f"{path} is not a notebook, its JSON is broken: {error}; restore it, for example "
            "with git checkout"
        ) from None
    if not isinstance(data, dict) or not isinstance(data.get("nbformat"), int):
        raise RequestError(f"{path} is JSON but not a notebook: it has no nbformat; name an .ipynb")
    if data["nbformat"] < 4:
        import nbformat

        data = dict(nbformat.convert(nbformat.reads(text, as_version=data["nbformat"]), 4))
    if not isinstance(data.get("cells"), list):
        raise RequestError(f"{path} is not a valid notebook: it has no list of cells")
    return data


def _neighbours(path: Path) -> str:
    import difflib

    names = [p.name for p in path.parent.glob("*.ipynb")] if path.parent.is_dir() else []
    close = difflib.get_close_matches(path.name, names, n=2, cutoff=0.5)
    if close:
        return f"; did you mean {' or '.join(close)}?"
    return "; name an .ipynb file that exists"


def _language(data: Mapping[str, Any]) -> str:
    meta = data.get("metadata", {})
    name = meta.get("kernelspec", {}).get("language") or meta.get("language_info", {}).get("name")
    return str(name or "python").lower()


def _parameters_cell(data: Mapping[str, Any]) -> str | None:
    for cell in data["cells"]:
        if "parameters" in (cell.get("metadata", {}).get("tags") or []):
            source = cell.get("source", "")
            return source if isinstance(source, str) else "".join(source)
    return None
