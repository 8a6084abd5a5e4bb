"""What a job left behind: the executed notebook, its report, files, and named values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbtools.below import checked
from nbtools.errors import NotFound, RequestError
from nbtools.nouns import Context, Job, Run, run_id
from nbtools.store import Store

#: the folder in a job's folder where a notebook puts its files (`nbtools.output_path`).
FILES = "files"


@dataclass(frozen=True)
class Outputs:
    """The outputs of one job, as they are now."""

    notebook: Path | None  #: the executed notebook; of a job that stopped, the part it did
    report: Path | None  #: the same as an HTML page
    files: Mapping[str, Path]  #: what the notebook wrote, by path below its folder
    values: Mapping[str, Any]  #: what its run reported: params and metrics by name
    left_out: Mapping[str, str] = field(default_factory=dict)  #: files that are not, and why

    @classmethod
    def of(cls, job: Job, store: Store) -> Outputs:
        """Look up what `job` has left so far."""
        folder, stem = Path(job.folder), Path(job.notebook).stem
        whole, partial = folder / f"{stem}.ipynb", folder / f"{stem}.partial.ipynb"
        notebook = whole if whole.exists() else partial if partial.exists() else None
        report = folder / f"{stem}.html"
        files, left_out = _files(folder / FILES)
        values: dict[str, Any] = {}
        if context := store.find(Context, run_id(job.experiment, job.run)):
            run = Run.of(context)
            values = {**run.params, **run.metrics}
        return cls(notebook, report if report.exists() else None, files, values, left_out)

    def __getitem__(self, name: str) -> Any:
        """A named value, or the path of a file of that name; raises NotFound."""
        if name in self.values:
            return self.values[name]
        if name in self.paths:
            return self.paths[name]
        names = ", ".join([*self.values, *self.paths]) or "nothing"
        raise NotFound(f"no output {name!r}: there is {names}")

    @property
    def paths(self) -> dict[str, Path]:
        """Every file, by the name that `fetch` gives it."""
        own = {path.name: path for path in (self.notebook, self.report) if path}
        same = own.keys() & self.files.keys()
        files = {f"{FILES}/{k}" if k in same else k: path for k, path in self.files.items()}
        return {**files, **own}

    def fetch(
        self, to: str | Path, names: Iterable[str] = (), overwrite: bool = False
    ) -> list[str]:
        """Copy the named files, or all, into a folder, or below a URI such as
        gs://bucket/path; returns the paths or URIs of the copies.

        Each copy is whole or not there; one that is there already and the same is left, so an
        interrupted fetch is gone on with. Raises RequestError before anything is copied when
        a name is unknown, or when another file is there already and `overwrite` is not set;
        and when one cannot be written. MissingDependency when the URI needs a package.
        """
        from nbtools.delivery import deliver  # here: listing jobs needs none

        wanted = {name: self._file(name) for name in names} or self.paths
        return deliver(wanted, to, overwrite)

    def _file(self, name: str) -> Path:
        if name in self.left_out:
            raise RequestError(f"output file {name!r} is left out: {self.left_out[name]}")
        if name not in self.paths:
            raise NotFound(f"no output file {name!r}: there is {', '.join(self.paths) or 'none'}")
        return self.paths[name]


def _files(root: Path) -> tuple[dict[str, Path], dict[str, str]]:
    """The files below a folder by their names, and those that are not to be handed out: links
    that lead out of it, and names that another system would take for a place elsewhere.
    """
    files: dict[str, Path] = {}
    left_out: dict[str, str] = {}
    whole = root.resolve()
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.is_symlink() and not path.resolve().is_relative_to(whole):
            left_out[name] = "it is a link that leads out of the job's folder"
        elif path.is_file():
            try:
                files[checked(name)] = path
            except RequestError as error:
                left_out[name] = str(error)
    return files, left_out
