import json
import os

import nbformat
import pytest

from nbtools.errors import RequestError
from nbtools.notebook import Notebook, write_whole
from nbtools.prepare import prepare

PARAMETERS = "lr: float = 1e-3  # learning rate\nepochs = 3\nname = 'base'\nwhere = f()"


def refusal(path):
    with pytest.raises(RequestError) as caught:
        Notebook.read(path)
    return str(caught.value)


@pytest.fixture
def untagged(make_notebook):
    return make_notebook("untagged.ipynb", "x = 1", parameters=None)


def test_reads_the_parameters(make_notebook):
    notebook = Notebook.read(make_notebook("train.ipynb", parameters=PARAMETERS))
    assert [p.name for p in notebook.parameters] == ["lr", "epochs", "name", "where"]
    assert notebook.has_parameters_cell
    assert (notebook.kernel, notebook.language) == ("python3", "python")
    assert notebook.path.is_absolute()


def test_reads_a_notebook_without_parameters_cell(untagged):
    notebook = Notebook.read(untagged)
    assert notebook.parameters == ()
    assert not notebook.has_parameters_cell


def test_source_may_be_a_list_of_lines(make_notebook):
    path = make_notebook("train.ipynb")
    data = json.loads(path.read_text())
    data["cells"][0]["source"] = ["a = 1\n", "b = 2"]
    path.write_text(json.dumps(data))
    assert [p.name for p in Notebook.read(path).parameters] == ["a", "b"]


def test_parameters_of_another_language_are_not_known_but_passed_on(make_notebook):
    path = make_notebook("train.ipynb", parameters="lr <- 1e-3", kernel="ir")
    data = json.loads(path.read_text())
    data["metadata"]["kernelspec"]["language"] = "R"
    path.write_text(json.dumps(data))
    notebook = Notebook.read(path)
    assert notebook.parameters is None
    assert notebook.check({"anything": (1,)}) == {"anything": [1]}


def test_an_old_format_is_converted(tmp_path):
    old = nbformat.v3.new_notebook(
        worksheets=[nbformat.v3.new_worksheet(cells=[nbformat.v3.new_code_cell(input="x = 1")])]
    )
    path = tmp_path / "old.ipynb"
    path.write_text(nbformat.writes(old, version=3))
    assert Notebook.read(path).data["cells"][0]["source"] == "x = 1"


def test_missing_is_refused_and_names_the_neighbour(make_notebook, tmp_path):
    make_notebook("train.ipynb")
    said = refusal(tmp_path / "trian.ipynb")
    assert "no notebook at" in said
    assert "did you mean train.ipynb?" in said


def test_missing_without_neighbours_is_refused(tmp_path):
    assert "name an .ipynb file that exists" in refusal(tmp_path / "train.ipynb")
    assert "name an .ipynb file that exists" in refusal(tmp_path / "nowhere" / "train.ipynb")


def test_a_directory_is_refused(tmp_path):
    assert "Is a directory" in refusal(tmp_path)


def test_what_is_not_json_is_refused(tmp_path):
    path = tmp_path / "a.ipynb"
    path.write_text("print('hello')\n")
    assert "its JSON is broken" in refusal(path)


def test_another_kind_of_file_is_refused(tmp_path):
    path = tmp_path / "a.py"
    path.write_text("print('hello')\n")
    assert refusal(path) == f"{path} is not a notebook: name an .ipynb file"


def test_the_home_of_nobody_is_no_notebook():
    assert "no notebook at" in refusal("~nobody-of-that-name/a.ipynb")


def test_an_empty_file_is_refused(tmp_path):
    path = tmp_path / "a.ipynb"
    path.touch()
    assert "its JSON is broken" in refusal(path)


@pytest.mark.parametrize("line", [0, 1, 5])
@pytest.mark.parametrize("markers", [["<<<<<<< HEAD", "=======", ">>>>>>> theirs"], [">>>>>>> x"]])
def test_conflict_markers_are_refused(make_notebook, line, markers):
    path = make_notebook("train.ipynb")
    lines = path.read_text().splitlines()
    lines[line:line] = markers
    path.write_text("\n".join(lines))
    assert f"unresolved merge conflict (git's markers in line {line + 1})" in refusal(path)


def test_a_conflict_inside_a_cells_text_is_none(make_notebook):
    path = make_notebook("train.ipynb", parameters="a = '''\n<<<<<<< x\n'''")
    assert Notebook.read(path).parameters[0].default == "\n<<<<<<< x\n"


