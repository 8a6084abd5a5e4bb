"""Vertex AI's filter language: what is read, how it is shown, and what is refused."""

import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbtools import filters
from nbtools.errors import RequestError
from nbtools.nouns import Artifact, Context, Execution
from nbtools.terms import Group

#: filter, kind, how it is shown
SHOWN = [
    ('display_name="test"', Context, 'display_name = "test"'),
    ("display_name = 'test'", Context, 'display_name = "test"'),
    ('  schema_title   !=  "a\\"b\\\\c"  ', Context, 'schema_title != "a\\"b\\\\c"'),
    ('name="a*b\\*"', Context, 'name = "a*b\\*"'),
    ("metadata.field_1.number_value = 10.0", Context, "metadata.field_1.number_value = 10.0"),
    ("metadata.val_accuracy>0.90", Context, "metadata.val_accuracy.number_value > 0.9"),
    ("metadata.n = -3", Context, "metadata.n.number_value = -3"),
    ("metadata.n < 1e999", Context, "metadata.n.number_value < 1e999"),
    ('metadata.opt="adam"', Context, 'metadata.opt.string_value = "adam"'),
    ("metadata.amp != true", Context, "metadata.amp.bool_value != true"),
    ('metadata."field:1".number_value=1', Context, 'metadata."field:1".number_value = 1'),
    ("metadata.'a.b'.c<=1", Context, 'metadata."a.b".c.number_value <= 1'),
    ('metadata."number_value" = 1', Context, 'metadata."number_value".number_value = 1'),
    ("metadata.val-loss >= .5", Context, 'metadata."val-loss".number_value >= 0.5'),
    (
        "metadata._metrics.val_accuracy > 0.9",
        Context,
        "metadata._metrics.val_accuracy.number_value > 0.9",
    ),
    (
        'create_time >= "2020-11-19T11:30:00-04:00"',
        Context,
        'create_time >= "2020-11-19T11:30:00-04:00"',
    ),
    ('parent_contexts:"a","b"', Context, 'parent_contexts:"a", "b"'),
    ('child_contexts: "a"', Context, 'child_contexts:"a"'),
    (
        'in_context("projects/1/locations/l/metadataStores/default/contexts/c")',
        Artifact,
        'in_context("projects/1/locations/l/metadataStores/default/contexts/c")',
    ),
    ('in_context( "c" )', Execution, 'in_context("c")'),
    ("state=RUNNING", Execution, 'state = "RUNNING"'),
    ('state != "LIVE"', Artifact, 'state != "LIVE"'),
    ('uri="gs://*/model.pt"', Artifact, 'uri = "gs://*/model.pt"'),
    ('((name="a"))', Context, 'name = "a"'),
    ('NOT name="a"', Context, 'NOT name = "a"'),
    ('-name="a"', Context, 'NOT name = "a"'),
    ('NOT(name="a" OR name="b")', Context, 'NOT (name = "a" OR name = "b")'),
    ('NOT (NOT name="a")', Context, 'NOT (NOT name = "a")'),
    (
        'name="a" AND name="b" AND -name="c"',
        Context,
        'name = "a" AND name = "b" AND NOT name = "c"',
    ),
    ('(name="a" AND name="b") OR name="c"', Context, '(name = "a" AND name = "b") OR name = "c"'),
    ("", Context, ""),
    (" \n", Context, ""),
]


@pytest.mark.parametrize(("text", "kind", "shown"), SHOWN)
def test_a_filter_is_shown_as_vertex_ai_documents_it(text, kind, shown):
    assert filters.canonical(text, kind) == shown
    assert filters.canonical(shown, kind) == shown
    assert filters.parse(shown, kind).tree == filters.parse(text, kind).tree


