"""What a filter finds in a store, against a plain reading of the same records."""

import math
import operator
import re
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbtools import filters
from nbtools.nouns import JOB, RUN, Artifact, Context, Execution, stamp
from nbtools.store import Store

NOW = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
COMPARE = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt,
    ">": operator.gt, "<=": operator.le, ">=": operator.ge,
}  # fmt: skip

# Few letters, so that things meet; among them all that have a meaning in SQL or in GLOB.
texts = st.text(alphabet="ab*?[]^\\\"'%_é😀 ", max_size=4)
keys = st.sampled_from(
    ["a", "b", "a:b", 'q"uote', "é", "x.y", "", "number_value", "$", "\\", "[0]"]
)
numbers = st.one_of(
    st.integers(-3, 3),
    st.sampled_from([math.nan, math.inf, -math.inf]),
    st.sampled_from([2**53 + 1, -(2**62), 0.5, 1.0, -0.0, math.nan, math.inf, -math.inf, 1e-300]),
    st.floats(allow_nan=False, width=16),
)
values = st.recursive(
    st.one_of(texts, numbers, st.booleans(), st.none()),
    lambda inner: st.one_of(st.dictionaries(keys, inner, max_size=3), st.lists(inner, max_size=2)),
    max_leaves=5,
)
times = st.sampled_from([NOW + timedelta(microseconds=m) for m in (-1, 0, 1, 60_000_000)])


@st.composite
def records(draw):
    count = draw(st.integers(1, 6))
    return [
        Context(
            name=f"n{i}{draw(texts)}",
            display_name=draw(texts),
            schema_title=draw(st.sampled_from([RUN, "system.Experiment"])),
            metadata=draw(st.dictionaries(keys, values, max_size=4))
            | ({"a": draw(numbers)} if draw(st.booleans()) else {}),
            create_time=draw(times),
        )
        for i in range(count)
    ]


def quoted(text, star="\\*"):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("*", star) + '"'


def path_text(path):
    return "metadata" + "".join("." + quoted(key).replace("\\*", "*") for key in path)


def leaves(found):
    """Every field of the records' metadata: path, value."""
    pairs = []

    def walk(path, value):
        if path:
            pairs.append((path, value))
        if isinstance(value, dict):
            for key, inner in value.items():
                walk([*path, key], inner)

    for record in found:
        walk([], record.metadata)
    return pairs


def _kind(value):
    return {bool: "bool", str: "text"}.get(type(value), "number")


@st.composite
def fields(draw):
    """Records that have, or lack, one field of the metadata, and a comparison of it."""
    path = draw(st.lists(keys, min_size=1, max_size=3))
    kind = draw(st.sampled_from([texts, numbers, numbers, st.booleans()]))
    own = draw(st.lists(st.one_of(kind, kind, values), min_size=1, max_size=6))
    found = []
    for i, value in enumerate(own):
        for key in reversed(path[draw(st.sampled_from([0, 0, 0, len(path) - 1])) :]):
            value = {key: value}
        metadata = value if isinstance(value, dict) else {}
        found.append(Context(name=f"n{i}", schema_title=RUN, metadata=metadata))
    return found, draw(comparisons(found, tuple(path)))


@st.composite
def comparisons(draw, found, path=()):
    """The text of a comparison, and what it says of a record; mostly of fields that are there."""
    word = draw(st.sampled_from(sorted(COMPARE)))
    what = draw(st.sampled_from(["display_name", "create_time", "number", "text", "bool"]))
    there, near = leaves(found), None
    if path:
        there = [(list(path), value) for own, value in there if own == list(path)]
        what = draw(st.sampled_from(["number", "text", "bool"]))
    path = list(path) or draw(st.lists(keys, min_size=1, max_size=3))
    if what not in ("display_name", "create_time") and there and draw(st.integers(0, 3)):
        path, near = draw(st.sampled_from(there))
        what = _kind(near) if draw(st.integers(0, 3)) else what
    elif what == "display_name":
        near = draw(st.sampled_from(found)).display_name
    same = draw(st.booleans())
    suffix = draw(st.booleans())
    if what == "create_time":
        when = draw(times)
        zone = timezone(timedelta(hours=draw(st.integers(-12, 14))))
        text = f'create_time {word} "{when.astimezone(zone).isoformat(timespec="microseconds")}"'
        return text, lambda r: COMPARE[word](r.create_time, when)
    if what in ("display_name", "text"):
        value = near if same and isinstance(near, str) else draw(texts)
        wild = word in ("=", "!=") and draw(st.booleans())
        if wild:
            pattern = re.compile(".*".join(map(re.escape, value.split("*"))), re.DOTALL)
            literal = quoted(value, star="*")
        else:
            pattern, literal = None, quoted(value)

        def fits(own):
            if pattern:
                return bool(pattern.fullmatch(own)) == (word == "=")
            return COMPARE[word](own, value)

        if what == "display_name":
            return f"display_name {word} {literal}", lambda r: fits(r.display_name)
        field = path_text(path) + ".string_value" * suffix
        return f"{field}{word}{literal}", lambda r: _typed(r, path, "text", fits)
    if what == "bool":
        word = draw(st.sampled_from(["=", "!="]))
        flag = near if same and isinstance(near, bool) else draw(st.booleans())
        field = path_text(path) + ".bool_value" * suffix
        text = f"{field} {word} {'true' if flag else 'false'}"
        return text, lambda r: _typed(r, path, "bool", lambda own: COMPARE[word](own, flag))
    number = draw(numbers.filter(lambda n: not math.isnan(n)))
    if same and isinstance(near, int | float) and not isinstance(near, bool):
        number = number if math.isnan(near) else near
    literal = repr(number).replace("inf", "1e999")
    field = path_text(path) + ".number_value" * suffix
    return f"{field} {word} {literal}", lambda r: _typed(
        r, path, "number", lambda own: COMPARE[word](own, number)
    )


