import json
import math
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbtools.errors import RequestError
from nbtools.metadata import dumps, loads

KEYS = st.text() | st.sampled_from(["$float", "$$float", "float", "$", "$floats"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
    | st.sampled_from(["nan", "inf", "abc"]),
    lambda v: st.lists(v) | st.dictionaries(KEYS, v),
)  # fmt: skip


@given(st.dictionaries(KEYS, VALUES))
def test_every_dict_comes_back_as_it_was(metadata):
    assert loads(dumps(metadata)) == metadata


@given(st.dictionaries(KEYS, VALUES))
def test_the_text_is_json_that_every_reader_takes(metadata):
    def no_such_word(word):
        raise AssertionError(word)

    json.loads(dumps(metadata), parse_constant=no_such_word)


@pytest.mark.parametrize("value", ["abc", "nan", 1.5, None, {"$float": "nan"}, [math.inf]])
@pytest.mark.parametrize("key", ["$float", "$$float", "$$$float"])
def test_a_dict_that_looks_like_a_tag_stays_a_dict(key, value):
    metadata = {"m": {key: value}, key: value}
    assert loads(dumps(metadata)) == metadata
    assert loads(dumps({key: value})) == {key: value}


def test_nan_comes_back():
    assert math.isnan(loads(dumps({"a": [math.nan]}))["a"][0])


def test_what_was_written_before_tags_were_escaped_is_still_read():
    assert loads('{"m": {"$float": "abc"}}') == {"m": {"$float": "abc"}}


def test_other_mappings_are_dicts():
    assert loads(dumps(MappingProxyType({"a": MappingProxyType({"b": (1,)})}))) == {"a": {"b": [1]}}


SELF = {}
SELF["self"] = SELF


@pytest.mark.parametrize("value", [{1}, b"x", object(), SELF, [10**6000]])
def test_what_json_cannot_hold_is_refused(value):
    with pytest.raises(RequestError, match="metadata must be what JSON can hold"):
        dumps({"a": value})
