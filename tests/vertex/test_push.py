"""Runs pushed to Vertex AI: there as if the SDK had logged them, once, and nothing overwritten."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

import nbtools
from nbtools.errors import Aborted, AlreadyExists, RequestError
from nbtools.nouns import Artifact, Context, Execution, utc_now
from nbtools.vertex.form import form
from tests.vertex.conftest import log_run, theirs
from tests.vertex.remotes import TO, graph


def local_graph(near):
    return graph(near.store, lambda record: form(record, near.way.staging))


def test_a_pushed_graph_is_the_same_on_both_sides_and_again_costs_no_request(remote, near):
    log_run("one")
    log_run("two")
    sent = near.push()
    assert [(s.what, s.left, s.notes) for s in sent] == [
        (f"digits/{name}", "", ()) for name in ("one", "one-inner", "two", "two-inner")
    ]
    assert graph(remote.store) == local_graph(near)
    remote.calls.clear()
    assert [(s.count, s.left) for s in near.push()] == [(0, "")] * 4
    assert not remote.calls


def test_the_sdk_reads_what_was_pushed_as_if_it_had_logged_it(remote, near, aiplatform):
    pandas = pytest.importorskip("pandas")
    log_run("one")
    near.push()
    there = aiplatform.get_experiment_df("digits")
    here = nbtools.get_experiment_df("digits")
    there["metric.bad"] = there["metric.bad"].replace("NaN", float("nan")).astype(float)  # a word
    by = ["run_name"]
    pandas.testing.assert_frame_equal(
        there.sort_values(by).reset_index(drop=True),
        here.sort_values(by).reset_index(drop=True),
        check_like=True, check_dtype=False,
    )  # fmt: skip
    run = aiplatform.ExperimentRun("one", "digits")
    assert run.get_params() == {"lr": 0.1, "layers": 3, "flag": True, "optimizer": "adam"}
    assert run.get_state() == "COMPLETE"
    frame = run.get_time_series_data_frame()
    assert list(frame["step"]) == [1, 2, 3, 4, 5]
    assert list(frame["loss"]) == [1, 1 / 2, 1 / 3, 1 / 4, 1 / 5]
    (found,) = run.get_classification_metrics()
    assert (found["labels"], found["matrix"]) == (["a", "b"], [[1, 2], [3, 4]])
    (execution,) = run.get_executions()
    assert [a.uri for a in execution.get_input_artifacts()] == ["gs://bucket/digits.csv"]
    left = {a.display_name: a for a in execution.get_output_artifacts()}
    assert Path(left["note"].uri.removeprefix("file://")).read_text() == "of one"
    experiment = aiplatform.Experiment("digits")
    assert experiment.backing_tensorboard_resource_name == run._backing_tensorboard_run.resource.\
        resource_name.partition("/experiments")[0]  # fmt: skip
    aiplatform.init(experiment="digits")
    with aiplatform.start_run("one", resume=True):
        aiplatform.log_time_series_metrics({"loss": 0.125})
    assert list(run.get_time_series_data_frame()["loss"])[-1] == 0.125


def test_jobs_and_models_arrive_with_their_lineage(remote, near, tmp_path):
    """An execution of a schema that jobs have is none of the other side's jobs."""
    log_run("one")
    job = Execution(
        name="train-20260101-000000-abc", schema_title="system.ContainerExecution",
        display_name="train", state="COMPLETE", metadata={"cell": 3, "params": {"lr": 0.1}},
        schema_version="0.0.1",
    )  # fmt: skip
    near.store.add(job, utc_now())
    near.store.associate("digits-one", execution=job.name)
    near.push()
    there = remote.store.get(Execution, job.name)
    assert (there.state, there.metadata["params"]) == ("COMPLETE", {"lr": 0.1})
    assert graph(remote.store) == local_graph(near)


def test_what_was_logged_since_is_all_that_is_sent(remote, near):
    log_run("one")
    near.push()
    with nbtools.start_run("one", resume=True) as run:
        run.log_time_series_metrics({"loss": 0.5}, step=6)
        run.log_params({"more": 1})
    remote.calls.clear()
    (sent,) = near.push("digits-one")
    assert sent.left == ""
    assert sum(remote.calls[c] for c in remote.calls if c.startswith("Create")) == 0
    assert remote.calls["WriteTensorboardRunData"] == 1
    assert graph(remote.store) == local_graph(near)