def _typed(record, path, type_, fits):
    value = record.metadata
    for key in path:
        if not isinstance(value, dict) or key not in value:
            return False
        value = value[key]
    kinds = {"text": str, "bool": bool, "number": (int, float)}
    if not isinstance(value, kinds[type_]) or (type_ == "number" and isinstance(value, bool)):
        return False
    return fits(value)


def _negated(inner):
    text, holds = inner
    return f"NOT ({text})", lambda r: not holds(r)


def _all(parts):
    return " AND ".join(f"({text})" for text, _ in parts), lambda r: all(h(r) for _, h in parts)


def _any(parts):
    return " OR ".join(f"({text})" for text, _ in parts), lambda r: any(h(r) for _, h in parts)


def _tight(parts):
    """Of four: a AND b OR c AND d."""
    (a, b, c, d) = parts
    return (
        f"{a[0]} AND {b[0]} OR {c[0]} AND {d[0]}",
        lambda r: a[1](r) and (b[1](r) or c[1](r)) and d[1](r),
    )


@st.composite
def cases(draw):
    """Records, and a filter for them."""
    found = draw(records())
    simple = comparisons(found)
    once = st.one_of(
        simple,
        simple.map(_negated),
        st.lists(simple, min_size=1, max_size=4).map(_all),
        st.lists(simple, min_size=1, max_size=4).map(_any),
        st.lists(simple, min_size=4, max_size=4).map(_tight),
    )
    twice = st.one_of(
        once.map(_negated),
        st.lists(once, min_size=1, max_size=3).map(_all),
        st.lists(once, min_size=1, max_size=3).map(_any),
    )
    return found, draw(st.one_of(simple, once, twice))


@pytest.mark.filterwarnings("ignore:OR binds tighter")
@settings(max_examples=200, deadline=None)
@given(cases())
def test_a_filter_finds_what_it_says(case):
    check(*case)


@settings(max_examples=400, deadline=None)
@given(fields())
def test_a_field_of_the_metadata_is_compared_as_what_it_is(case):
    check(*case)


def check(found, filter):
    text, holds = filter
    store = Store(None)
    try:
        for record in found:
            store.add(record, NOW)
        expected = {record.name for record in found if holds(record)}
        assert {r.name for r in store.select(Context, filter=text)} == expected
        shown = filters.canonical(text, Context)
        assert {r.name for r in store.select(Context, filter=shown)} == expected
        assert filters.canonical(shown, Context) == shown
    finally:
        store.close()


@settings(max_examples=150, deadline=None)
@given(records(), st.booleans(), st.booleans())
def test_an_order_sorts_and_puts_what_has_no_number_last(found, by_name, falling):
    store = Store(None)
    try:
        for record in found:
            store.add(record, NOW)
        direction = " desc" if falling else ""
        key = "display_name" if by_name else 'metadata."a".number_value'
        got = store.select(Context, order_by=f"{key}{direction}, name")
    finally:
        store.close()
    assert sorted(r.name for r in got) == sorted(r.name for r in found)

    def value(record):
        if by_name:
            return record.display_name
        own = record.metadata.get("a")
        number = isinstance(own, int | float) and not isinstance(own, bool)
        return own if number and not math.isnan(own) else None

    shown = [value(record) for record in got]
    there = [one for one in shown if one is not None]
    assert shown == there + [None] * (len(shown) - len(there))
    assert there == sorted(there, reverse=falling)
    for one, next_ in pairwise(got):
        if value(one) == value(next_):
            assert one.name < next_.name


@pytest.fixture
def store():
    store = Store(None)
    for name in ("e1", "e2", "e1-a", "e1-b", "e2-c"):
        store.add(Context(name=name, schema_title=RUN, display_name=name), NOW)
    for child in ("e1-a", "e1-b"):
        store.add_child("e1", child)
    store.add_child("e2", "e2-c")
    for i, state in enumerate(("RUNNING", "FAILED")):
        store.add(Execution(name=f"x{i}", schema_title=JOB, state=state), NOW)
        store.associate("e1-a", execution=f"x{i}") if i else None
        store.add(Artifact(name=f"f{i}", schema_title="system.Model", uri=f"gs://b/{i}/m.pt"), NOW)
        store.associate("e1-b", artifact=f"f{i}") if i else None
    return store


FULL = "projects/7/locations/us-central1/metadataStores/default/"


