"""Buckets and objects on disk, as the storage emulator's handlers want them.

An object is its file, see buckets.py. What else a client has said of it, and its checksums, are
a note beside, named after its generation: so the renaming of the file is the one moment at
which content and note both change, and a process that is killed leaves either of them whole.
"""

from __future__ import annotations

import hashlib
import json
import mimetypes
import os
import shutil
import time
import uuid
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final
from urllib.parse import quote

from gcp_storage_emulator.exceptions import BadRequest, Conflict, NotFound
from gcp_storage_emulator.handlers.buckets import _make_bucket_resource
from gcp_storage_emulator.storage import Storage

from nbtools.emulator import buckets
from nbtools.errors import RequestError

#: seconds after which a part or an upload that nobody has ended is deleted: as long as GCS waits.
LEFT: Final = 7 * 24 * 3600
#: notes in memory at most.
KNOWN: Final = 20_000

Record = dict[str, Any]


class Objects(Storage):  # type: ignore[misc]
    """What that package keeps in one JSON file beside the contents, here a file an object."""

    def __init__(self, folder: Path, url: str) -> None:
        """Keep them in a folder; `url` is where they are served."""
        self._folder, self._url = folder, url
        self._known: dict[Path, Record] = {}  # the last note of a file: objects are often listed
        for name in (".parts", ".uploads", ".objects", ".buckets"):
            buckets.own(folder, name)
        for name in (".parts", ".uploads"):
            for left in buckets.own(folder, name).iterdir():
                if left.stat().st_mtime < time.time() - LEFT:
                    left.unlink()

    # Buckets: a folder each, and a note.

    @property
    def buckets(self) -> dict[str, Record]:
        """Every bucket, by its name."""
        found = sorted(entry.name for entry in self._folder.iterdir())
        return {name: bucket for name in found if (bucket := self.get_bucket(name))}

    def get_bucket(self, bucket_name: str) -> Record | None:
        """A bucket as GCS tells of it; None if there is none."""
        if not bucket_name or bucket_name[0] == "." or not (self._folder / bucket_name).is_dir():
            return None
        resource = (self._bucket_note(bucket_name) or {}).get("resource")
        return resource or _made(bucket_name)

    def name_bucket(self, bucket_name: str) -> None:
        """Make a bucket that somebody has named, unless it was deleted. Raises RequestError."""
        note = self._bucket_path(bucket_name)
        if self.get_bucket(bucket_name) is None and not note.exists():
            self.create_bucket(buckets.checked(bucket_name), _made(bucket_name))

    def create_bucket(self, bucket_name: str, bucket_obj: Record) -> Record:
        """Make a bucket, or change what is said of one. Raises RequestError for its name."""
        buckets.checked(bucket_name)
        bucket_obj["softDeletePolicy"] = {"retentionDurationSeconds": "0"}
        note = self._bucket_note(bucket_name) or {}
        _write(self._bucket_path(bucket_name), note | {"resource": bucket_obj})
        (self._folder / bucket_name).mkdir(exist_ok=True)
        return bucket_obj

    def delete_bucket(self, bucket_name: str) -> None:
        """Delete a bucket; it stays so until it is created. Raises NotFound, Conflict."""
        if self.get_bucket(bucket_name) is None:
            raise NotFound(f"no bucket {bucket_name}")
        if next(buckets.walk(self._folder / bucket_name), None):
            raise Conflict(f"bucket {bucket_name} is not empty")
        _write(self._bucket_path(bucket_name), {})
        shutil.rmtree(self._folder / bucket_name)  # empty folders, if any

    def get_bucket_iam_policy(self, bucket_name: str) -> Record | None:
        """What was said of who may use it; nobody holds to that."""
        return (self._bucket_note(bucket_name) or {}).get("policy")

    def set_bucket_iam_policy(self, bucket_name: str, policy: Record) -> bool:
        """Keep what is said."""
        note = self._bucket_note(bucket_name) or {"resource": _made(bucket_name)}
        _write(self._bucket_path(bucket_name), note | {"policy": policy})
        return True

    def _bucket_path(self, bucket_name: str) -> Path:
        return self._folder / ".buckets" / f"{quote(bucket_name, '')}.json"

    def _bucket_note(self, bucket_name: str) -> Record | None:
        return _read(self._bucket_path(bucket_name))

    # Objects: a file each, and a note.

    def get_file_obj(self, bucket_name: str, file_name: str) -> Record:
        """What GCS tells of an object. Raises NotFound."""
        file, found = self.open(bucket_name, file_name)
        file.close()
        return found

    def get_file(self, bucket_name: str, file_name: str, show_error: bool = True) -> bytes:  # noqa: ARG002
        """The content of an object. Raises NotFound."""
        file, _ = self.open(bucket_name, file_name)
        with file:
            return file.read()

    def open(self, bucket_name: str, file_name: str) -> tuple[BinaryIO, Record]:
        """An object's file, open, and what GCS tells of the content in it. Raises NotFound."""
        try:
            path = buckets.place(self._folder, bucket_name, file_name)
            file = path.open("rb")
            while (known := self._kept(file, path, bucket_name, file_name)) is None:
                if path.stat().st_mtime_ns == os.fstat(file.fileno()).st_mtime_ns:
                    known = self._derive(file, bucket_name, file_name)  # nobody but `cp` made it
                    break
                file.close()  # another has taken its place, and its note is gone
                file = path.open("rb")
        except (OSError, RequestError):
            raise NotFound(f"no object {bucket_name}/{file_name}") from None
        return file, known | self._links(known)  # where it is served may have changed since

    def create_file(
        self, bucket_name: str, file_name: str, content: bytes, file_obj: Record,
        file_id: str | None = None,
    ) -> None:  # fmt: skip
        """Make or replace an object. Raises NotFound for the bucket, RequestError for a name."""
        if self.get_bucket(bucket_name) is None:
            raise NotFound(f"no bucket {bucket_name}")
        path = buckets.place(self._folder, bucket_name, file_name)
        part = buckets.spare(self._folder)
        part.write_bytes(content)
        before = path.stat().st_mtime_ns if path.is_file() else 0
        generation = max(time.time_ns(), before + 1)
        file_obj |= {
            "id": f"{bucket_name}/{file_name}/{generation}",
            "generation": str(generation),
            "metageneration": "1",
            "size": str(len(content)),
        }
        file_obj |= self._links(file_obj)
        self._note(bucket_name, file_name, file_obj)
        buckets.commit(part, self._folder, bucket_name, file_name, generation)
        if before:
            self._note_path(bucket_name, file_name, str(before)).unlink(missing_ok=True)
        if file_id:
            self._forget_upload(file_id)

    def patch_object(self, bucket_name: str, file_name: str, file_obj: Record) -> None:
        """Change what is said of an object."""
        self._note(bucket_name, file_name, file_obj)

    def delete_file(self, bucket_name: str, file_name: str) -> None:
        """Delete an object, at once. Raises NotFound."""
        found = self.get_file_obj(bucket_name, file_name)
        path = buckets.place(self._folder, bucket_name, file_name)
        buckets.discard(self._folder, path)
        self._known.pop(path, None)
        self._note_path(bucket_name, file_name, found["generation"]).unlink(missing_ok=True)

    def _list_live_candidates(
        self, bucket_name: str, prefix: str | None = None
    ) -> list[tuple[str, Record]]:
        return list(self._listed(bucket_name, prefix or ""))

    def _list_soft_deleted_candidates(self, *_: Any) -> list[tuple[str, Record]]:
        return []  # what is deleted is gone

    def _listed(self, bucket_name: str, prefix: str) -> Iterator[tuple[str, Record]]:
        for path in buckets.walk(self._folder / bucket_name, prefix):
            name = buckets.name_of(self._folder, path)[1]
            if name.startswith(prefix):
                with suppress(NotFound):  # deleted since
                    yield name, self.get_file_obj(bucket_name, name)

    def get_soft_deleted_file_obj(
        self, bucket_name: str, file_name: str, generation: str
    ) -> Record:
        """Raises NotFound: what is deleted is gone."""
        raise NotFound(f"no generation {generation} of {bucket_name}/{file_name}")

    def restore_soft_deleted_file(
        self, bucket_name: str, file_name: str, generation: str
    ) -> Record:
        """Raises NotFound: what is deleted is gone."""
        raise NotFound(f"no generation {generation} of {bucket_name}/{file_name}")

    def _links(self, known: Record) -> Record:
        at = f"{quote(known['bucket'])}/o/{quote(known['name'], '')}"
        return {
            "selfLink": f"{self._url}/storage/v1/b/{at}",
            "mediaLink": f"{self._url}/download/storage/v1/b/{at}"
            f"?generation={known['generation']}&alt=media",
        }

    def _kept(self, file: BinaryIO, path: Path, bucket: str, name: str) -> Record | None:
        """The note of a file that is open; None if there is none of this content."""
        looked = os.fstat(file.fileno())
        generation = str(looked.st_mtime_ns)
        known = self._known.get(path)
        if known is None or known["generation"] != generation:
            known = _read(self._note_path(bucket, name, generation))
        if known is None or known["size"] != str(looked.st_size):
            return None
        if len(self._known) > KNOWN:
            self._known.clear()
        self._known[path] = known
        return known

    def _derive(self, file: BinaryIO, bucket: str, name: str) -> Record:
        made = _derived(file, bucket, name, os.fstat(file.fileno()))
        self._note(bucket, name, made)
        return made

    def _note(self, bucket: str, name: str, said: Record) -> None:
        _write(self._note_path(bucket, name, said["generation"]), said)
        self._known.pop(buckets.place(self._folder, bucket, name), None)

    def _note_path(self, bucket: str, name: str, generation: str) -> Path:
        own = hashlib.sha256(f"{bucket}/{name}".encode()).hexdigest()[:32]
        return self._folder / ".objects" / f"{own}-{generation}.json"

    # Uploads in several requests: a file each, and a note.

    def create_resumable_upload(self, bucket_name: str, file_name: str, file_obj: Record) -> str:
        """Begin one; returns its id. Raises NotFound for the bucket, RequestError for a name."""
        if self.get_bucket(bucket_name) is None:
            raise NotFound(f"no bucket {bucket_name}")
        buckets.place(self._folder, bucket_name, file_name)
        file_id = uuid.uuid4().hex
        _write(self._upload(file_id).with_suffix(".json"), file_obj)
        return file_id

    def get_resumable_file_obj(self, file_id: str) -> Record:
        """What was said of the object when it began. Raises NotFound."""
        found = _read(self._upload(file_id).with_suffix(".json"))
        if found is None:
            raise NotFound("no such upload: it was ended, or begun too long ago")
        return found

    def get_resumable_byte_count(self, file_id: str) -> int:
        """How many bytes have come."""
        upload = self._upload(file_id)
        return upload.stat().st_size if upload.exists() else 0

    def add_to_resumable_upload(
        self, file_id: str, content: bytes, total_size: int | None = None,
        expected_start: int | None = None,
    ) -> bytes | None:  # fmt: skip
        """Append a part; the whole when it is whole. Raises BadRequest for another place."""
        come = self.get_resumable_byte_count(file_id)
        if expected_start is not None and expected_start != come:
            raise BadRequest(f"the next byte is {come}, not {expected_start}")
        upload = self._upload(file_id)
        with upload.open("ab") as file:
            file.write(content)
        if total_size is None or come + len(content) < total_size:
            return None
        return upload.read_bytes()[:total_size]

    def _forget_upload(self, file_id: str) -> None:
        self._upload(file_id).with_suffix(".json").unlink(missing_ok=True)
        self._upload(file_id).unlink(missing_ok=True)

    def _upload(self, file_id: str) -> Path:
        return Path(self._folder, ".uploads", self.safe_id(file_id))


