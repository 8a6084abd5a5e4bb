"""`nbtools prune`, as its user calls it, killed anywhere, and while others refer to jobs."""

import json
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

import nbtools
from nbtools import disposal, lineage
from nbtools.errors import NbtoolsError
from nbtools.jobs import Jobs
from nbtools.nouns import JOB, Artifact, Execution, utc_now
from nbtools.retention import Rules
from nbtools.settings import Settings
from nbtools.store import Store
from tests.test_retention import MONTH, NOW, World

pytestmark = pytest.mark.slow

#: prunes, and is killed in the moment before it changes a file for the nth time.
KILLED = """
import os, signal, sys
from datetime import datetime
from pathlib import Path
from nbtools import disposal
from nbtools.jobs import Jobs
from nbtools.retention import Rules
from nbtools.settings import Settings
from nbtools.store import Store
from datetime import timedelta
folder, now, left = Path(sys.argv[1]), datetime.fromisoformat(sys.argv[2]), int(sys.argv[3])
def hook(event, _):
    global left
    if event in ("os.rename", "os.remove", "os.rmdir"):
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
settings = Settings(store=folder, runtime=folder / "runtime")
jobs = Jobs(Store(folder), settings, lambda: now)
disposal.BATCH = 2
sys.addaudithook(hook)
disposal.prune(jobs, Rules(keep=timedelta(days=30)), now)
"""


def build(folder):
    """Five jobs that may go, one that refers to nothing and stays, one whose file is read."""
    world = World(folder, folder / "runtime")
    for name in ("a", "b", "c"):
        world.job(name)
    world.job("d", 90, resume_of="c")
    world.job("e", 80, retry_of="d")
    world.job("read")
    world.job("young", 1)
    lineage.read(world.store, world.store.get(Artifact, "read-plot"), "young", NOW)
    return world


def assert_whole(folder):
    """Whatever is remembered has its files, or will have when the next prune has looked; and
    what is referred to is there.
    """
    store = Store(folder)
    names = {e.name for e in store.select(Execution, JOB)}
    for execution in store.select(Execution, JOB):
        name, meta = execution.name, execution.metadata
        places = [folder / "jobs" / n for n in (name, f".{name}.pruned")]
        there = [p for p in places if p.exists()]
        assert len(there) == 1, name
        assert sorted(p.name for p in there[0].iterdir()) == ["files", "work.ipynb"]
        assert {meta["resume_of"], meta["retry_of"]} <= {"", *names}
    assert {"read", "young"} <= names
    assert (folder / "jobs/read/files/plot.txt").exists()
    store.close()


