"""Experiments pulled from Vertex AI: the same graph here, only what is new, nothing lost."""

import json
from dataclasses import replace

import pytest

import nbtools
from nbtools import exchange
from nbtools.nouns import Context, Execution, Job, utc_now
from nbtools.runs import find_run, list_runs
from nbtools.store import Store
from tests.vertex.conftest import log_run, theirs
from tests.vertex.remotes import TO, graph


@pytest.fixture
def other(tmp_path, near):
    """The store of another machine."""
    store = Store(tmp_path / "other")
    yield replace(near, store=store)
    store.close()


def test_what_one_machine_pushes_another_one_pulls_and_again_nothing(remote, near, other):
    log_run("one")
    near.push()
    pulled = other.pull()
    assert (pulled.conflicts, pulled.remarks) == ([], [])
    assert sorted(pulled.runs) == ["digits-one", "digits-one-inner"]
    assert graph(other.store) == graph(remote.store)
    run = find_run(other.store, utc_now(), "one")
    assert (run.params["layers"], run.tags, run.state) == (3, ("good",), "COMPLETE")
    assert run.metrics["bad"] != run.metrics["bad"]  # a number again
    assert find_run(other.store, utc_now(), "one-inner").parent == "one"
    again = other.pull()
    assert (again.new, again.changed, again.points, again.conflicts) == (0, 0, 0, [])
    remote.calls.clear()
    assert {s.count for s in other.push()} == {0}
    assert not [call for call in remote.calls if call.startswith(("Create", "Update", "Write"))]
    assert graph(other.store) == graph(remote.store)


def test_what_the_sdk_has_logged_is_a_run_like_any_other(remote, near, aiplatform, call):
    aiplatform.init(experiment="sdk", experiment_description="of others")
    with aiplatform.start_run("theirs"):
        aiplatform.log_params({"lr": 0.5, "layers": 3})
        aiplatform.log_metrics({"accuracy": 0.75})
        for step in range(1, 4):
            aiplatform.log_time_series_metrics({"loss": step}, step=step)
        aiplatform.log_classification_metrics(labels=["a"], matrix=[[1]])
        with aiplatform.start_execution(
            schema_title="system.ContainerExecution", display_name="train"
        ) as execution:
            model = aiplatform.Artifact.create(schema_title="system.Model", uri="gs://b/m")
            execution.assign_output_artifacts([model])
    pulled = near.pull("sdk")
    assert pulled.conflicts == []
    assert graph(near.store) == graph(remote.store)
    pandas = pytest.importorskip("pandas")
    pandas.testing.assert_frame_equal(
        nbtools.get_experiment_df("sdk"), aiplatform.get_experiment_df("sdk"),
        check_like=True, check_dtype=False,
    )  # fmt: skip
    (taken,) = near.store.select(Execution, "", display_name="train")
    assert not Job.is_in(taken)
    assert "theirs" in call("runs", "show", "theirs").stdout
    assert execution.name in call("lineage", "show", model.name).stdout
    assert nbtools.Experiment("sdk").runs()[0].name == "theirs"


def test_only_what_is_new_there_is_read_and_taken(remote, near, other):
    log_run("one")
    near.push()
    other.pull()
    with nbtools.start_run("one", resume=True) as run:
        run.log_time_series_metrics({"loss": 0.0625}, step=6)
        run.log_metrics({"accuracy": 0.95})
    near.push()
    remote.calls.clear()
    pulled = other.pull()
    assert (pulled.new, pulled.changed, pulled.points) == (0, 1, 1)
    assert remote.calls["ExportTensorboardTimeSeriesData"] == 1
    assert graph(other.store) == graph(remote.store)


def amended(store, change):
    store.amend(Context, "digits-one", change, utc_now())


def noted(context):
    return replace(context, metadata={**context.metadata, "_notes": "mine"})


