"""Values of parameters: what a notebook can be given, and what fits a type as written.

Values travel as JSON (the record of the run) and as papermill's translation (the injected
cell): numbers, text, bools, None, lists, and dicts by text. `plain` makes these of what
people give; `fit` compares them with an annotation, which is read and never executed.
"""

from __future__ import annotations

import ast
import operator
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from nbtools.errors import RequestError

#: bits of the largest whole number: Python writes none of more than 4300 digits.
MAX_BITS = 14_000
_PLAIN: dict[str, type] = {"int": int, "float": float, "str": str, "bool": bool}
#: papermill injects no tuples and no sets; a list stands in for both.
_LISTS = (
    "list", "List", "Sequence", "MutableSequence", "Iterable", "Collection", "tuple", "Tuple",
    "set", "Set", "AbstractSet", "MutableSet", "frozenset", "FrozenSet",
)  # fmt: skip
_DICTS = ("dict", "Dict", "Mapping", "MutableMapping", "OrderedDict")
#: names of limits in annotated-types and pydantic.
_LIMITS = {"ge": operator.ge, "gt": operator.gt, "le": operator.le, "lt": operator.lt}
_BOXES: dict[str, type] = {**dict.fromkeys(_LISTS, list), **dict.fromkeys(_DICTS, dict)}
#: what `fit` raises for a value that does not fit, whatever is odd about it.
MISFIT = (TypeError, ValueError, OverflowError, RecursionError, SyntaxError)


def plain(name: str, value: Any) -> Any:
    """The `value` of the parameter `name` in JSON's types; RequestError when it has no such form.

    Tuples, sets and arrays become lists, numpy's and torch's scalars the number they hold,
    paths and dates text.
    """
    try:
        return _plain(value)
    except RecursionError:
        raise RequestError(f"{name}: lists or dicts in each other, too deep to inject") from None
    except (TypeError, ValueError) as error:
        raise RequestError(f"{name}: {error}") from None


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        if int(value).bit_length() > MAX_BITS:
            raise ValueError("a number of that many digits cannot be kept: give it as text")
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, str):
        return _plain_text(str.__str__(value))
    if isinstance(value, date):  # YAML reads 2024-01-31 as one
        return value.isoformat()
    if isinstance(value, os.PathLike):
        return _plain(os.fspath(value))
    return _plain_box(value)


def _plain_box(value: Any) -> Any:
    if isinstance(value, Mapping):
        if odd := [key for key in value if not isinstance(key, str)]:
            raise TypeError(f"the key {show(odd[0])} would be injected as text: make it text")
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, set | frozenset):
        items = [_plain(item) for item in value]
        try:
            return sorted(items)
        except TypeError:  # of several types; any order will do that is always the same
            return sorted(items, key=repr)
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    raise TypeError(
        f"{show(value)} cannot be injected: use numbers, text, bools, None, lists and dicts"
    )


def _plain_text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, as from a name that is not UTF-8
        raise ValueError(f"{show(text)} is not valid Unicode text") from None
    return text


def show(value: Any) -> str:
    """`value` as a message shows it: on one line, and short."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # noqa: BLE001 - repr is the value's own code; a number may be too long
        return f"this {type(value).__name__}"
    return text if len(text) <= 100 else f"{text[:97]}..."


def texts(value: Any) -> Iterator[str]:
    """The texts in a value: itself, or those in its lists and dicts, names apart."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from texts(item)
    elif isinstance(value, str):
        yield value


def takes_box(type_: str) -> bool:
    """Whether a list or a dict may fit the type."""
    try:
        tree = ast.parse(type_.strip("'\""), mode="eval")
    except MISFIT:
        return False
    return any(_name(node) in _BOXES for node in ast.walk(tree))


def fit(value: Any, type_: str) -> Any:
    """The plain `value` as the type takes it; one of MISFIT when it does not fit."""
    return _fit(value, ast.parse(type_, mode="eval").body)


def choices(type_: str) -> list[Any] | None:
    """The values that the type lists, as `Literal["adam", "sgd"]` does; None: it lists none."""
    node = _subscript(type_)
    if node is None or _name(node.value) != "Literal":
        return None
    inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    try:
        return [ast.literal_eval(item) for item in inner]
    except ValueError:
        return None


