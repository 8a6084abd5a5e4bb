"""Templates: what they are, and what a copy of one says of itself."""

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nbtools.errors import AlreadyExists, NotFound, RequestError
from nbtools.notebook import Notebook
from nbtools.template import find, templates

ROOT = Path(__file__).parent.parent
NOW = datetime(2026, 3, 1, 2, tzinfo=UTC)
NOTEBOOKS = [t for t in templates() if t.path.suffix == ".ipynb"]


def cells(path):
    return ["".join(cell["source"]) for cell in json.loads(path.read_text())["cells"]]


def test_they_are_those_of_the_repository():
    names = {"compare", "data_refresh", "evaluate", "nightly", "profile", "sweep", "train"}
    assert (
        {t.name for t in templates()} == names == {p.stem for p in (ROOT / "templates").iterdir()}
    )
    assert find("train").summary == "Train a digit classifier"
    assert find("nightly").summary.startswith("Every night: ")
    assert [p.name for p in find("data_refresh").parameters] == ["source", "day", "min_images"]
    assert find("nightly").parameters == ()


@pytest.mark.parametrize("template", NOTEBOOKS, ids=lambda t: t.name)
def test_each_begins_with_what_it_does_and_has_documented_typed_parameters(template):
    title, says, *_ = cells(template.path)[0].split("\n\n")
    assert title.startswith("# ")
    assert says.count(". ") == 2, "three sentences"
    assert template.parameters
    for parameter in template.parameters:
        assert parameter.annotation, parameter.name
        assert parameter.help, parameter.name
    source = "\n".join(cells(template.path))
    assert "\n%" not in source, "a magic"


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("train", {"lr": 0}),
        ("train", {"test_fraction": 1}),
        ("train", {"device": "tpu"}),
        ("evaluate", {"batch_size": 0}),
        ("data_refresh", {"min_images": 0}),
        ("sweep", {"search": "genetic"}),
        ("sweep", {"confirm": 21}),
        ("compare", {"direction": "up"}),
        ("profile", {"steps": 1}),
    ],
)
def test_a_value_beyond_what_a_parameter_takes_is_refused(name, wrong):
    with pytest.raises(RequestError, match="does not fit"):
        Notebook.read(find(name).path).check(wrong)


def test_a_copy_has_a_header_of_its_own(tmp_path):
    made = find("train").begin(tmp_path / "my_train", NOW, author="Kim Lee", kernel="python3")
    assert made == tmp_path / "my_train.ipynb"
    head, *rest = cells(made)
    assert head.startswith("# My train\n")
    assert "*Begun on 2026-03-01 by Kim Lee, from nbtools" in head
    assert "`train`: Train a digit classifier.*" in head
    assert "nbtools run my_train.ipynb -p lr" in head
    assert 'nbtools.init(experiment="my-train")' in "\n".join(rest)
    metadata = json.loads(made.read_text())["metadata"]
    assert metadata["title"] == "My train"
    assert metadata["authors"] == [{"name": "Kim Lee"}]
    assert metadata["kernelspec"]["name"] == "python3"
    assert Notebook.read(made).parameters == find("train").parameters


def test_a_title_is_taken_and_nobody_is_the_author_of_nothing(tmp_path):
    made = find("sweep").begin(tmp_path, NOW, title="Wide or deep?")
    assert made.name == "sweep.ipynb"
    assert cells(made)[0].startswith("# Wide or deep?\n")
    assert "Begun on 2026-03-01, from" in cells(made)[0]
    assert "authors" not in json.loads(made.read_text())["metadata"]
    assert 'notebook: str = "train.ipynb"' in "\n".join(cells(made))


def test_nothing_is_overwritten_unless_asked(tmp_path):
    (tmp_path / "train.ipynb").write_text("mine")
    with pytest.raises(AlreadyExists, match="--force"):
        find("train").begin(tmp_path, NOW)
    assert (tmp_path / "train.ipynb").read_text() == "mine"
    find("train").begin(tmp_path, NOW, force=True)
    assert cells(tmp_path / "train.ipynb")


def test_what_cannot_be_is_one_sentence(tmp_path):
    with pytest.raises(NotFound, match="did you mean train"):
        find("trian")
    with pytest.raises(NotFound, match="there are compare, data_refresh"):
        find("x")
    with pytest.raises(RequestError, match="no folder"):
        find("train").begin(tmp_path / "nowhere/train.ipynb", NOW)
    with pytest.raises(RequestError, match="no kernel 'nope' here, there is .*python3"):
        find("train").begin(tmp_path, NOW, kernel="nope")
    assert not list(tmp_path.iterdir())


def test_a_file_of_schedules_says_which_notebooks_are_missing(tmp_path):
    find("train").begin(tmp_path, NOW)
    nightly = find("nightly")
    assert nightly.needs(tmp_path) == ["data_refresh", "evaluate", "compare"]
    made = nightly.begin(tmp_path / "nights.yaml", NOW, author="Kim")
    assert made.read_text().startswith("# Nights\n# Begun on 2026-03-01 by Kim, from nbtools")
    assert "nbtools schedule apply nights.yaml" in made.read_text()


@pytest.mark.slow
def test_the_command_says_what_to_do_next(call, tmp_path):
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    subprocess.run(["git", "config", "user.name", "Kim Lee"], cwd=tmp_path, check=True)
    done = call("new", "train", "my_train.ipynb")
    assert done.returncode == 0, done.stderr
    assert "run my_train.ipynb\n" in done.stdout
    assert "by Kim Lee" in cells(tmp_path / "my_train.ipynb")[0]
    again = call("new", "train", "my_train.ipynb")
    assert (again.returncode, len(again.stderr.splitlines())) == (2, 1)
    assert "new evaluate" in call("new", "nightly").stdout
    assert call("clean", "--check", tmp_path).returncode == 0
    listed = call("templates").stdout
    assert all(t.name in listed for t in templates())


@pytest.mark.slow
def test_a_wheel_has_them(tmp_path):
    source, site = tmp_path / "source", tmp_path / "site"
    leave = shutil.ignore_patterns("__pycache__")
    for folder in ("nbtools", "templates"):
        shutil.copytree(ROOT / folder, source / folder, symlinks=True, ignore=leave)
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source)
    code = "import setuptools.build_meta as b, sys; b.build_wheel(sys.argv[1])"
    subprocess.run(
        [sys.executable, "-c", code, tmp_path], cwd=source, check=True, capture_output=True
    )
    (wheel,) = tmp_path.glob("*.whl")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--target", site, wheel], check=True, capture_output=True)

    environ = {**os.environ, "PYTHONPATH": str(site), "NBTOOLS_STORE": str(tmp_path / "store")}
    command = "from nbtools.command import main; main()"
    work = tmp_path / "work"
    work.mkdir()

    def call(*words):
        return subprocess.run(
            [sys.executable, "-c", command, *words],
            cwd=work, env=environ, check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip

    found = json.loads(call("templates", "--json"))
    assert {t["path"] for t in found} == {
        str(site / "nbtools/templates" / t.path.name) for t in templates()
    }
    call("new", "train", "my_train.ipynb")
    assert cells(work / "my_train.ipynb")[1:3] == cells(ROOT / "templates/train.ipynb")[1:3]
