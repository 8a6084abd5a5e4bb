"""A YAML file that people write, checked by a JSON schema, with a sentence for each fault."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nbtools.errors import RequestError


def read(path: Path, schema: Path) -> Any:
    """What a file says. Raises RequestError, saying where it is wrong."""
    data = load(path)
    if wrong := list(faults(data, schema)):
        raise RequestError("\n".join(f"{path}: {sentence}" for sentence in wrong))
    return data


def load(path: Path, *, aliases: bool = True) -> Any:
    """What a file says, unchecked. Raises RequestError.

    Without `aliases` a file that has some is refused: a few lines of them can stand for more
    than a machine's memory.
    """
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
        if not aliases and any(isinstance(e, yaml.AliasEvent) for e in yaml.parse(text)):
            raise RequestError(f"{path} has YAML aliases (*name): write each value out")
        return yaml.safe_load(text)
    except OSError as error:
        raise RequestError(f"cannot read {path}: {error.strerror}; name a YAML file") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise RequestError(f"{path} is not YAML: {' '.join(str(error).split())}") from None


def faults(data: Any, schema: Path) -> Iterator[str]:
    """A sentence for each thing that the schema does not allow."""
    from jsonschema import Draft202012Validator

    rules = json.loads(schema.read_text(encoding="utf-8"))
    found = Draft202012Validator(rules).iter_errors(data)
    for error in sorted(found, key=lambda e: [str(part) for part in e.path]):
        where = ".".join(str(part) for part in error.path) or "the whole"
        yield f"{where}: {error.message}"
