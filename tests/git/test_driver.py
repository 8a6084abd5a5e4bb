"""The driver, started by a real git."""

import os
import subprocess
import sys

import pytest

from nbtools.git.driver import labels, main
from tests.git.scratch import START, Scratch, cell, cells, marker, notebook, read, sources

BASE = notebook(*cells(a="1\n2\n3", b="x", c="y"))
OURS = notebook(*cells(a="1!\n2\n3", b="x", m="mine", c="y"))
THEIRS = notebook(*cells(a="1\n2\n3!", b="x", n="new", c="y"))
BOTH = ["1!\n2\n3!", "x", "mine", "new", "y"]
OTHER = notebook(*cells(a="1?\n2\n3", b="x", c="y"))


@pytest.fixture
def repo(tmp_path):
    return Scratch(tmp_path / "repo")


def test_merge(repo):
    path = repo.fork("n.ipynb", BASE, OURS, THEIRS)
    repo.git("merge", "-q", "-m", "m", "theirs")
    assert sources(path.read_bytes()) == BOTH
    assert repo.git("status", "--short") == ""


def test_a_conflict_is_one_for_git_and_a_notebook_for_people(repo):
    path = repo.fork("n.ipynb", BASE, OURS, OTHER)
    done = repo.run("merge", "theirs")
    assert done.returncode == 1
    assert b"nbtools: n.ipynb: conflict: code cell a `1!`: both sides changed" in done.stderr
    assert repo.git("status", "--short") == "UU n.ipynb\n"
    kinds = [marker(c) for c in read(path.read_bytes())["cells"]]
    assert kinds[:5] == ["ours", "", "between", "", "theirs"]


def test_jupyterlab_opens_a_conflict(repo):
    from jupyter_server.services.contents.filemanager import FileContentsManager

    repo.fork("n.ipynb", BASE, OURS, OTHER)
    repo.run("merge", "theirs")
    model = FileContentsManager(root_dir=str(repo.folder)).get("n.ipynb")
    assert "message" not in model  # what the server says of a notebook that is not valid
    assert model["type"] == "notebook"
    assert len(model["content"]["cells"]) == 8


@pytest.mark.parametrize("way", [["rebase", "theirs"], ["cherry-pick", "theirs"]])
def test_rebase_and_cherry_pick(repo, way):
    path = repo.fork("n.ipynb", BASE, OURS, THEIRS)
    repo.git(*way)
    assert set(sources(path.read_bytes())) == set(BOTH)


def test_rebase_stops_at_a_conflict_and_goes_on(repo):
    path = repo.fork("n.ipynb", BASE, OURS, OTHER)
    assert repo.run("rebase", "theirs").returncode == 1
    assert {"1!\n2\n3", "1?\n2\n3"} <= set(sources(path.read_bytes()))
    path.write_bytes(OURS)
    repo.git("add", ".")
    repo.git("-c", "core.editor=true", "rebase", "--continue")
    assert sources(path.read_bytes()) == sources(OURS)


def test_stash_pop(repo):
    repo.commit("n.ipynb", BASE)
    path = repo.write("n.ipynb", THEIRS)
    repo.git("stash", "-q")
    repo.commit("n.ipynb", OURS)
    repo.git("stash", "pop")
    assert sources(path.read_bytes()) == BOTH


def test_revert(repo):
    repo.commit("n.ipynb", BASE)
    repo.commit("n.ipynb", OURS)
    repo.commit("n.ipynb", notebook(*cells(a="1!\n2\n3", b="x", m="mine", c="y", d="later")))
    repo.git("revert", "--no-edit", "HEAD~1")
    assert sources((repo.folder / "n.ipynb").read_bytes()) == ["1\n2\n3", "x", "y", "later"]


def test_criss_cross(repo):
    """Two merge bases: git merges those first, with the driver too."""
    path = repo.fork("n.ipynb", BASE, OURS, OTHER)
    repo.git("tag", "ours")
    for branch, other, data in (("main", "theirs", OURS), ("theirs", "ours", OTHER)):
        repo.git("checkout", "-q", branch)
        repo.run("merge", other)
        path.write_bytes(data)
        repo.git("add", ".")
        repo.git("commit", "-qm", f"merge into {branch}")
    repo.git("checkout", "-q", "main")
    repo.commit("n.ipynb", OURS.replace(b'"y"', b'"Y"'))
    done = repo.run("merge", "theirs")
    assert done.returncode == 1
    assert {"1!\n2\n3", "1?\n2\n3", "Y"} <= set(sources(path.read_bytes()))


