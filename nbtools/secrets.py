"""Secrets: values by name that reach a kernel's environment and are shown nowhere.

They travel from whoever begins a job to its kernel in memory alone, and what is kept of the
job has `***` in their place. `Secrets` says what is one, and is never seen itself.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from nbtools.errors import RequestError
from nbtools.masking import Masking
from nbtools.settings import environment
from nbtools.value import texts

#: says in a kernel's environment which of its variables are secrets.
NAMES: Final = "NBTOOLS_SECRETS"
#: a value of fewer letters would be found in everything that a notebook prints.
SHORTEST: Final = 4
#: from this length on, a variable that holds a secret among other things is one too.
TELLING: Final = 8
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HOLE = re.compile(r"\{\{\s*secret\.([^\s{}]+)\s*\}\}")
#: language -> the quote around its texts, what joins two, and the value of a variable.
LOOKUPS: Final = {
    "python": ('"', " + ", '__import__("os").environ["{}"]'),
    "bash": ("'", "", '"${}"'),
}


class Secrets(Mapping[str, str]):
    """Values by name. What it is printed as has none of them."""

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self._values = dict(values or {})
        self.masking = Masking(self._values.values())

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Secrets({', '.join(self._values)})"

    def among(self, env: Mapping[str, str]) -> dict[str, str]:
        """The variables of an environment that are secrets, or hold one under another name."""
        values = set(self._values.values())
        telling = [value for value in values if len(value) >= TELLING]
        return {
            name: value for name, value in env.items()
            if name in self._values or value in values or any(part in value for part in telling)
        }  # fmt: skip

    def environment(self) -> dict[str, str]:
        """What a kernel's environment gets: the values, and which they are."""
        return {**self._values, NAMES: ",".join(self._values)} if self._values else {}

    def file(self, path: Path) -> Path:
        """Put `***` in the place of each value in a file of text."""
        if self._values:
            data = path.read_bytes()
            if (masked := self.masking.data(data)) != data:
                path.write_bytes(masked)
        return path


@cache
def own() -> Secrets:
    """Those of the kernel that this process is, or was begun by; of any other process none.

    A kernel calls this before its first cell: a notebook may well take them out of its
    environment.
    """
    env = environment()
    names = env.get(NAMES, "").split(",")
    return Secrets({name: env[name] for name in names if name in env})


def named(names: Iterable[str]) -> tuple[str, ...]:
    """The names, each once. Raises RequestError for one that can name no secret."""
    for name in names:
        before = name.partition("=")[0]
        if "=" in name and _NAME.fullmatch(before):
            raise RequestError(
                f"secret {before}: give its name alone, for others see what a command is called "
                f"with; put its value into the environment, or `nbtools secret set {before}`"
            )
        if not _NAME.fullmatch(name) or name.startswith("NBTOOLS"):
            raise RequestError(
                f"{name!r} is no name for a secret: use that of an environment variable, "
                "letters, digits and _, such as API_KEY"
            )
    return tuple(dict.fromkeys(names))


def holes(value: Any) -> Iterator[str]:
    """The name in each `{{ secret.NAME }}` of a value."""
    return (name for text in texts(value) for name in _HOLE.findall(text))


class Lookups:
    """Has a notebook look secrets up instead of holding them.

    Whoever writes values as source gets them with a token of letters in the place of each
    `{{ secret.NAME }}`; in that source each token then becomes a look-up.
    """

    def __init__(self, language: str) -> None:
        self._language = language
        self._token = f"~{os.urandom(8).hex()}"  # ~: else a shell's text needs no quotes

    def tokens(self, value: Any) -> Any:
        """`value` with tokens. Raises RequestError for a language that this is not known of."""
        if isinstance(value, Mapping):
            return {key: self.tokens(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.tokens(item) for item in value]
        if not isinstance(value, str) or not (found := _HOLE.search(value)):
            return value
        if self._language not in LOOKUPS:
            raise RequestError(
                f"{value!r} cannot be looked up by a parameter in {self._language}: give "
                f"--secret {found[1]}, and have the notebook read its environment"
            )
        return _HOLE.sub(rf"{self._token}_\1_{self._token}", value)

    def source(self, text: str) -> str:
        """`text` with look-ups."""
        if self._token not in text:
            return text
        quote, joint, lookup = LOOKUPS[self._language]
        mark = f"{self._token}_(\\w+?)_{self._token}"
        among = f"{quote}{joint}{lookup}{joint}{quote}"
        text = re.sub(f"{quote}{mark}{quote}", lambda found: lookup.format(found[1]), text)
        return re.sub(mark, lambda found: among.format(found[1]), text)
