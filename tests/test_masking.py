"""Values that must not be shown, found however they come."""

import csv
import html
import io
import json
import os
import random
import re
from urllib.parse import quote, urlencode

import pytest

from nbtools.masking import MASK, Masking, Pipe, Stream

VALUE = 'sk-"live"&<\'é\\x/1=2+3'
LINES = "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\nhkiG9w0BAQEF\n-----END KEY-----\n"


def as_csv(value):
    csv.writer(made := io.StringIO()).writerow([value])
    return made.getvalue()


@pytest.mark.parametrize(
    "written",
    [
        str, repr, json.dumps, html.escape, as_csv, quote,
        lambda v: repr([v, {v: v}]),
        lambda v: json.dumps(repr(v)),
        lambda v: json.dumps(v, ensure_ascii=False),
        lambda v: repr(v.encode()),
        lambda v: html.escape(v, quote=False),
        lambda v: quote(v, safe=""),
        lambda v: urlencode({"q": v}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("value", [VALUE, LINES, "plain-value"])
def test_a_value_is_found_as_it_is_written(value, written):
    masked = Masking([value]).text(f"before {written(value)} after")
    assert MASK in masked
    assert masked.startswith("before ")
    assert "live" not in masked
    assert "MIIE" not in masked
    assert "plain" not in masked


def test_the_lines_of_a_value_are_found_one_by_one():
    masking = Masking([LINES])
    assert masking.text("| hkiG9w0BAQEF |") == f"| {MASK} |"
    assert masking.text("a short\nb") == "a short\nb"


def test_what_json_can_hold_is_masked_to_its_depth():
    given = {"a": [{"secret": ("x secret", 5, None, True, 0.5)}]}
    assert Masking(["secret"]).plain(given) == {
        "a": [{MASK: [f"x {MASK}", 5, None, True, 0.5]}]
    }  # fmt: skip
    assert Masking(["name"]).fields({"name": "my name"}) == {"name": f"my {MASK}"}
    assert Masking(["secret"]).data(b"\xff secret \xfe") == b"\xff *** \xfe"


def test_without_values_nothing_is_changed():
    masking = Masking([])
    assert not masking
    assert masking.text("text") == "text"
    assert masking.plain(given := {"a": 1}) is given
    assert Stream(masking).add("text") == "text"


def test_text_is_shown_as_soon_as_it_can_be_no_secret():
    stream = Stream(Masking(["secret"]))
    assert stream.add("no se") == "no "
    assert stream.add("crets: sec") == f"{MASK}s: "
    assert stream.add("ond\n") == "second\n"
    assert stream.add("s") == ""
    assert stream.release() == "s", "nobody's secret"
    assert stream.add("ecret") == MASK, "but then this is the rest of one"
    assert stream.add("secr") == ""
    assert stream.release() == MASK
    assert stream.add("et!") == f"{MASK}!"


@pytest.mark.parametrize("seed", range(20))
def test_no_way_of_cutting_text_shows_a_value(seed):
    rng = random.Random(seed)
    values = ["sk-live-ABCabc", "abcabd", "a\nline of it\nb-and-more", "abcabda"]
    masking = Masking(values)
    for _ in range(200):
        text = "".join(
            "".join(rng.choices("abcdsk- \n", k=rng.randrange(4))) + rng.choice(values)
            for _ in range(rng.randrange(1, 4))
        )
        stream, shown, at = Stream(masking), [], 0
        releases = rng.random() < 0.3
        while at < len(text):
            size = rng.randrange(1, 9)
            shown.append(stream.add(text[at : at + size]))
            at += size
            if releases and rng.random() < 0.3:
                shown.append(stream.release())
        shown.append(stream.release())
        assert not any(value in "".join(shown) for value in values), text
        if not releases:
            together = re.sub(r"(\*\*\*)+", MASK, "".join(shown))
            assert together == re.sub(r"(\*\*\*)+", MASK, masking.text(text))


def test_a_pipe_masks_what_is_written_into_it(capfd):
    pipe = Pipe(Masking(["secret"]))
    os.write(pipe.end, b"a sec")
    os.write(pipe.end, b"ret, \xff and b\xc3")
    os.write(pipe.end, b"\xa4r")
    pipe.given()
    pipe.wait(60.0)
    assert capfd.readouterr().err == f"a {MASK}, \\xff and bär"