def test_killed_anywhere_it_leaves_what_the_next_one_finishes(tmp_path):
    built = tmp_path / "built"
    build(built).store.close()
    kills = 0
    for number in range(1, 200):
        folder = tmp_path / f"{number}"
        shutil.copytree(built, folder)
        _moved(built, folder)
        done = subprocess.run(
            [sys.executable, "-c", KILLED, folder, NOW.isoformat(), str(number)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode in (0, -9), done.stderr
        kills += done.returncode == -9
        assert_whole(folder)
        jobs = Jobs(Store(folder), Settings(store=folder, runtime=folder / "runtime"), lambda: NOW)
        disposal.prune(jobs, MONTH, NOW)
        assert {e.name for e in jobs.store.select(Execution, JOB)} == {"read", "young"}
        assert sorted(p.name for p in (folder / "jobs").iterdir()) == ["read", "young"]
        assert jobs.store.find(Artifact, "a-plot") is None
        jobs.store.close()
        if done.returncode == 0:
            break
    assert kills >= 15  # each rename, each file, each folder


def _moved(before, after):
    """Jobs say where their folder is; it has been copied."""
    store = Store(after)
    for execution in store.select(Execution, JOB):
        path = execution.metadata["folder"].replace(str(before), str(after))
        store.amend(
            Execution, execution.name, lambda e, p=path: _with(e, folder=p), NOW
        )  # fmt: skip
    for artifact in store.select(Artifact):
        uri = artifact.uri.replace(str(before), str(after))
        store.amend(Artifact, artifact.name, lambda a, u=uri: replace(a, uri=u), NOW)
    store.close()


def _with(execution, **values):
    return replace(execution, metadata={**execution.metadata, **values})


def test_while_others_begin_to_refer_nothing_that_is_referred_to_goes(tmp_path):
    """One thread prunes for as long as another makes jobs that refer to old ones."""
    world = World(tmp_path / "store", tmp_path / "runtime")
    for number in range(60):
        world.job(f"old-{number}")
    made, lost = [], []

    def refer():
        mine = World(tmp_path / "store", tmp_path / "runtime")
        for number in range(60):
            name = f"new-{number}"
            try:
                artifact = lineage.find(mine.store, f"old-{number}-plot")
                with mine.store.write():
                    mine.job(name, 0, resume_of=f"old-{number}")
                    mine.store.get(Execution, f"old-{number}")
                    lineage.read(mine.store, artifact, name, NOW)
                made.append(number)
            except NbtoolsError:
                lost.append(number)

    thread = threading.Thread(target=refer)
    thread.start()
    disposal.BATCH, before = 3, disposal.BATCH
    try:
        while thread.is_alive():
            disposal.prune(world.jobs, MONTH, NOW)
    finally:
        disposal.BATCH = before
        thread.join()
    disposal.prune(world.jobs, MONTH, NOW)
    assert len(made) + len(lost) == 60
    names = {e.name for e in world.store.select(Execution, JOB)}
    assert names == {f"{w}-{n}" for n in made for w in ("old", "new")}
    for number in made:
        assert (tmp_path / f"store/jobs/old-{number}/files/plot.txt").exists()


@pytest.fixture
def three(store_folder, make_notebook):
    """Three real jobs, of which the second goes on from the first."""
    notebook = make_notebook(
        "work.ipynb", "import nbtools\nnbtools.log_metrics({'m': lr})\n"
        "nbtools.output_path('note.txt').write_text('x' * 1000)",
    )  # fmt: skip
    return [nbtools.run(notebook, {"lr": float(n)}) for n in range(3)]


def test_the_command_says_first_and_then_does_it(call, three, store_folder):
    dry = call("prune", "--keep-last", "1", "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "would remove 2 jobs" in dry.stdout
    assert "nothing was removed" in dry.stdout
    assert len(list((store_folder / "jobs").iterdir())) == 3
    asked = call("prune", "--keep-last", "1", input="n\n")
    assert asked.returncode == 130
    assert len(list((store_folder / "jobs").iterdir())) == 3
    done = call("prune", "--keep-last", "1", "--yes", "--json")
    found = json.loads(done.stdout)
    assert {g["name"] for g in found["jobs"]} == {three[0].name, three[1].name}
    assert found["bytes"] > 2000
    assert [p.name for p in (store_folder / "jobs").iterdir()] == [three[2].name]
    jobs = json.loads(call("jobs", "list", "--json").stdout)
    assert [job["name"] for job in jobs] == [three[2].name]
    runs = json.loads(call("runs", "list", "--json").stdout)
    assert [run["metrics"]["m"] for run in runs] == [2.0, 1.0, 0.0]  # what was measured stays
    assert call("runs", "show", three[0].run).returncode == 0
    assert call("store", "check").returncode == 0
    gone = call("jobs", "show", three[0].name)
    assert gone.returncode == 2
    assert "no job" in gone.stderr
    again = call("prune", "--keep-last", "1", "--yes")
    assert "no job goes" in again.stdout
    delete = call("runs", "delete", three[0].run, "--yes")
    assert delete.returncode == 0, delete.stderr


def test_a_run_whose_job_was_pruned_can_be_continued(call, store_folder, make_notebook):
    notebook = make_notebook("work.ipynb", "1")
    first = nbtools.run(notebook, run="mine")
    jobs = Jobs.open()
    later = utc_now() + timedelta(days=1)
    assert disposal.prune(jobs, Rules(keep=timedelta(hours=1)), later).jobs[0].name == first.name
    again = call("run", notebook, "--run", "mine", "--resume")
    assert again.returncode == 0, again.stderr


def test_a_job_at_work_is_left_alone(call, store_folder, make_notebook):
    notebook = make_notebook("work.ipynb", "import time\ntime.sleep(60)")
    job = nbtools.submit(notebook)
    try:
        assert call("prune", "--keep", "0s", "--yes").returncode == 0
        assert Path(job.folder).is_dir()
        assert not job.refresh().state.final
    finally:
        job.cancel().wait()
    assert "removed 1 jobs" in call("prune", "--keep", "0s", "--yes").stdout
    assert not Path(job.folder).exists()


def test_a_kernel_that_waits_to_be_gone_on_from_keeps_its_job(call, make_notebook, store_folder):
    notebook = make_notebook("work.ipynb", "x = 1", "1 / 0")
    with pytest.raises(nbtools.NotebookFailed) as caught:
        nbtools.run(notebook, checkpoint="cells")
    job = caught.value.job
    found = json.loads(call("prune", "--keep", "0s", "--dry-run", "--json").stdout)
    assert found["staying"] == {job.name: "its kernel's state is kept to be gone on from"}
    make_notebook("work.ipynb", "x = 1", "print(x)")
    new = job.resume().wait()
    assert not new.error  # its checkpoint was taken up: nobody waits any more
    found = json.loads(call("prune", "--keep", "0s", "--dry-run", "--json").stdout)
    assert {g["name"] for g in found["jobs"]} == {job.name, new.name}


def test_the_settings_say_what_to_keep_and_the_service_goes_by_it(call, three, tmp_path):
    settings = tmp_path / "pyproject.toml"
    settings.write_text('[tool.nbtools]\nkeep = "30d"\n')
    dry = json.loads(call("prune", "--dry-run", "--json").stdout)
    assert (dry["jobs"], dry["kept"]) == ([], 3)
    settings.write_text('[tool.nbtools]\nkeep = "0s"\nkeep_last = 2\n')
    service = subprocess.Popen(
        [Path(sys.executable).with_name("nbtools"), "service", "run"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        assert any("pruned 1 jobs" in line for line in service.stdout)
    finally:
        service.terminate()
        service.communicate(timeout=30)
    assert [Path(job.folder).exists() for job in three] == [False, True, True]
    settings.write_text('[tool.nbtools]\nkeep = "soon"\n')
    assert "'soon' is no duration" in call("prune", "--yes").stderr


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ([], "say what to keep: --keep 30d for an age"),
        (["--keep", "soon"], "no duration"),
        (["--keep-last", "-1"], "0 or more"),
    ],
)
def test_a_wrong_request_removes_nothing(call, store_folder, args, says):
    done = call("prune", "--yes", *args)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
