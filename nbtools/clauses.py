"""A filter and an order as SQL. Every name and value of theirs is bound, none written in.

A comparison is true or false, never NULL, so that NOT of one is its opposite: a record
without the field, or with another type there, is one that no comparison holds for.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any, Final

from nbtools import filters
from nbtools.metadata import TAG
from nbtools.terms import Comparison, Edge, Field, Filter, Not, Order, Text, Time, Tree

#: SQL of a stretch, and the values that its question marks stand for.
Clause = tuple[str, list[Any]]

#: edge -> the table that holds it, the column of the record, the column of the context.
TABLES: Final = {
    "parent_contexts": ("children", "child", "parent"),
    "child_contexts": ("children", "parent", "child"),
    "in_context Artifact": ("context_artifacts", "artifact", "context"),
    "in_context Execution": ("context_executions", "execution", "context"),
}
_RESOURCE = re.compile(
    r"projects/[^/]+/locations/[^/]+/metadataStores/[^/]+/(?:artifacts|contexts|executions)/"
    r"([^/]+)\Z"
)
#: between the parts of a name while its resource prefix is cut off; in no name.
_GAP: Final = "\0"


def of(kind: type, filter: str | Filter, order_by: str) -> tuple[str, str, list[Any]]:
    """The condition that the records `t` must meet, what to sort them by before all else, and
    the values of both. Raises RequestError when one of them is wrong.
    """
    condition, values = where(filters.parsed(filter, kind))
    sorting, more = order(filters.ordering(order_by, kind))
    return condition, sorting, [*values, *more]


def where(filter: Filter) -> Clause:
    """The condition that the records `t` of the filter's kind must meet."""
    return _tree(filter.tree, filter.kind)


def order(orders: tuple[Order, ...]) -> Clause:
    """What to sort the records `t` by; what has no such field comes last."""
    stretches, values = [], list[Any]()
    for one in orders:
        direction = " DESC" if one.descending else ""
        if one.field.attribute != "metadata":
            stretches.append(f"t.{one.field.attribute}{direction}")
            continue
        sql, bound = _value(one.field)
        stretches.append(f"{sql} IS NULL, {sql}{direction}")
        values += bound * 2
    return "".join(f"{stretch}, " for stretch in stretches), values


def _tree(tree: Tree, kind: type) -> Clause:
    if isinstance(tree, Comparison):
        return _comparison(tree)
    if isinstance(tree, Edge):
        return _edge(tree, kind)
    if isinstance(tree, Not):
        sql, values = _tree(tree.inner, kind)
        return f"NOT ({sql})", values
    parts = [_tree(part, kind) for part in tree.parts]
    # What reads no JSON first: SQLite goes from left to right, and stops when it knows.
    return _joined(tree.word, sorted(parts, key=lambda part: "json" in part[0]))


def _joined(word: str, parts: list[Clause]) -> Clause:
    """The parts as a balanced tree: SQLite refuses one that is a thousand deep."""
    if not parts:
        return "1", []
    if len(parts) == 1:
        return parts[0]
    half = len(parts) // 2
    left, right = _joined(word, parts[:half]), _joined(word, parts[half:])
    return f"({left[0]} {word} {right[0]})", left[1] + right[1]


def _comparison(tree: Comparison) -> Clause:
    field, operator, value = tree.field, tree.operator, tree.value
    if field.attribute == "metadata":
        return _of_metadata(tree)
    if isinstance(value, Time):
        value = value.stamp
    if isinstance(value, Text):
        if field.attribute == "name":
            value = Text(tuple(short(_GAP.join(value.parts)).split(_GAP)))
        return _text(f"t.{field.attribute}", [], operator, value)
    return f"t.{field.attribute} {operator} ?", [value]


def _of_metadata(tree: Comparison) -> Clause:
    field, operator, value = tree.field, tree.operator, tree.value
    sql, values = _value(field)
    if isinstance(value, Text):
        sql, values = _text(sql, values, operator, value)
        return f"ifnull({sql}, 0)", values
    if field.type == "bool":
        return f"ifnull({sql} {operator} ?, 0)", [*values, int(bool(value))]
    otherwise, also = "0", list[Any]()
    if operator == "!=":  # not a number is unlike any
        otherwise, also = _value(replace(field, type="nan"))
        otherwise = f"ifnull({otherwise}, 0)"
    return f"ifnull({sql} {operator} ?, {otherwise})", [*values, value, *also]


