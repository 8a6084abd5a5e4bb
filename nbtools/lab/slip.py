"""The slip that goes with a job or a job definition: what only the screens want to know.

It lies as `lab.json` in the job's folder, or beside the definition's copy of its notebook,
and goes with it. What was not made in the screens has none.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from nbtools.notebook import write_whole

FILE = "lab.json"
FORMATS = {"ipynb": "Notebook", "html": "HTML"}


@dataclass(frozen=True, kw_only=True)
class Slip:
    """What was typed or ticked."""

    name: str = ""  #: what people call it; empty: by its notebook
    tags: tuple[str, ...] = ()
    output_formats: tuple[str, ...] = tuple(FORMATS)  #: what is offered for download
    package_input_folder: bool = False  #: it has a copy of its notebook's folder to work in
    token: str = ""  #: the idempotency token it was asked for with
    made: str = ""  #: of a definition: when its schedule was created; another is not its own

    @classmethod
    def read(cls, folder: Path) -> Slip:
        """The slip in a folder; where there is none, or a damaged one, an empty one."""
        try:
            values = json.loads((folder / FILE).read_text(encoding="utf-8"))
            known = {f.name: values[f.name] for f in fields(cls) if f.name in values}
            known |= {k: tuple(known[k]) for k in ("tags", "output_formats") if k in known}
            return cls(**known)
        except (OSError, ValueError, TypeError):
            return cls()

    def write(self, folder: Path) -> None:
        """Put it into a folder, which is made. Raises OSError."""
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / FILE, json.dumps(asdict(self)))
