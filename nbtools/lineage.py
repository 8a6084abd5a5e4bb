"""Artifacts and the executions that read or left them: the edges of the graph.

    nbtools.lineage.artifact("gs://bucket/digits.csv", "system.Dataset")
    with nbtools.start_execution("clean", inputs=["raw.csv"], outputs=["clean.csv"]):
        ...
    nbtools.lineage.upstream("model.pt").frame()

A file is one artifact by its content, wherever it lies: its name is made of its digest,
unless a run left it, which named it then.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from nbtools import contents, graph
from nbtools.digests import Digests, digest
from nbtools.errors import NotFound, RequestError
from nbtools.graph import LIMIT, Graph
from nbtools.nouns import (
    FILE,
    JOB,
    NOTEBOOK,
    RUN,
    Artifact,
    Context,
    Event,
    Execution,
    Job,
    local,
    utc_now,
)
from nbtools.revision import Revision
from nbtools.settings import Settings
from nbtools.store import Store

#: how the names of notebooks that jobs execute begin.
SOURCE = "notebook"


def of_file(
    name: str,
    path: Path,
    schema_title: str,
    display_name: str = "",
    digests: Digests | None = None,
) -> Artifact:
    """The artifact that a local file is, with its size in bytes and its digest.

    `digests` remembers those of large files. Raises RequestError if it is unreadable.
    """
    sha256 = digests.of(path) if digests else digest(path)
    return Artifact(
        name=name,
        schema_title=schema_title,
        display_name=display_name or path.name,
        uri=str(path),
        metadata={"sha256": sha256, "bytes": path.stat().st_size},
    )


def of_content(
    store: Store, path: Path, schema_title: str = FILE, prefix: str = "file"
) -> Artifact:
    """The artifact that a local file is by its content, known before or not; not yet kept.

    A file that a run left is that run's artifact, also where a copy of it lies. Raises
    RequestError if it is unreadable.
    """
    made = of_file("", path, schema_title, digests=Digests(store.folder))
    name = f"{prefix}-{made.metadata['sha256'][:32]}"
    if known := store.find(Artifact, name):
        return replace(known, uri=made.uri, display_name=made.display_name)
    if prefix == "file" and (same := contents.with_digest(store, made.metadata["sha256"])):
        return next((a for a in same if a.uri == made.uri), same[0])
    return replace(made, name=name)


def of_source(store: Store, path: Path) -> Artifact:
    """The artifact that a job's notebook is. Raises RequestError if it is unreadable."""
    return of_content(store, path, NOTEBOOK, SOURCE)


def inputs(store: Store, job: Job) -> tuple[Artifact | None, list[Artifact]]:
    """The notebook that a job was asked to execute, and the inputs that were declared; what
    it has opened besides while at work is none of them.
    """
    asked = [
        store.get(Artifact, event.artifact)
        for event in store.events(execution=job.name)
        if event.type == "INPUT" and event.time == job.create_time
    ]
    source = next((a for a in asked if a.name.startswith(f"{SOURCE}-")), None)
    return source, [a for a in asked if a is not source]


def of_uri(uri: str, schema_title: str, metadata: Mapping[str, Any] | None = None) -> Artifact:
    """The artifact that lies at a URI that is no local file; named after the URI and, where
    the metadata tells it, after its version.
    """
    metadata = dict(metadata or {})
    version = metadata.get("sha256") or metadata.get("version") or ""
    token = hashlib.sha256(f"{uri} {version}".encode(errors="surrogatepass")).hexdigest()[:32]
    name = f"file-{metadata['sha256'][:32]}" if metadata.get("sha256") else f"uri-{token}"
    display_name = uri.rstrip("/").rpartition("/")[2] or uri
    return Artifact(
        name=name, schema_title=schema_title, display_name=display_name, uri=uri, metadata=metadata
    )