@pytest.mark.parametrize("step", [2, 3])
def test_a_step_that_was_logged_again_is_replaced_there(remote, near, step):
    log_run("one")
    near.push()
    with nbtools.start_run("one", resume=True) as run:
        run.log_time_series_metrics({"loss": -1.0}, step=step)
    near.push()
    assert remote.store.points("digits-one")["loss"][step - 1][2] == -1.0


def test_what_others_have_changed_is_reported_and_not_overwritten(remote, near, call):
    log_run("one")
    near.push()
    remote.amend(Context, "digits-one", theirs)
    with nbtools.start_run("one", resume=True) as run:
        run.log_params({"layers": 4})
    before = graph(remote.store)
    (sent,) = near.push("digits-one")
    assert "context 'one' was changed at far since: " in sent.left
    assert "params.layers, params.lr;" in sent.left
    assert graph(remote.store) == before
    said = call("push", "one", "--to", TO)
    assert said.returncode == 1
    assert "--force overwrites it" in said.stdout
    (sent,) = near.push("digits-one", force=True)
    assert sent.left == ""
    assert remote.store.get(Context, "digits-one").metadata["_params"]["lr"] == 0.1
    assert graph(remote.store) == local_graph(near)


def test_others_points_stay_and_one_that_differs_is_a_conflict(remote, near):
    log_run("one")
    near.push()
    remote.store.add_points("digits-one", "loss", [(6, 4e9, 6.0), (7, 4e9, 7.0)])
    with nbtools.start_run("one", resume=True) as run:
        run.log_time_series_metrics({"loss": 0.5}, step=6)
    (sent,) = near.push("digits-one")
    assert "step 6 of loss is 6 there and 0.5 here" in sent.left
    assert remote.store.points("digits-one")["loss"][5:] == [(6, 4e9, 6.0), (7, 4e9, 7.0)]
    near.push("digits-one", force=True)
    assert [p[2] for p in remote.store.points("digits-one")["loss"][5:]] == [0.5, 7.0]


def test_what_was_deleted_there_is_made_anew_only_by_force(remote, near):
    from nbtools import removal

    log_run("one")
    near.push()
    removal.remove(remote.store, Context, "digits-one-inner")
    nbtools.runs.find_run(near.store, utc_now(), "one-inner")
    near.store.amend(
        Context, "digits-one-inner",
        lambda c: replace(c, metadata={**c.metadata, "_tags": ["x"]}), utc_now(),
    )  # fmt: skip
    (sent,) = near.push("digits-one-inner")
    assert "was deleted at far since" in sent.left
    (sent,) = near.push("digits-one-inner", force=True)
    assert graph(remote.store) == local_graph(near)


def test_an_experiment_that_others_have_made_is_used_as_it_is(remote, near, aiplatform):
    aiplatform.init(experiment="digits", experiment_description="of others")
    with aiplatform.start_run("theirs"):
        aiplatform.log_params({"a": 1})
    log_run("one")
    assert {s.left for s in near.push()} == {""}
    assert remote.store.get(Context, "digits").description == "of others"
    assert set(aiplatform.get_experiment_df("digits")["run_name"]) == {"theirs", "one", "one-inner"}


def test_files_stay_here_without_a_staging_bucket_and_that_is_said(remote, near, call):
    log_run("one")
    said = call("push", "--to", TO)
    assert said.returncode == 0
    assert "note: note stays on this machine: set staging_bucket to send files" in said.stderr
    (note,) = remote.store.select(Artifact, display_name="note")
    assert note.uri.startswith("/")
    near.push()  # with one, now
    (note,) = remote.store.select(Artifact, display_name="note")
    assert note.uri.startswith(near.way.staging)
    assert call("runs", "tag", "one", "best").returncode == 0
    assert call("push").returncode == 0  # nothing is said: where files went the last time
    assert remote.store.get(Artifact, note.name).uri == note.uri
    assert graph(remote.store) == local_graph(near)


def test_status_says_what_waits_and_push_sends_it(remote, near, call):
    log_run("one")
    assert call("push", "--status").stdout == "nothing is left to send\n"
    near.push()
    assert call("push", "--status").stdout == "nothing is left to send\n"
    assert call("runs", "tag", "one", "best").returncode == 0
    (waits,) = json.loads(call("push", "--status", "--json").stdout)
    assert (waits["mirror"], waits["what"], waits["left"]) == (TO, "digits/one", "changed since")
    assert "tags" not in str(remote.calls)
    assert call("push").returncode == 0
    assert remote.store.get(Context, "digits-one").metadata["_tags"] == ["good", "best"]
    assert call("push", "--status").stdout == "nothing is left to send\n"


