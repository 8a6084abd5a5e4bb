"""Scales, curves, parallel coordinates, bars and markup."""

import math
import re
from xml.etree import ElementTree

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nbtools.figures import bars, curves, parallel, scatter
from nbtools.figures.markup import Markup, element, joined
from nbtools.figures.scale import labels, spanning

SVG = "{http://www.w3.org/2000/svg}"
finite = st.floats(allow_nan=False, allow_infinity=False)


def read(markup):
    return ElementTree.fromstring(markup)


def test_text_is_escaped_and_markup_is_not():
    made = element("p", {"title": '"<&', "none": None}, "<b>&\x00\ud800", Markup("<br/>"))
    tree = read(made)
    assert tree.attrib == {"title": '"<&'}
    assert tree.text == "<b>&\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}"
    assert [child.tag for child in tree] == ["br"]
    assert joined("<", Markup("<i/>")) == "&lt;<i/>"


@settings(max_examples=300, deadline=None)
@given(st.lists(st.floats(), max_size=8), st.booleans())
def test_a_scale_holds_all_values_and_its_ticks_lie_on_it(values, may_log):
    scale = spanning(values, 10, 110, may_log=may_log)
    for value in values:
        if math.isfinite(value):
            assert 9.9 <= scale.at(value) <= 110.1
    ticks = scale.ticks()
    assert len(ticks) <= 12
    assert all(9.9 <= scale.at(tick) <= 110.1 for tick in ticks)
    assert len(set(labels(ticks))) == len(set(ticks))


def test_ticks_are_round():
    assert spanning([0.0, 1.0], 0, 1).ticks() == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert spanning([3.0, 97.0], 0, 1).ticks() == [20, 40, 60, 80]
    assert spanning([1e-4, 0.1], 0, 1, may_log=True, ratio=50).ticks() == pytest.approx(
        [1e-4, 1e-3, 1e-2, 0.1]
    )
    assert spanning([], 0, 1).ticks()[0] == 0
    assert labels([20_000.0, 20_500.0, 0.25, 1e7]) == ["20000", "20500", "0.25", "1e+07"]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(width=16), max_size=400), st.integers(10, 90))
def test_thinning_keeps_the_ends_the_spikes_and_the_gaps(values, limit):
    points = list(enumerate(values))
    kept = curves.thinned(points, limit)
    assert len(kept) <= limit
    assert [step for step, _ in kept] == sorted({step for step, _ in kept})
    assert all(values[step] == v or math.isnan(v) for step, v in kept)
    if not points:
        return
    assert (kept[0][0], kept[-1][0]) == (0, len(points) - 1)
    numbers = [v for v in values if math.isfinite(v)]
    if numbers:
        shown = [v for _, v in kept if math.isfinite(v)]
        assert (min(shown), max(shown)) == (min(numbers), max(numbers))
    assert any(not math.isfinite(v) for _, v in kept) == (len(numbers) < len(values))


def curve(values, run=0, label="r"):
    return curves.Curve(run, label, "#000", list(enumerate(values)))


def test_a_chart_has_a_line_a_run_with_its_name_to_hover():
    tree = read(curves.chart("a<b", [curve([1, 2, 3]), curve([3.0, 2.0], 1, "<s>&")]))
    paths = tree.findall(f".//{SVG}path")
    assert [path.attrib["data-run"] for path in paths] == ["0", "1"]
    assert [path.find(f"{SVG}title").text for path in paths] == ["r: 3", "<s>&: 2"]
    assert tree.find(".//figcaption/b").text == "a<b"
    assert re.fullmatch(r"M[\d.]+ [\d.]+(L[\d.]+ [\d.]+){2}", paths[0].attrib["d"])


def test_nan_and_infinity_are_gaps_and_lone_points_are_dots():
    nan, inf = math.nan, math.inf
    tree = read(curves.chart("x", [curve([1.0, nan, 2.0, inf, 3.0, 4.0]), curve([nan], 1)]))
    first, second = tree.findall(f".//{SVG}path")
    assert re.fullmatch(r"(M[^ML]+h3[^ML]+){2}M[^ML]+L[^ML]+", first.attrib["d"])
    assert second.attrib["d"] == ""
    assert second.find(f"{SVG}title").text == "r: no number"
    assert "3 points are NaN or infinite: gaps" in "".join(tree.find("figcaption").itertext())
    assert not re.search("nan|inf", first.attrib["d"])


def test_a_wide_range_is_logarithmic_and_says_so():
    said = "".join(read(curves.chart("x", [curve([1e-6, 10.0])])).find("figcaption").itertext())
    assert "logarithmic" in said
    said = "".join(read(curves.chart("x", [curve([-1.0, 1e9])])).find("figcaption").itertext())
    assert "logarithmic" not in said


@pytest.mark.parametrize("count", [1, 500])
def test_a_chart_stays_small(count):
    markup = curves.chart("x", [curve(range(10_000), i) for i in range(count)])
    paths = read(markup).findall(f".//{SVG}path")
    longest = max(path.attrib["d"].count("L") for path in paths)
    assert 50 < longest <= (500 if count == 1 else 120)
    assert len(markup) < 2_000_000


