"""(notebook, parameters, identity) -> the notebook to execute."""

import json
import warnings

import nbformat
import pytest

from nbtools.errors import RequestError
from nbtools.notebook import Notebook
from nbtools.prepare import prepare

IDENTITY = {"job": "j", "experiment": "e", "run": "r"}


@pytest.fixture
def prepared(make_notebook):
    """The prepared notebook, its JSON changed before by `change`."""

    def prepared(*cells, params=None, change=None, **options):
        path = make_notebook("work.ipynb", *cells, **options)
        data = json.loads(path.read_text())
        if change:
            change(data)
        path.write_text(json.dumps(data))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            text = prepare(Notebook.read(path), params or {}, IDENTITY, "python3")
        node = nbformat.reads(text, as_version=4)
        nbformat.validate(node)
        return node

    return prepared


def run(node):
    names = {}
    for cell in node.cells:
        exec(cell.source, names)
    return names


def test_values_and_identity_come_behind_the_parameters(prepared):
    text = """a'\\"b\n"""
    values = {"lr": 0.5, "names": [text, None, True], "deep": {"x": [1, {"y": float("inf")}]}}
    node = prepared("z = 1", params=values)
    assert [cell.metadata.get("tags") for cell in node.cells] == [
        ["parameters"], ["injected-parameters"], [],
    ]  # fmt: skip
    names = run(node)
    assert {name: names[name] for name in values} == values
    assert names["NBTOOLS"] == IDENTITY


def test_without_a_parameters_cell_they_come_first(prepared):
    assert run(prepared("z = NBTOOLS", parameters=None))["z"] == IDENTITY


def test_the_identity_cannot_be_a_parameter(prepared):
    with pytest.raises(RequestError, match="NBTOOLS says which run this is"):
        prepared(params={"NBTOOLS": 1})


@pytest.mark.parametrize("ids", [[None, None], ["a", "a"], ["cell-2-0", None], [None, "cell-1-0"]])
def test_every_cell_has_an_id_of_its_own(prepared, ids):
    def change(data):
        data["nbformat_minor"] = 5
        for cell, name in zip(data["cells"], ids, strict=True):
            cell["id"] = name

    found = [cell.id for cell in prepared("z = 1", change=change).cells]
    assert len(set(found)) == 3
    assert {name for name in ids if name} <= set(found)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"cell_type": "strange"}, "its cell 2: "),
        ({"outputs": 3}, "its cell 2: "),
        ({"id": 3}, "its cell 2: "),
        ({"extra": "x" * 1000}, "its cell 2: "),
    ],
)
def test_what_is_not_valid_is_said_with_its_cell(prepared, change, said):
    with pytest.raises(RequestError) as caught:
        prepared("z = 1", change=lambda data: data["cells"][1].update(change))
    assert f"is not a valid notebook: {said}" in str(caught.value)
    assert "save it again" in str(caught.value)
    assert len(str(caught.value)) < 500


def test_what_was_injected_before_gives_way_or_is_kept(make_notebook):
    path = make_notebook(
        "work.ipynb", "z = (lr, layers, NBTOOLS)", parameters="lr = 1.0\nlayers = 2"
    )
    before = prepare(Notebook.read(path), {"lr": 0.5, "layers": 3}, {"job": "other"}, "python3")
    path.write_text(before)
    found = Notebook.read(path)
    assert found.injected() == {"lr": 0.5, "layers": 3}
    assert Notebook.read(make_notebook("plain.ipynb", "1")).injected() == {}

    def values(keep):
        return run(nbformat.reads(prepare(found, {"lr": 0.1}, IDENTITY, "python3", keep), 4))["z"]

    assert values(keep=False) == (0.1, 2, IDENTITY)
    assert values(keep=True) == (0.1, 3, IDENTITY)


def test_what_somebody_wrote_into_an_injected_cell_is_no_value(make_notebook):
    path = make_notebook("work.ipynb", parameters="lr = 1.0")
    tagged = nbformat.read(path, 4)
    tagged.cells[0].metadata["tags"] = ["injected-parameters"]
    tagged.cells[0].source = "lr = 0.5\nlr = ("
    nbformat.write(tagged, path)
    assert Notebook.read(path).injected() == {}
