"""Google's SDK, of the emulator and of Vertex AI: the same program, the same answers."""

import pytest

pytestmark = pytest.mark.slow

LOGGED = """
name = sys.argv[1]
aiplatform.init(experiment=name, experiment_tensorboard=False)
try:
    with aiplatform.start_run("one") as run:
        aiplatform.log_params({"lr": 0.1, "layers": 3, "optimizer": "adam"})
        aiplatform.log_metrics({"accuracy": 0.9})
        running = run.get_state()
    (row,) = aiplatform.get_experiment_df(name).to_dict("records")
    again = aiplatform.ExperimentRun("one", name)
    found = {"row": row, "params": again.get_params(), "metrics": again.get_metrics(),
             "states": [running, again.get_state()],
             "listed": [r.name for r in aiplatform.ExperimentRun.list(experiment=name)]}
finally:
    aiplatform.Experiment(name).delete()
found["left"] = aiplatform.Experiment.get(name) is not None
print(json.dumps(found))
"""

LINEAGE = """
name = sys.argv[1]
made = []
try:
    data = aiplatform.Artifact.create(schema_title="system.Dataset", display_name=name,
                                      uri="gs://b/data", metadata={"rows": 5, "of": {"a": [1]}})
    made.append(data)
    with aiplatform.start_execution(schema_title="system.ContainerExecution",
                                    display_name=name) as execution:
        made.append(execution)
        execution.assign_input_artifacts([data])
    data.update(metadata={"rows": 6}, description="more")
    again = aiplatform.Artifact.get(data.name)
    text = f'schema_title="system.Dataset" AND display_name="{name}"'
    found = {"inputs": [a.name == data.name for a in execution.get_input_artifacts()],
             "outputs": len(execution.get_output_artifacts()),
             "state": execution.state.name, "metadata": again.metadata,
             "description": again.description, "version": again.schema_version,
             "filtered": len(aiplatform.Artifact.list(filter=text)),
             "by number": len(aiplatform.Artifact.list(
                 filter=text + " AND metadata.rows.number_value > 5"))}
finally:
    for one in made:
        one.delete()
print(json.dumps(found))
"""

ERRORS = """
from google.api_core import exceptions
from google.cloud.aiplatform import initializer, utils
name = sys.argv[1]
client = initializer.global_config.create_client(utils.MetadataClientWithOverride)
config = initializer.global_config
store = f"projects/{config.project}/locations/{config.location}/metadataStores/default"
found = {}
def refused(what, call):
    try:
        call()
        found[what] = "nothing"
    except exceptions.GoogleAPICallError as error:
        found[what] = int(error.code)  # of both transports
        print(f"{what}: {error.message}", file=sys.stderr)
def create(id):
    context = {"schema_title": "system.Experiment"}
    return client.create_context({"parent": store, "context_id": id, "context": context})
context = create(name)
try:
    refused("twice", lambda: create(name))
    refused("no such", lambda: client.get_context({"name": f"{store}/contexts/{name}-none"}))
    refused("bad id", lambda: create("Not An Id"))
    refused("bad filter", lambda: list(client.list_contexts(
        {"parent": store, "filter": "display_name = = 1"})))
    refused("bad token", lambda: list(client.list_contexts(
        {"parent": store, "page_token": "nonsense"})))
    old = context.etag
    context.description = "new"
    mask = {"paths": ["description"]}
    client.update_context({"context": context, "update_mask": mask})
    context.etag, context.description = old, "newer"
    refused("old etag", lambda: client.update_context(
        {"context": context, "update_mask": mask}))
finally:
    client.delete_context({"name": context.name}).result()
print(json.dumps(found))
"""


def test_what_is_logged_comes_back(side):
    name = side.new("logged")
    found = side.program(LOGGED, name)
    assert found["row"] == {
        "experiment_name": name, "run_name": "one", "run_type": "system.ExperimentRun",
        "state": "COMPLETE", "param.lr": 0.1, "param.layers": 3.0, "param.optimizer": "adam",
        "metric.accuracy": 0.9,
    }  # fmt: skip
    assert found["params"] == {"lr": 0.1, "layers": 3.0, "optimizer": "adam"}
    assert found["metrics"] == {"accuracy": 0.9}
    assert found["states"] == ["RUNNING", "COMPLETE"]
    assert (found["listed"], found["left"]) == (["one"], False)


def test_artifacts_and_executions_are_joined_and_found(side):
    assert side.program(LINEAGE, side.new("lineage")) == {
        "inputs": [True], "outputs": 0, "state": "COMPLETE",
        "metadata": {"rows": 6.0, "of": {"a": [1.0]}}, "description": "more", "version": "0.0.1",
        "filtered": 1, "by number": 1,
    }  # fmt: skip


def test_what_cannot_be_is_refused_with_the_same_code(side):
    assert side.program(ERRORS, side.new("errors")) == {
        "twice": 409, "no such": 404, "bad id": 400, "bad filter": 400, "bad token": 400,
        "old etag": 409,
    }  # fmt: skip
