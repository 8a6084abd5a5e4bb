"""Secrets that were looked at and are none: a file of fingerprints, which is committed.

A fingerprint is that of a cell, a kind and a value, so it survives other edits of the
notebook. It is salted and slow to compute: who reads the file must not get at the value.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from nbtools.errors import RequestError
from nbtools.git.driver import write_whole

if TYPE_CHECKING:
    from nbtools.git.secrets import Secret

ROUNDS = 20_000


@dataclass(slots=True)
class Baseline:
    """Fingerprints by notebook."""

    NAME: ClassVar[str] = ".nbtools-secrets.json"

    salt: str
    notebooks: dict[str, list[dict[str, str]]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Baseline:
        """The baseline at `path`; an empty one where there is no file."""
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return cls(os.urandom(16).hex())
        except (OSError, UnicodeDecodeError) as error:
            raise RequestError(f"{path}: cannot be read: {error}") from None
        try:
            data: dict[str, Any] = json.loads(text)
            found = {
                name: [{key: str(entry[key]) for key in ("fingerprint", "kind", "where")}
                       for entry in entries]
                for name, entries in data["notebooks"].items()
            }  # fmt: skip
            return cls(str(data["salt"]), found)
        except json.JSONDecodeError as error:
            raise RequestError(f"{path}:{error.lineno}: broken JSON: {error.msg}") from None
        except (KeyError, TypeError, AttributeError):
            raise RequestError(
                f"{path}:1: is not a baseline of nbtools; write one with --update"
            ) from None

    def has(self, notebook: str, cell: str, kind: str, value: str) -> bool:
        """Whether this secret of this cell was looked at."""
        entries = self.notebooks.get(_posix(notebook))
        if not entries:
            return False
        mark = self.fingerprint(cell, kind, value)
        return any(entry["fingerprint"] == mark for entry in entries)

    def fingerprint(self, cell: str, kind: str, value: str) -> str:
        """What stands for a secret in the file."""
        text = "\0".join((self.salt, cell, kind)).encode()
        return hashlib.pbkdf2_hmac("sha256", value.encode(), text, ROUNDS, 12).hex()

    def update(self, looked_at: Iterable[str], found: Iterable[Secret]) -> None:
        """Hold what was found now in the notebooks looked at, and nothing older of them."""
        for name in looked_at:
            self.notebooks.pop(_posix(name), None)
        for secret in found:
            entries = self.notebooks.setdefault(_posix(secret.notebook), [])
            mark = self.fingerprint(secret.cell_id, secret.kind, secret.value)
            place = f"cell {secret.cell_id or secret.cell}, {secret.part} line {secret.part_line}"
            if all(entry["fingerprint"] != mark for entry in entries):
                entries.append({"fingerprint": mark, "kind": secret.kind, "where": place})

    def write(self, path: Path) -> None:
        """Write it so that it can be reviewed: one secret a line, in a fixed order."""
        held = {name: self.notebooks[name] for name in sorted(self.notebooks)}
        text = json.dumps({"salt": self.salt, "notebooks": held}, indent=1, ensure_ascii=False)
        write_whole(path, (text + "\n").encode())


def _posix(name: str) -> str:
    return Path(name).as_posix()
