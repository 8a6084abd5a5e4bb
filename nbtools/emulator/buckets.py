"""Where `gs://` URIs lie under the emulator: a folder a bucket, a file an object.

    folder(store)                        <store>/emulator/buckets, a folder a bucket in it
    path(store, "gs://bucket/a/b.csv")   the file of that object: open it, execute it, hash it
    read(store, uri) -> bytes            an object's content; NotFound when there is none
    write(store, uri, content)           make or replace one, whole or not at all; and its bucket
    names(store, "gs://bucket/prefix")   the URIs of the objects that begin so
    remove(store, uri)                   delete one

The files are the truth: what is put there by `write`, by `cp` or by a client of the storage
server is the same object, and the server makes size, MD5 and generation of what it finds. So
`write` may be used whether a server runs or not, from any process. The generation of an object
is its file's time of modification, in nanoseconds.

A name is its path. Only what no path can say is written differently: `%` is `%25`, an empty
part (`a//b`, `a/`) is `%`, and of `a` beside `a/b` the file is `a%`. What begins with a dot
beside the buckets is the server's own.
"""

from __future__ import annotations

import fcntl
import os
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from nbtools.errors import NotFound, RequestError

SCHEME: Final = "gs://"
#: bytes of a name, and of one of its parts: a file system's limit, not the service's.
LONGEST: Final = 1024
PART: Final = 250
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")


def folder(store: Path) -> Path:
    """Where the buckets of a store's emulator are."""
    return store / "emulator" / "buckets"


def split(uri: str) -> tuple[str, str]:
    """The bucket of a `gs://` URI and the name of the object in it, which may be empty.

    Raises RequestError for what is none.
    """
    if not uri.startswith(SCHEME):
        raise RequestError(f"{uri!r} is no object of a bucket: write gs://BUCKET/NAME")
    bucket, _, name = uri.removeprefix(SCHEME).partition("/")
    return checked(bucket), name


def checked(bucket: str) -> str:
    """The name of a bucket. Raises RequestError if none may be named so."""
    if not _BUCKET.fullmatch(bucket) or ".." in bucket:
        raise RequestError(
            f"{bucket!r} is no name of a bucket: 3 to 222 small letters, digits, - _ and dots"
        )
    return bucket


def path(store: Path, uri: str) -> Path:
    """The file of an object, whether it is there or not.

    Raises RequestError for what is no URI of an object or would lie elsewhere: another scheme,
    no name, a part that is `.` or `..`.
    """
    bucket, name = split(uri)
    return place(folder(store), bucket, name)


def place(buckets: Path, bucket: str, name: str) -> Path:
    """The file of the object of that name in a bucket of that folder. As `path`."""
    parts = [part.replace("%", "%25") or "%" for part in name.split("/")]
    if not name or {".", ".."} & set(parts) or re.search(r"[\0\r\n]", name):
        raise RequestError(f"{name!r} is no name of an object: none is empty, `.` or `..`")
    if max(map(_bytes, parts)) > PART or _bytes(name) > LONGEST:
        raise RequestError(
            f"{name[:40]!r}… is too long: {LONGEST} bytes, and {PART} between two slashes"
        )
    plain = buckets.joinpath(checked(bucket), *parts)
    beside = _beside(plain)
    return beside if plain.is_dir() or beside.exists() else plain


def name_of(buckets: Path, file: Path) -> tuple[str, str]:
    """The bucket and the name of the object whose file that is."""
    bucket, *parts = file.relative_to(buckets).parts
    last = parts[-1]
    if last.endswith("%") and (last == "%%" or last != "%"):
        parts[-1] = last[:-1]
    return bucket, "/".join("" if part == "%" else part.replace("%25", "%") for part in parts)


def read(store: Path, uri: str) -> bytes:
    """The content of an object. Raises NotFound when there is none, RequestError as `path`."""
    try:
        return path(store, uri).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"no object {uri}: see what is in {folder(store)}") from None


def write(store: Path, uri: str, content: bytes) -> None:
    """Make or replace an object, and its bucket if there is none. Raises RequestError."""
    bucket, name = split(uri)
    buckets = folder(store)
    place(buckets, bucket, name)  # before anything is made
    part = spare(buckets)
    part.write_bytes(content)
    with held(buckets):
        commit(part, buckets, bucket, name)


def names(store: Path, prefix: str) -> list[str]:
    """The URIs of the objects that begin with a prefix such as `gs://bucket/folder/`, sorted."""
    bucket, begins = split(prefix)
    buckets = folder(store)
    found = (name_of(buckets, file)[1] for file in walk(buckets / bucket, begins))
    return sorted(f"{SCHEME}{bucket}/{name}" for name in found if name.startswith(begins))


def remove(store: Path, uri: str) -> None:
    """Delete an object. Raises NotFound when there is none."""
    buckets = folder(store)
    with held(buckets):
        try:
            discard(buckets, path(store, uri))
        except (FileNotFoundError, NotADirectoryError):
            raise NotFound(f"no object {uri}: see what is in {buckets}") from None


def walk(bucket: Path, prefix: str = "") -> Iterator[Path]:
    """The files of a bucket's objects, at least those whose names have a prefix."""
    parts = [part.replace("%", "%25") or "%" for part in prefix.split("/")[:-1]]
    if {".", ".."} & set(parts):
        return
    for top, _, files in os.walk(bucket.joinpath(*parts)):
        yield from (Path(top, file) for file in files)


@contextmanager
def held(buckets: Path) -> Iterator[None]:
    """Let no other process or thread change what is in a folder of buckets meanwhile."""
    own(buckets)
    fd = os.open(buckets / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def own(buckets: Path, name: str = "") -> Path:
    """A folder that is the server's own, made if it is not there."""
    made = buckets / name
    made.mkdir(parents=True, exist_ok=True)
    return made


def spare(buckets: Path) -> Path:
    """A file to write what becomes an object when it is whole."""
    return own(buckets, ".parts") / uuid.uuid4().hex


def commit(part: Path, buckets: Path, bucket: str, name: str, generation: int = 0) -> None:
    """Make a whole file the object of that name. For who holds.

    `generation`: one that is greater than the one before; 0: made here.
    """
    above = buckets / bucket
    above.mkdir(parents=True, exist_ok=True)
    for step in place(buckets, bucket, name).relative_to(above).parent.parts:
        above /= step
        if above.is_file():  # an object whose name now begins others
            above.rename(_beside(above))
        above.mkdir(exist_ok=True)
    file = place(buckets, bucket, name)
    if not generation:
        before = file.stat().st_mtime_ns if file.exists() else 0
        generation = max(time.time_ns(), before + 1)
    os.utime(part, ns=(generation, generation))
    part.replace(file)


def discard(buckets: Path, file: Path) -> None:
    """Delete an object's file, and the folders that it leaves empty. For who holds."""
    file.unlink()
    for above in file.parents:
        if above.parent == buckets:  # the bucket stays
            break
        try:
            above.rmdir()
        except OSError:  # others lie in it
            break


def _beside(plain: Path) -> Path:
    """Where an object lies whose name is that of a folder."""
    return plain.with_name(f"{plain.name}%")


def _bytes(text: str) -> int:
    return len(text.encode(errors="surrogatepass"))
