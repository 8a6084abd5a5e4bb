"""A notebook's parameter: its name, type, default and help, and what values fit it.

The parameters cell is read, never executed: names, annotations and literal defaults come
from its syntax tree, help from the comment behind an assignment or right above it.
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from nbtools.errors import RequestError

#: stands for a default that is no literal, such as `Path.home()`: only running it would tell.
COMPUTED = object()

_PLAIN: dict[str, type] = {"int": int, "float": float, "str": str, "bool": bool}
#: papermill injects no tuples and no sets; a list stands in for both.
_BOXES: dict[str, type] = {
    **dict.fromkeys(("list", "List", "Sequence", "Iterable", "tuple", "Tuple", "set", "Set"), list),
    **dict.fromkeys(("dict", "Dict", "Mapping"), dict),
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One assignment of the parameters cell."""

    name: str  #: the variable
    annotation: str  #: as written, or ""
    default: Any  #: the literal's value, or COMPUTED
    source: str  #: the default as written
    help: str  #: the comment beside it

    @property
    def type(self) -> str:
        """The annotation, or else the name of the default's type; "" when neither tells."""
        if self.annotation or self.default is COMPUTED or self.default is None:
            return self.annotation
        return type(self.default).__name__

    def fit(self, value: Any) -> Any:
        """`value`, as this parameter takes it; raises RequestError when it does not fit.

        A whole number fits a float, a list fits a tuple or a set (it is injected as the list
        it is), and text that reads as a number fits a number (YAML reads `3e-4` as text).
        Nothing else is converted.
        """
        if not self.type:
            return value
        try:
            return _fit(value, ast.parse(self.type, mode="eval").body)
        except (TypeError, SyntaxError):
            raise RequestError(
                f"{self.name}: {value!r} does not fit {self.type}"
                + (f" ({self.help})" if self.help else "")
                + ("" if self.annotation else f"; its default is {self.source}")
            ) from None

    def read(self, text: str) -> Any:
        """The value that `text`, from a command line, stands for, typed as papermill does.

        Where the parameter is a `str`, text stays text: `3.10` is not 3.1. Where it is a
        container, text is a Python literal: `[1, 2]`.
        """
        if self.type == "str":
            return text
        if text[:1] in ("[", "{", "(") and self.type.partition("[")[0] in _BOXES:
            try:
                return ast.literal_eval(text)
            except (ValueError, SyntaxError):
                return text  # and `fit` says that it does not fit
        return scalar(text)


def scalar(text: str) -> Any:
    """True, False, None, an int, a float, or else the text itself: papermill's typing."""
    words = {"True": True, "true": True, "False": False, "false": False, "None": None, "null": None}
    if text in words:
        return words[text]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _fit(value: Any, want: ast.expr) -> Any:
    """`value` as the type expression `want` takes it; TypeError when it does not fit."""
    name = want.attr if isinstance(want, ast.Attribute) else getattr(want, "id", None)
    if isinstance(want, ast.Constant) and isinstance(want.value, str):  # a quoted annotation
        return _fit(value, ast.parse(want.value, mode="eval").body)
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
    if want is str or want is bool:
        return _only(value, isinstance(value, want))
    if isinstance(value, bool):  # a bool is an int to Python, not to a reader
        raise TypeError
    if isinstance(value, str) or (want is float and isinstance(value, int)):
        try:
            return want(value)
        except ValueError:
            raise TypeError from None
    return _only(value, isinstance(value, want))