def _made(bucket: str) -> Record:
    """What GCS tells of a bucket of which nobody has said anything."""
    made: Record = _make_bucket_resource(bucket)
    return made | {"softDeletePolicy": {"retentionDurationSeconds": "0"}}


def _derived(file: BinaryIO, bucket: str, name: str, looked: os.stat_result) -> Record:
    """What GCS would tell of a file that nobody has told it of."""
    import google_crc32c

    md5, crc = hashlib.md5(usedforsecurity=False), google_crc32c.Checksum()
    while block := file.read(1 << 20):
        md5.update(block)
        crc.update(block)
    file.seek(0)
    digest = b64encode(md5.digest()).decode()
    changed = datetime.fromtimestamp(looked.st_mtime, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {
        "kind": "storage#object",
        "id": f"{bucket}/{name}/{looked.st_mtime_ns}",
        "name": name,
        "bucket": bucket,
        "generation": str(looked.st_mtime_ns),
        "metageneration": "1",
        "contentType": mimetypes.guess_type(name)[0] or "application/octet-stream",
        "timeCreated": changed,
        "updated": changed,
        "timeStorageClassUpdated": changed,
        "storageClass": "STANDARD",
        "size": str(looked.st_size),
        "md5Hash": digest,
        "crc32c": b64encode(crc.digest()).decode(),
        "etag": digest,
        "acl": [],
    }


def _read(path: Path) -> Record | None:
    try:
        found: Record = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    return found


def _write(path: Path, said: Record) -> None:
    beside = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
    beside.write_text(json.dumps(said))
    beside.replace(path)
