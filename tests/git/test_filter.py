"""The filter behind a real git: what goes in, what comes out, what is refused."""

import base64
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nbtools.git import install
from nbtools.git.strip import strip
from tests.git import corpus
from tests.git.scratch import START, Scratch, cell, notebook

DIRTY = notebook(cell("print(1)", "a", outputs=["1\n"]), cell("# text", "b", "markdown"))
CLEAN = strip(DIRTY)


def installed(folder, keep=False):
    repo = Scratch(folder, driver=False)
    for key, value in install.settings(keep).items():
        repo.git("config", key, value)
    repo.attributes(install.LINE)
    return repo


@pytest.fixture
def repo(tmp_path):
    return installed(tmp_path / "re po")


def staged(repo, name="a.ipynb"):
    return repo.run("show", f":{name}").stdout


def test_add_status_commit_checkout(repo):
    path = repo.write("a.ipynb", DIRTY)
    repo.git("add", ".")
    assert staged(repo) == CLEAN
    assert path.read_bytes() == DIRTY
    repo.git("commit", "-qm", "one")
    os.utime(path, (1, 1))
    assert repo.git("status", "--short") == ""
    path.write_bytes(DIRTY.replace(b"1\\n", b"2\\n"))  # other outputs, same source
    assert repo.git("diff") == ""
    path.write_bytes(DIRTY.replace(b"print(1)", b"print(2)"))
    assert "print(2)" in repo.git("diff")
    repo.git("checkout", "-q", ".")
    assert path.read_bytes() == CLEAN


def test_names_with_spaces_quotes_and_accents(repo):
    for name in ("a b.ipynb", "é'\".ipynb", "ünder/ü $x.ipynb"):
        (repo.folder / name).parent.mkdir(exist_ok=True)
        repo.write(name, DIRTY)
        repo.git("add", "-A")
        assert staged(repo, name) == CLEAN


def test_stash_rebase_and_merge(repo):
    repo.commit("a.ipynb", DIRTY)
    repo.write("a.ipynb", DIRTY.replace(b"print(1)", b"print(3)"))
    repo.git("stash", "-q")
    assert (repo.folder / "a.ipynb").read_bytes() == CLEAN
    repo.git("stash", "pop", "-q")
    assert b"print(3)" in (repo.folder / "a.ipynb").read_bytes()
    repo.git("checkout", "-q", ".")
    repo.git("checkout", "-qb", "other")
    repo.commit("a.ipynb", DIRTY.replace(b"# text", b"# other"))
    repo.git("checkout", "-q", "main")
    repo.commit("a.ipynb", DIRTY.replace(b"print(1)", b"print(4)"))
    repo.git("checkout", "-q", "other")
    repo.git("rebase", "-q", "main")
    merged = (repo.folder / "a.ipynb").read_bytes()
    assert b"# other" in merged
    assert b"print(4)" in merged
    repo.git("checkout", "-q", "main")
    repo.git("merge", "-q", "other")
    assert repo.git("status", "--short") == ""


def test_a_linked_worktree_is_filtered_too(repo, tmp_path):
    repo.commit("a.ipynb", DIRTY)
    repo.git("worktree", "add", "-q", "-b", "side", str(tmp_path / "side"))
    (tmp_path / "side" / "b.ipynb").write_bytes(DIRTY)
    subprocess.run(["git", "add", "."], cwd=tmp_path / "side", check=True)
    shown = subprocess.check_output(["git", "show", ":b.ipynb"], cwd=tmp_path / "side")
    assert shown == CLEAN


def test_a_clone_without_install_works_unfiltered(repo, tmp_path):
    (repo.folder / ".gitattributes").write_text(install.LINE + "\n")
    repo.commit("a.ipynb", DIRTY)
    subprocess.run(["git", "clone", "-q", str(repo.folder), str(tmp_path / "c")], check=True)
    assert (tmp_path / "c" / "a.ipynb").read_bytes() == CLEAN
    assert b"filter" not in (tmp_path / "c" / ".git" / "config").read_bytes()
    (tmp_path / "c" / "b.ipynb").write_bytes(DIRTY)
    subprocess.run(["git", "add", "."], cwd=tmp_path / "c", check=True)


def test_a_missing_interpreter_stages_nothing(repo):
    for key in ("process", "clean", "smudge"):
        repo.git("config", f"filter.nbtools.{key}", "/no/such/python start.py")
    path = repo.write("a.ipynb", DIRTY)
    assert repo.run("add", ".").returncode != 0
    assert repo.git("ls-files") == ""
    assert path.read_bytes() == DIRTY


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        (DIRTY[:-30], b"a b.ipynb:"),
        (b"\xef\xbb\xbf" + DIRTY, b"byte order mark"),
        (b"version https://git-lfs.github.com/spec/v1\n", b"a b.ipynb:1: is a Git LFS pointer"),
        (notebook(cell("x", "a", keep_output=False, tags=["keep_output"])), b"remove one"),
    ],
)  # fmt: skip
def test_what_is_no_notebook_is_refused_by_name_and_line_and_stays(repo, bad, sentence):
    path = repo.write("a b.ipynb", bad)
    repo.write("good.ipynb", DIRTY)
    done = repo.run("add", ".")
    assert done.returncode != 0
    assert b"nbtools: a b.ipynb:" in done.stderr
    assert sentence in done.stderr
    assert path.read_bytes() == bad
    assert "a b.ipynb" not in repo.git("ls-files", "-z")


