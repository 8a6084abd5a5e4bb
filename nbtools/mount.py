"""What kind of file system a folder lies on: SQLite's WAL needs memory that hosts share."""

from __future__ import annotations

import re
from pathlib import Path

#: file systems that several hosts may have mounted, or that are not quite files.
SHARED = re.compile(r"nfs\d?|cifs|smb\d?|smbfs|9p|afs|ceph|lustre|gpfs|beegfs|glusterfs|fuse\..*")
#: of those by way of FUSE, the ones that are a disk of this machine.
LOCAL = {"fuse.fuse-overlayfs", "fuse.ext4", "fuse.lxcfs"}


def is_shared(folder: Path, mounts: str | None = None) -> bool:
    """Whether other hosts may have this folder too. `mounts`: as in /proc/mounts, which is
    read when not given; where there is none, no.
    """
    if mounts is None:
        try:
            mounts = Path("/proc/mounts").read_text(errors="replace")
        except OSError:
            return False
    kind = _kind(folder.resolve(), mounts)
    return bool(SHARED.fullmatch(kind)) and kind not in LOCAL


def _kind(folder: Path, mounts: str) -> str:
    """The type of the innermost mount that holds it; the later one where two are the same."""
    best, kind = -1, ""
    for line in mounts.splitlines():
        words = line.split()
        if len(words) < 3:
            continue
        place = Path(re.sub(r"\\(\d{3})", lambda m: chr(int(m[1], 8)), words[1]))
        if folder.is_relative_to(place) and len(place.parts) >= best:
            best, kind = len(place.parts), words[2]
    return kind
