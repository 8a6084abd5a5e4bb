"""What a view does with what a page sends, and what it leaves; without a browser."""

import math
import threading

import pytest

import nbtools
from nbtools.errors import RequestError, StateError
from nbtools.journal import Series
from nbtools.widgets import still
from nbtools.widgets.question import FIELDS, FLAG, NUMBER, TEXT, TEXTS, checked
from nbtools.widgets.telling import curve, told
from tests.widgets.lab import until

EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture
def run(store_folder):
    nbtools.init("digits")
    with nbtools.start_run("one") as run:
        yield run


def ask(view, question, **given):
    """The answer that a page gets."""
    answers = []
    view.send = lambda content, buffers=None: answers.append((content, buffers))
    view._answer(view, {"id": "p-1", "ask": question, "with": given}, [])
    assert len(answers) == 1
    return answers[0]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (TEXT, 1), (TEXT, None), (TEXT, "x" * 100_001), (NUMBER, "1"), (NUMBER, True),
        (NUMBER, math.nan), (NUMBER, math.inf), (NUMBER, 10**400), (FLAG, 1), (TEXTS, "ab"),
        (TEXTS, ["a", 1]), (TEXTS, ["a"] * 10_001), (FIELDS, ["a"]), (FIELDS, {"a": 1}),
    ],
)  # fmt: skip
def test_what_is_of_another_kind_is_refused(kind, value):
    with pytest.raises(RequestError, match="something else than"):
        checked({"x": value}, {"x": kind})


@pytest.mark.parametrize("given", [None, [], {}, {"x": "a", "y": "b"}, {"y": "a"}])
def test_what_is_too_much_or_missing_is_refused(given):
    with pytest.raises(RequestError, match="execute the cell again"):
        checked(given, {"x": TEXT})


def test_what_fits_is_taken():
    wanted = {"a": TEXT, "b": NUMBER, "c": FLAG, "d": TEXTS, "e": FIELDS}
    given = {"a": EVIL, "b": -1e300, "c": False, "d": ["x"], "e": {"k": "v"}}
    assert checked(given, wanted) == given


@pytest.mark.parametrize(
    "content",
    [None, [], "text", {}, {"id": 1, "ask": "tag"}, {"id": "x" * 41, "ask": "tag"}],
)
def test_what_is_no_question_gets_no_answer(run, content):
    view = nbtools.ui.run("one")
    view.send = lambda *_: pytest.fail("answered")
    view._answer(view, content, [])


@pytest.mark.parametrize("question", ["look", "settle", "__init__", "ask_tag", None, ["tag"], ""])
def test_only_the_questions_that_there_are_are_answered(run, question):
    content, _ = ask(nbtools.ui.run("one"), question)
    assert "execute the cell again" in content["error"]


def test_a_page_sets_nothing(run):
    view = nbtools.ui.run("one")
    before = view.told
    view._handle_msg({"content": {"data": {"method": "update", "state": {"told": {"a": 1}}}}})
    assert view.told == before


def test_a_run_is_marked_and_ended_and_what_cannot_be_is_said(run):
    view = nbtools.ui.run("one")
    assert ask(view, "tag", tags=["kept"])[0] == {"re": "p-1"}
    assert ask(view, "note", text=EVIL)[0] == {"re": "p-1"}
    assert "error" in ask(view, "tag", tags=["two words"])[0]
    assert "cannot be made RUNNING" in ask(view, "end", state="RUNNING")[0]["error"]
    assert "no series" in ask(view, "zoom", key="loss", low=0, high=1)[0]["error"]
    assert run.is_open
    ask(view, "end", state="FAILED")
    found = nbtools.ExperimentRun("one", "digits")
    assert (found.state, found.tags, found.notes) == ("FAILED", ["kept"], EVIL)
    assert not run.is_open
    assert "it has ended" in ask(view, "end", state="FAILED")[0]["error"]


def test_a_run_of_another_process_cannot_be_ended_from_here(run, tmp_path):
    from nbtools.jobs import Jobs
    from nbtools.widgets.run import RunView

    view = RunView(Jobs.open(), run.id)
    view.look()
    assert view.told["ends"] == []
    assert "only the process that began it" in ask(view, "end", state="COMPLETE")[0]["error"]
    assert run.is_open


def test_without_a_run_it_says_what_to_do(store_folder):
    with pytest.raises(StateError, match="start_run"):
        nbtools.ui.run()