def test_a_setting_mirrors_every_run(remote, store_folder, tmp_path, monkeypatch, call):
    lines = ('mirror = "vertex"', 'project = "far"', 'location = "europe-west4"')
    (tmp_path / "pyproject.toml").write_text("\n".join(["[tool.nbtools]", *lines]))
    monkeypatch.chdir(tmp_path)
    nbtools.init("default")  # says nothing of mirrors
    with nbtools.start_run("one") as run:
        run.log_time_series_metrics({"loss": 0.5}, step=1)
    assert remote.store.points("default-one")["loss"][0][2] == 0.5
    assert remote.store.get(Context, "default-one").metadata["_state"] == "COMPLETE"
    assert call("push", "--status").stdout == "nothing is left to send\n"


def test_a_mirror_leaves_a_run_of_others_alone_and_says_so(remote, near, aiplatform, call):
    aiplatform.init(experiment="digits")
    with aiplatform.start_run("one"):
        aiplatform.log_params({"lr": 0.5})
    before = graph(remote.store)
    nbtools.init("digits", mirrors=["vertex"], mirror_options={"vertex": {"to": TO}})
    run = nbtools.start_run("one")
    run.log_time_series_metrics({"loss": 1.0}, step=1)
    with pytest.warns(UserWarning, match="vertex does not hear of run 'one'"):
        run._mirroring.end("COMPLETE", timeout=2.0)
    run._mirroring = None
    run.end()
    assert graph(remote.store) == before
    done = call("push")
    assert done.returncode == 1
    assert "was changed at far since" in done.stdout
    assert graph(remote.store) == before


def test_a_dead_network_costs_the_loop_nothing_and_push_sends_it_later(
    remote, store_folder, monkeypatch, call
):
    monkeypatch.setenv("NBTOOLS_VERTEX", "http://127.0.0.1:9")
    nbtools.init("digits", mirrors=["vertex"], mirror_options={"vertex": {"to": TO}})
    with pytest.warns(UserWarning, match="vertex does not hear of run 'one'"):
        run = nbtools.start_run("one")
        for step in range(100):
            run.log_time_series_metrics({"loss": step}, step=step)
        run._mirroring.end("COMPLETE", timeout=0.5)
        run._mirroring = None
        run.end()
    said = call("push", "--status")
    assert "bytes of its journal: is left" in said.stdout or "is being sent" in said.stdout
    monkeypatch.setenv("NBTOOLS_VERTEX", remote.url)

    def sent():
        return call("push").returncode == 0 and remote.store.points("digits-one")

    for _ in range(200):  # our own thread lets go of it when its attempt has failed
        if sent():
            break
    assert len(remote.store.points("digits-one")["loss"]) == 100
    assert remote.store.get(Context, "digits-one").metadata["_state"] == "COMPLETE"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["push", "one", "--to", "vertex://x"], "is no place on Vertex AI"),
        (["push", "none", "--to", TO], "no run 'none'"),
        (["push", "one"], "which mirror shall hear of them"),
        (["push", "--watch"], "--watch goes with --logdir"),
        (["push", "--logdir", "nowhere", "--to", TO], "no folder"),
        (["pull", "none", "--from", TO], "no experiment 'none' in projects/far"),
        (["pull", "digits"], "which project"),
    ],
)
def test_a_request_that_is_wrong_is_one_sentence(words, says, remote, near, call):
    log_run("one")
    done = call(*words)
    assert done.returncode == 2, done.stdout
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


def test_metadata_that_are_too_large_are_refused_by_name(remote, near):
    nbtools.init("digits", mirrors=[])
    with nbtools.start_run("large") as run:
        run.log_params({f"p{i}": "x" * 1000 for i in range(300)})
    log_run("one")
    sent = near.push()
    assert "the metadata of digits-large are" in sent[0].left
    assert "RequestError" in sent[0].left
    assert {s.left for s in sent[1:]} == {""}
    with pytest.raises(RequestError, match="Vertex AI takes 204,800"):
        near.service().create(form(near.store.get(Context, "digits-large")))


def test_an_etag_of_before_is_no_name_that_is_taken(remote, near):
    """Over REST both are 409; Google's word in the answer tells them apart."""
    log_run("one")
    near.push()
    service = near.service()
    there = service.find(Context, "digits-one")
    remote.amend(Context, "digits-one", theirs)
    with pytest.raises(Aborted, match="does not match server `etag`"):
        service.update(there.record, there.etag)
    with pytest.raises(AlreadyExists):
        service.create(there.record)