#: filter, kind, character, what was expected
REFUSED = [
    ("x = 1", Context, 1, "one of name, display_name"),
    ('state = "FAILED"', Context, 1, "a run's state is metadata._state"),
    ('uri = "x"', Execution, 1, "one of name"),
    ('in_context("c")', Context, 1, "one of name"),
    ('parent_contexts:"c"', Artifact, 1, "one of name"),
    ("display_name = test", Context, 16, 'a text in quotes, as in "r*"'),
    ("display_name = 3", Context, 16, "a text in quotes"),
    ('display_name "x"', Context, 14, "an operator"),
    ('display_name == "x"', Context, 15, "a text in quotes"),
    ('display_name = "x', Context, 16, 'a closing "'),
    ('display_name = "C:\\dir"', Context, 19, "for a backslash"),
    ('display_name < "a*"', Context, 16, "a text without *"),
    ('name="a" name="b"', Context, 10, "AND, OR or the end"),
    ('name="a" and name="b"', Context, 10, "AND, OR or the end"),
    ('name="a" AND', Context, 13, "one of name"),
    ('(name="a"', Context, 10, "a closing parenthesis"),
    ('name="a")', Context, 9, "AND, OR or the end"),
    ('NOT NOT name="a"', Context, 5, "one of name"),
    ('((((((name="a"))))))', Context, 6, "at most 5 parentheses"),
    ("create_time > 2020", Context, 15, "a time in quotes"),
    ('create_time > "2020-11-19"', Context, 15, "a time in quotes"),
    ('create_time > "2020-11-19T11:30:00"', Context, 15, "a time in quotes"),
    ('create_time > "2020-13-19T11:30:00Z"', Context, 15, "a time in quotes"),
    ('create_time > "0001-01-01T00:00:00+14:00"', Context, 15, "a time in quotes"),
    ('state = "DONE"', Execution, 9, "one of NEW, RUNNING"),
    ('state > "NEW"', Execution, 7, "= or !="),
    ("state = RUN*", Execution, 9, "one of NEW, RUNNING"),
    ("metadata = 1", Context, 9, "a dot and a key"),
    ("metadata.number_value = 1", Context, 22, "a dot and a key"),
    ("metadata. = 1", Context, 10, "a key"),
    ("metadata.a:b = 1", Context, 11, "an operator"),
    ('metadata.a.number_value = "1"', Context, 27, "a number"),
    ("metadata.a.string_value = 1", Context, 27, "a text in quotes"),
    ("metadata.a.bool_value = 1", Context, 25, "true or false"),
    ("metadata.a.bool_value < true", Context, 23, "= or !="),
    ("metadata.a.struct_value = 1", Context, 12, "number_value, string_value or bool_value"),
    ("metadata.a.number_value.b = 1", Context, 24, "is written in quotes"),
    ("metadata.a = nan", Context, 14, "a number, a text in quotes"),
    ("metadata.a = 1x", Context, 14, "a number, a text in quotes"),
    ('metadata."$float" = "nan"', Context, 10, "another key"),
    ("metadata.tags[0] = 1", Context, 14, "an operator"),
    ('name = "a\0"', Context, 10, "no NUL"),
    (f"metadata{'.a' * 21} = 1", Context, 51, "at most 20 keys before this"),
    ('parent_contexts = "a"', Context, 17, "':' behind parent_contexts"),
    ('parent_contexts:"a*"', Context, 17, "a context's name in quotes, without *"),
    ('parent_contexts:"a",', Context, 21, "a context's name in quotes"),
    ('in_context("a", "b")', Artifact, 15, "a closing parenthesis"),
]


@pytest.mark.parametrize(("text", "kind", "character", "expected"), REFUSED)
def test_what_is_not_understood_is_refused_with_its_place(text, kind, character, expected):
    with pytest.raises(RequestError) as caught:
        filters.parse(text, kind)
    said = str(caught.value)
    assert f", character {character}: expected " in said
    assert expected in said
    assert "\n" not in said


def test_or_binds_tighter_than_and_and_a_mix_is_said():
    read = filters.parse('name="a" AND name="b" OR name="c"', Context)
    assert str(read) == 'name = "a" AND (name = "b" OR name = "c")'
    assert read.warning == (
        "OR binds tighter than AND: this filter is read as "
        'name = "a" AND (name = "b" OR name = "c"); use parentheses'
    )
    with pytest.warns(UserWarning, match="OR binds tighter"):
        filters.parsed('name="a" AND name="b" OR name="c"', Context)


