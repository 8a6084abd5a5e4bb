"""Two jobs beside each other: why their results differ."""

import json
import shutil
import subprocess
from xml.etree import ElementTree

import nbformat
import pytest
from nbformat.v4 import new_code_cell

import nbtools
from nbtools.differences import difference
from nbtools.errors import NotebookFailed
from nbtools.jobs import Jobs

pytestmark = pytest.mark.slow
PICTURE = "import IPython.display as d\nd.display(d.Image(data=bytes([137, {}]), format='png'))"
SCORE = "import nbtools\nnbtools.log_metrics({'score': lr * 2})"


def edit(path, change):
    notebook = nbformat.read(path, as_version=4)
    change(notebook.cells)
    nbformat.write(notebook, path)


def compared(a, b):
    return difference(Jobs.open(), a.refresh(), b.refresh())


def by_kind(found, kind):
    return {d.name: (d.before, d.after) for d in (*found.causes, *found.results) if d.kind == kind}


@pytest.fixture
def notebook(store_folder, make_notebook):
    return make_notebook(
        "work.ipynb", "print(object())\nprint('a')", PICTURE.format(1), SCORE, "print('end')"
    )


def test_the_same_twice_differs_in_nothing_that_means_anything(notebook):
    found = compared(nbtools.run(notebook), nbtools.run(notebook))
    assert not found.differs  # not in addresses, times, names of runs, ids of cells injected
    assert found.verdict == "Nothing that is known of them differs."


def test_parameters_and_metrics(notebook):
    found = compared(nbtools.run(notebook), nbtools.run(notebook, {"lr": 0.5}))
    assert by_kind(found, "param") == {"lr": (0.001, 0.5)}  # the default is known too
    assert by_kind(found, "metric") == {"score": (0.002, 1.0)}
    assert not found.cells
    assert found.verdict == ("What came out differs: metric score. So does what went in: param lr.")


def test_cells_are_compared_by_their_ids_and_pictures_by_their_digests(notebook):
    first = nbtools.run(notebook)

    def change(cells):
        cells[1].source = "print(object())\nprint('b')"
        cells[2].source = PICTURE.format(2)
        cells.insert(1, new_code_cell("print('new')", id="new"))
        del cells[5]

    edit(notebook, change)
    found = compared(first, nbtools.run(notebook))
    new, text, picture, gone = found.cells
    assert (new.before, new.after, new.id) == (0, 3, "new")
    assert new.outputs == ("@@ -0,0 +1 @@", "+new")
    assert (text.before, text.after) == (3, 4)
    assert text.source[1:] == (" print(object())", "-print('a')", "+print('b')")
    assert text.outputs[1:] == (" <object object at 0x…>", "-a", "+b")
    assert [line[:12] for line in picture.outputs if line[0] in "-+"] == [
        "-[image/png,",
        "+[image/png,",
    ]
    assert picture.outputs[-1] != picture.outputs[-2]
    assert (gone.before, gone.after) == (6, 0)
    assert "-print('end')" in gone.source


def test_data_read_files_left_and_how_it_ended(store_folder, make_notebook, tmp_path):
    data = tmp_path / "data.csv"
    notebook = make_notebook(
        "work.ipynb",
        "import nbtools\ntext = nbtools.open_input('data.csv', 'r').read()\n"
        "nbtools.output_path('copy.txt').write_text(text)",
        "assert text == 'one'",
    )
    data.write_text("one")
    first = nbtools.run(notebook)
    data.write_text("three")
    with pytest.raises(NotebookFailed) as caught:
        nbtools.run(notebook)
    found = compared(first, caught.value.job)
    assert set(by_kind(found, "input")) == {"data.csv"}
    assert set(by_kind(found, "file")) == {"copy.txt"}
    assert by_kind(found, "state")["state"] == ("SUCCEEDED", "FAILED")
    assert "input data.csv" in found.verdict


def test_chance_is_named_when_nothing_that_is_known_explains_it(store_folder, make_notebook):
    notebook = make_notebook("work.ipynb", "import random\nprint(random.random())")
    found = compared(nbtools.run(notebook), nbtools.run(notebook))
    assert not found.causes
    assert "random numbers without a seed" in found.verdict
    assert any("packages" in why for why in found.unknown)  # the notebook has logged nothing


def test_options_kernel_and_commit(notebook, tmp_path):

    def git(*words):
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *who, *words], cwd=tmp_path, check=True, capture_output=True)

    git("init", "-q")
    git("add", "work.ipynb")
    git("commit", "-qm", "one")
    first = nbtools.run(notebook)
    git("commit", "-qm", "two", "--allow-empty")
    found = compared(first, nbtools.run(notebook, timeout=100, threads=1))
    assert by_kind(found, "option") == {"timeout": (0.0, 100.0), "threads": (0, 1)}
    before, after = by_kind(found, "code")["commit"]
    assert before != after


def test_two_jobs_of_one_run_and_one_at_work(store_folder, make_notebook, tmp_path):
    notebook = make_notebook(
        "work.ipynb", "import pathlib, time\nassert pathlib.Path('flag').exists()", "time.sleep(60)"
    )
    with pytest.raises(NotebookFailed) as caught:
        nbtools.run(notebook)
    (tmp_path / "flag").touch()
    new = caught.value.job.resume()
    try:
        found = compared(caught.value.job, new)
        assert any("one value of each" in why for why in found.unknown)
        assert any("what it will leave: it is" in why for why in found.unknown)
    finally:
        new.cancel().wait()


def test_the_command(notebook, call, tmp_path):
    a = nbtools.run(notebook)
    edit(notebook, lambda cells: cells[1].update(source="print('<b>\\x1b[31m')"))
    b = nbtools.run(notebook, {"lr": 0.5})
    done = call("jobs", "diff", a.name, b.name, "--html", "diff.html")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"- {a.name}  SUCCEEDED")
    assert lines[2].startswith("What came out differs: metric score")
    assert done.stdout.index("What went in") < done.stdout.index("What came out\n")
    assert "param lr  0.001  →  0.5" in done.stdout
    assert "(+0.998, +49900.00%)" in done.stdout
    assert "\x1b" not in done.stdout
    ElementTree.fromstring((tmp_path / "diff.html").read_text().partition("\n")[2])
    found = json.loads(call("jobs", "diff", a.name, b.name, "--json").stdout)
    assert found["differs"] is True
    assert {c["kind"] for c in found["causes"]} == {"param"}
    assert call("jobs", "diff", a.name, b.name, "--exit-code").returncode == 1
    assert call("jobs", "diff", a.name, a.name, "--exit-code").returncode == 0
    assert call("jobs", "diff", a.name, "nope").returncode == 2


def test_a_job_without_its_files_is_said_to_be_one(notebook, call):

    a, b = nbtools.run(notebook), nbtools.run(notebook, {"lr": 0.5})
    shutil.rmtree(a.folder)
    done = call("jobs", "diff", a.name, b.name)
    assert done.returncode == 0, done.stderr
    assert "source and outputs: its files are gone" in done.stdout
    assert "param lr" in done.stdout
