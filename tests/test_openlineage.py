"""OpenLineage events, read by OpenLineage's own client, whose classes are its specification."""

from datetime import UTC, datetime, timedelta

import pytest
from openlineage.client import event_v2, facet_v2
from openlineage.client.serde import Serde

from nbtools.graph import Graph
from nbtools.nouns import JOB, NOTEBOOK, Artifact, Event, Execution

NOW = datetime(2024, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
FACETS = {
    "jobType": facet_v2.job_type_job.JobTypeJobFacet,
    "sourceCodeLocation": facet_v2.source_code_location_job.SourceCodeLocationJobFacet,
    "errorMessage": facet_v2.error_message_run.ErrorMessageRunFacet,
    "version": facet_v2.dataset_version_dataset.DatasetVersionDatasetFacet,
}


def graph(state, **metadata):
    later = NOW + timedelta(seconds=5)
    return Graph(
        artifacts=(
            Artifact(
                name="nb", schema_title=NOTEBOOK, uri="/p/a b.ipynb",
                metadata={"sha256": "ab" * 32, "commit": "c" * 40, "dirty": False},
            ),
            Artifact(name="data", schema_title="system.Dataset", uri="gs://bucket/dir/d.csv"),
            Artifact(
                name="m", schema_title="system.Model", uri="file:///p/m.pt",
                metadata={"sha256": "cd" * 32},
            ),
        ),
        executions=(
            Execution(
                name="train-1", schema_title=JOB, display_name="train", state=state,
                metadata={"experiment": "exp", "run": "r", **metadata},
                create_time=NOW, update_time=later,
            ),
        ),
        events=(
            Event(execution="train-1", artifact="nb", type="INPUT", time=NOW),
            Event(execution="train-1", artifact="data", type="INPUT", time=NOW),
            Event(execution="train-1", artifact="m", type="OUTPUT", time=later),
        ),
    )  # fmt: skip


def facets(given):
    """The same through the client's classes, which refuse what is not in the specification."""
    made = {}
    for name, values in given.items():
        own = {k: v for k, v in values.items() if not k.startswith("_")}
        made[name] = FACETS[name](producer=values["_producer"], **own)
        assert made[name]._schemaURL == values["_schemaURL"]
    return made


def as_the_client_reads(event):
    def dataset(kind, given):
        return kind(given["namespace"], given["name"], facets=facets(given["facets"]))

    made = event_v2.RunEvent(
        eventTime=event["eventTime"],
        producer=event["producer"],
        run=event_v2.Run(event["run"]["runId"], facets(event["run"]["facets"])),
        job=event_v2.Job(
            event["job"]["namespace"], event["job"]["name"], facets(event["job"]["facets"])
        ),
        eventType=event_v2.RunState(event["eventType"]),
        inputs=[dataset(event_v2.InputDataset, d) for d in event["inputs"]],
        outputs=[dataset(event_v2.OutputDataset, d) for d in event["outputs"]],
    )
    return Serde.to_dict(made)


def without_empty(value):
    if isinstance(value, dict):
        kept = {k: without_empty(v) for k, v in value.items()}
        return {k: v for k, v in kept.items() if v not in ({}, [], None)}
    return [without_empty(v) for v in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("state", "kinds"),
    [
        ("NEW", ["START"]),
        ("RUNNING", ["START"]),
        ("COMPLETE", ["START", "COMPLETE"]),
        ("CACHED", ["START", "COMPLETE"]),
        ("FAILED", ["START", "FAIL"]),
        ("CANCELLED", ["START", "ABORT"]),
    ],
)
def test_events_are_what_the_specification_says(state, kinds):
    events = graph(state, error="it broke").openlineage()
    assert [event["eventType"] for event in events] == kinds
    for event in events:
        assert without_empty(as_the_client_reads(event)) == without_empty(event)
    assert len({event["run"]["runId"] for event in events}) == 1
    failed = [e["run"]["facets"] for e in events if e["run"]["facets"]]
    assert [f["errorMessage"]["message"] for f in failed] == (
        ["it broke"] if state == "FAILED" else []
    )


def test_datasets_are_named_by_where_they_lie():
    (_, end) = graph("COMPLETE").openlineage()
    assert [(d["namespace"], d["name"]) for d in end["inputs"] + end["outputs"]] == [
        ("file", "/p/a b.ipynb"),
        ("gs://bucket", "dir/d.csv"),
        ("file", "/p/m.pt"),
    ]
    assert end["outputs"][0]["facets"]["version"]["datasetVersion"] == "cd" * 32
    source = end["job"]["facets"]["sourceCodeLocation"]
    assert (source["url"], source["version"]) == ("file:///p/a%20b.ipynb", "c" * 40)
    assert (end["job"]["namespace"], end["job"]["name"]) == ("exp", "train")


def test_the_same_execution_is_the_same_run_whenever_it_is_told():
    first, again = (graph("COMPLETE").openlineage()[0] for _ in range(2))
    assert first == again
