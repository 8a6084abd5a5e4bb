"""What a job left behind: the executed notebook, its report, files, and named values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbtools.errors import NotFound, RequestError
from nbtools.nouns import Context, Job, Run, place, run_id
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

    @classmethod
    def of(cls, job: Job, store: Store) -> Outputs:
        """Look up what `job` has left so far."""
        folder, stem = Path(job.folder), Path(job.notebook).stem
        whole, partial = folder / f"{stem}.ipynb", folder / f"{stem}.partial.ipynb"
        notebook = whole if whole.exists() else partial if partial.exists() else None
        report = folder / f"{stem}.html"
        files = {
            str(path.relative_to(folder / FILES)): path
            for path in sorted((folder / FILES).rglob("*"))
            if path.is_file()
        }
        values: dict[str, Any] = {}
        if context := store.find(Context, run_id(job.experiment, job.run)):
            run = Run.of(context)
            values = {**run.params, **run.metrics}
        return cls(notebook, report if report.exists() else None, files, values)

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
        own = [path for path in (self.notebook, self.report) if path]
        return {**self.files, **{path.name: path for path in own}}

    def fetch(
        self, to: str | Path, names: Iterable[str] = (), overwrite: bool = False
    ) -> list[Path]:
        """Copy the named files, or all, into the folder `to`; returns the copies.

        Raises RequestError before anything is copied when a name is unknown, or when a
        file is there already and `overwrite` is not set.
        """
        import shutil  # here: listing jobs needs none

        wanted = {name: self._file(name) for name in names} or self.paths
        targets = {place(to) / name: source for name, source in wanted.items()}
        there = [str(target) for target in targets if target.exists()]
        if there and not overwrite:
            raise RequestError(f"{', '.join(there)}: there already; name another folder or --force")
        for target, source in targets.items():
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)
            except OSError as error:
                raise RequestError(
                    f"cannot write {target}: {error.strerror}; name a folder that can be written"
                ) from None
        return list(targets)

    def _file(self, name: str) -> Path:
        if name not in self.paths:
            raise NotFound(f"no output file {name!r}: there is {', '.join(self.paths) or 'none'}")
        return self.paths[name]
