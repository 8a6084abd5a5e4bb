"""Optuna's study, with the real Optuna: it goes on from its journal, whatever happened."""

import multiprocessing
import os
import signal
import sys
import time
from dataclasses import replace

import pytest

from nbtools.design import Design
from nbtools.errors import MissingDependency
from nbtools.request import Request
from nbtools.space import Choices, Range
from nbtools.tpe import JOURNAL, Tpe, should_prune
from nbtools.trials import Trial

SPACE = {
    "lr": Range(1e-5, 1e-1, log=True), "width": Range(32, 256, log=True), "depth": Range(1, 4),
    "dropout": Range(0, 0.5, step=0.1), "layers": Choices(([64], [64, 32])),
    "kind": Choices(("a", None, True)),
}  # fmt: skip
DESIGN = Design(
    request=Request(notebook="x.ipynb", params={}), space=SPACE, search="tpe", trials=30,
    objective="score", direction="maximize", seed=7, min_trials=2,
)  # fmt: skip


def ended(number, value=0.5, state="COMPLETE"):
    return Trial(number=number, params={}, state=state, value=value, experiment="e",
                 run=f"s-{number}", job="j")  # fmt: skip


def test_it_asks_for_points_of_the_space(tmp_path):
    tpe = Tpe(DESIGN, tmp_path)
    points = [tpe.ask(number) for number in range(1, 21)]
    assert all(list(point) == list(SPACE) for point in points)
    assert all(1e-5 <= p["lr"] <= 1e-1 and 32 <= p["width"] <= 256 for p in points)
    assert {type(p["width"]) for p in points} == {int}
    assert {p["depth"] for p in points} == {1, 2, 3, 4}
    assert {p["dropout"] for p in points} <= {0.0, 0.1, 0.2, 0.3, 0.4, 0.5}
    assert all(p["layers"] in ([64], [64, 32]) for p in points)
    assert {p["kind"] for p in points} == {"a", None, True}
    assert tpe.ask(31) is None


def test_the_same_trial_is_the_same_point_also_for_who_comes_later(tmp_path):
    first = Tpe(DESIGN, tmp_path)
    points = [first.ask(number) for number in (1, 2, 3)]
    later = Tpe(DESIGN, tmp_path)
    assert [later.ask(number) for number in (1, 2, 3)] == points
    assert later.ask(4) not in points


def test_it_learns_where_the_good_ones_are(tmp_path):
    design = replace(DESIGN, space={"x": Range(0.0, 1.0)}, trials=60)
    tpe = Tpe(design, tmp_path)
    found = []
    for number in range(1, 61):
        found.append(tpe.ask(number)["x"])
        tpe.tell(ended(number, -((found[-1] - 0.8) ** 2)))
    off = [abs(x - 0.8) for x in found]
    assert sum(off[-30:]) < 0.6 * sum(off[:10]) * 3


def test_telling_again_is_the_same_and_states_are_kept(tmp_path):
    tpe = Tpe(DESIGN, tmp_path)
    for number in (1, 2, 3):
        tpe.ask(number)
    for _ in range(2):
        tpe.tell(ended(1, 0.9))
        tpe.tell(ended(2, None, "FAILED"))
        tpe.tell(ended(3, 0.1, "PRUNED"))
        tpe.tell(ended(9))  # was never asked for
    states = [trial.state.name for trial in Tpe(DESIGN, tmp_path)._open().trials]
    assert states == ["COMPLETE", "FAIL", "PRUNED"]
    assert Tpe(DESIGN, tmp_path)._open().trials[0].user_attrs == {"run": "s-1"}


def test_its_pruner_is_asked_from_other_processes(tmp_path):
    tpe = Tpe(DESIGN, tmp_path)
    for number in (1, 2, 3, 4):
        tpe.ask(number)
    for number in (1, 2, 3):
        assert not should_prune(tmp_path, DESIGN, number, 1, 0.8)
        tpe.tell(ended(number, 0.8))
    assert should_prune(tmp_path, DESIGN, 4, 1, 0.1)
    assert not should_prune(tmp_path, replace(DESIGN, min_steps=5), 4, 2, 0.1)
    assert not should_prune(tmp_path, DESIGN, 3, 2, 0.1)  # has ended, and is executed once more


def work(folder, begun=None):
    tpe = Tpe(DESIGN, folder)
    if begun:
        begun.set()
    number = 1
    while tpe.ask(number) is not None:
        should_prune(folder, DESIGN, number, 1, 0.5)
        tpe.tell(ended(number))
        number += 1


@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on(tmp_path):
    context = multiprocessing.get_context("spawn")  # a fork has the locks of all our threads
    for round_ in range(6):
        begun = context.Event()
        child = context.Process(target=work, args=(tmp_path, begun))
        child.start()
        assert begun.wait(60)
        time.sleep(0.04 * round_)
        os.kill(child.pid, signal.SIGKILL)
        child.join()
    work(tmp_path)
    trials = Tpe(DESIGN, tmp_path)._open().trials
    assert [t.number for t in trials] == list(range(30))
    assert all(t.state.name == "COMPLETE" and t.params.keys() == SPACE.keys() for t in trials)


def test_without_optuna_it_is_said_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingDependency, match=r"this needs optuna: pip install 'optuna>=4'"):
        Tpe(DESIGN, tmp_path)


def test_a_line_that_was_being_written_is_cut_off(tmp_path):
    tpe = Tpe(DESIGN, tmp_path)
    points = [tpe.ask(1), tpe.ask(2)]
    with (tmp_path / JOURNAL).open("ab") as file:
        file.write(b'{"op_code":4,"work')
    again = Tpe(DESIGN, tmp_path)
    assert [again.ask(1), again.ask(2)] == points
    assert again.ask(3) is not None
    assert len(Tpe(DESIGN, tmp_path)._open().trials) == 3