def test_criss_cross_of_metadata(repo):
    three = [notebook(cell("x", "a", k=k), size=k) for k in (1, 2, 3)]
    path = repo.fork("n.ipynb", *three)
    repo.git("tag", "ours")
    for branch, other, data in (("main", "theirs", three[1]), ("theirs", "ours", three[2])):
        repo.git("checkout", "-q", branch)
        repo.run("merge", other)
        path.write_bytes(data)
        repo.git("add", ".")
        repo.git("commit", "-qm", f"merge into {branch}")
    repo.git("checkout", "-q", "main")
    done = repo.run("merge", "theirs")
    assert done.returncode == 1
    assert done.stderr.count(b"metadata: ") == 4  # the bases' merge speaks too


def test_rename_and_change(repo):
    repo.commit("n.ipynb", BASE)
    repo.git("checkout", "-qb", "theirs")
    repo.git("mv", "n.ipynb", "moved.ipynb")
    repo.commit("moved.ipynb", THEIRS)
    repo.git("checkout", "-q", "main")
    repo.commit("n.ipynb", OURS)
    repo.git("merge", "-qm", "m", "theirs")
    assert sources((repo.folder / "moved.ipynb").read_bytes()) == BOTH
    assert not (repo.folder / "n.ipynb").exists()


@pytest.mark.parametrize(
    "bad", [os.urandom(3000), b"", b"{}", BASE[:-30], b"\xef\xbb\xbf" + BASE, b"[" * 99_999]
)
def test_a_side_that_is_no_notebook_is_a_conflict_and_nothing_is_lost(repo, bad):
    path = repo.fork("n.ipynb", BASE, OURS, bad)
    done = repo.run("merge", "theirs")
    assert done.returncode == 1
    if b"Cannot merge binary" not in done.stderr:
        assert b"nbtools: n.ipynb (theirs):1" in done.stderr.replace(b"\n", b"\n ") or (
            b"nbtools: n.ipynb (theirs):" in done.stderr
        )
    assert path.read_bytes() == OURS
    assert repo.run("show", ":3:n.ipynb").stdout == bad


def test_deleted_on_one_side_is_gits_conflict(repo):
    path = repo.fork("n.ipynb", BASE, OURS, THEIRS)
    repo.git("checkout", "-q", "theirs")
    repo.git("rm", "-q", "n.ipynb")
    repo.git("commit", "-qm", "gone")
    repo.git("checkout", "-q", "main")
    assert repo.run("merge", "theirs").returncode == 1
    assert path.read_bytes() == OURS


def test_a_driver_that_dies_leaves_ours(repo):
    repo.git("config", "merge.nbtools.driver", f'"{sys.executable}" -c "import os; os.abort()"')
    path = repo.fork("n.ipynb", BASE, OURS, THEIRS)
    assert repo.run("merge", "theirs").returncode
    assert path.read_bytes() == OURS


def test_files_keep_their_permissions_and_no_part_is_left(tmp_path):
    for name, data in (("o", BASE), ("a", OURS), ("b", THEIRS)):
        (tmp_path / name).write_bytes(data)
    (tmp_path / "a").chmod(0o640)
    assert main([str(tmp_path / name) for name in "oab"]) == 0
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b", "o"]


def test_missing_files_and_words(tmp_path, capsys):
    assert main(["x"]) == 2
    assert main([str(tmp_path / "nope"), "a", "b"]) == 1
    assert "nope: No such file" in capsys.readouterr().err


def test_labels_of_newer_gits():
    assert labels("9", ["HEAD", "topic"]).theirs == "topic"
    assert labels("x", ["%X", "%Y"]).ours == "ours"


def test_it_imports_the_standard_library_alone():
    code = "import sys; sys.argv = ['s', 'merge']; import runpy\n" \
           "try: runpy.run_path(sys.argv[1] if 0 else START)\n" \
           "except SystemExit: print(*sorted(m.split('.')[0] for m in sys.modules))"  # fmt: skip
    code = code.replace("START", repr(str(START)))
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True
    )
    found = set(done.stdout.split()) - set(sys.stdlib_module_names) - {"__main__", "nbtools"}
    assert not {name for name in found if not name.startswith("_")}


def test_diff_shows_text(repo):
    repo.commit("n.ipynb", BASE)
    repo.write(
        "n.ipynb", notebook(*cells(a="1\n2\n3", b="x!", c="y"), cell("p", "p", outputs=["o"]))
    )
    shown = repo.git("diff")
    assert "-x\n+x!\n" in shown
    assert "+#> o\n" in shown
    assert '"cell_type"' not in shown
    repo.write("n.ipynb", b"{broken")
    assert "+{broken" in repo.git("diff")