def test_an_empty_notebook_passes(repo):
    repo.commit("a.ipynb", b"")
    assert staged(repo) == b""


def test_the_project_table_holds_for_the_filter(repo):
    repo.write(
        "pyproject.toml", b'[tool.nbtools.clean]\nkeep_output = true\nextra-keys = ["metadata.x"]\n'
    )
    (repo.folder / "sub").mkdir()
    repo.write("sub/pyproject.toml", b"[tool.other]\n")
    repo.write("sub/a.ipynb", DIRTY)
    repo.write("a.ipynb", notebook(cell("1", "a", outputs=["1"]), x=5))
    repo.git("add", ".")
    assert b'"stream"' in staged(repo, "sub/a.ipynb")
    assert json.loads(staged(repo))["metadata"] == {}
    repo.write("pyproject.toml", b"[tool.nbtools.clean]\nkeep_outputs = true\n")
    repo.write("b.ipynb", DIRTY)
    done = repo.run("add", "b.ipynb")
    assert done.returncode != 0
    assert b"no option 'keep_outputs'" in done.stderr
    assert b"pyproject.toml" in done.stderr


def test_single_commands_do_the_same(repo):
    repo.git("config", "--unset", "filter.nbtools.process")
    repo.write("a b.ipynb", DIRTY)
    repo.git("add", ".")
    assert staged(repo, "a b.ipynb") == CLEAN
    repo.git("commit", "-qm", "x")
    repo.git("rm", "-q", "a b.ipynb")
    repo.git("checkout", "-q", "HEAD", "--", ".")
    assert (repo.folder / "a b.ipynb").read_bytes() == CLEAN
    repo.write("bad.ipynb", b"{")
    assert repo.run("add", ".").returncode != 0


def test_an_interrupted_filter_loses_nothing(repo):
    for number in range(40):
        repo.write(
            f"{number}.ipynb", notebook(cell(f"print({number})", "a", outputs=["1\n" * 9000]))
        )
    before = {p.name: p.read_bytes() for p in repo.folder.glob("*.ipynb")}
    add = subprocess.Popen(["git", "add", "."], cwd=repo.folder, stderr=subprocess.PIPE)
    child = None
    while add.poll() is None and child is None:
        for found in Path("/proc").glob("[0-9]*/stat") if Path("/proc").exists() else ():
            try:
                parent = found.read_text().rpartition(")")[2].split()[1]
                line = (found.parent / "cmdline").read_bytes()
            except OSError:
                continue
            if b"start.py" in line and parent == str(add.pid):
                child = int(found.parent.name)
    if child:
        try:
            os.kill(child, signal.SIGKILL)
        except ProcessLookupError:
            child = None
    add.wait()
    assert {p.name: p.read_bytes() for p in repo.folder.glob("*.ipynb")} == before
    (repo.folder / ".git" / "index.lock").unlink(missing_ok=True)
    repo.git("add", ".")
    assert all(staged(repo, name) == strip(data) for name, data in before.items())


def test_ctrl_c_ends_the_filter_quietly():
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", str(START), "process"], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    process.stdin.write(b"0016git-filter-client\n000eversion=2\n0000")
    process.stdin.flush()
    assert process.stdout.read(8) == b"0016git-"
    process.send_signal(signal.SIGINT)
    assert process.communicate()[1] == b""
    assert process.returncode == 130


@pytest.mark.parametrize("given", [b"", b"hello", b"0016git-filter-client\n", b"zzzz"])
def test_what_is_not_git_gets_a_sentence(given):
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(START), "process"], input=given, capture_output=True
    )
    assert done.returncode == 1
    assert done.stderr.startswith(b"nbtools: this is what git runs") or given.startswith(b"0016")
    assert b"Traceback" not in done.stderr


