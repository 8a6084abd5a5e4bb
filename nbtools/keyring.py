"""Where the values of secrets come from: the environment, else a file of this user's.

The file is outside every store, and for its owner alone: `~/.config/nbtools/secrets.json`,
which `nbtools secret set` writes. It is there for schedules, which are due when nobody is.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from nbtools.errors import NotFound, RequestError
from nbtools.secrets import SHORTEST, Secrets, named
from nbtools.settings import Settings, environment


class Keyring:
    """The secrets of this user that `nbtools secret` keeps."""

    def __init__(self, settings: Settings) -> None:
        self.path = settings.config_home / "nbtools" / "secrets.json"

    def read(self) -> dict[str, str]:
        """Values by name. Raises RequestError when others can read the file, or it is damaged."""
        try:
            with self.path.open("rb") as file:
                about = os.fstat(file.fileno())
                text = file.read()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise RequestError(f"cannot read {self.path}: {error.strerror}; mend that") from None
        if about.st_uid != os.getuid() or about.st_mode & 0o077:
            raise RequestError(
                f"others can read {self.path}, or it is not yours: chmod 600 it, and think of "
                "the secrets in it as known"
            )
        try:
            values: dict[str, str] = json.loads(text)
            if all(isinstance(value, str) for value in values.values()):
                return values
        except (ValueError, AttributeError):
            pass
        raise RequestError(f"{self.path} is damaged: remove it, and set the secrets anew")

    def set(self, name: str, value: str) -> None:
        """Keep a value under that name. Raises RequestError for one that can be none."""
        (name,) = named([name])
        _check(name, value)
        with self._changing() as values:
            values[name] = value

    def delete(self, name: str) -> None:
        """Forget it. Raises NotFound."""
        with self._changing() as values:
            if name not in values:
                raise NotFound(f"no secret {name!r} is kept: `nbtools secret list` shows them")
            del values[name]

    @contextmanager
    def _changing(self) -> Iterator[dict[str, str]]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                values = self.read()
                yield values
                beside = self.path.with_suffix(".part")
                beside.unlink(missing_ok=True)  # its mode would be whoever's who left it
                fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(fd, "w", encoding="utf-8") as file:
                    json.dump(values, file, indent=1)
                    file.flush()
                    os.fsync(fd)
                beside.replace(self.path)
            finally:
                os.close(lock)
        except OSError as error:
            raise RequestError(
                f"cannot write {self.path}: {error.strerror}; mend that, or put secrets into the "
                "environment"
            ) from None


def find(names: Iterable[str], settings: Settings) -> Secrets:
    """The secrets of these names: those of the environment go before those that are kept.

    Raises RequestError for a name that has no value here, or one that is none.
    """
    if not (wanted := named(names)):
        return Secrets()
    env = environment()
    keyring = Keyring(settings)
    kept = keyring.read() if any(name not in env for name in wanted) else {}
    for name in wanted:
        if name not in env and name not in kept:
            raise RequestError(
                f"no secret {name}: put it into the environment, or `nbtools secret set {name}`"
            )
    values = {name: env[name] if name in env else kept[name] for name in wanted}
    for name, value in values.items():
        _check(name, value)
    return Secrets(values)


def only_here(names: Iterable[str], settings: Settings) -> list[str]:
    """Of these names those that nothing but this process's environment has a value for."""
    kept = Keyring(settings).read()
    return [name for name in names if name not in kept and name in environment()]


def _check(name: str, value: str) -> None:
    if len(value.strip()) < SHORTEST:
        raise RequestError(
            f"secret {name} has fewer than {SHORTEST} letters, which could not be told from the "
            "rest of what a notebook prints: choose a longer one"
        )
    if "\0" in value:
        raise RequestError(f"secret {name} holds a NUL, which no environment can: encode it")
