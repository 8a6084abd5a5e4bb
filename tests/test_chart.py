"""The pictures of a sweep: well-formed, escaped, with every trial that has something to show."""

import math
from dataclasses import replace
from xml.etree import ElementTree

from nbtools import chart
from nbtools.design import Design
from nbtools.request import Request
from nbtools.space import Choices, Range
from nbtools.trials import Trial

DESIGN = Design(
    request=Request(notebook="x.ipynb", params={}), objective="<score>", direction="maximize",
    space={"lr": Range(1e-4, 1e-1, log=True), "kind": Choices(("<b>", [1, 2], None))}, trials=9,
)  # fmt: skip


def trial(number, value, state="COMPLETE", lr=1e-3, kind="<b>"):
    return Trial(number=number, params={"lr": lr, "kind": kind}, state=state, value=value,
                 experiment="e", run=f"r{number}", job="j")  # fmt: skip


TRIALS = [
    trial(1, 0.5), trial(2, 0.9, lr=1e-4, kind=[1, 2]), trial(3, 0.2, "PRUNED"),
    trial(4, None, "FAILED"), trial(5, 0.7, lr=1e-1, kind=None), trial(6, math.inf),
]  # fmt: skip


def drawn(svg, tag):
    return [e for e in ElementTree.fromstring(svg).iter() if e.tag.endswith(tag)]


def test_a_point_for_each_value_and_a_line_that_only_rises():
    svg = chart.objective(TRIALS, DESIGN)
    assert len(drawn(svg, "circle")) == 4
    (line,) = drawn(svg, "polyline")
    heights = [float(point.split(",")[1]) for point in line.get("points").split()]
    assert heights == sorted(heights, reverse=True)  # down in an SVG is more
    falling = chart.objective(TRIALS, replace(DESIGN, direction="minimize"))
    heights = [float(p.split(",")[1]) for p in drawn(falling, "polyline")[0].get("points").split()]
    assert heights == sorted(heights)


def test_a_line_for_each_completed_trial_the_best_above_all():
    svg = chart.parallel(TRIALS, DESIGN)
    lines = drawn(svg, "polyline")
    assert len(lines) == 3
    assert lines[-1].get("stroke-width") == "3"
    assert lines[-1][0].text.startswith("trial 2: 0.9")
    assert all(len(line.get("points").split()) == 3 for line in lines)
    places = [float(n) for e in lines for p in e.get("points").split() for n in p.split(",")]
    assert all(0 <= place <= chart.WIDTH for place in places)
    assert "<score>" in "".join(e.text for e in drawn(svg, "text"))


def test_one_trial_is_drawn_and_none_is_nothing():
    for picture in (chart.objective, chart.parallel):
        assert "nan" not in picture([trial(1, 0.5)], DESIGN)
        assert drawn(picture([trial(1, 0.5)], DESIGN), "svg")
        assert picture([trial(1, None, "FAILED")], DESIGN) == ""
        assert picture([], DESIGN) == ""