def test_json_too_deep_to_read_is_refused(tmp_path):
    path = tmp_path / "a.ipynb"
    path.write_text("[" * 100_000)
    assert "its JSON is broken" in refusal(path)


def test_a_byte_order_mark_is_passed_over(make_notebook):
    path = make_notebook("train.ipynb")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert [p.name for p in Notebook.read(path).parameters] == ["lr"]


def test_a_name_too_long_for_the_disk_is_refused(tmp_path):
    assert "File name too long" in refusal(tmp_path / f"{'x' * 300}.ipynb")


def changed(path, change):
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))
    return path


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(metadata=None),
        lambda d: d.pop("metadata"),
        lambda d: d["metadata"].update(kernelspec=None),
        lambda d: d["metadata"].update(kernelspec={"name": None, "language": None}),
        lambda d: d["metadata"].update(kernelspec={}, language_info=None),
        lambda d: d["metadata"].update(language_info={"name": None}),
    ],
)
def test_null_is_absent(make_notebook, change):
    notebook = Notebook.read(changed(make_notebook("train.ipynb"), change))
    assert notebook.language == "python"
    assert [p.name for p in notebook.parameters] == ["lr"]
    assert prepare(notebook, {}, {"job": "j"}, "python3")


def test_null_in_a_cell_is_absent(make_notebook):
    def change(data):
        data["cells"][1].update(metadata=None, source=None, attachments=None)
        data["nbformat_minor"] = None

    notebook = Notebook.read(changed(make_notebook("train.ipynb", "x = 1"), change))
    assert notebook.data["cells"][1]["source"] == ""
    assert prepare(notebook, {}, {"job": "j"}, "python3")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d["cells"].append(None), "its cell 2 is not an object"),
        (lambda d: d["cells"].append("x = 1"), "its cell 2 is not an object"),
        (lambda d: d["cells"][0].update(metadata=[]), "metadata of its cell 1 is not an object"),
        (lambda d: d["cells"][0].update(source={"x": 1}), "source of its cell 1 is not text"),
        (lambda d: d["cells"][0].update(source=["x", 1]), "source of its cell 1 is not text"),
        (lambda d: d.update(cells={}), "no list of cells"),
        (lambda d: d.update(metadata=[1]), "its metadata is not an object"),
        (lambda d: d["metadata"].update(kernelspec="python3"), "kernelspec is not an object"),
        (lambda d: d.update(nbformat=5), "format 5 of notebooks: save it in format 4"),
        (lambda d: d.update(nbformat=0), "cannot be read as format 0 of notebooks"),
        (lambda d: d.update(nbformat=3), "cannot be read as format 3 of notebooks"),
    ],
)
def test_what_is_no_notebook_after_all_is_refused(make_notebook, change, said):
    assert said in refusal(changed(make_notebook("train.ipynb"), change))


@pytest.mark.parametrize("tags", [None, "parameters", 3, {"parameters": 1}])
def test_odd_tags_are_no_tags(make_notebook, tags):
    path = make_notebook("train.ipynb")
    changed(path, lambda d: d["cells"][0]["metadata"].update(tags=tags))
    assert not Notebook.read(path).has_parameters_cell


def test_what_is_not_utf8_is_refused(tmp_path):
    path = tmp_path / "a.ipynb"
    path.write_bytes(b'{"cells": ["\xff"]}')
    assert "not UTF-8" in refusal(path)


@pytest.mark.parametrize("text", ["[]", "{}", "1", '{"nbformat": "4"}', '{"cells": []}'])
def test_json_that_is_no_notebook_is_refused(tmp_path, text):
    path = tmp_path / "a.ipynb"
    path.write_text(text)
    assert "not a notebook: it has no nbformat" in refusal(path)


def test_a_notebook_without_cells_is_refused(tmp_path):
    path = tmp_path / "a.ipynb"
    path.write_text('{"nbformat": 4}')
    assert "no list of cells" in refusal(path)


def test_a_parameters_cell_that_is_no_python_is_refused(make_notebook):
    said = refusal(make_notebook("train.ipynb", parameters="lr = = 1"))
    assert said.startswith("train.ipynb: its parameters cell is not valid Python")


