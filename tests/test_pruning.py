"""When a trial is given up: the median rule, in both directions."""

import math
from dataclasses import replace

import pytest

import nbtools
from nbtools.design import Design
from nbtools.pruning import verdict
from nbtools.request import Request
from nbtools.space import Choices

DESIGN = Design(
    request=Request(notebook="x.ipynb", params={}), space={"lr": Choices((1, 2))},
    objective="score", direction="maximize", min_trials=3,
)  # fmt: skip
LOSS = replace(DESIGN, objective="loss", direction="minimize")


@pytest.mark.parametrize(
    ("design", "mine", "others", "step", "pruned"),
    [
        (DESIGN, [0.4], [0.5, 0.6, 0.7], 1, True),
        (DESIGN, [0.6], [0.5, 0.6, 0.7], 1, False),  # as good as the median
        (DESIGN, [0.9, 0.1], [0.5, 0.6, 0.7], 2, False),  # its best so far counts
        (DESIGN, [0.4], [0.5, 0.6], 1, False),  # too few have been completed
        (replace(DESIGN, min_steps=2), [0.4], [0.5, 0.6, 0.7], 2, False),
        (replace(DESIGN, min_steps=2), [0.4], [0.5, 0.6, 0.7], 3, True),
        (DESIGN, [math.nan], [0.5, 0.6, 0.7], 1, True),
        (DESIGN, [math.nan, 0.9], [0.5, 0.6, 0.7], 1, False),
        (replace(DESIGN, min_trials=0), [0.1], [], 1, False),
        (LOSS, [0.9], [0.5, 0.6, 0.7], 1, True),
        (LOSS, [0.5], [0.5, 0.6, 0.7], 1, False),
        (LOSS, [math.inf], [0.5, 0.6, 0.7], 1, True),
    ],
)
def test_a_trial_worse_than_the_median_is_pruned(design, mine, others, step, pruned):
    assert bool(verdict(mine, others, design, step)) is pruned


def test_the_reason_has_the_numbers():
    assert verdict([0.9], [0.5, 0.6, 0.7], LOSS, 1) == (
        "loss = 0.9 is worse than 0.6, the median of 3 trials at this step"
    )


def test_outside_a_sweep_a_report_is_logged_and_nothing_more(store_folder):
    with nbtools.start_run("alone") as run:
        nbtools.report(1, 0.5)
        nbtools.report(2, 0.25)
    frame = run.get_time_series_data_frame()
    assert frame["objective"].tolist() == [0.5, 0.25]
    assert frame["step"].tolist() == [1, 2]
