"""Templates: notebooks to begin from, and how a copy of one becomes a notebook of its own.

    for template in templates():
        template.name, template.summary, template.parameters
    find("train").begin("my_train.ipynb", now, author="Kim")

They lie in `templates/`, in a wheel as in the repository: `nbtools run` executes them there
as they are, `begin` makes the copy that is changed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from nbtools import __version__, yaml_file
from nbtools.errors import AlreadyExists, NotFound, RequestError
from nbtools.notebook import Notebook, write_whole
from nbtools.nouns import default_experiment, place
from nbtools.parameter import Parameter

FOLDER = Path(__file__).with_name("templates")


@dataclass(frozen=True)
class Template:
    """A notebook, or a file of schedules, to begin from."""

    path: Path  #: where it lies

    @property
    def name(self) -> str:
        """The word for it."""
        return self.path.stem

    @property
    def summary(self) -> str:
        """What it does, in one line: a notebook's heading, or a file's first comment."""
        return self._text().partition("\n")[0].removeprefix("# ").rstrip(".")

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """What can be set; none in a file of schedules."""
        return () if self.path.suffix == ".yaml" else Notebook.read(self.path).parameters or ()

    def needs(self, folder: Path) -> list[str]:
        """The templates that a file of schedules executes, and that `folder` has no copy of."""
        if self.path.suffix != ".yaml":
            return []
        said = yaml_file.load(self.path)["schedules"].values()
        return [
            Path(one["notebook"]).stem for one in said if not (folder / one["notebook"]).exists()
        ]

    def begin(
        self,
        path: str | Path,
        now: datetime,
        *,
        title: str = "",
        author: str = "",
        kernel: str = "",
        force: bool = False,
    ) -> Path:
        """Copy it to `path`, a file or a folder, with a header of its own; returns the file.

        The header has a title (the file's name in words when none is given), the day, the
        author and the template. The copy's experiment is named after its file, as a job's is.
        `kernel` is a kernelspec's name. Raises AlreadyExists for a file that is there, unless
        `force`, and RequestError for a folder that is not, or a kernel that is none of Python.
        """
        target = place(path)
        if target.is_dir():
            target /= self.path.name
        if target.suffix != self.path.suffix:
            target = target.with_name(target.name + self.path.suffix)
        if not target.parent.is_dir():
            raise RequestError(f"no folder {target.parent}: make it first, or name another")
        if target.exists() and not force:
            raise AlreadyExists(
                f"{target} is there already: name another, or overwrite it (--force)"
            )
        title = title or target.stem.replace("_", " ").replace("-", " ").capitalize()
        by = f" by {author}" if author else ""
        begun = f"Begun on {now:%Y-%m-%d}{by}, from nbtools {__version__}'s template"
        try:
            if self.path.suffix == ".yaml":
                text = f"# {title}\n# {begun} {self.name}.\n#\n{self._text()}"
                write_whole(target, text.replace(self.path.name, target.name))
            else:
                data = self._named(target)
                heading, _, rest = "".join(data["cells"][0]["source"]).partition("\n")
                text = f"# {title}\n{rest}\n\n*{begun} `{self.name}`: {heading.lstrip('# ')}.*"
                data["cells"][0]["source"] = text.splitlines(keepends=True)
                data["metadata"]["title"] = title
                if author:
                    data["metadata"]["authors"] = [{"name": author}]
                if kernel:
                    data["metadata"]["kernelspec"] = _kernelspec(kernel)
                text = json.dumps(data, indent=1, ensure_ascii=False, sort_keys=True)  # nbformat's
                write_whole(target, f"{text}\n")
        except OSError as error:
            raise RequestError(f"cannot write {target}: {error.strerror}; name another") from None
        return target

    def _text(self) -> str:
        """The file of schedules, or the notebook's first cell."""
        if self.path.suffix == ".yaml":
            return self.path.read_text(encoding="utf-8")
        return "".join(Notebook.read(self.path).data["cells"][0]["source"])

    def _named(self, target: Path) -> dict[str, Any]:
        """The notebook as it speaks of itself when it is `target`."""
        data: dict[str, Any] = json.loads(self.path.read_text(encoding="utf-8"))
        old, new = default_experiment(self.path), default_experiment(target)
        for cell in data["cells"]:
            cell["source"] = [
                line.replace(self.path.name, target.name)
                .replace(f'init(experiment="{old}")', f'init(experiment="{new}")')
                .replace(f"experiment `{old}`", f"experiment `{new}`")
                for line in cell["source"]
            ]
        return data


def templates() -> list[Template]:
    """All of them, by name."""
    found = [*FOLDER.glob("*.ipynb"), *FOLDER.glob("*.yaml")]
    return [Template(path) for path in sorted(found)]


def find(name: str) -> Template:
    """The template of that name. Raises NotFound."""
    known = {template.name: template for template in templates()}
    if name in known:
        return known[name]
    meant = get_close_matches(name, known, n=1)
    more = f"did you mean {meant[0]}?" if meant else f"there are {', '.join(known)}"
    raise NotFound(f"no template {name!r}: {more}")


def _kernelspec(name: str) -> dict[str, str]:
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    specs = KernelSpecManager()
    try:
        spec = specs.get_kernel_spec(name)
    except NoSuchKernel:
        there = ", ".join(sorted(specs.find_kernel_specs())) or "none"
        raise RequestError(f"no kernel {name!r} here, there is {there}") from None
    if spec.language.lower() != "python":
        raise RequestError(f"kernel {name!r} is of {spec.language}: templates are in Python")
    return {"display_name": spec.display_name, "language": "python", "name": name}