def limits(type_: str) -> dict[str, float]:
    """The limits that `Annotated[float, Field(ge=0, lt=1)]` or `Annotated[int, Ge(1)]` names,
    as annotated-types and pydantic call them: ge, gt, le, lt.
    """
    node = _subscript(type_)
    if node is None or _name(node.value) != "Annotated" or not isinstance(node.slice, ast.Tuple):
        return {}
    return _limits(node.slice.elts[1:])


def _subscript(type_: str) -> ast.Subscript | None:
    try:
        node = ast.parse(type_.strip("'\""), mode="eval").body
    except MISFIT:
        return None
    return node if isinstance(node, ast.Subscript) else None


def _limits(marks: Sequence[ast.expr]) -> dict[str, float]:
    found: dict[str, float] = {}
    for mark in marks:
        if not isinstance(mark, ast.Call):
            continue
        given = {k.arg: k.value for k in mark.keywords}
        if mark.args:
            given[_name(mark.func).lower()] = mark.args[0]
        for key in _LIMITS.keys() & given.keys():
            try:
                limit = ast.literal_eval(given[key])
            except ValueError:  # only running the notebook would tell
                continue
            if isinstance(limit, int | float) and key:
                found[key] = limit
    return found


def _between(value: Any, limits: Mapping[str, float]) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return True
    return all(_LIMITS[key](value, limit) for key, limit in limits.items())


def _name(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _fit(value: Any, want: ast.expr) -> Any:
    name = _name(want)
    if isinstance(want, ast.Constant) and isinstance(want.value, str):  # a quoted annotation
        return fit(value, want.value)
    if isinstance(want, ast.Constant) and want.value is None:
        return _only(value, value is None)
    if isinstance(want, ast.BinOp):  # X | Y
        return _first(value, [want.left, want.right])
    if isinstance(want, ast.Subscript):
        return _fit_subscript(value, want)
    if name in _PLAIN:
        return _fit_plain(value, _PLAIN[name])
    if name in _BOXES:
        return _only(value, isinstance(value, _BOXES[name]))
    return value  # a type that only running the notebook would know


def _fit_plain(value: Any, want: type) -> Any:
    if isinstance(value, bool):  # a bool is an int to Python, not to a reader
        return _only(value, want is bool)
    if want in (int, float) and isinstance(value, str):
        return want(value)
    if want is float and isinstance(value, int):
        return float(value)
    return _only(value, isinstance(value, want))


def _fit_subscript(value: Any, want: ast.Subscript) -> Any:
    name = _name(want.value)
    inner = want.slice.elts if isinstance(want.slice, ast.Tuple) else [want.slice]
    if name == "Literal":
        return _fit_literal(value, inner)
    if name in ("Optional", "Union"):
        return _first(value, [*inner, *([ast.Constant(None)] if name == "Optional" else [])])
    if name in ("Annotated", "Final") and inner:
        value = _fit(value, inner[0])
        return _only(value, _between(value, _limits(inner[1:])))
    box = _fit(value, want.value)
    if name in _DICTS and len(inner) == 2:
        # A key stays the text it is injected as, so `dict[int, str]` takes none.
        return {_only(k, _fit(k, inner[0]) == k): _fit(v, inner[1]) for k, v in box.items()}
    if name in ("tuple", "Tuple"):
        if len(inner) == 2 and isinstance(inner[1], ast.Constant) and inner[1].value is ...:
            inner = [inner[0]] * len(box)
        return [_fit(item, each) for item, each in zip(box, inner, strict=True)]
    if name in _LISTS and len(inner) == 1:
        return [_fit(item, inner[0]) for item in box]
    return box


def _fit_literal(value: Any, inner: Sequence[ast.expr]) -> Any:
    try:
        allowed = [ast.literal_eval(item) for item in inner]
    except ValueError:  # `Literal[Colour.RED]`: only running the notebook would tell
        return value
    return _only(value, any(type(value) is type(a) and value == a for a in allowed))


def _first(value: Any, wants: Sequence[ast.expr]) -> Any:
    """Exact types first, so that `int | str` leaves the text "3" alone."""
    for want in wants:
        if type(value).__name__ == _name(want):
            return value
    for want in wants:
        try:
            return _fit(value, want)
        except MISFIT:
            continue
    raise TypeError


def _only(value: Any, fits: bool) -> Any:
    if not fits:
        raise TypeError
    return value
