"""On which condition a request for an object is meant: `ifGenerationMatch` and its kin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from gcp_storage_emulator.exceptions import NotFound

if TYPE_CHECKING:
    from nbtools.emulator.objects import Objects

#: of the query -> the field of an object, and whether it must be that.
CONDITIONS: Final = {
    "ifGenerationMatch": ("generation", True),
    "ifGenerationNotMatch": ("generation", False),
    "ifMetagenerationMatch": ("metageneration", True),
    "ifMetagenerationNotMatch": ("metageneration", False),
}


def failed(request: Any, storage: Objects) -> str:
    """The condition that does not hold, or "". Raises NotFound for another generation."""
    asked = {name: request.get(name) for name in (*CONDITIONS, "generation")}
    target = _target(request, storage) if any(asked.values()) else None
    if target is None:
        return ""
    try:
        found = storage.get_file_obj(*target)
    except NotFound:
        found = {"generation": "0", "metageneration": "0"}
    if asked.pop("generation") not in (None, found["generation"]):
        raise NotFound(f"no generation {request.get('generation')} of {'/'.join(target)}")
    for name, value in asked.items():
        field, same = CONDITIONS[name]
        if value is not None and (found[field] == value) is not same:
            return f"{name}={value}, but the {field} of {'/'.join(target)} is {found[field]}"
    return ""


def _target(request: Any, storage: Objects) -> tuple[str, str] | None:
    """The bucket and name of the object that a request reads or makes."""
    params = request.params
    if "dest_object_id" in params:
        return params.get("dest_bucket_name", params["bucket_name"]), params["dest_object_id"]
    if "object_id" in params:
        return params["bucket_name"], params["object_id"]
    if upload := request.get("upload_id"):
        begun = storage.get_resumable_file_obj(upload)
        return begun["bucket"], begun["name"]
    if request.get("uploadType") is None:
        return None
    said = request.data if isinstance(request.data, dict) else {}
    name = request.get("name") or said.get("meta", said).get("name")
    return (params["bucket_name"], name) if name else None
