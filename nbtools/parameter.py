"""A notebook's parameter: its name, type, default and help, and what values fit it.

The parameters cell is read, never executed: names, annotations and literal defaults come
from its syntax tree, help from the comment behind an assignment or right above it.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from nbtools.errors import RequestError
from nbtools.value import MISFIT, fit, plain, show, takes_box

_MAGIC = re.compile(r"\s*(\w+\s*=\s*)?[%!]")
#: stands for a default that is no literal, such as `Path.home()`: only running it would tell.
COMPUTED = object()


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

        It is made plain first (`value.plain`): a list stands in for a tuple or a set. A whole
        number fits a float, and text that reads as a number fits a number (YAML reads `3e-4`
        as text). Nothing else is converted.
        """
        value = plain(self.name, value)
        if not self.type:
            return value
        try:
            return fit(value, self.type)
        except MISFIT:
            raise RequestError(
                f"{self.name}: {show(value)} does not fit {self.type}"
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
        if text[:1] in ("[", "{", "(") and takes_box(self.type):
            try:
                return ast.literal_eval(text)
            except (*MISFIT, MemoryError):  # the parser's word for too many brackets
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


def parse(source: str) -> tuple[Parameter, ...]:
    """The parameters that a Python parameters cell assigns, in its order."""
    try:
        tree, lines = _tree(source)
        comments = _comments(lines)
        return tuple(_parameters(tree, lines, comments))
    except (SyntaxError, tokenize.TokenError) as error:
        reason = f"{error.msg}, line {error.lineno}" if isinstance(error, SyntaxError) else error
        raise RequestError(f"its parameters cell is not valid Python: {reason}") from None
    except (ValueError, RecursionError, MemoryError):  # NUL characters; a thousand brackets
        raise RequestError("its parameters cell is too odd to read: simplify it") from None


def _tree(source: str) -> tuple[ast.Module, list[str]]:
    """The syntax tree without IPython's magics, which are not Python, and the lines it is of.

    What starts with % or !, or assigns such a thing, is a magic only where Python stumbles
    over it: in a string, or in an expression over several lines, it is not. The lines keep
    their numbers.
    """
    lines = re.split(r"\r\n?|\n", source)
    while True:
        try:
            return ast.parse("\n".join(lines) + "\n"), lines
        except SyntaxError as error:
            at = (error.lineno or 0) - 1
            if not 0 <= at < len(lines) or not _MAGIC.match(lines[at]):
                raise
            # In a block something must stay; at the top an indented line is wrong again.
            indent = "" if isinstance(error, IndentationError) else _indent(lines[at])
            while lines[at].endswith("\\") and at + 1 < len(lines):
                lines[at], at = f"{indent}pass", at + 1
            lines[at] = f"{indent}pass"


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def _parameters(
    tree: ast.Module, lines: list[str], comments: dict[int, str]
) -> Iterable[Parameter]:
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
        if help_text.startswith("type:"):
            written, help_text = _type_comment(help_text.removeprefix("type:").strip())
            annotation = annotation or written
        found[target.id] = Parameter(
            target.id, annotation, _literal(node.value), ast.unparse(node.value), help_text
        )
    return found.values()


def _type_comment(text: str) -> tuple[str, str]:
    """The type that begins a type comment, as long as it can be, and the help behind it."""
    words = re.split(r"(\s+)", text)
    for end in range(len(words), 0, -2):
        written = "".join(words[:end])
        if _is_type(written):
            # `type: ignore` speaks to a type checker, and so does what may follow in brackets.
            ignored = re.match(r"ignore\b", written)
            return "" if ignored else written, "".join(words[end:]).strip()
    return "", text


def _is_type(text: str) -> bool:
    try:
        tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError):
        return False
    if isinstance(tree, ast.BinOp):
        return isinstance(tree.op, ast.BitOr)
    if isinstance(tree, ast.Constant):
        return tree.value is None or isinstance(tree.value, str)
    return isinstance(tree, ast.Name | ast.Attribute | ast.Subscript)


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError):
        return COMPUTED


def _comments(lines: list[str]) -> dict[int, str]:
    tokens = tokenize.generate_tokens(io.StringIO("\n".join(lines) + "\n").readline)
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