def test_a_large_blob_needs_little_memory(repo):
    image = base64.b64encode(os.urandom(30_000_000)).decode()
    output = {"data": {"image/png": image}, "metadata": {}, "output_type": "display_data"}
    made = json.loads(DIRTY)
    made["cells"][0]["outputs"] = [output]
    path = repo.write("a.ipynb", corpus.text(made).encode())
    probe = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, "
        "stdin=open('feed', 'rb'), stdout=subprocess.DEVNULL);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    repo.git("add", ".")
    assert staged(repo) == CLEAN
    if sys.platform == "linux":
        # git itself maps the file, so the filter is measured alone, as git feeds it.
        size = path.stat().st_size
        feed = repo.folder / "feed"
        with feed.open("wb") as file:
            file.write(b"0016git-filter-client\n000eversion=2\n0000")
            file.write(
                b"0015capability=clean\n0000" + b"0012command=clean\n0015pathname=a.ipynb\n0000"
            )
            data = path.read_bytes()
            for at in range(0, size, 65516):
                piece = data[at : at + 65516]
                file.write(b"%04x" % (len(piece) + 4) + piece)
            file.write(b"0000")
        del data
        said = subprocess.check_output(
            [sys.executable, "-c", probe, sys.executable, "-I", "-S", str(START), "process"],
            cwd=repo.folder,
        )
        assert int(said) * 1024 < 1.2 * size + 12_000_000  # Python itself has ten


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_two_gigabytes(repo):
    image = base64.b64encode(os.urandom(15_000_000)).decode()
    made = json.loads(DIRTY)
    for number in range(100):
        output = {
            "data": {"image/png": image},
            "metadata": {"n": number},
            "output_type": "display_data",
        }
        made["cells"][0] |= {"outputs": [output], "source": [f"print({number})"]}
        repo.write(f"{number}.ipynb", corpus.text(made).encode())
    begin = time.monotonic()
    repo.git("add", ".")
    assert time.monotonic() - begin < 60
    for number in range(100):
        assert strip((repo.folder / f"{number}.ipynb").read_bytes()) == staged(
            repo, f"{number}.ipynb"
        )


def test_local_outputs_survive_stash_checkout_and_rebase(tmp_path):
    repo = installed(tmp_path / "r", keep=True)
    repo.commit("a.ipynb", DIRTY)
    path = repo.folder / "a.ipynb"
    canonical = path.read_bytes()
    path.write_bytes(canonical.replace(b"# text", b"# more"))
    repo.git("stash", "-q")
    assert b'"stream"' in path.read_bytes()
    assert repo.git("status", "--short") == ""
    repo.git("stash", "pop", "-q")
    assert json.loads(path.read_bytes()) == json.loads(canonical.replace(b"# text", b"# more"))
    repo.git("checkout", "-q", ".")
    repo.git("checkout", "-qb", "other")
    repo.commit("a.ipynb", canonical.replace(b"print(1)", b"print(5)").replace(b"1\\n", b"5\\n"))
    repo.git("checkout", "-q", "main")
    outputs = json.loads(path.read_bytes())["cells"][0]["outputs"]
    assert outputs[0]["text"] == ["1\n"]
    repo.git("checkout", "-q", "other")
    assert json.loads(path.read_bytes())["cells"][0]["outputs"][0]["text"] == ["5\n"]
    assert staged(repo) == strip(path.read_bytes())
    # Nothing is committed, and nothing leaves with a clone.
    assert b"stream" not in repo.run("log", "-p", "--no-textconv", "--all").stdout
    subprocess.run(["git", "clone", "-q", str(repo.folder), str(tmp_path / "c")], check=True)
    assert not (tmp_path / "c" / ".git" / "nbtools").exists()
    kept = repo.folder / ".git" / "nbtools" / "outputs"
    assert all(found.stat().st_mode & 0o077 == 0 for found in kept.rglob("*"))


def test_outputs_that_were_cleared_stay_cleared(tmp_path):
    repo = installed(tmp_path / "r", keep=True)
    repo.commit("a.ipynb", DIRTY)
    repo.commit("a.ipynb", CLEAN)
    repo.git("rm", "-q", "--cached", "a.ipynb")
    (repo.folder / "a.ipynb").unlink()
    repo.git("checkout", "-q", "HEAD", "--", ".")
    assert (repo.folder / "a.ipynb").read_bytes() == CLEAN


def test_local_outputs_are_bounded(tmp_path):
    repo = installed(tmp_path / "r", keep=True)
    repo.git("config", "nbtools.keepbytes", "20000")
    rng = random.Random(1)
    for number in range(12):
        text = "".join(rng.choices("abcdefgh0123456789", k=8000))
        repo.write(f"{number}.ipynb", notebook(cell("x", "a", outputs=[text])))
        repo.git("add", ".")
    kept = list((repo.folder / ".git" / "nbtools" / "outputs").rglob("*"))
    assert 0 < sum(found.stat().st_size for found in kept if found.is_file()) <= 20000


def test_it_survives_being_moved_without_site_packages(tmp_path):
    # What a hook or a filter needs is in the folder: no installation, no site-packages.
    shutil.copytree(Path(START).parent, tmp_path / "x y" / "nbtools" / "git")
    start = tmp_path / "x y" / "nbtools" / "git" / "start.py"
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(start), "clean", "a.ipynb"],
        input=DIRTY,
        capture_output=True,
    )
    assert done.stdout == CLEAN, done.stderr
