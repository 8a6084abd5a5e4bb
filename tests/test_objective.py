"""A misspelt objective is found by reading the notebook; what reading cannot tell is taken."""

import pytest

from nbtools import objective
from nbtools.errors import RequestError
from nbtools.notebook import Notebook

LITERAL = "import nbtools\nnbtools.log_metrics({'val_accuracy': 1.0, 'loss': lr})"


@pytest.mark.parametrize(
    ("code", "name", "known"),
    [
        (LITERAL, "val_accuracy", ()),
        (LITERAL, "of_last_week", ("of_last_week",)),
        ("import nbtools\nnbtools.log_metrics(dict(score=1))", "score", ()),
        ("point = {'loss': 1}\nlog(point)", "loss", ()),
        ("import nbtools\nnbtools.report(1, 0.5)", "whatever", ()),
        ("import nbtools\nnbtools.autolog()", "training_score", ()),
        ("import nbtools\nnbtools.log_metrics({f'{s}_loss': 1 for s in 'ab'})", "a_loss", ()),
        ("import mine\nmine.train()", "score", ()),
        ("%run other.py", "score", ()),
    ],
)
def test_what_is_logged_or_may_be_is_taken(make_notebook, tmp_path, code, name, known):
    (tmp_path / "mine.py").touch()
    objective.check(name, Notebook.read(make_notebook("work.ipynb", code)), known)


@pytest.mark.parametrize(
    ("code", "name", "says"),
    [
        (LITERAL, "val_acuracy", "work.ipynb does not log it; did you mean val_accuracy?"),
        (LITERAL, "zzz", "there is loss, val_accuracy"),
        ("x = 1", "score", "work.ipynb logs no metrics; add nbtools.log_metrics({'score': …})"),
        (LITERAL + "\nnbtools.report(1, 2)", "val_acuracy", "did you mean val_accuracy?"),
    ],
)
def test_what_is_plainly_not_logged_is_refused(make_notebook, code, name, says):
    with pytest.raises(RequestError) as caught:
        objective.check(name, Notebook.read(make_notebook("work.ipynb", code)), ())
    assert says in str(caught.value)


def test_a_metric_of_earlier_runs_may_have_been_meant(make_notebook):
    notebook = Notebook.read(make_notebook("work.ipynb", LITERAL))
    with pytest.raises(RequestError, match="did you mean test_score"):
        objective.check("tset_score", notebook, ["test_score"])