def test_what_only_we_have_changed_stays_and_can_be_pushed(remote, near, other):
    log_run("one")
    near.push()
    other.pull()
    amended(other.store, noted)
    pulled = other.pull()
    assert (pulled.changed, pulled.conflicts) == (0, [])
    assert other.store.get(Context, "digits-one").metadata["_notes"] == "mine"
    assert [s.left for s in other.push("digits-one")] == [""]
    assert remote.store.get(Context, "digits-one").metadata["_notes"] == "mine"
    assert near.pull().changed == 1
    assert near.store.get(Context, "digits-one").metadata["_notes"] == "mine"


@pytest.mark.parametrize("force", [False, True])
def test_what_both_have_changed_is_a_conflict(remote, near, other, force):
    log_run("one")
    near.push()
    other.pull()
    amended(other.store, noted)
    amended(remote.store, theirs)
    other.store.add_points("digits-one", "loss", [(2, 1e9, -2.0)])
    remote.store.add_points("digits-one", "loss", [(2, 4e9, 2.0), (6, 4e9, 6.0)])
    pulled = other.pull(force=force)
    context = other.store.get(Context, "digits-one")
    loss = {step: value for step, _, value in other.store.points("digits-one")["loss"]}
    assert loss[6] == 6.0  # of which nobody else says anything
    if force:
        assert pulled.conflicts == []
        assert context.metadata["_params"]["lr"] == 0.7
        assert graph(other.store) == graph(remote.store)
    else:
        said = "\n".join(pulled.conflicts)
        assert "context one differs here and there: notes, params.lr" in said
        assert "1 points of loss of digits-one have other values there" in said
        assert (context.metadata["_notes"], loss[2]) == ("mine", -2.0)
        assert other.pull().conflicts == pulled.conflicts  # until somebody has decided


def test_a_run_of_ours_of_the_same_name_is_a_conflict_and_is_not_touched(
    remote, near, aiplatform, call
):
    aiplatform.init(experiment="digits")
    with aiplatform.start_run("one"):
        aiplatform.log_params({"lr": 0.5})
    log_run("one")
    before = near.store.get(Context, "digits-one").etag
    done = call("pull", "digits", "--from", TO)
    assert done.returncode == 1
    assert "conflict: context one differs here and there" in done.stderr
    assert near.store.get(Context, "digits-one").etag == before


def test_files_are_fetched_when_asked(remote, near, other, tmp_path, call, monkeypatch):
    log_run("one")
    near.push()
    monkeypatch.setenv("NBTOOLS_STORE", str(tmp_path / "other"))
    first = call("pull", "digits", "--from", TO)
    assert first.returncode == 0, first.stderr
    assert not (tmp_path / "got").exists()
    words = ("pull", "digits", "--from", TO, "--files", "got", "--json")
    told = json.loads(call(*words).stdout)
    assert (told["runs"], told["new"], told["conflicts"]) == (
        ["digits-one", "digits-one-inner"], 0, [],
    )  # fmt: skip
    (path,) = told["files"]
    assert (tmp_path / path).read_text() == "of one"
    assert json.loads(call(*words).stdout)["files"] == []  # it is there
    (tmp_path / "bucket/nbtools").rename(tmp_path / "gone")
    (tmp_path / path).unlink()
    done = call(*words)
    assert (done.returncode, "cannot fetch file://" in done.stderr) == (2, True)


def test_a_run_that_is_at_work_there_is_running_here_and_then_it_has_ended(
    remote, near, aiplatform
):
    aiplatform.init(experiment="digits")
    aiplatform.start_run("one")
    near.pull()
    (run,) = list_runs(near.store, utc_now(), "digits")
    assert run.state == "RUNNING"
    aiplatform.end_run()
    near.pull()
    (run,) = list_runs(near.store, utc_now(), "digits")
    assert run.state == "COMPLETE"
    assert list(exchange.changed(near.store, near.service().place, "", utc_now())) == []
