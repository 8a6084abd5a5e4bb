"""The SDK as its users know it: every call of its Experiments, over REST and over gRPC."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from google.api_core import exceptions

import nbtools
from nbtools.nouns import EXPERIMENT, RUN, Artifact, Context, Execution


@pytest.fixture
def experiment(aiplatform):
    aiplatform.init(project="test", experiment="exp", experiment_description="of tests")
    return aiplatform


def test_a_run_is_logged_and_read(experiment):
    experiment.start_run("one")
    experiment.log_params({"lr": 0.1, "layers": 3, "optimizer": "adam"})
    experiment.log_metrics({"accuracy": 0.9})
    experiment.log_metrics({"f1": 0.8})
    for step in range(1, 6):
        experiment.log_time_series_metrics({"loss": 1 / step, "val": step}, step=step)
    experiment.log_time_series_metrics({"loss": 0.125})
    experiment.end_run()
    (row,) = experiment.get_experiment_df("exp").to_dict("records")
    assert row == {
        "experiment_name": "exp", "run_name": "one", "run_type": RUN, "state": "COMPLETE",
        "param.lr": 0.1, "param.layers": 3.0, "param.optimizer": "adam",
        "metric.accuracy": 0.9, "metric.f1": 0.8,
        "time_series_metric.loss": 0.125, "time_series_metric.val": 5.0,
    }  # fmt: skip
    run = experiment.ExperimentRun("one", "exp")
    assert run.get_params() == {"lr": 0.1, "layers": 3.0, "optimizer": "adam"}
    assert run.get_metrics() == {"accuracy": 0.9, "f1": 0.8}
    assert run.get_state() == "COMPLETE"
    frame = run.get_time_series_data_frame()
    assert list(frame["step"]) == [1, 2, 3, 4, 5, 6]
    assert list(frame["loss"]) == [1, 1 / 2, 1 / 3, 1 / 4, 1 / 5, 0.125]


def test_a_run_goes_on_where_it_was_left(experiment):
    with experiment.start_run("one"):
        experiment.log_params({"a": 1})
        experiment.log_time_series_metrics({"loss": 1.0})
    with pytest.raises((ValueError, exceptions.GoogleAPIError, RuntimeError)):
        experiment.start_run("one")
    with experiment.start_run("one", resume=True) as run:
        assert run.get_params() == {"a": 1}
        experiment.log_params({"b": 2})
        experiment.log_time_series_metrics({"loss": 0.5})
    run = experiment.ExperimentRun("one", "exp")
    assert run.get_params() == {"a": 1, "b": 2}
    assert list(run.get_time_series_data_frame()["step"]) == [1, 2]


def test_a_run_that_fails_says_so(experiment):
    with pytest.raises(KeyError), experiment.start_run("one"):
        raise KeyError("x")
    assert experiment.ExperimentRun("one", "exp").get_state() == "FAILED"
    run = experiment.ExperimentRun("one", "exp")
    run.update_state(experiment.gapic.Execution.State.RUNNING)
    assert run.get_state() == "RUNNING"


def test_classification_metrics_come_back(experiment):
    matrix = [[8, 2], [1, 9]]
    with experiment.start_run("one") as run:
        experiment.log_classification_metrics(
            labels=["cat", "dog"], matrix=matrix, display_name="confusion"
        )
        experiment.log_classification_metrics(
            fpr=[0.0, 0.5, 1.0], tpr=[0.0, 0.8, 1.0], threshold=[0.9, 0.5, 0.1]
        )
    first, second = sorted(run.get_classification_metrics(), key=lambda m: "fpr" in m)
    assert (first["display_name"], first["labels"]) == ("confusion", ["cat", "dog"])
    assert first["matrix"] == matrix
    assert (second["fpr"], second["threshold"]) == ([0.0, 0.5, 1.0], [0.9, 0.5, 0.1])


def test_executions_read_and_leave_artifacts(experiment):
    with experiment.start_run("one") as run:
        data = experiment.Artifact.create(
            schema_title="system.Dataset", display_name="data", uri="gs://b/data",
            metadata={"rows": 5},
        )  # fmt: skip
        with experiment.start_execution(
            schema_title="system.ContainerExecution", display_name="train"
        ) as execution:
            execution.assign_input_artifacts([data])
            model = experiment.Artifact.create(
                schema_title="system.Model", display_name="model", uri="gs://b/model"
            )
            execution.assign_output_artifacts([model])
    assert [a.name for a in execution.get_input_artifacts()] == [data.name]
    assert [a.name for a in execution.get_output_artifacts()] == [model.name]
    assert execution.state.name == "COMPLETE"
    assert {a.display_name for a in run.get_artifacts()} >= {"data", "model"}
    assert [e.display_name for e in run.get_executions()] == ["train"]
    found = experiment.Artifact.list(filter='schema_title="system.Model"')
    assert [a.name for a in found] == [model.name]
    data.update(metadata={"rows": 6}, description="more")
    again = experiment.Artifact.get(data.name)
    assert (again.metadata, again.description) == ({"rows": 6.0}, "more")
    by_uri = experiment.Artifact.get_with_uri("gs://b/model")
    assert by_uri.name == model.name
    assert experiment.Artifact.get("none") is None
    data.delete()
    assert experiment.Artifact.get(data.name) is None
    assert [e.name for e in experiment.Execution.list()] == [execution.name]


def test_runs_and_experiments_are_listed_and_deleted(experiment):
    for name in ("one", "two"):
        with experiment.start_run(name):
            experiment.log_time_series_metrics({"loss": 0.5})
    runs = experiment.ExperimentRun.list(experiment="exp")
    assert sorted(run.name for run in runs) == ["one", "two"]
    experiment.ExperimentRun("one", "exp").delete(delete_backing_tensorboard_run=True)
    assert [r.name for r in experiment.ExperimentRun.list(experiment="exp")] == ["two"]
    assert experiment.ExperimentRun.get("one", experiment="exp") is None
    assert [e.name for e in experiment.Experiment.list()] == ["exp"]
    experiment.Experiment("exp").delete(delete_backing_tensorboard_runs=True)
    assert experiment.Experiment.list() == []


def test_an_experiment_has_a_board_a_description_and_a_dashboard(experiment):
    found = experiment.Experiment("exp")
    board = found.get_backing_tensorboard_resource()
    assert [b.resource_name for b in experiment.Tensorboard.list()] == [board.resource_name]
    assert experiment.Experiment.get("exp").name == "exp"
    assert experiment.Experiment.get("none") is None
    assert "exp" in found.dashboard_url
    assert found.get_data_frame().empty
    assert experiment.Experiment.create("other").name == "other"
    assert experiment.Experiment.get_or_create("other").name == "other"


def test_boards_and_what_is_in_them_are_made_by_hand(aiplatform):
    board = aiplatform.Tensorboard.create(display_name="board")
    board.update(display_name="new", labels={"k": "v"})
    assert aiplatform.Tensorboard(board.name).display_name == "new"
    experiment = aiplatform.TensorboardExperiment.create(
        tensorboard_experiment_id="e1", tensorboard_name=board.resource_name
    )
    run = aiplatform.TensorboardRun.create(
        tensorboard_run_id="r1", tensorboard_experiment_name=experiment.resource_name
    )
    series = aiplatform.TensorboardTimeSeries.create(
        display_name="loss", tensorboard_run_name=run.resource_name
    )
    run._sync_time_series_display_name_to_id_mapping()
    run.write_tensorboard_scalar_data({"loss": 0.5}, step=3)
    (point,) = run.read_time_series_data()["loss"].values
    assert (point.step, point.scalar.value) == (3, 0.5)
    listed = aiplatform.TensorboardTimeSeries.list(tensorboard_run_name=run.resource_name)
    assert [s.display_name for s in listed] == [series.display_name] == ["loss"]
    of = board.resource_name
    assert len(aiplatform.TensorboardExperiment.list(tensorboard_name=of)) == 1
    of = experiment.resource_name
    assert len(aiplatform.TensorboardRun.list(tensorboard_experiment_name=of)) == 1
    board.delete()
    assert aiplatform.Tensorboard.list() == []


def test_contexts_are_nested_by_hand(aiplatform):
    context = aiplatform.metadata.context.Context
    outer = context.create("system.Experiment", display_name="outer", resource_id="outer")
    inner = context.create("system.Pipeline", display_name="inner", resource_id="inner")
    outer.add_context_children([inner])
    again = context.get("inner")
    assert list(again.parent_contexts) == [outer.resource_name]
    assert [c.name for c in context.list(filter='schema_title="system.Pipeline"')] == ["inner"]
    inner.update(metadata={"k": 1})
    inner.update(metadata={"l": 2})
    assert context.get("inner").metadata == {"k": 1, "l": 2}


def test_two_handles_of_a_context_do_not_undo_each_other(connect):
    """Over gRPC the SDK tries again; over REST it never sees what has happened."""
    aiplatform = connect("grpc")
    first = aiplatform.metadata.context.Context.create(
        "system.Pipeline", display_name="c", resource_id="c"
    )
    second = aiplatform.metadata.context.Context.get("c")
    for number in range(12):  # past an etag that is longer, if etags grew
        first.update(metadata={f"a{number}": 1})
        second.update(metadata={f"b{number}": 1})
    assert len(aiplatform.metadata.context.Context.get("c").metadata) == 24
    connect("rest")
    fresh = aiplatform.metadata.context.Context.get("c")
    stale = aiplatform.metadata.context.Context.get("c")
    fresh.update(metadata={"last": 1})
    with pytest.raises(exceptions.Conflict, match="does not match server `etag`"):
        stale.update(metadata={"lost": 1})


def test_fifty_clients_at_once_over_grpc(connect, emulator):
    aiplatform = connect("grpc")
    client = aiplatform.utils.MetadataClientWithOverride
    own = aiplatform.initializer.global_config.create_client(client)
    parent = "projects/test/locations/us-central1/metadataStores/default"

    def work(number):
        for step in range(4):
            sent = {"schema_title": "system.Dataset", "metadata": {"n": number}}
            made = own.create_artifact(
                parent=parent, artifact=sent, artifact_id=f"a{number}-{step}"
            )
            assert own.get_artifact(name=made.name).metadata["n"] == number

    with ThreadPoolExecutor(50) as pool:
        list(pool.map(work, range(50)))
    assert len(emulator.store.select(Artifact)) == 200


# -- one graph ---------------------------------------------------------------------------


def test_what_the_sdk_logs_is_ours(experiment, emulator, call):
    with experiment.start_run("one"):
        experiment.log_params({"lr": 0.1, "layers": 3})
        experiment.log_metrics({"accuracy": 0.9})
        for step in range(3):
            experiment.log_time_series_metrics({"loss": 1.0 - step / 4}, step=step)
    (row,) = nbtools.get_experiment_df("exp").to_dict("records")
    assert (row["run_name"], row["state"], row["param.layers"]) == ("one", "COMPLETE", 3)
    assert (row["metric.accuracy"], row["time_series_metric.loss"]) == (0.9, 0.5)
    assert [p[::2] for p in emulator.store.points("exp-one")["loss"]] == [
        (0, 1.0), (1, 0.75), (2, 0.5),
    ]  # fmt: skip
    assert emulator.store.get(Context, "exp").schema_title == EXPERIMENT
    shown = call("runs", "show", "one")
    assert "accuracy=0.9" in shown.stdout
    assert "1 → 0.5  (3 steps)" in shown.stdout
    assert "exp-one-tb-run  google.VertexTensorboardRun" in shown.stdout
    assert "one" in call("runs", "list").stdout


def test_what_we_log_is_the_sdks(aiplatform):
    nbtools.init(experiment="ours")
    with nbtools.start_run("native"):
        nbtools.log_params({"layers": 3, "name": "x"})
        nbtools.log_metrics({"accuracy": 0.9, "diverged": float("nan")})
        for step in range(5):
            nbtools.log_time_series_metrics({"loss": 1 / (step + 1)}, step=step)
    (row,) = aiplatform.get_experiment_df("ours").to_dict("records")
    assert row == {
        "experiment_name": "ours", "run_name": "native", "run_type": RUN, "state": "COMPLETE",
        "param.layers": 3.0, "param.name": "x", "metric.accuracy": 0.9,
        "metric.diverged": "NaN", "time_series_metric.loss": 0.2,
    }  # fmt: skip
    frame = aiplatform.ExperimentRun("native", "ours").get_time_series_data_frame()
    assert list(frame["step"]) == [0, 1, 2, 3, 4]


def test_a_run_of_ours_is_seen_while_it_is_open(aiplatform):
    nbtools.init(experiment="ours")
    with nbtools.start_run("native"):
        nbtools.log_time_series_metrics({"loss": 0.5}, step=0)
        run = aiplatform.ExperimentRun("native", "ours")
        assert run.get_state() == "RUNNING"
        assert list(run.get_time_series_data_frame()["loss"]) == [0.5]
        nbtools.log_time_series_metrics({"loss": 0.25, "new": 1.0}, step=1)
        frame = run.get_time_series_data_frame()
        assert list(frame["loss"]) == [0.5, 0.25]
        assert "new" in frame


def test_both_log_into_one_run(aiplatform, emulator):
    nbtools.init(experiment="ours")
    with nbtools.start_run("both"):
        nbtools.log_params({"layers": 3})
        nbtools.log_time_series_metrics({"loss": 0.5}, step=1)
    aiplatform.init(experiment="ours")
    with aiplatform.start_run("both", resume=True):
        aiplatform.log_params({"more": 1.5})
        aiplatform.log_time_series_metrics({"loss": 0.25})
    run = nbtools.get_experiment_df("ours").to_dict("records")[0]
    assert (run["param.layers"], run["param.more"]) == (3, 1.5)
    assert isinstance(emulator.store.get(Context, "ours-both").metadata["_params"]["layers"], int)
    assert [p[0] for p in emulator.store.points("ours-both")["loss"]] == [1, 2]


def test_jobs_and_their_files_are_the_sdks_executions_and_artifacts(
    aiplatform, call, make_notebook
):
    notebook = make_notebook("train.ipynb", "open('out.txt', 'w').write('x')")
    assert call("run", notebook, "--experiment", "jobs").returncode == 0
    (run,) = aiplatform.ExperimentRun.list(experiment="jobs")
    (execution,) = run.get_executions()
    assert execution.schema_title == "system.ContainerExecution"
    assert execution.state.name == "COMPLETE"
    inputs = [a.schema_title for a in execution.get_input_artifacts()]
    assert "nbtools.Notebook" in inputs


def test_executions_of_the_sdk_are_no_jobs_whatever_their_schema(
    aiplatform, call, make_notebook, emulator
):
    notebook = make_notebook("train.ipynb", "1")
    assert call("run", notebook, "--experiment", "jobs").returncode == 0
    with aiplatform.start_execution(
        schema_title="system.ContainerExecution", display_name="theirs", metadata={"state": 5}
    ) as theirs:
        pass
    jobs = json.loads(call("jobs", "list", "--json").stdout)
    assert len(jobs) == 1
    (ours,) = (e for e in aiplatform.Execution.list() if e.name == jobs[0]["name"])
    assert call("lineage", "show", "last").returncode == 0
    assert call("store", "check").returncode == 0
    with pytest.raises(exceptions.GoogleAPIError, match="is a job of nbtools"):
        ours.update(state=aiplatform.gapic.Execution.State.FAILED)
    with pytest.raises(exceptions.GoogleAPIError, match="is a job of nbtools"):
        ours.update(metadata={"notebook": 5})
    ours.update(description="checked")
    assert call("jobs", "show", "last").returncode == 0
    assert aiplatform.Execution.get(ours.name).description == "checked"
    theirs.update(state=aiplatform.gapic.Execution.State.FAILED)


def test_a_run_that_is_deleted_by_us_is_gone_for_the_sdk(aiplatform, call, emulator):
    nbtools.init(experiment="ours")
    with nbtools.start_run("native"):
        nbtools.log_time_series_metrics({"loss": 0.5}, step=0)
    assert len(aiplatform.ExperimentRun.list(experiment="ours")) == 1
    done = call("runs", "delete", "native", "--yes")
    assert done.returncode == 0, done.stderr
    assert aiplatform.ExperimentRun.list(experiment="ours") == []
    assert emulator.store.resources.select("TensorboardRun") == []
    assert emulator.store.select(Artifact) == []
    assert emulator.store.select(Execution) == []


def test_the_transport_may_change_by_itself(connect):
    """`init` without a project changes to REST and says nothing."""
    aiplatform = connect("grpc")
    assert aiplatform.Experiment.create("first")
    aiplatform.init(experiment="exp")
    assert aiplatform.initializer.global_config._api_transport == "rest"
    with aiplatform.start_run("one"):
        aiplatform.log_params({"a": 1})
    aiplatform.init(api_transport="grpc")
    assert aiplatform.ExperimentRun("one", "exp").get_params() == {"a": 1}
    assert len(aiplatform.Experiment.list()) == 2


def test_an_endpoint_of_ones_own_is_ones_own(connect):
    aiplatform = connect()
    aiplatform.init(api_endpoint="http://127.0.0.1:9", project="x")
    assert aiplatform.initializer.global_config.api_endpoint == "http://127.0.0.1:9"


@pytest.mark.parametrize("transport", ["rest", "grpc"])
def test_what_is_in_preview_and_who_may_do_what_are_refused(emulator, transport):
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import aiplatform_v1, aiplatform_v1beta1

    where = emulator.url if transport == "rest" else f"localhost:{emulator.grpc_port}"
    there = {
        "credentials": AnonymousCredentials(),
        "transport": transport,
        "client_options": {"api_endpoint": where},
    }
    parent = "projects/p/locations/us-central1"
    for name, ask in {
        "MetadataService": lambda c: c.list_metadata_stores(parent=parent),
        "TensorboardService": lambda c: c.list_tensorboards(parent=parent),
        "NotebookService": lambda c: c.list_notebook_execution_jobs(parent=parent),
        "ScheduleService": lambda c: c.list_schedules(parent=parent),
    }.items():
        client = getattr(aiplatform_v1beta1, f"{name}Client")(**there)
        with pytest.raises(exceptions.MethodNotImplemented):
            ask(client)
    resource = {"resource": f"{parent}/featurestores/x"}  # of a kind for which REST has a route
    client = aiplatform_v1.MetadataServiceClient(**there)
    for call in (client.get_iam_policy, client.set_iam_policy, client.test_iam_permissions):
        with pytest.raises(exceptions.MethodNotImplemented, match=r"COVERAGE\.md"):
            call(resource)