@pytest.mark.parametrize(
    ("kind", "text", "names"),
    [
        (Context, 'parent_contexts:"e1"', {"e1-a", "e1-b"}),
        (Context, f'parent_contexts:"{FULL}contexts/e1"', {"e1-a", "e1-b"}),
        (Context, 'parent_contexts:"e1","e2"', {"e1-a", "e1-b", "e2-c"}),
        (Context, 'child_contexts:"e2-c"', {"e2"}),
        (Context, 'NOT parent_contexts:"e1" AND name="e*"', {"e1", "e2", "e2-c"}),
        (Context, f'name="{FULL}contexts/e1"', {"e1"}),
        (Context, f'name="{FULL}contexts/e1-*"', {"e1-a", "e1-b"}),
        (Context, f'name!="{FULL}contexts/e1-*"', {"e1", "e2", "e2-c"}),
        (Execution, 'in_context("e1-a")', {"x1"}),
        (Execution, 'state="FAILED" OR state=NEW', {"x1"}),
        (Execution, 'state != "FAILED"', {"x0"}),
        (Artifact, f'in_context("{FULL}contexts/e1-b") AND uri="gs://*/m.pt"', {"f1"}),
        (Artifact, 'uri="gs://b/0*"', {"f0"}),
        (Artifact, "state=PENDING", set()),
        (Context, "", {"e1", "e2", "e1-a", "e1-b", "e2-c"}),
    ],
)
def test_edges_states_and_full_names(store, kind, text, names):
    assert {record.name for record in store.select(kind, filter=text)} == names


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('create_time = "{0}"', True),
        ('create_time > "{0}1"', False),
        ('create_time < "{0}1"', True),
        ('create_time = "{0}000"', True),
        ('create_time > "0999-01-01T00:00:00Z"', True),
        ('create_time < "2026-01-02t03:04:06z"', True),
    ],
)
def test_times_finer_or_older_than_the_stores(store, text, found):
    literal = stamp(NOW).removesuffix("Z")
    text = re.sub(r"(\.\d+)\"", r'\1Z"', text.format(literal))
    assert bool(store.select(Context, filter=text, limit=1)) is found


def test_a_filter_goes_with_the_other_wishes(store):
    found = store.select(
        Context, RUN, parent="e1", filter='NOT name="e1-b"', order_by="name", limit=5
    )
    assert [context.name for context in found] == ["e1-a"]


def test_a_thousand_alternatives_are_no_matter(store):
    text = " OR ".join(f'name="e{i}"' for i in range(1200))
    assert {c.name for c in store.select(Context, filter=text)} == {"e1", "e2"}


@pytest.mark.parametrize(
    "text",
    [
        " OR ".join(["metadata.a!=1"] * 1700),
        " AND ".join(["metadata.'a\"'!=1"] * 1300),
        'name="' + "?" * 4_990 + '*"',
        'name="' + "a*" * 2_400 + '"',
        'name="' + "😀" * 4_990 + '*"',
        "metadata" + ".'\"'" * 20 + "=1",
        "metadata" + ".a" * 20 + "=1",
    ],
)
def test_the_longest_filter_is_no_matter(store, text):
    assert store.select(Context, filter=text) == []


def test_what_a_filter_says_is_bound_and_never_part_of_the_sql(store):
    for text in ('name="x\' OR 1=1 --"', 'metadata."a\') OR 1=1 --"=1', "metadata.'?1'=1"):
        assert store.select(Context, filter=text) == []


ODD = {
    "text": {'q"': "a?[b]*c", "x": {'q"': "in"}},
    "number": {'q"': 3, "x": {'q"': math.inf}},
    "nan": {'q"': math.nan, "x": {'q"': math.nan}},
    "bool": {'q"': True, "x": {'q"': False}},
    "none": {"x": "no object"},
}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('metadata."q\\"".string_value = "a?[b]\\*c"', {"text"}),
        ('metadata."q\\"".string_value = "a?[b]*c"', {"text"}),
        ('metadata."q\\"".string_value = "a?b*"', set()),
        ('metadata."q\\"".string_value = "aX*"', set()),
        ('metadata."q\\"".string_value != "3"', {"text"}),
        ('metadata."q\\"".string_value = "*"', {"text"}),
        ('metadata."q\\"".number_value > 0', {"number"}),
        ('metadata."q\\"".number_value != 4', {"number", "nan"}),
        ('metadata."q\\"" = true', {"bool"}),
        ('metadata.x."q\\"" > 1e300', {"number"}),
        ('metadata.x."q\\"" != 1', {"number", "nan"}),
        ('metadata.x."q\\"" = false', {"bool"}),
        ('metadata.x."q\\"" = "in"', {"text"}),
        ('NOT metadata.x."q\\"" = "in"', {"number", "nan", "bool", "none"}),
    ],
)
def test_keys_and_texts_that_sqlite_has_a_meaning_for(text, names):
    store = Store(None)
    for name, metadata in ODD.items():
        store.add(Context(name=name, schema_title="s", metadata=metadata), NOW)
    assert {c.name for c in store.select(Context, filter=text)} == names