@pytest.mark.parametrize(
    "text",
    [
        'name="a" OR name="b" OR name="c"',
        'name="a" AND name="b"',
        'name="a" AND (name="b" OR name="c")',
        '(name="a" OR name="b") AND (name="c" OR name="d")',
        '(name="a" AND name="b") OR name="c"',
    ],
)
def test_a_filter_that_is_clear_gets_no_warning(text):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert filters.parsed(text, Context).warning == ""


def test_five_levels_are_read_and_what_is_shown_is_read_again():
    deep = '(((((name="a" OR name="b") AND name="c") OR name="d") AND name="e") OR name="f")'
    assert filters.canonical(filters.canonical(deep, Context), Context)


def test_levels_that_are_only_shown_count_too():
    deep = 'name="a" AND name="b" OR name="x"'
    for _ in range(3):
        deep = f'name="a" AND name="b" OR ({deep})'
    with pytest.raises(RequestError, match="more than 5 levels deep: say it flatter"):
        filters.parse(deep, Context)


def test_a_filter_has_an_end():
    with pytest.raises(RequestError, match="at most 30000 characters: this has 30008"):
        filters.parse(f'name = "{"a" * 29_999}"', Context)
    with pytest.raises(RequestError, match="character 8: expected a text of at most 5000 char"):
        filters.parse(f'name = "{"a" * 5_001}"', Context)


def test_a_blank_filter_holds_for_everything():
    assert filters.parse("", Context).tree == Group("AND", ())


def test_a_filter_that_was_read_is_for_one_kind():
    read = filters.parse('name = "a"', Context)
    assert filters.parsed(read, Context) is read
    with pytest.raises(RequestError, match="is for contexts: read it for artifacts"):
        filters.parsed(read, Artifact)


TOKENS = st.sampled_from([
    "name", "display_name", "state", "create_time", "metadata", "metadata.a", ".", "a-b", ".b",
    ".number_value", ".string_value", '"k"', "'k'", '"a*"', '"', "\\", "=", "!=", "<", ">=", ":",
    "(", ")", "AND", "OR", "NOT", "-", ",", " ", "1", "-2.5e3", "9" * 5000, "1e999", "true",
    "RUNNING",
    "in_context", "parent_contexts", '"2020-01-01T00:00:00Z"', "é", "\ud800", "*", "nan", "\n",
])  # fmt: skip


@settings(max_examples=500, deadline=None)
@given(st.lists(TOKENS, max_size=12).map("".join), st.sampled_from([Context, Execution, Artifact]))
def test_any_text_is_read_or_refused_in_one_sentence(text, kind):
    try:
        shown = filters.canonical(text, kind)
    except RequestError as error:
        assert "\n" not in str(error)
        assert len(str(error)) < 1000
    else:
        assert filters.canonical(shown, kind) == shown


def test_a_long_filter_is_not_repeated_whole():
    with pytest.raises(RequestError) as caught:
        filters.parse(" AND ".join(['name = "a"'] * 600) + " AND", Context)
    assert len(str(caught.value)) < 500


def test_orders_are_read():
    orders = filters.ordering("create_time desc, metadata.a.number_value,name ASC", Context)
    assert [(str(o.field), o.descending) for o in orders] == [
        ("create_time", True),
        ("metadata.a.number_value", False),
        ("name", False),
    ]
    assert filters.ordering("", Context) == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("size", "order 'size', character 1: expected one of name"),
        ("name down", "order 'name down', character 6: expected asc, desc, a comma or the end"),
        ("metadata.a", "expected a type: .number_value, .string_value, .bool_value"),
    ],
)
def test_an_order_that_is_not_understood_is_refused(text, said):
    with pytest.raises(RequestError) as caught:
        filters.ordering(text, Context)
    assert said in str(caught.value)