def test_a_spike_and_a_gap_are_never_lost():
    series = Series()
    for step in range(100_000):
        value = 9.0 if step == 54_321 else math.nan if step == 777 else math.sin(step / 900)
        series.add(step, 0.0, value)
    found = curve(series, 1_000)
    assert len(found.drawn) <= 1_000
    assert (54_321, 9.0) in found.drawn
    assert any(math.isnan(value) for _, value in found.drawn)
    assert found.about == {"count": 100_000, "drawn": len(found.drawn), "gaps": 1}
    near = curve(series, 1_000, 54_300, 54_340)
    assert near.about == {"count": 41, "drawn": 41, "gaps": 0}


def test_nobody_looks_for_a_monitor_that_no_page_shows(store_folder, monkeypatch):
    before = set(threading.enumerate())

    def looking():
        return set(threading.enumerate()) - before

    view = nbtools.ui.jobs()
    assert len(looking()) == 1
    monkeypatch.setattr(type(view), "PATIENCE", -1.0)  # no page has spoken for so long
    until("it has given up", lambda: not looking())
    monkeypatch.setattr(type(view), "PATIENCE", 600.0)
    view._answer(view, {"here": True}, [])
    view._answer(view, {"here": True}, [])
    assert len(looking()) == 1
    view.close()
    until("it has ended", lambda: not looking())
    view._answer(view, {"here": True}, [])
    assert not looking()


def test_what_was_wrong_is_said_until_it_is_mended(run):
    view = nbtools.ui.run("one")
    view.told = {**view.told, "problem": "the disk is full"}
    view.refresh()
    assert "problem" not in view.told


def test_what_json_cannot_hold_is_told_as_text():
    assert told({"a": math.nan, "b": -math.inf, "c": 1 << 60, "d": [True, None, 0.5]}) == {
        "a": "nan", "b": "-inf", "c": str(1 << 60), "d": [True, None, 0.5],
    }  # fmt: skip


def test_what_stays_is_text_and_pictures_and_never_markup_of_others(run):
    run.log_params({EVIL: EVIL})
    run.log_time_series_metrics({EVIL: 1.0}, step=1)
    run.log_time_series_metrics({EVIL: 2.0}, step=2)
    run.set_notes(EVIL)
    for view in (nbtools.ui.run("one"), nbtools.ui.compare("digits"), nbtools.ui.logger()):
        stays = view.picture()
        assert "<img src=x" not in stays
        assert stays.startswith('<div class="nbl-still">')
    assert "data:image/svg+xml;base64," in nbtools.ui.run("one").picture()


def test_a_long_table_says_how_much_is_left_out():
    assert "and 10 more" in still.table(("n",), [(i,) for i in range(60)])


def test_selected_runs_come_back_as_a_frame(run):
    nbtools.log_params({"lr": 0.5})
    run.end()
    view = nbtools.ui.compare("digits")
    assert list(view.selected["run_name"]) == []
    ask(view, "select", runs=["digits-one"])
    assert view.selected[["run_name", "param.lr"]].values.tolist() == [["one", 0.5]]
    assert "filter again" in ask(view, "select", runs=["digits-two"])[0]["error"]
    assert "error" in ask(view, "filter", text="nonsense ===")[0]
    assert view.filter == ""


@pytest.mark.slow
def test_in_a_job_where_nobody_looks_the_picture_is_all_there_is(store_folder, make_notebook):
    path = make_notebook(
        "train.ipynb",
        "import nbtools\nnbtools.log_params({'rate': lr})\nview = nbtools.ui.run()",
        "for step in range(50):\n"
        f"    nbtools.log_time_series_metrics({{'loss': 1 / (step + 1), {EVIL!r}: 1.0}}, step)",
    )
    job = nbtools.run(path)
    executed = job.outputs.notebook.read_text()
    assert "anywidget" not in executed  # neither a reference to it, nor its code
    assert "loss: 50 points, the last 0.02" in executed
    assert "data:image/svg+xml;base64," in executed
    report = job.outputs.report.read_text()
    assert "loss: 50 points" in report
    assert EVIL not in report


def test_a_missing_package_is_named(store_folder, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "anywidget", None)
    with pytest.raises(nbtools.NbtoolsError, match="pip install 'nbtools-workflow\\[ui\\]'"):
        nbtools.ui.jobs()