def read(store: Store, artifact: Artifact, execution: str, now: datetime) -> None:
    """Remember that an execution read an artifact. Raises NotFound when it was pruned since
    it was found, with its file.
    """
    with store.write():  # within: nobody prunes it in between
        path = local(artifact.uri)
        if path and not path.exists() and store.find(Artifact, artifact.name) is None:
            raise NotFound(f"{artifact.display_name} at {path} is gone: it was just removed")
        keep(store, artifact, now)
        store.add_event(Event(execution=execution, artifact=artifact.name, type="INPUT"), now)


def left(store: Store, artifact: Artifact, execution: str, context: str, now: datetime) -> None:
    """Remember that an execution left an artifact behind, in its run's context if it has one."""
    keep(store, artifact, now)
    store.add_event(Event(execution=execution, artifact=artifact.name, type="OUTPUT"), now)
    if context:
        store.associate(context, artifact=artifact.name)


def keep(store: Store, artifact: Artifact, now: datetime) -> Artifact:
    """Remember an artifact; one that is known keeps what was known of the same content."""
    with store.write():
        if (old := store.find(Artifact, artifact.name)) is None:
            return store.add(artifact, now)
        same = old.metadata.get("sha256") == artifact.metadata.get("sha256")
        known = old.metadata if same else {}
        return store.amend(
            Artifact,
            old.name,
            lambda was: replace(
                was,
                schema_title=artifact.schema_title,
                display_name=artifact.display_name,
                uri=artifact.uri,
                metadata={**known, **artifact.metadata},
            ),
            now,
        )


def located(store: Store, job: Job, revision: Revision, now: datetime) -> None:
    """Remember where in git the source notebook of a job stands.

    The same content may be met in several commits. One that holds it tells more than one
    from which it was changed, so that is never replaced by this.
    """
    found = {"commit": revision.commit, "branch": revision.branch, "dirty": revision.dirty}
    for event in store.events(execution=job.name):
        source = store.get(Artifact, event.artifact)
        ours = event.type == "INPUT" and source.uri == job.notebook
        if ours and (not revision.dirty or source.metadata.get("dirty", True)):
            store.amend(
                Artifact,
                source.name,
                lambda was: replace(was, metadata={**was.metadata, **found}),
                now,
            )


def find(store: Store, name: str) -> Artifact:
    """The newest artifact of that resource name, display name, URI or path.

    A file is what it holds now, and an artifact by that. Warns when the file of an artifact
    that was asked for by name has changed or gone since. Raises NotFound, saying where to
    look.
    """
    artifact = look_up(store, name)
    if said := changed(artifact, Digests(store.folder)):
        warnings.warn(f"{artifact.display_name} at {artifact.uri} {said}", stacklevel=3)
    return artifact


def look_up(store: Store, name: str) -> Artifact:
    """As `find`, without looking whether the file is still the same."""
    if exact := store.find(Artifact, name):
        return exact
    path = local(name)
    there = path if path and path.is_file() else None
    named = store.select(Artifact, display_name=name, limit=1)
    if named and not (there and named[0].uri == str(there)):
        return named[0]
    if there:
        return of_content(store, there)
    found = store.select(Artifact, uri=str(path) if path else name, limit=1)
    if not found:
        raise NotFound(f"no artifact {name!r}: `nbtools runs show RUN` lists what a run left")
    return found[0]


def changed(artifact: Artifact, digests: Digests) -> str:
    """What became of an artifact's file since it was recorded; "" when it is the same.

    Also "" for what lies elsewhere, or was recorded without a digest.
    """
    path, sha256 = local(artifact.uri), artifact.metadata.get("sha256")
    if path is None or not sha256:
        return ""
    if not path.is_file():
        return "is gone since it was recorded"
    other = path.stat().st_size != artifact.metadata.get("bytes", path.stat().st_size)
    if other or digests.of(path) != sha256:
        return f"has changed since it was recorded: it no longer is sha256 {sha256[:12]}…"
    return ""


