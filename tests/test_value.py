from collections import UserDict
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path

import numpy as np
import pytest

from nbtools.errors import RequestError
from nbtools.value import choices, fit, limits, plain, show, takes_box


class Colour(StrEnum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "made"),
    [
        ((1, (2,)), [1, [2]]),
        ({3, 1, 2}, [1, 2, 3]),
        ({1, "x"}, ["x", 1]),
        (UserDict({"a": (1,)}), {"a": [1]}),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(1), True),
        (np.array([[1, 2]]), [[1, 2]]),
        (Path("/a/b"), "/a/b"),
        (date(2024, 1, 31), "2024-01-31"),
        (datetime(2024, 1, 31, 12, tzinfo=UTC), "2024-01-31T12:00:00+00:00"),
        (Colour.RED, "red"),
        (10**400, 10**400),
    ],
)
def test_what_people_give_becomes_json(value, made):
    got = plain("a", value)
    assert got == made
    assert type(got) is type(made)


def test_a_set_of_several_types_has_always_the_same_order():
    assert plain("a", {"x", 1, None}) == plain("a", {None, "x", 1})


SELF = []
SELF.append(SELF)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({1: 2}, "the key 1 would be injected as text: make it text"),
        (b"x", "b'x' cannot be injected: use numbers"),
        ([1j], "1j cannot be injected"),
        ("\udcff", "'.udcff' is not valid Unicode text"),
        ({"\udcff": 1}, "is not valid Unicode text"),
        ([10**6000], "a number of that many digits cannot be kept"),
        (SELF, "too deep to inject"),
    ],
)
def test_what_has_no_form_in_json_is_refused(value, reason):
    with pytest.raises(RequestError, match=f"^a: .*{reason}"):
        plain("a", value)


class Rude:
    def __repr__(self):
        raise RuntimeError


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("x", "'x'"),
        (Rude(), "this Rude"),
        ([10**6000], "this list"),
        (np.ones((2, 1)), "array([[1.], [1.]])"),
    ],
)
def test_a_value_is_shown_on_one_line(value, shown):
    assert show(value) == shown


def test_a_long_value_is_shown_in_short():
    assert len(show("x" * 1000)) == 100


@pytest.mark.parametrize(
    ("type_", "takes"),
    [("list[int]", True), ("Optional[Dict[str, int]]", True), ("t.List", True), ("'set'", True),
     ("int", False), ("", False), ("Foo[int]", False), ("a b", False)],
)  # fmt: skip
def test_which_types_take_a_list_or_a_dict(type_, takes):
    assert takes_box(type_) is takes


@pytest.mark.parametrize(
    ("type_", "found"),
    [
        ("Annotated[float, Field(gt=0, le=1)]", {"gt": 0, "le": 1}),
        ("typing.Annotated[int, annotated_types.Ge(1), Lt(9)]", {"ge": 1, "lt": 9}),
        ("'Annotated[float, Interval(ge=-0.5)]'", {"ge": -0.5}),
        ("Annotated[float, Field(ge=least, description='x'), 'note']", {}),
        ("Annotated[float, Field(ge='a', **more)]", {}),
        ("float", {}),
        ("list[", {}),
    ],
)
def test_limits_are_read_as_pydantic_and_annotated_types_write_them(type_, found):
    assert limits(type_) == found


@pytest.mark.parametrize(
    ("type_", "value", "fits"),
    [
        ("Annotated[float, Field(gt=0, le=1)]", 1, True),
        ("Annotated[float, Field(gt=0, le=1)]", 0, False),
        ("Annotated[float, Field(gt=0, le=1)]", "1e-3", True),
        ("Annotated[float, Field(gt=0, le=1)]", "3", False),
        ("Annotated[float, Field(gt=0, le=1)]", float("nan"), False),
        ("Annotated[int, Ge(1)] | None", None, True),
        ("Annotated[int, Ge(1)] | None", 0, False),
        ("list[Annotated[int, Ge(1)]]", [1, 0], False),
        ("Annotated[str, Field(ge=1)]", "a", True),
    ],
)
def test_a_value_beyond_its_limits_does_not_fit(type_, value, fits):
    if fits:
        fit(value, type_)
        return
    with pytest.raises(TypeError):
        fit(value, type_)


def test_choices_are_those_that_the_type_lists():
    assert choices("Literal['adam', 3, None]") == ["adam", 3, None]
    assert choices("'Literal[\"a\"]'") == ["a"]
    for type_ in ("str", "Literal[Colour.RED]", "list[int]", "Literal["):
        assert choices(type_) is None
