import pytest

from nbtools.errors import RequestError
from nbtools.git.document import BadNotebook
from nbtools.git.fix import fix, versions
from tests.git.scratch import Scratch, cells, notebook, read, sources

BASE = notebook(*cells(a="1\n2\n3", b="x", c="y"))
OURS = notebook(*cells(a="1!\n2\n3", b="x", m="mine", c="y"))
THEIRS = notebook(*cells(a="1\n2\n3!", b="x", n="new", c="y"))
OTHER = notebook(*cells(a="1?\n2\n3!", b="x", c="y"))


@pytest.fixture
def repo(tmp_path):
    return Scratch(tmp_path / "repo", driver=False)


def conflicted(repo, ours=OURS, theirs=THEIRS, name="n.ipynb", style="merge"):
    path = repo.fork(name, BASE, ours, theirs)
    repo.git("config", "merge.conflictStyle", style)
    assert repo.run("merge", "theirs").returncode == 1
    return path


def test_from_the_index_and_what_was_there_is_kept(repo):
    path = conflicted(repo)
    broken = path.read_bytes()
    assert b"\n<<<<<<< HEAD" in broken
    done = fix(path)
    assert sources(path.read_bytes()) == ["1!\n2\n3!", "x", "mine", "new", "y"]
    assert not done.merged.conflicts
    assert repo.git("cat-file", "-p", done.previous).encode() == broken
    assert repo.git("status", "--short") == "UU n.ipynb\n"  # `git add` is the user's word


def test_a_true_conflict_stays_one_with_gits_labels(repo):
    path = conflicted(repo, theirs=OTHER)
    assert len(fix(path).merged.conflicts) == 1
    assert sources(path.read_bytes())[0].startswith("`<<<<<<< HEAD` ")
    assert "`>>>>>>> theirs`" in sources(path.read_bytes())


def test_a_result_that_was_edited_is_not_overwritten(repo):
    path = conflicted(repo, theirs=OTHER)
    fix(path)
    path.write_bytes(OTHER.replace(b'"x"', b'"decided"'))
    with pytest.raises(RequestError, match="edited since"):
        fix(path)
    assert b"decided" in path.read_bytes()
    fix(path, again=True)
    assert b"decided" not in path.read_bytes()


@pytest.mark.parametrize("style", ["merge", "diff3", "zdiff3"])
def test_from_markers_where_the_index_has_nothing(repo, style, tmp_path):
    text = conflicted(repo, style=style).read_bytes()
    path = tmp_path / "alone.ipynb"
    path.write_bytes(text)
    done = fix(path)
    found = sources(path.read_bytes())
    assert {"mine", "new", "x", "y"} <= set(found)
    assert bool(done.merged.notes) if style != "diff3" else "1!\n2\n3!" in found


def test_octopus_is_refused_by_git_and_mended(repo):
    repo.attributes("*.ipynb merge=nbtools")  # git starts no driver here, whatever it is
    repo.commit("n.ipynb", BASE)
    for name, data in (("one", OURS), ("two", OTHER)):
        repo.git("checkout", "-qb", name, "main")
        repo.commit("n.ipynb", data)
    repo.git("checkout", "-q", "main")
    repo.commit("other", b"1")
    done = repo.run("merge", "one", "two")
    assert done.returncode
    path = repo.folder / "n.ipynb"
    assert len(fix(path).merged.conflicts) == 1
    assert {"1!\n2\n3!", "1?\n2\n3!", "mine"} <= set(sources(path.read_bytes()))


def test_both_added(repo):
    repo.commit("other", b"1")
    repo.git("checkout", "-qb", "theirs")
    repo.commit("n.ipynb", THEIRS)
    repo.git("checkout", "-q", "main")
    repo.commit("n.ipynb", OURS)
    assert repo.run("merge", "theirs").returncode
    assert fix(repo.folder / "n.ipynb").merged.conflicts
    read((repo.folder / "n.ipynb").read_bytes())


def test_deleted_on_one_side(repo):
    repo.commit("n.ipynb", BASE)
    repo.git("checkout", "-qb", "theirs")
    repo.git("rm", "-q", "n.ipynb")
    repo.git("commit", "-qm", "gone")
    repo.git("checkout", "-q", "main")
    repo.commit("n.ipynb", OURS)
    assert repo.run("merge", "theirs").returncode
    with pytest.raises(RequestError, match="theirs deleted or renamed it and ours changed it"):
        fix(repo.folder / "n.ipynb")
    assert (repo.folder / "n.ipynb").read_bytes() == OURS


def test_a_side_that_is_no_notebook(repo):
    path = conflicted(repo, theirs=OTHER.replace(b"],", b"", 1))
    held = path.read_bytes()
    with pytest.raises(BadNotebook, match=r"\(theirs\):\d+:.* --ours or --theirs"):
        fix(path)
    assert path.read_bytes() == held


def test_nothing_to_fix(repo, tmp_path):
    repo.commit("n.ipynb", BASE)
    path = repo.folder / "n.ipynb"
    with pytest.raises(RequestError, match="nothing to fix.*index has no conflict"):
        fix(path)
    with pytest.raises(RequestError, match="no such file"):
        fix(repo.folder / "missing.ipynb")
    path.write_bytes(b'{\n"x')
    with pytest.raises(RequestError, match=r"n\.ipynb:2:1: broken JSON.*bring it back"):
        fix(path)
    with pytest.raises(RequestError, match="Is a directory"):
        fix(tmp_path)


def test_a_name_with_spaces_in_a_folder(repo, monkeypatch):
    (repo.folder / "a b").mkdir()
    path = conflicted(repo, name="a b/*ü.ipynb")
    monkeypatch.chdir(path.parent)
    fix(path.relative_to(path.parent))
    assert sources(path.read_bytes())[0] == "1!\n2\n3!"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\n<<<<<<< x\nb\n", 2),
        ("<<<<<<< x\n=======\n<<<<<<< y\n", 3),
        (">>>>>>> x\n", 1),
        ("<<<<<<< x\nb\n>>>>>>> y\n", 3),
    ],
)
def test_markers_that_do_not_match_are_named(text, line):
    with pytest.raises(BadNotebook, match=f"^n:{line}: "):
        versions(text.encode(), "n")


def test_versions():
    text = b"0\n<<<<<<< a\n1\n||||||| b\n2\n=======\n3\n>>>>>>> c\n4\n"
    assert versions(text, "n") == (b"0\n2\n4\n", b"0\n1\n4\n", b"0\n3\n4\n")
    assert versions(text.replace(b"||||||| b\n2\n", b""), "n")[0] is None