def test_check_fits_values(make_notebook):
    notebook = Notebook.read(make_notebook("train.ipynb", parameters=PARAMETERS))
    assert notebook.check({"lr": 1, "where": [1]}) == {"lr": 1.0, "where": [1]}
    assert notebook.check({}) == {}


def test_check_names_what_was_meant_by_an_unknown_name(make_notebook):
    notebook = Notebook.read(make_notebook("train.ipynb", parameters=PARAMETERS))
    with pytest.raises(RequestError, match="learningrate: no such parameter; did you mean lr"):
        notebook.check({"learningrate": 1})


def test_check_names_what_there_is_for_a_strange_name(make_notebook):
    notebook = Notebook.read(make_notebook("train.ipynb", parameters="lr = 1\nseed = 2"))
    with pytest.raises(RequestError, match="zzz: no such parameter; train.ipynb has lr, seed"):
        notebook.check({"zzz": 1})


def test_check_names_all_misfits_at_once(make_notebook):
    notebook = Notebook.read(make_notebook("train.ipynb", parameters=PARAMETERS))
    with pytest.raises(RequestError) as caught:
        notebook.check({"lr": "fast", "epochs": 2.5, "epoch": 1, "name": "fine"})
    lines = str(caught.value).splitlines()
    assert [line.partition(":")[0] for line in lines] == ["lr", "epochs", "epoch"]


def test_check_lets_unknown_names_through_when_allowed(make_notebook):
    notebook = Notebook.read(make_notebook("train.ipynb", parameters=PARAMETERS))
    assert notebook.check({"zzz": 1, "lr": 1}, allow_unknown=True) == {"zzz": 1, "lr": 1.0}


@pytest.mark.parametrize("name", ["a b", "class", "x\nimport os", "", 1])
def test_check_refuses_names_that_no_variable_can_have(make_notebook, name):
    notebook = Notebook.read(make_notebook("train.ipynb", parameters=PARAMETERS))
    with pytest.raises(RequestError, match="no such variable"):
        notebook.check({name: 1}, allow_unknown=True)
    with pytest.raises(RequestError, match="no such parameter"):
        notebook.check({name: 1})


def test_check_makes_values_plain_that_no_parameter_declares(make_notebook):
    notebook = Notebook.read(make_notebook("train.ipynb", parameters=PARAMETERS))
    assert notebook.check({"zzz": (1, {2})}, allow_unknown=True) == {"zzz": [1, [2]]}
    with pytest.raises(RequestError, match="zzz: b'x' cannot be injected"):
        notebook.check({"zzz": b"x"}, allow_unknown=True)


def test_check_without_parameters_cell_says_how_to_make_one(untagged):
    notebook = Notebook.read(untagged)
    assert notebook.check({}) == {}
    with pytest.raises(RequestError, match="no parameters cell: give the cell .* the tag"):
        notebook.check({"lr": 1})
    assert notebook.check({"lr": 1}, allow_unknown=True) == {"lr": 1}


def test_effective_is_what_was_given_over_the_defaults(make_notebook):
    notebook = Notebook.read(make_notebook("train.ipynb", parameters=PARAMETERS))
    assert notebook.effective({"epochs": 5, "more": 1}) == {
        "lr": 1e-3, "epochs": 5, "name": "base", "where": "f()", "more": 1,
    }  # fmt: skip


def test_effective_is_always_json(make_notebook):
    parameters = "a = (1, {2})\nb = {1: 2}\nc = b'x'\nd = ...\ne: float = 3e-4"
    notebook = Notebook.read(make_notebook("train.ipynb", parameters=parameters))
    assert notebook.effective({}) == {
        "a": [1, [2]], "b": "{1: 2}", "c": "b'x'", "d": "...", "e": 3e-4,
    }  # fmt: skip


def test_write_whole_replaces_the_file(tmp_path):
    path = tmp_path / "a.txt"
    write_whole(path, "one")
    write_whole(path, "two ö")
    assert path.read_text(encoding="utf-8") == "two ö"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_write_whole_leaves_no_part_and_the_old_file_when_it_fails(tmp_path):
    path = tmp_path / "a.txt"
    write_whole(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "x" * 100_000 + "\ud800")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_write_whole_leaves_no_part_when_it_cannot_be_renamed(tmp_path):
    (tmp_path / "a" / "full").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        write_whole(tmp_path / "a", "text")
    assert os.listdir(tmp_path) == ["a"]