# -- verbs ------------------------------------------------------------------------------


def artifact(
    uri: str | Path,
    schema_title: str = FILE,
    *,
    display_name: str = "",
    metadata: Mapping[str, Any] | None = None,
) -> Artifact:
    """Remember what lies at a URI or path as an artifact, and return it.

    A local file is identified by its content and gets its size in bytes and its digest;
    anything else by its URI, with the `version` or `sha256` of the metadata if it has one.
    Raises RequestError when the path is a folder or cannot be read, or the metadata is
    nothing that JSON can hold.
    """
    store = Store(Settings.load().store)
    path = local(str(uri))
    if path is None:
        made = of_uri(str(uri), schema_title, metadata)
    else:
        if not path.is_file():
            raise RequestError(f"no file {path}: name a file, or a URI such as gs://bucket/name")
        made = of_content(store, path, schema_title)
        made = replace(made, metadata={**made.metadata, **(metadata or {})})
        if schema_title != FILE:
            made = replace(made, schema_title=schema_title)
    return keep(store, replace(made, display_name=display_name or made.display_name), utc_now())


def upstream(start: str | Path | Artifact, depth: int | None = None) -> Graph:
    """All that an artifact, job or run came from; see `subgraph`."""
    return subgraph(start, down=False, depth=depth)


def downstream(start: str | Path | Artifact, depth: int | None = None) -> Graph:
    """All that came from an artifact, job or run; see `subgraph`."""
    return subgraph(start, up=False, depth=depth)


def subgraph(
    start: str | Path | Artifact,
    *,
    up: bool = True,
    down: bool = True,
    depth: int | None = None,
    limit: int = LIMIT,
) -> Graph:
    """What an artifact, job or run came from, and what came from it.

    `start` is an artifact, its name, URI or path, the name of a job or other execution, or
    the id or name of a run. `depth` counts executions on the way, None: all; at most
    `limit` nodes are taken, and `Graph.whole` tells whether these are all. Raises NotFound,
    or RequestError for a negative depth.
    """
    if depth is not None and depth < 0:
        raise RequestError(f"depth counts executions, 0 or more: not {depth}")
    store = Store(Settings.load().store)
    name = start.name if isinstance(start, Artifact) else str(start)
    artifacts, executions = origin(store, name)
    return graph.walk(store, artifacts, executions, up=up, down=down, depth=depth, limit=limit)


def origin(store: Store, name: str) -> tuple[list[str], list[str]]:
    """The names of the artifacts and of the executions that `name` stands for.

    A job or another execution by its name, `last` for the newest job; a run by its id or
    name; else an artifact, as `find` finds it. Raises NotFound.
    """
    if store.find(Artifact, name):
        return [name], []
    if store.find(Execution, name):
        return [], [name]
    context = store.find(Context, name)
    if context is None:
        context = next(iter(store.select(Context, RUN, display_name=name, limit=1)), None)
    if context is not None and context.schema_title == RUN:
        return (
            [a.name for a in store.select(Artifact, context=context.name)],
            [e.name for e in store.select(Execution, context=context.name)],
        )
    newest = store.select(Execution, JOB, limit=1) if name == "last" else []
    if newest:
        return [], [newest[0].name]
    path = local(name)
    found = [look_up(store, name)] if path and path.is_file() else []
    # A file that has changed is still the artifact that was recorded there, if nobody knows
    # what it holds now.
    known = [a for a in found if store.find(Artifact, a.name)]
    known = known or store.select(Artifact, display_name=name, limit=1)
    known = known or store.select(Artifact, uri=str(path) if path else name, limit=1)
    if known:
        return [known[0].name], []
    raise NotFound(
        f"nothing in the store is called {name!r}: give an artifact's name, URI or path, "
        "a job, or a run (`nbtools runs list`, `nbtools jobs list`)"
    )
