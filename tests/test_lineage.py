"""Artifacts: a file is one by its content, and what became of it is told."""

import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from nbtools import lineage
from nbtools.digests import Digests
from nbtools.errors import NotFound, RequestError
from nbtools.nouns import FILE, JOB, MODEL, NOTEBOOK, Artifact, Execution, Job
from nbtools.revision import Revision
from nbtools.store import Store

NOW = datetime(2024, 1, 2, tzinfo=UTC)
NONE = Digests(None)


@pytest.fixture
def store(store_folder):
    return Store(store_folder)


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "data.csv"
    path.write_text("1")
    return path


def execution(store, name="e"):
    return store.add(Execution(name=name, schema_title="t"), NOW).name


def test_the_same_content_is_one_artifact_wherever_it_lies(store, data, tmp_path):
    first = lineage.artifact(data, "system.Dataset", metadata={"rows": 1})
    shutil.copy(data, tmp_path / "copy.csv")
    again = lineage.artifact(tmp_path / "copy.csv")
    assert (first.name, again.name) == (again.name, f"file-{first.metadata['sha256'][:32]}")
    assert again.metadata == {**first.metadata, "rows": 1}
    assert again.schema_title == "system.Dataset"
    assert again.uri == str(tmp_path / "copy.csv")
    assert len(store.select(Artifact)) == 1


def test_an_artifact_that_is_the_same_is_not_written_again(store, data):
    first = lineage.artifact(data)
    assert lineage.artifact(data) == first
    assert store.get(Artifact, first.name).etag == 1


def test_a_changed_file_is_another_artifact(store, data):
    first = lineage.artifact(data)
    data.write_text("2")
    second = lineage.artifact("data.csv")
    assert first.name != second.name
    assert lineage.look_up(store, str(data)) == second


def test_what_a_run_left_is_the_same_artifact_where_a_copy_lies(store, data, tmp_path):
    model = lineage.of_file("run-model", data, MODEL, "model")
    lineage.left(store, model, execution(store), "", NOW)
    shutil.copy(data, tmp_path / "elsewhere.pt")
    assert lineage.look_up(store, str(tmp_path / "elsewhere.pt")).name == "run-model"
    graph = lineage.upstream(str(tmp_path / "elsewhere.pt"))
    assert lineage.upstream(tmp_path / "elsewhere.pt").artifacts == graph.artifacts  # a Path
    assert [e.name for e in graph.executions] == ["e"]


def test_a_uri_is_an_artifact_by_its_name_and_version(store):
    first = lineage.artifact("gs://b/x.csv", metadata={"version": "1"})
    again = lineage.artifact("gs://b/x.csv", metadata={"version": "1"})
    other = lineage.artifact("gs://b/x.csv", display_name="newer", metadata={"version": "2"})
    assert first.name == again.name != other.name
    assert (first.display_name, other.display_name) == ("x.csv", "newer")
    assert len(store.select(Artifact, uri="gs://b/x.csv")) == 2


def test_a_folder_and_what_is_not_there_are_no_artifacts(store_folder, tmp_path):
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(RequestError, match="no file .*: name a file, or a URI"):
            lineage.artifact(path)


def test_what_became_of_a_file_is_told(store, data):
    kept = lineage.artifact(data)
    assert lineage.changed(kept, NONE) == ""
    data.write_text("2")  # as long as before
    assert lineage.changed(kept, NONE).startswith("has changed since it was recorded")
    data.write_text("longer")
    assert lineage.changed(kept, NONE).startswith("has changed since it was recorded")
    data.unlink()
    assert lineage.changed(kept, NONE) == "is gone since it was recorded"
    assert lineage.changed(replace(kept, uri="gs://b/data.csv"), NONE) == ""
    assert lineage.changed(replace(kept, metadata={}), NONE) == ""


@pytest.mark.filterwarnings("error")
def test_an_artifact_found_by_name_warns_when_its_file_changed(store, data):
    model = lineage.of_file("run-model", data, MODEL, "model")
    lineage.left(store, model, execution(store), "", NOW)
    assert lineage.find(store, "model").name == "run-model"
    data.write_text("2")
    for name in ("model", "run-model"):
        with pytest.raises(UserWarning, match=r"model at .*data\.csv has changed since"):
            lineage.find(store, name)
    # By its path it is what it holds now, and that is nothing that was recorded.
    assert lineage.find(store, "data.csv").name.startswith("file-")


def test_a_name_is_not_taken_for_a_file_that_happens_to_be_called_so(store, data, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other/data.csv").write_text("other")
    left = lineage.of_file("run-data", tmp_path / "other/data.csv", FILE, "data.csv")
    lineage.left(store, left, execution(store), "", NOW)
    assert lineage.find(store, "data.csv").name == "run-data"
    assert lineage.find(store, "./data.csv").name.startswith("file-")
    with pytest.raises(NotFound, match="no artifact 'nothing'"):
        lineage.find(store, "nothing")


def test_a_start_is_an_artifact_a_job_a_run_or_the_last_job(store, data):
    kept = lineage.artifact(data)
    job = execution(store, "job-1")
    lineage.read(store, kept, job, NOW)
    for start in (kept, kept.name, "data.csv", str(data), "job-1"):
        graph = lineage.subgraph(start)
        assert [e.name for e in graph.executions] == ["job-1"]
        assert [a.name for a in graph.artifacts] == [kept.name]
    assert lineage.subgraph(kept, down=False).executions == ()
    store.add(Execution(name="job-2", schema_title=JOB), NOW)
    assert lineage.origin(store, "last") == ([], ["job-2"])
    with pytest.raises(NotFound, match="nothing in the store is called 'x'"):
        lineage.subgraph("x")
    with pytest.raises(RequestError, match="depth counts executions, 0 or more: not -1"):
        lineage.subgraph(kept, depth=-1)


def test_a_changed_file_shows_what_was_recorded_there(store, data):
    kept = lineage.artifact(data)
    data.write_text("2")
    assert lineage.origin(store, str(data)) == ([kept.name], [])


def test_a_commit_that_holds_a_notebook_tells_more_than_one_it_was_changed_from(store, data):
    source = lineage.of_content(store, data, NOTEBOOK, "notebook")
    job = Job(name=execution(store), notebook=str(data), experiment="", run="")
    lineage.read(store, source, job.name, NOW)
    for revision, expected in (
        (Revision("a", "main", dirty=True), ("a", True)),
        (Revision("b", "main", dirty=True), ("b", True)),
        (Revision("c", "", dirty=False), ("c", False)),
        (Revision("d", "main", dirty=True), ("c", False)),
        (Revision("e", "main", dirty=False), ("e", False)),
    ):
        lineage.located(store, job, revision, NOW)
        meta = store.get(Artifact, source.name).metadata
        assert (meta["commit"], meta["dirty"]) == expected
    lineage.read(store, lineage.of_content(store, data, NOTEBOOK, "notebook"), job.name, NOW)
    assert store.get(Artifact, source.name).metadata["commit"] == "e"


def test_the_module_is_there_without_importing_it(store_folder):
    code = "import nbtools; print(nbtools.lineage.artifact('gs://b/x').display_name)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "x\n"
