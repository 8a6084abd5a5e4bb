"""A run of W&B, from what its log file says record by record.

The file is read as it is, without W&B's package: newer versions write each value with its
type, older ones as JSON, and both are understood here whichever is installed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbtools.importer import ImportedFile, ImportedRun, Point, Remarks
from nbtools.importers.values import files_below, flat, time_of
from nbtools.importers.wandb_item import Items
from nbtools.protowire import fields, message, signed, text
from nbtools.states import ExecutionState

#: numbers of the fields of `Record` that are read
HISTORY, SUMMARY, CONFIG, ARTIFACT, RUN, EXIT = 2, 3, 5, 8, 17, 18
#: those that are not, and what they are
LEFT = {7: "measurements of the machine (CPU, memory)", 10: "alerts", 25: "artifacts used"}
#: fields of `RunRecord` that are text -> what they are kept as
TEXTS = {
    1: "run_id", 2: "entity", 3: "project", 6: "group", 7: "job_type", 8: "name", 9: "notes",
    12: "sweep", 13: "host",
}  # fmt: skip
#: of what W&B itself puts into a run's files, that which is here already
TAKEN = ("config.yaml", "wandb-summary.json")
NOT_FINITE = {"NaN": "nan", "Infinity": "inf", "-Infinity": "-inf"}
NO_END = "its W&B log has no end: it was killed, or is still at work"


@dataclass
class Log:
    """What one log file says, or those of a run that was continued."""

    remarks: Remarks
    paths: list[Path]  #: of the log files, oldest first
    record: dict[str, str] = field(default_factory=dict)  #: the text of the run's record
    texts: dict[str, str] = field(default_factory=dict)  #: metrics that are text
    tags: tuple[str, ...] = ()
    begun: float = 0.0  #: seconds since the epoch
    last: float = 0.0  #: of the last step, seconds since the epoch
    exit_code: int | None = None  #: None: it has not said that it ended
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    series: dict[str, list[Point]] = field(default_factory=dict)
    artifacts: list[ImportedFile] = field(default_factory=list)
    items: Items = field(default_factory=Items)

    @property
    def id(self) -> str:
        """By which W&B knows the run: its own id is unique in a project only."""
        own = self.record.get("run_id") or self.paths[0].stem.removeprefix("run-")
        return "/".join(part for part in (self.record.get("entity"), self.project, own) if part)

    @property
    def project(self) -> str:
        """The project's name; W&B's own word where none was given."""
        return self.record.get("project") or "uncategorized"

    def go_on(self, later: Log) -> None:
        """Take in the log of the process that continued the run."""
        for mine, theirs in (
            (self.record, later.record), (self.config, later.config),
            (self.summary, later.summary), (self.texts, later.texts),
        ):  # fmt: skip
            mine.update(theirs)
        for key, points in later.series.items():
            self.series.setdefault(key, []).extend(points)
        self.paths += later.paths
        self.artifacts += later.artifacts
        self.tags = later.tags or self.tags
        self.exit_code = later.exit_code
        self.last = max(self.last, later.last)

    def take(self, record: bytes) -> None:
        """Take in one record. Raises ValueError when it is damaged."""
        for number, value in fields(record):
            if number == HISTORY:
                self._history(message(value))
            elif number == SUMMARY:
                self._update(self.summary, message(value))
            elif number == CONFIG:
                self._update(self.config, message(value))
            elif number == RUN:
                self._run(message(value))
            elif number == EXIT:
                self.exit_code = signed(dict(fields(message(value))).get(1, 0))
            elif number == ARTIFACT:
                self._artifact(message(value))
            elif number in LEFT:
                self.remarks[LEFT[number]] += 1

    def _run(self, data: bytes) -> None:
        tags = []
        for number, value in fields(data):
            if number in TEXTS and value:
                self.record[TEXTS[number]] = text(value)
            elif number == 4:
                self._update(self.config, message(value))
            elif number == 10:
                tags.append(text(value))
            elif number == 17:
                when = dict(fields(message(value)))
                self.begun = signed(when.get(1, 0)) + signed(when.get(2, 0)) / 1e9
            elif number == 21:
                git = dict(fields(message(value)))
                self.record |= {
                    name: text(git[n]) for n, name in ((1, "git_remote"), (2, "commit")) if n in git
                }
        self.tags = tuple(tags) or self.tags

    def _update(self, known: dict[str, Any], data: bytes) -> None:
        """A change of the config or the summary: values set, and values removed."""
        for number, item in fields(data):
            if number == 1:
                _put(known, *self.items.read(message(item)))
            elif number == 2:
                _drop(known, self.items.read(message(item))[0])

    def _history(self, data: bytes) -> None:
        """One step: every value that is a number becomes a point, media are counted."""
        step, values = 0, dict[str, Any]()
        for number, content in fields(data):
            if number == 1:
                _put(values, *self.items.read(message(content)))
            elif number == 2:
                step = signed(dict(fields(message(content))).get(1, 0))
        step = int(values.get("_step", step))
        when = values.get("_timestamp", 0.0)
        self.last = when = float(when) if isinstance(when, int | float) else 0.0
        for key, found in self._flat(values):
            value = float(NOT_FINITE[found]) if found in NOT_FINITE else found
            if isinstance(value, int | float):
                self.series.setdefault(key, []).append((step, when, float(value)))
            else:
                self.remarks["text logged in steps: the last one is kept"] += key in self.texts
                self.texts[key] = value

    def _flat(self, values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
        """Numbers and text by their names with dots; what else there is, is counted."""
        for key, value in values.items():
            name = f"{prefix}{key}"
            if name.startswith("_") or value is None:  # W&B's own
                continue
            if isinstance(value, Mapping) and "_type" in value:
                files = ": their files are kept" if "path" in value else ""
                self.remarks[f"W&B's {value['_type']} values{files}"] += 1
            elif isinstance(value, Mapping):
                yield from self._flat(value, f"{name}.")
            elif isinstance(value, list):
                self.remarks["lists logged in steps"] += 1
            else:
                yield name, value

    def _artifact(self, data: bytes) -> None:
        """An artifact's files, where they were staged for sending and still are."""
        name, manifest = "", b""
        for number, value in fields(data):
            if number == 5:
                name = text(value)
            elif number == 12:
                manifest = message(value)
        for number, entry in fields(manifest):
            if number == 4:
                pair = dict(fields(message(entry)))
                path, local = text(pair.get(1, b"")), text(pair.get(6, b""))
                if local and Path(local).is_file():
                    self.artifacts.append(ImportedFile(name=f"{name}/{path}", uri=local))
                else:
                    self.remarks["files of artifacts that are not on this machine"] += 1

    def run(self) -> ImportedRun:
        """The run that the log is of."""
        keys = ("entity", "group", "job_type", "sweep", "host", "git_remote", "commit")
        own = {key: self.record[key] for key in keys if self.record.get(key)}
        files = {  # of what each part has, such as its console's output, the last one is kept
            file.name: file
            for log in self.paths
            for file in files_below(log.parent / "files", self.remarks)
        }
        summary = flat(_without_media(self.summary))
        error = NO_END if self.exit_code is None else ""
        if self.exit_code:
            error = f"its process ended with exit code {self.exit_code}"
        return ImportedRun(
            id=self.id,
            experiment=self.project,
            name=self.record.get("name") or self.id.rpartition("/")[2],
            state=ExecutionState.FAILED if error else ExecutionState.COMPLETE,
            error=error,
            params=flat({k: v for k, v in self.config.items() if k != "_wandb"}),
            metrics={**self.texts, **{k: v for k, v in summary.items() if k not in self.series}},
            series=self.series,
            tags=self.tags,
            notes=self.record.get("notes", ""),
            start_time=time_of(self.begun),
            end_time=time_of(self.last or self.begun),
            files=(*(f for name, f in files.items() if name not in TAKEN), *self.artifacts),
            about=own,
        )


def _put(tree: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    """Set the value at `path` in dicts in each other."""
    for part in path[:-1]:
        below = tree.get(part)
        if not isinstance(below, dict):
            below = tree[part] = {}
        tree = below
    tree[path[-1]] = value


def _drop(tree: dict[str, Any], path: tuple[str, ...]) -> None:
    """Remove what is at `path`, if it is there."""
    for part in path[:-1]:
        below = tree.get(part)
        if not isinstance(below, dict):
            return
        tree = below
    tree.pop(path[-1], None)


def _without_media(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Without W&B's own values, and media, which were counted as they were logged."""
    return {
        key: _without_media(value) if isinstance(value, Mapping) else value
        for key, value in tree.items()
        if not key.startswith("_") and not (isinstance(value, Mapping) and "_type" in value)
    }
