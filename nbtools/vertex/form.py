"""What a record of ours is on Vertex AI, and by what two of them are the same.

Numbers in metadata are doubles there, what is no number a word, and a local file lies in the
staging bucket. A model of a known framework is its folder there, as the SDK's `log_model` has
it; here it is its file. Times and etags are each side's own.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from nbtools.nouns import EXPERIMENT, MODEL, Artifact, Context, local
from nbtools.rows import Record

#: version of a schema that has no other.
VERSION: Final = "0.0.1"
LONGEST: Final = 128  #: characters of a display name
MOST_BYTES: Final = 200 * 1024  #: of metadata
#: schema of the artifact that says where a run's time series are: each side has its own.
BOARD_RUN: Final = "google.VertexTensorboardRun"
#: keys of metadata that follow from where a record is.
DERIVED: Final = ("_experiment", "backing_tensorboard_resource", "experiment_deleted")
#: what the SDK makes of a model: the folder of a file, whose name is in the metadata.
_MODEL: Final = "google.ExperimentModel"
#: framework -> the only name by which the SDK finds the file of a model.
_MODEL_FILES: Final = {"sklearn": "model.pkl", "xgboost": "model.bst"}
_WORDS: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def form(record: Record, staging: str = "") -> Record:
    """The record as it is there; `staging` is the URI below which its file is, if it has one."""
    said: dict[str, Any] = {
        "display_name": record.display_name[:LONGEST],
        "metadata": _plain(record.metadata),
        "schema_version": record.schema_version or VERSION,
    }
    if isinstance(record, Context) and record.schema_title == EXPERIMENT:
        said["metadata"] = {"experiment_deleted": False, **said["metadata"]}
        # as the SDK has it; it is in our metadata
        said["description"] = record.description or str(record.metadata.get("description", ""))
    if isinstance(record, Artifact):
        said["uri"] = staged(record, staging)
        folder, _, file = said["uri"].rpartition("/")
        if _is_model(record) and folder and file:
            meta = {**said["metadata"], "modelFile": file}
            said |= {"schema_title": _MODEL, "uri": folder, "metadata": meta}
    return replace(record, **said)


def staged(artifact: Artifact, staging: str) -> str:
    """Where an artifact lies there: as here, or the copy of its file below `staging`."""
    path = local(artifact.uri)
    if path is None or not staging:
        return artifact.uri
    name = path.name
    if _is_model(artifact):
        name = _MODEL_FILES.get(str(artifact.metadata["frameworkName"]), name)
    return f"{staging.rstrip('/')}/nbtools/{artifact.name}/{name}"


def fingerprint(there: Record) -> str:
    """The same for records that say the same; of what `form` made, or of what was read there."""
    said = {
        name: getattr(there, name, "")
        for name in ("schema_title", "display_name", "description", "state", "uri")
    }
    meta = {k: v for k, v in _plain(there.metadata).items() if k not in DERIVED}
    text = json.dumps([said, meta, dict(there.labels)], sort_keys=True)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:32]


def differing(one: Record, other: Record) -> str:
    """The names of the fields in which two records differ, for a sentence."""
    names = [
        name
        for name in ("schema_title", "display_name", "description", "state", "uri", "labels")
        if getattr(one, name, "") != getattr(other, name, "")
    ]
    mine: dict[str, Any] = _flat(_plain(one.metadata))
    theirs: dict[str, Any] = _flat(_plain(other.metadata))
    for key in sorted({*mine, *theirs}):
        if mine.get(key) != theirs.get(key) and key not in DERIVED:
            names.append(key.removeprefix("_"))
    return ", ".join(names[:5]) + (" and more" if len(names) > 5 else "")


def here(read: Record, before: Record | None = None) -> Record:
    """What was read there as a record of ours; what it was `before` keeps its whole numbers."""
    known = before.metadata if before else {}
    there: Any = read
    if isinstance(read, Artifact) and (before is None or before.schema_title != _MODEL):
        there = _file(read)
    meta = {k: _kept(v, known.get(k)) for k, v in there.metadata.items()}
    for key in ("_params", "_metrics"):
        if isinstance(values := meta.get(key), dict):
            meta[key] = {
                k: _WORDS.get(v, v) if isinstance(v, str) else v for k, v in values.items()
            }
    for key in ("backing_tensorboard_resource", "experiment_deleted"):
        meta.pop(key, None)
        if key in known:
            meta[key] = known[key]
    if "_experiment" in known:
        meta["_experiment"] = known["_experiment"]
    new: Record = replace(there, metadata=meta)
    if before is None:
        return new
    fixed = ("name", "create_time", "update_time", "etag", "schema_version")
    return replace(new, **{name: getattr(before, name) for name in fixed})


def _is_model(artifact: Artifact) -> bool:
    """Whether it is a folder there: one that was read there as anything else stays that."""
    ours = artifact.schema_title == MODEL and not artifact.schema_version
    return ours and "frameworkName" in artifact.metadata


def _file(there: Artifact) -> Artifact:
    """The file that a model of the SDK's is, where `form` makes the same of it again."""
    file = there.metadata.get("modelFile")
    named = isinstance(file, str) and file != "" and "/" not in file
    known = there.schema_title == _MODEL and "frameworkName" in there.metadata
    if not (known and named and there.uri) or there.uri.endswith("/"):
        return replace(there, schema_version=there.schema_version or VERSION)
    meta = {key: value for key, value in there.metadata.items() if key != "modelFile"}
    uri = f"{there.uri}/{file}"
    return replace(there, schema_title=MODEL, schema_version="", uri=uri, metadata=meta)


def _flat(meta: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for key, value in meta.items():
        if isinstance(value, Mapping):
            found.update({f"{key}.{inner}": v for inner, v in value.items()})
        else:
            found[key] = value
    return found


def _plain(value: Any) -> Any:
    """As protobuf's Struct holds it."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, int | float):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf if value > 0 else -math.inf
        if math.isfinite(number):
            return number
        return str(number).replace("nan", "NaN").replace("inf", "Infinity")
    return [_plain(inner) for inner in value]


def _kept(new: Any, old: Any) -> Any:
    """A number that was whole before, and is the same, stays as it was."""
    if isinstance(new, Mapping):
        outer = old if isinstance(old, Mapping) else {}
        return {key: _kept(value, outer.get(key)) for key, value in new.items()}
    return old if type(old) in (int, float) and _plain(old) == new else new
