import pytest
from click.testing import CliRunner

from nbtools.cli.git_diff import diff
from nbtools.git.comparison import compare
from nbtools.git.document import Document
from tests.git.scratch import Scratch, cell, cells, notebook

BASE = notebook(*cells(a="1\n2\n3", b="x", c="y", d="z"), k=1)


def lines(old, new):
    found = compare(Document.parse(old, "old"), Document.parse(new, "new"))
    return [f"{line.kind} {line.text}" for line in found]


@pytest.fixture
def repo(tmp_path, monkeypatch):
    repo = Scratch(tmp_path / "repo")
    repo.commit("n.ipynb", BASE)
    monkeypatch.chdir(repo.folder)
    return repo


def run(*arguments):
    done = CliRunner().invoke(diff, ["--by", "nbtools", *arguments])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def test_cells_that_changed_came_went_and_moved():
    new = notebook(*cells(d="z", a="1\n2!\n3", c="y", n="new"), k=2)
    assert lines(BASE, new) == [
        "note metadata.k: 1 → 2",
        "cell cell 1 [code] id=d",
        "note moved from 4 to 1",
        "cell cell 2 [code] id=a",
        "note @@ -1,3 +1,3 @@",
        "  1",
        "- 2",
        "+ 2!",
        "  3",
        "cell cell 2 [code] id=b deleted",
        "- x",
        "cell cell 4 [code] id=n inserted",
        "+ new",
    ]
    assert lines(BASE, BASE) == []


def test_outputs_type_and_metadata():
    old = notebook(cell("a", "a", outputs=["1"]), cell("m", "m", "markdown"))
    new = notebook(cell("a", "a", outputs=["2"], tags=["t"]), cell("m", "m", "raw"))
    assert lines(old, new) == [
        "cell cell 1 [code] id=a",
        "note metadata.tags: nothing → ['t']",
        "note @@ -1 +1 @@",
        "- #> 1",
        "+ #> 2",
        "cell cell 2 [raw] id=m",
        "note type: markdown → raw",
    ]


def test_work_tree_index_and_revisions(repo):
    repo.write("n.ipynb", BASE.replace(b'"x"', b'"x!"'))
    assert "-x\n+x!\n" in run().output
    assert run("--cached").output == ""
    repo.git("add", ".")
    assert run().output == ""
    assert "+x!" in run("--staged", "--", "n.ipynb").output
    repo.git("commit", "-qm", "c")
    assert "+x!" in run("HEAD~1", "HEAD").output
    assert "+x!" in run("HEAD~1..", "--", "*.ipynb").output
    assert run("HEAD~1", "--exit-code").exit_code == 1
    assert run("HEAD", "--exit-code").exit_code == 0


def test_what_the_filter_strips_is_no_difference(repo):
    repo.attributes("*.ipynb filter=nbtools")  # known by its name; not configured here
    repo.write("n.ipynb", notebook(cell("1\n2\n3", "a", outputs=["o"]),
                                   *cells(b="x", c="y", d="z"), k=1))  # fmt: skip
    assert run("--exit-code").output == ""


def test_new_deleted_renamed_broken_and_conflicted(repo):
    repo.git("mv", "n.ipynb", "m.ipynb")
    repo.write("new.ipynb", notebook(*cells(a="fresh")))
    repo.git("add", ".")
    shown = run("--cached").output
    assert shown.startswith("n.ipynb → m.ipynb\nnew.ipynb, new\n@@ cell 1 [code] id=a inserted\n")
    repo.git("commit", "-qm", "c")
    repo.write("m.ipynb", b"{broken")
    (repo.folder / "new.ipynb").unlink()
    shown = run().output
    assert "m.ipynb:1:2: broken JSON" in shown
    assert "+{broken" in shown
    assert "new.ipynb, deleted\n@@ cell 1 [code] id=a deleted\n-fresh\n" in shown


def test_a_conflict_says_what_to_do(repo):
    repo.fork("n.ipynb", BASE, BASE.replace(b'"x"', b'"l"'), BASE.replace(b'"x"', b'"r"'))
    repo.run("merge", "theirs")
    assert run().output == (
        "n.ipynb\n   is in conflict: decide between its marker cells, or nbtools git fix n.ipynb\n"
    )


def test_two_files(tmp_path):
    for name, data in (("a", BASE), ("b", BASE.replace(b'"x"', b'"w"'))):
        (tmp_path / name).write_bytes(data)
    assert "-x\n+w\n" in run("--no-index", str(tmp_path / "a"), str(tmp_path / "b")).output


def test_colours_only_on_a_terminal(repo):
    repo.write("n.ipynb", BASE.replace(b'"x"', b'"x!"'))
    assert "\x1b[" not in run().output
    coloured = CliRunner().invoke(diff, ["--by", "nbtools"], color=True).output
    assert "\x1b[32m+x!" in coloured


def test_through_nbdime(repo):
    pytest.importorskip("nbdime")
    repo.write("n.ipynb", BASE.replace(b'"x"', b'"x!"'))
    shown = CliRunner().invoke(diff, ["--by", "nbdime"]).output
    assert "modified /cells/1/source" in shown
    assert "+  x!" in shown
