"""Every public call of the SDK's Experiments, Metadata and TensorBoard modules is in a test."""

import ast
import inspect
from pathlib import Path

import pytest
from google.api_core.exceptions import NotFound
from google.auth.credentials import AnonymousCredentials

#: whose public members are asked for.
CLASSES = (
    "Experiment", "ExperimentRun", "Context", "Artifact", "Execution", "Tensorboard",
    "TensorboardExperiment", "TensorboardRun", "TensorboardTimeSeries",
)  # fmt: skip
#: what no test can call, and why.
APART = {
    "autolog": "it wants mlflow",
    "log": "of a pipeline's job, which the emulator does not execute",
    "upload_tb_log": "it wants TensorFlow",
    "start_upload_tb_log": "it wants TensorFlow",
    "end_upload_tb_log": "it wants TensorFlow",
    "get_logged_custom_jobs": "of jobs that the emulator does not execute; without any it raises",
    "client_class": "a class of the SDK's own, asked nothing",
    "READ_TIME_SERIES_BATCH_SIZE": "a number",
}


def test_every_public_name_is_in_a_test(known):
    from google.cloud import aiplatform

    functions = {
        name for name, found in vars(aiplatform).items()
        if inspect.isroutine(found) and not name.startswith("_")
    }  # fmt: skip
    members = {
        name for kind in CLASSES for name in dir(getattr(aiplatform, kind))
        if not name.startswith("_")
    }  # fmt: skip
    called = {
        node.attr
        for path in Path(__file__).parent.glob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
    }
    strings = (Path(__file__).parent / "test_storage.py").read_text()  # a script's, in a test
    missing = {n for n in functions | members if n not in called and f".{n}(" not in strings}
    assert missing == APART.keys() & missing
    assert APART.keys() <= functions | members


def made_execution(aiplatform):
    """With credentials: what the SDK takes when none are given here is a type, by mistake."""
    own = AnonymousCredentials()
    kind = "system.ContainerExecution"
    return aiplatform.Execution.create(kind, display_name="made", credentials=own)


def test_the_calls_of_experiments_that_are_seldom_made(aiplatform):
    board = aiplatform.Tensorboard.create(display_name="mine")
    aiplatform.init(experiment="seldom", experiment_tensorboard=False)
    with aiplatform.start_run("one") as run:
        run.assign_backing_tensorboard(board)
        run.log_time_series_metrics({"loss": 0.5})
        step = made_execution(aiplatform)
        run.associate_execution(step)
        assert run.get_logged_pipeline_jobs() == []
        assert (run.project, run.location) == ("test", "us-central1")
    assert run.resource_id == "seldom-one"
    found = aiplatform.Context.get("seldom-one")
    subgraph = found.query_lineage_subgraph()
    assert step.resource_name in [execution.name for execution in subgraph.executions]
    aiplatform.Experiment.get("seldom").assign_backing_tensorboard(board)
    experiment = aiplatform.Experiment.get("seldom")
    assert experiment.backing_tensorboard_resource_name == board.resource_name
    with pytest.raises(NotFound, match="contexts/none"):
        aiplatform.get_pipeline_df("none")


def test_the_calls_of_what_every_resource_has(aiplatform):
    context = aiplatform.Context.create("system.Experiment", resource_id="holds")
    artifact = aiplatform.Artifact.create("system.Dataset", uri="gs://bucket/x")
    execution = made_execution(aiplatform)
    context.add_artifacts_and_executions([artifact.resource_name], [execution.resource_name])
    subgraph = context.query_lineage_subgraph()
    assert [a.name for a in subgraph.artifacts] == [artifact.resource_name]
    assert [e.name for e in subgraph.executions] == [execution.resource_name]
    assert artifact.name in artifact.lineage_console_uri
    board = aiplatform.Tensorboard.create(display_name="board")
    held = aiplatform.TensorboardExperiment.create("exp", board.resource_name)
    run = aiplatform.TensorboardRun.create("run", held.resource_name)
    series = aiplatform.TensorboardTimeSeries.create("loss", run.resource_name)
    for resource in (context, artifact, execution, board, held, run, series):
        assert resource.gca_resource.name == resource.resource_name
        assert isinstance(resource.credentials, AnonymousCredentials)
        if resource in (context, artifact, execution):
            resource.sync_resource()
    assert board.encryption_spec.kms_key_name == ""