def line(i, params, metric):
    return parallel.Line(i, f"r{i}", params, metric)


def test_parallel_coordinates_have_an_axis_a_param_and_the_metric_last():
    lines = [
        line(0, {"lr": 1e-4, "opt": "adam"}, 0.5),
        line(1, {"lr": 1e-2, "opt": "<x>"}, 0.9),
        line(2, {"lr": 1e-3}, 0.7),
    ]
    tree = read(parallel.chart(["lr", "opt"], "acc", lines))
    texts = ["".join(text.itertext()) for text in tree.findall(f".//{SVG}text")]
    assert {"<x>", "adam", "not given"} <= set(texts)
    assert {"0.0001", "0.001", "0.01"} <= set(texts)
    paths = tree.findall(f".//{SVG}path")
    assert [path.attrib["data-run"] for path in paths] == ["0", "2", "1"]
    assert paths[1].find(f"{SVG}title").text == "r2: acc 0.7 (lr 0.001, opt not given)"
    assert len({path.attrib["stroke"] for path in paths}) == 3
    heights = [float(re.match(r"M\S+ ([\d.]+)", path.attrib["d"])[1]) for path in paths]
    assert heights == sorted(heights, key=lambda h: (h == heights[2], -h))
    assert heights[1] == pytest.approx((heights[0] + heights[2]) / 2, abs=0.2)


def test_numbers_keep_their_order_when_some_runs_have_none():
    given = [9.0, 10.0, None, 200.0]
    lines = [line(i, {"width": width}, i / 10) for i, width in enumerate(given)]
    tree = read(parallel.chart(["width"], "acc", lines))
    paths = sorted(tree.findall(f".//{SVG}path"), key=lambda path: path.attrib["data-run"])
    nine, ten, none, most = (
        float(re.match(r"M\S+ ([\d.]+)", path.attrib["d"])[1]) for path in paths
    )
    assert none > nine > ten > most  # from the bottom up
    assert "not given" in {"".join(text.itertext()) for text in tree.findall(f".//{SVG}text")}


def test_parallel_coordinates_take_any_value():
    odd = [1, 2.5, math.nan, math.inf, "x", None, True, [1], 10**400, {"a": 1}, -(10**400)]
    lines = [line(i, {"odd": v, f"p{i}": i}, 10.0**i) for i, v in enumerate(odd * 3)]
    tree = read(parallel.chart(["odd", "p1"], "m", lines))
    assert len(tree.findall(f".//{SVG}path")) == 33
    many = [line(i, {"word": f"w{i}"}, 1.0) for i in range(60)]
    texts = [t.text for t in read(parallel.chart(["word"], "m", many)).findall(f".//{SVG}text")]
    assert "40 others" in texts


@settings(max_examples=200, deadline=None)
@given(finite, finite, finite)
@example(0.0, 0.0, 5e-324)
@example(-1.7e308, 0.0, 1.7e308)
def test_every_value_has_a_colour(a, b, c):
    low, value, high = sorted([a, b, c])
    assert re.fullmatch("#[0-9a-f]{6}", parallel.colour(value, low, high))


def test_bars_are_as_long_as_their_scores():
    tree = read(bars.chart("t", [("a" * 40, 2.0), ("b", 1.0), ("c", -0.5)]))
    widths = [float(rect.attrib["width"]) for rect in tree.findall(f".//{SVG}rect")]
    assert widths == [390.0, 195.0, 0.0]
    assert read(bars.chart("t", [])).findall(f".//{SVG}rect") == []


@pytest.mark.parametrize(
    "values",
    [
        [1e-4, 1e-2, 1],
        [1, "<b>", None],
        [f"word{i}" for i in range(40)],
        [True, False],
        [5],
        [1e308],
    ],
)
def test_each_dot_lies_within_its_axes(values):
    dots = [scatter.Dot(i, f"<run{i}>", "#123456", v, i * 1e200) for i, v in enumerate(values)]
    tree = read(scatter.chart("p<", "m&", dots))
    found = list(tree.iter(f"{SVG}circle"))
    assert len(found) == len(values)
    for dot in found:
        assert scatter.LEFT <= float(dot.get("cx")) <= scatter.WIDTH - scatter.RIGHT
        assert scatter.TOP <= float(dot.get("cy")) <= scatter.HEIGHT - scatter.BOTTOM
    assert tree.find("figcaption").text == "m&"


def test_dots_of_numbers_lie_by_size_and_of_words_side_by_side():
    def places(values):
        dots = [scatter.Dot(0, "r", "red", value, 1.0) for value in values]
        tree = read(scatter.chart("p", "m", dots))
        return [float(dot.get("cx")) for dot in tree.iter(f"{SVG}circle")]

    first, second, third = places([10, 20, 40])
    assert third - second == pytest.approx(2 * (second - first), abs=0.2)
    first, second, third = places(["b", "a", "b"])
    assert first == third > second