def _fit_subscript(value: Any, want: ast.Subscript) -> Any:
    head = want.value
    name = head.attr if isinstance(head, ast.Attribute) else getattr(head, "id", "")
    inner = want.slice.elts if isinstance(want.slice, ast.Tuple) else [want.slice]
    if name == "Literal":
        allowed = [ast.literal_eval(item) for item in inner]
        return _only(value, any(value == a and type(value) is type(a) for a in allowed))
    if name in ("Optional", "Union"):
        return _first(value, [*inner, *([ast.Constant(None)] if name == "Optional" else [])])
    if name in ("Annotated", "Final"):
        return _fit(value, inner[0])
    box = _fit(value, head)
    if isinstance(box, dict) and len(inner) == 2:
        return {_fit(k, inner[0]): _fit(v, inner[1]) for k, v in box.items()}
    if isinstance(inner[-1], ast.Constant) and inner[-1].value is ...:  # tuple[int, ...]
        inner = inner[:1]
    elif isinstance(box, list) and len(inner) == len(box) > 1:  # tuple[int, str]
        return [_fit(item, want) for item, want in zip(box, inner, strict=True)]
    if isinstance(box, list) and len(inner) == 1:
        return [_fit(item, inner[0]) for item in box]
    return _only(box, not isinstance(box, list))


def _first(value: Any, wants: Sequence[ast.expr]) -> Any:
    """Exact types first, so that `int | str` leaves the text "3" alone."""
    for want in wants:
        if type(value).__name__ == getattr(want, "id", ""):
            return value
    for want in wants:
        try:
            return _fit(value, want)
        except TypeError:
            continue
    raise TypeError


def _only(value: Any, fits: bool) -> Any:
    if not fits:
        raise TypeError
    return value


def parse(source: str) -> tuple[Parameter, ...]:
    """The parameters that a Python parameters cell assigns, in its order."""
    # IPython's magics are not Python; blanked, they keep the line numbers.
    lines = ["" if line.lstrip()[:1] in ("%", "!") else line for line in source.splitlines()]
    source = "\n".join(lines) + "\n"
    try:
        tree = ast.parse(source)
        comments = _comments(source)
    except (SyntaxError, tokenize.TokenError) as error:
        raise RequestError(f"its parameters cell is not valid Python: {error}") from None
    found: dict[str, Parameter] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target: ast.expr = node.targets[0]
            annotation = ""
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            target, annotation = node.target, ast.unparse(node.annotation)
        else:
            continue
        if not isinstance(target, ast.Name) or node.value is None:
            continue
        help_text = _help(comments, lines, node)
        if not annotation and help_text.startswith("type:"):
            annotation, _, help_text = help_text.removeprefix("type:").strip().partition(" ")
        found[target.id] = Parameter(
            target.id, annotation, _literal(node.value), ast.unparse(node.value), help_text.strip()
        )
    return tuple(found.values())


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError):
        return COMPUTED


def _comments(source: str) -> dict[int, str]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {
        t.start[0]: t.string.lstrip("# ").rstrip() for t in tokens if t.type == tokenize.COMMENT
    }


def _help(comments: dict[int, str], lines: list[str], node: ast.stmt) -> str:
    """The comment behind the assignment, or the comment lines right above it."""
    first, last = node.lineno, node.end_lineno or node.lineno
    if last in comments or first in comments:
        return comments.get(last, comments.get(first, ""))
    above: list[str] = []
    line = first - 1
    while line in comments and lines[line - 1].lstrip().startswith("#"):
        above.insert(0, comments[line])
        line -= 1
    return " ".join(above)


def near(name: str, parameters: Iterable[Parameter]) -> list[str]:
    """Names a person may have meant by `name`, likeliest first, at most three.

    By spelling, by abbreviation (`learningrate` has l and r in it), and by the help text.
    """
    import difflib

    wanted = _plain(name)
    scores: dict[str, float] = {}
    for p in parameters:
        known = _plain(p.name)
        score = difflib.SequenceMatcher(None, wanted, known).ratio()
        if _within(known, wanted) or _within(wanted, known):
            score = max(score, 0.7)
        if wanted and wanted in _plain(p.help):
            score = max(score, 0.8)
        scores[p.name] = score
    ranked = sorted(scores, key=lambda n: -scores[n])
    return [n for n in ranked if scores[n] >= 0.6][:3]


def _plain(text: str) -> str:
    return "".join(c for c in text.lower() if c.isalnum())


def _within(short: str, long: str) -> bool:
    """Whether `short` is `long` with letters left out, the first one kept."""
    if not short or short[:1] != long[:1] or len(short) > len(long):
        return False
    rest = iter(long)
    return all(letter in rest for letter in short)
