"""What is known of one job: what went into it, what came out, and what nobody wrote down."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from nbtools import about, columns, lineage, revision, successor
from nbtools.digests import Digests
from nbtools.errors import RequestError, StateError
from nbtools.jobs import Jobs
from nbtools.nouns import Artifact, Context, Job, Run, run_id
from nbtools.summaries import SYSTEM

#: what a task says that makes no difference to what comes out.
_OWN = {
    "job", "folder", "stem", "kernel", "store", "output", "first", "thaw", "setup",
    "report_wanted", "warm", "preload", "checkpoint",
}  # fmt: skip
#: what is known of a run's surroundings that may make one.
_AROUND = ("python", "platform", "host")
DIGITS = 12  #: of a digest that is shown

Values = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Of one job, by name in each kind."""

    job: Job
    run: Run | None  #: None: it was deleted
    notebook: Path | None  #: with what its cells showed, if it has executed any
    params: Values = field(default_factory=dict)  #: with the defaults, as far as they are known
    inputs: Values = field(default_factory=dict)  #: what it read: digest, version or URI
    packages: Values = field(default_factory=dict)  #: installed: their versions
    code: Values = field(default_factory=dict)  #: the commit that was checked out
    options: Values = field(default_factory=dict)  #: kernel, folder, limits
    around: Values = field(default_factory=dict)  #: interpreter and machine
    metrics: Values = field(default_factory=dict)  #: what it reported
    series: Values = field(default_factory=dict)  #: the last value of each
    files: Values = field(default_factory=dict)  #: what it left: size and digest
    unknown: tuple[str, ...] = ()  #: what cannot be compared, and why

    @classmethod
    def of(cls, jobs: Jobs, job: Job) -> Evidence:
        """All that the store, and the job's folder, say of it."""
        outputs = jobs.outputs(job)
        context = jobs.store.find(Context, run_id(job.experiment, job.run))
        run = Run.of(context) if context else None
        ends = columns.ends(jobs.store, job.experiment).get(run.id, {}) if run else {}
        notebook = outputs.notebook or _there(Path(job.folder) / "prepared.ipynb")
        unknown = [] if job.state.final else [f"what it will leave: it is {job.state}"]
        if run is None:
            unknown.append("metrics: its run was deleted")
        if notebook is None:
            unknown.append("source and outputs: its files are gone")
        packages = _packages(run)
        if not packages:
            unknown.append("packages: its notebook has logged nothing to its run")
        digests = Digests(jobs.store.folder)
        return cls(
            job=job,
            run=run,
            notebook=notebook,
            params=run.params if run else job.params,
            inputs=_inputs(jobs, job),
            packages=packages,
            code=_code(job, run),
            options=_options(job),
            around=_around(run, outputs.notebook),
            metrics=run.metrics if run else {},
            series={key: end for key, end in ends.items() if not key.startswith(SYSTEM)},
            files={name: _file(path, digests) for name, path in outputs.files.items()},
            unknown=tuple(unknown),
        )


def _there(path: Path) -> Path | None:
    return path if path.exists() else None


def _inputs(jobs: Jobs, job: Job) -> dict[str, str]:
    source = lineage.inputs(jobs.store, job)[0]
    found: dict[str, str] = {}
    for event in jobs.store.events(execution=job.name):
        if event.type == "INPUT" and not (source and event.artifact == source.name):
            artifact = jobs.store.get(Artifact, event.artifact)
            name = artifact.display_name or artifact.name
            others = found.get(name, "")
            found[name] = ", ".join(filter(None, (others, _content(artifact))))
    return found


def _content(artifact: Artifact) -> str:
    meta = artifact.metadata
    if meta.get("sha256"):
        return f"sha256 {meta['sha256'][:DIGITS]}"
    return f"version {meta['version']}" if meta.get("version") else artifact.uri


def _packages(run: Run | None) -> dict[str, str]:
    folder = run.about.get("files") if run else None
    try:
        lines = (Path(folder) / about.PACKAGES).read_text().splitlines() if folder else []
    except OSError:
        return {}
    found = (line.removesuffix(".dist-info") for line in lines if line.endswith(".dist-info"))
    return {name: version for name, _, version in (line.partition("-") for line in found)}


def _code(job: Job, run: Run | None) -> dict[str, str]:
    """The commit of the notebook's repository, and of that which its kernel was at work in."""
    found = {}
    if said := revision.read(Path(job.folder)):
        changed = ", and the notebook was changed since" if said.dirty else ""
        found["commit"] = said.commit[:DIGITS] + changed
    git = run.about.get("git", {}) if run else {}
    if git.get("commit"):
        found.setdefault("commit", git["commit"][:DIGITS])
        change = Path(str(run.about["files"])) / about.CHANGE if run else Path()
        if git.get("dirty") and change.exists():
            found["uncommitted changes"] = _file(change, Digests(None))
    return found


def _options(job: Job) -> dict[str, Any]:
    own = {"notebook": job.notebook, "kernel": job.kernel, "executor": job.executor}
    try:
        task = asdict(successor.task(job))
    except StateError:
        return own
    return {**own, **{k: _plain(v) for k, v in task.items() if k not in _OWN}}


def _around(run: Run | None, notebook: Path | None) -> dict[str, Any]:
    told = run.about if run else {}
    found = {key: told[key] for key in _AROUND if key in told}
    if "python" not in found and notebook:
        language = json.loads(notebook.read_text(encoding="utf-8"))["metadata"].get("language_info")
        if language and language.get("version"):
            found[language.get("name", "language")] = language["version"]
    return found


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def _file(path: Path, digests: Digests) -> str:
    try:
        return f"{path.stat().st_size:,} bytes, sha256 {digests.of(path)[:DIGITS]}"
    except (OSError, RequestError) as error:
        return f"cannot be read: {error}"
