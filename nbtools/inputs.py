"""Opening what a notebook reads, so that its run remembers it."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

from nbtools import lineage, nouns
from nbtools.errors import NotFound, RequestError
from nbtools.experiments import current_run
from nbtools.nouns import DATASET, FILE, Artifact
from nbtools.open_run import OpenRun
from nbtools.settings import Settings
from nbtools.shipment import remote, remote_digest
from nbtools.store import Store

MODES = ("rb", "r", "rt")
#: what file systems call that which changes when a file's content does.
VERSIONS = ("generation", "etag", "ETag", "md5Hash", "version_id", "VersionId", "content_md5")


def open_input(
    path: str | Path, mode: str = "rb", *, encoding: str | None = None, schema_title: str = DATASET
) -> IO[Any]:
    """Open a file to read it; the current run, if there is one, remembers it as its input.

    A local file is remembered by the digest of its content. With a scheme, such as `gs://`,
    it is opened by fsspec, and remembered by the version that the file system tells, else
    by the digest of its content, which is then read twice. `mode` is `rb`, or `r` for text
    in `encoding`, UTF-8 when not given. Raises NotFound when there is no such file,
    RequestError for another mode or a file that cannot be read.
    """
    if mode not in MODES:
        raise RequestError(f"open_input opens to read: the mode is rb or r, not {mode!r}")
    text = None if mode == "rb" else encoding or "utf-8"
    run, local = current_run(), nouns.local(str(path))
    try:
        if local is None:
            return _open_remote(str(path), mode, text, schema_title, run)
        file = local.open(mode, encoding=text)
    except (FileNotFoundError, IsADirectoryError):
        raise NotFound(f"no file {path} to read: name one that is there") from None
    except OSError as error:
        raise RequestError(f"cannot read {path}: {error.strerror or error}; mend that") from None
    if run is not None:
        store = Store(Settings.load().store)
        run.use_artifact(_as(lineage.of_content(store, local), schema_title))
    return file


def _open_remote(
    uri: str, mode: str, encoding: str | None, schema_title: str, run: OpenRun | None
) -> IO[Any]:
    system, place = remote(uri)
    # Before it is read: what changes in between is then another version, not this one.
    if run is not None:
        info = system.info(place)
        metadata = {"bytes": info["size"]} if info.get("size") is not None else {}
        version = next((str(info[key]) for key in VERSIONS if info.get(key)), "")
        metadata |= {"version": version} if version else {"sha256": remote_digest(system, place)}
        run.use_artifact(lineage.of_uri(uri, schema_title, metadata))
    file: IO[Any] = system.open(place, mode, encoding=encoding) if encoding else system.open(place)
    return file


def _as(artifact: Artifact, schema_title: str) -> Artifact:
    """What is known as something in particular stays that."""
    from dataclasses import replace

    return (
        replace(artifact, schema_title=schema_title) if artifact.schema_title == FILE else artifact
    )
