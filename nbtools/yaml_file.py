"""A YAML file that people write, checked by a JSON schema, with a sentence for each fault."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
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
        where = ".".join(str(part) for part in error.path)
        if not where and error.validator not in ("additionalProperties", "required"):
            where = "the whole"
        yield f"{where}: {_sentence(error)}".removeprefix(": ")


def _sentence(error: Any) -> str:
    """What is wrong in words for people: a pattern says nothing to most of them."""
    if error.validator == "additionalProperties" and error.validator_value is False:
        known = error.schema.get("properties", {})
        return "; ".join(_unknown(key, known) for key in error.instance if key not in known)
    if error.validator == "required":
        lacking = [key for key in error.validator_value if key not in error.instance]
        return f"{' and '.join(lacking)} is missing"
    if error.validator == "enum":
        return f"{error.instance!r} is none of {', '.join(map(str, error.validator_value))}"
    if said := error.schema.get("description"):
        return f"{error.instance!r} does not fit: {said}"
    return str(error.message)


def _unknown(key: object, known: Iterable[str]) -> str:
    near = get_close_matches(str(key), known, n=1)
    meant = f"write {near[0]}" if near else f"there are {', '.join(known)}"
    return f"there is no {str(key)!r} here: {meant}"
