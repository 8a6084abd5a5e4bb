"""A space as people write it: what it holds, in a grid and by chance, and what is refused."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbtools import space
from nbtools.errors import RequestError
from nbtools.notebook import Notebook
from nbtools.space import Choices, Range

PARAMETERS = """lr: float = 1e-3  # learning rate
width: int = 64
kind: str = "a"
layers: list[int] = [64]
flag: bool = False
"""


@pytest.fixture
def notebook(make_notebook):
    return Notebook.read(make_notebook("work.ipynb", "1", parameters=PARAMETERS))


@pytest.mark.parametrize(
    ("name", "text", "values"),
    [
        ("lr", "1e-4,3e-4,1e-3", [1e-4, 3e-4, 1e-3]),
        ("lr", "1,2", [1.0, 2.0]),
        ("lr", "0.1", [0.1]),
        ("width", "1:4", [1, 2, 3, 4]),
        ("width", "32:256:log", [32, 64, 128, 256]),
        ("width", "32:200:log", [32, 64, 128]),
        ("width", "10:31:10", [10, 20, 30]),
        ("lr", "1e-4:1e-1:log", [1e-4, 1e-3, 1e-2, 1e-1]),
        ("lr", "0:0.5:0.1", [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]),
        ("lr", "-1.0:1.0:0.5", [-1.0, -0.5, 0.0, 0.5, 1.0]),
        ("kind", "a,b c,1:2", ["a", "b c", "1:2"]),
        ("kind", "3.10,3.9", ["3.10", "3.9"]),
        ("layers", "[64],[64, 32]", [[64], [64, 32]]),
        ("flag", "true,false", [True, False]),
        ("width", "8,16,8", [8, 16]),
    ],
)
def test_what_a_grid_of_it_holds(notebook, name, text, values):
    read = space.read({name: text}, notebook)
    found = [point[name] for point in space.grid(read)]
    assert found == values
    assert [type(v) for v in found] == [type(v) for v in values]
    assert space.loads(json.loads(json.dumps(space.dumps(read)))) == read


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("lr", "1e-4,,1e-3", "lr=1e-4,,1e-3: a choice is empty"),
        ("lr", "", "a choice is empty"),
        ("lr", "high", "lr: 'high' does not fit float (learning rate)"),
        ("lr", "1,high", "does not fit float"),
        ("lrr", "1,2", "lrr: no such parameter; did you mean lr?"),
        ("width", "256:32", "a range goes up"),
        ("width", "32:32", "a range goes up"),
        ("width", "0:32:log", "begins above 0"),
        ("width", "1:10:0", "the step must be above 0"),
        ("width", "1:10:20", "fit between the ends"),
        ("width", "1:10:2:3", "is no range: write width=LOW:HIGH"),
        ("width", "1:10:lin", "is no range"),
        ("width", "1.5:3", "width: 1.5 does not fit int"),
        ("width", "1:4:0.5", "does not fit int"),
        ("width", [], "nothing to choose from"),
        ("width", [1, "x"], "does not fit int"),
    ],
)
def test_what_is_no_space_is_refused_in_a_sentence(notebook, name, text, says):
    with pytest.raises(RequestError) as caught:
        space.read({name: text}, notebook)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_table_of_the_page_is_true(make_notebook):
    page = (Path(__file__).parent.parent / "docs/sweeps.md").read_text()
    notebook = Notebook.read(make_notebook("w.ipynb", "1", parameters="x = None"))
    rows = re.findall(r"^\| `([^`]+)` \| [^|]+ \| ([^|]+) \|$", page, re.MULTILINE)
    shown = {text: re.findall(r"[-\de.]+\d|\d", takes) for text, takes in rows}
    assert len(shown) == 6
    for text, takes in shown.items():
        if takes:
            found = [point["x"] for point in space.grid(space.read({"x": text}, notebook))]
            assert found == [float(number) for number in takes]


def test_every_misfit_is_named_at_once(notebook):
    with pytest.raises(RequestError) as caught:
        space.read({"lrr": "1", "width": "9:1"}, notebook)
    assert len(str(caught.value).splitlines()) == 2


def test_lists_and_ranges_of_the_library(notebook):
    read = space.read({"width": range(1, 4), "lr": (0.1, 0.2), "kind": "x"}, notebook)
    assert read == {
        "width": Choices((1, 2, 3)), "lr": Choices((0.1, 0.2)), "kind": Choices(("x",)),
    }  # fmt: skip


def test_a_grid_is_every_combination_the_last_changing_first(notebook):
    points = space.grid(space.read({"lr": "1,2", "width": "1:2"}, notebook))
    assert points == [
        {"lr": 1.0, "width": 1}, {"lr": 1.0, "width": 2},
        {"lr": 2.0, "width": 1}, {"lr": 2.0, "width": 2},
    ]  # fmt: skip


def test_a_grid_without_end_or_far_too_large_is_refused(notebook):
    with pytest.raises(RequestError, match=r"lr=0.1:0.9 has no end of values: give a step"):
        space.grid(space.read({"lr": "0.1:0.9"}, notebook))
    with pytest.raises(RequestError, match="the grid has 1,000,000 points"):
        space.grid(space.read({"width": "1:1000000"}, notebook))


NUMBERS = st.integers(1, 10_000)


@given(low=NUMBERS, more=NUMBERS, log=st.booleans(), whole=st.booleans(), seed=st.integers(0))
def test_draws_stay_in_their_range_and_repeat_by_seed(low, more, log, whole, seed):
    ends = (low, low + more) if whole else (low / 7, (low + more) / 7)
    dimension = Range(*ends, log)
    points = space.draws({"x": dimension}, 20, seed)
    assert points == space.draws({"x": dimension}, 20, seed)
    slack = 1e-9 * ends[1]
    assert all(ends[0] - slack <= p["x"] <= ends[1] + slack for p in points)
    assert all(isinstance(p["x"], int) == whole for p in points)


def test_draws_by_ratio_are_as_often_small_as_large():
    found = [p["x"] for p in space.draws({"x": Range(1e-4, 1.0, log=True)}, 2000, 1)]
    assert 850 < sum(x < 1e-2 for x in found) < 1150
    whole = [p["x"] for p in space.draws({"x": Range(1, 4, log=True)}, 2000, 1, again=True)]
    assert set(whole) == {1, 2, 3, 4}
    assert whole.count(1) > whole.count(2) > whole.count(4)


def test_a_point_is_drawn_once_unless_asked_and_there_may_be_fewer():
    small = {"x": Range(1, 3), "y": Choices(("a", "b"))}
    assert len(space.draws(small, 50, 1)) == 6
    assert len(space.draws(small, 50, 1, again=True)) == 50