def _text(sql: str, values: list[Any], operator: str, text: Text) -> Clause:
    if len(text.parts) == 1:
        return f"{sql} {operator} ?", [*values, text.parts[0]]
    pattern = "*".join(re.sub(r"[*?\[]", r"[\g<0>]", part) for part in text.parts)
    word = "GLOB" if operator == "=" else "NOT GLOB"
    return f"{sql} {word} ?", [*values, pattern]


def _edge(tree: Edge, kind: type) -> Clause:
    name = f"{tree.name} {kind.__name__}" if tree.name == "in_context" else tree.name
    table, own, other = TABLES[name]
    names = [short(context) for context in tree.contexts]
    marks = ", ".join("?" * len(names))
    sql = f"SELECT 1 FROM {table} AS e WHERE e.{own} = t.name AND e.{other} IN ({marks})"
    return f"EXISTS ({sql})", names


def _value(field: Field) -> Clause:
    """A field of the metadata if it has the type that is asked for, else NULL.

    The type `nan` says whether it is not a number.
    """
    if any('"' in key for key in field.path):  # SQLite's paths cannot say that
        return _searched(field)
    path = _path(field.path)
    type_, value = "json_type(t.metadata, ?)", "json_extract(t.metadata, ?)"
    if field.type == "text":
        return f"CASE WHEN {type_} = 'text' THEN {value} END", [path, path]
    if field.type == "bool":
        return f"CASE {type_} WHEN 'true' THEN 1 WHEN 'false' THEN 0 END", [path]
    if field.type == "nan":
        return f"{value} = 'nan'", [_path((*field.path, TAG))]
    # Infinity is kept as an object, see `metadata.py`.
    sql = (
        f"CASE {type_} WHEN 'real' THEN {value} WHEN 'integer' THEN {value} WHEN 'object' THEN "
        f"CASE {value} WHEN 'inf' THEN 9e999 WHEN '-inf' THEN -9e999 END END"
    )
    return sql, [path, path, path, _path((*field.path, TAG))]


def _searched(field: Field) -> Clause:
    """The same, by looking at the keys of each object on the way: right for any key, slower."""
    tables, wheres, inner = ["json_each(t.metadata) AS k0"], ["k0.key = ?"], ""
    for i in range(1, len(field.path)):
        inner = f"CASE k{i - 1}.type WHEN 'object' THEN k{i - 1}.value ELSE '{{}}' END"
        tables.append(f"json_each({inner}) AS k{i}")
        wheres.append(f"k{i}.key = ?")
    last = f"k{len(field.path) - 1}"
    tag = f"json_extract({last}.value, '$.\"{TAG}\"')"
    value = {
        "text": f"CASE WHEN {last}.type = 'text' THEN {last}.atom END",
        "bool": f"CASE {last}.type WHEN 'true' THEN 1 WHEN 'false' THEN 0 END",
        "nan": f"CASE {last}.type WHEN 'object' THEN {tag} = 'nan' END",
        "number": f"CASE {last}.type WHEN 'real' THEN {last}.atom WHEN 'integer' THEN {last}.atom "
        f"WHEN 'object' THEN CASE {tag} WHEN 'inf' THEN 9e999 WHEN '-inf' THEN -9e999 END END",
    }[field.type]
    sql = f"(SELECT {value} FROM {', '.join(tables)} WHERE {' AND '.join(wheres)})"
    return sql, list(field.path)


def _path(keys: tuple[str, ...]) -> str:
    """Where a field lies, for SQLite; the keys as the store's JSON text has them."""
    return "$" + "".join(f".{json.dumps(key)}" for key in keys)


def short(name: str) -> str:
    """The id in a full resource name of Vertex AI's; any other name as it is."""
    found = _RESOURCE.match(name)
    return found[1] if found else name
