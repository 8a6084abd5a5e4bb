"""Artifacts and the executions that read or left them: the edges of the graph."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from nbtools.errors import NotFound
from nbtools.nouns import FILE, Artifact, Event, place
from nbtools.store import Store


def digest(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    import hashlib  # here: listing jobs needs none

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def of_file(name: str, path: Path, schema_title: str, display_name: str = "") -> Artifact:
    """The artifact that a local file is, with its size in bytes and its digest."""
    return Artifact(
        name=name,
        schema_title=schema_title,
        display_name=display_name or path.name,
        uri=str(path),
        metadata={"sha256": digest(path), "bytes": path.stat().st_size},
    )


def read(store: Store, artifact: Artifact, execution: str, now: datetime) -> None:
    """Remember that an execution read an artifact."""
    store.put(artifact, now)
    store.add_event(Event(execution=execution, artifact=artifact.name, type="INPUT"), now)


def left(store: Store, artifact: Artifact, execution: str, context: str, now: datetime) -> None:
    """Remember that an execution left an artifact behind, in its run's context."""
    store.put(artifact, now)
    store.add_event(Event(execution=execution, artifact=artifact.name, type="OUTPUT"), now)
    store.associate(context, artifact=artifact.name)


def find(store: Store, name: str) -> Artifact:
    """The newest artifact of that resource name, display name, URI or path.

    A file that no run has left is an artifact by its content. Raises NotFound, saying
    where to look.
    """
    if exact := store.find(Artifact, name):
        return exact
    uri = name if "://" in name else str(place(name))
    found = store.select(Artifact, display_name=name, limit=1) or store.select(
        Artifact, uri=uri, limit=1
    )
    if not found and Path(uri).is_file():
        return of_file(f"file-{digest(Path(uri))[:32]}", Path(uri), FILE)
    if not found:
        raise NotFound(f"no artifact {name!r}: `nbtools runs show RUN` lists what a run left")
    return found[0]
