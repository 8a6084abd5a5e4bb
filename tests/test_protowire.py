"""Messages as Google's own library writes them."""

import pytest
from google.protobuf import struct_pb2
from hypothesis import given
from hypothesis import strategies as st
from tensorboard.compat.proto.event_pb2 import Event

from nbtools import protowire, tensorproto


@given(st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.text())
def test_fields_are_what_was_written(step, wall_time, version):
    message = Event(step=step, wall_time=wall_time, file_version=version)
    found = dict(protowire.fields(message.SerializeToString()))
    assert protowire.signed(found.get(2, 0)) == step
    assert protowire.double(found.get(1, bytes(8))) == wall_time
    assert protowire.text(found[3]) == version


def test_packed_numbers():
    assert protowire.varints(bytes([1, 0xAC, 0x02, 0])) == [1, 300, 0]


@given(st.binary(max_size=40))
def test_what_is_no_message_is_a_value_error_or_read(data):
    try:
        list(protowire.fields(data))
    except ValueError as error:
        assert str(error)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x80", "within a number"),
        (b"\x0a\x05abc", "within a field"),
        (b"\x09abc", "within a field"),
        (b"\x0b", "unknown kind 3"),
    ],
)
def test_what_is_wrong_is_said(data, reason):
    with pytest.raises(ValueError, match=reason):
        list(protowire.fields(data))


def test_another_type_than_expected_is_a_value_error():
    for read, wrong in (
        (protowire.signed, b"x"), (protowire.text, 1), (protowire.double, b"abc"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="was due|no floating point"):
            read(wrong)


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (3.0, 3), (0.5, 0.5), ("text", "text"), (True, True), (False, False), (None, "None"),
        ([1.0, "a"], '[1, "a"]'), ({"a": 0.5}, '{"a": 0.5}'),
    ],
)  # fmt: skip
def test_values_of_structs(value, plain):
    struct = struct_pb2.Struct()
    struct.update({"x": value})
    found = tensorproto.plain(struct.fields["x"].SerializeToString())
    assert found == plain
    assert type(found) is type(plain)
