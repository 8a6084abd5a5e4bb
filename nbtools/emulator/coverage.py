"""`COVERAGE.md`: every RPC of the services, and whether it is served.

python -m nbtools.emulator.coverage
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from nbtools.emulator import catalog
from nbtools.emulator.handlers import HANDLERS

FILE: Final = Path(__file__).with_name("COVERAGE.md")
#: where what is served is less than, or not known to be, what Vertex AI does.
NOTES: Final = {
    "MetadataService.CreateMetadataStore": "there is one, `default`: ALREADY_EXISTS, else 501",
    "MetadataService.DeleteMetadataStore": "refused: nbtools' jobs and schedules are in it",
    "MetadataService.CreateContext": "a `system.ExperimentRun` must be called as its id ends",
    "MetadataService.UpdateExecution": "a job of nbtools keeps its state, metadata and schema",
    "MetadataService.CreateMetadataSchema": "records are not checked against schemas",
    "MetadataService.ListMetadataSchemas": "those that were created; none of Vertex AI's own",
    "MetadataService.QueryArtifactLineageSubgraph": "`max_hops` counts events; 0 is no limit",
    "TensorboardService.UpdateTensorboardTimeSeries": "`display_name` stays: its points are by it",
    "TensorboardService.ReadTensorboardTimeSeriesData": "no filter",
    "TensorboardService.ExportTensorboardTimeSeriesData": "no filter; by default in step order",
    "TensorboardService.ReadTensorboardBlobData": "blobs that were sent with their bytes",
    "TensorboardService.ReadTensorboardUsage": "reads of data, all by the store's owner",
    "NotebookService.CreateNotebookExecutionJob": "executed on this machine, whatever its specs "
    "say; no Dataform source; the operation ends when the job is created",
    "NotebookService.DeleteNotebookExecutionJob": "cancels; the job of nbtools stays",
    "NotebookService.ListNotebookExecutionJobs": "those created here, or by schedules created here",
    "NotebookService.CreateNotebookRuntimeTemplate": "only `software_config.env` has an effect",
    "ScheduleService.CreateSchedule": "notebook execution jobs only; `max_concurrent_run_count` "
    "counts jobs at work, not requests",
    "ScheduleService.UpdateSchedule": "`update_mask` names whole fields",
    "Operations.WaitOperation": "answers at once, also of an instance's that goes on",
    "Operations.CancelOperation": "an operation that has ended stays as it is",
    "Operations.ListOperations": "no filter",
    "notebooks_v1.ManagedNotebookService.CreateRuntime": "Google creates none any more",
    "notebooks_v1.NotebookService.CreateInstance": "likewise",
    "notebooks_v2.NotebookService.CreateInstance": "no machine; `request_id` is not remembered",
    "notebooks_v2.NotebookService.ListInstances": "no filter, no order",
    "notebooks_v2.NotebookService.UpdateInstance": (
        "labels and metadata; of a stopped one machine type, accelerators, tags, shielding"
    ),
    "notebooks_v2.NotebookService.UpgradeInstance": "of an active or stopped one; one version",
    "notebooks_v2.NotebookService.DiagnoseInstance": "writes no report",
    "Locations.ListLocations": "those that the SDK knows; no filter",
}
HEAD: Final = """\
# What the emulator serves

Made by `python -m nbtools.emulator.coverage` from the installed SDK and the table of handlers,
and checked by a test against both. What is not served is answered with 501 `UNIMPLEMENTED`,
over REST and gRPC alike. Only version v1 of Vertex AI's API is there: what the SDK's preview
modules ask of v1beta1, whose messages are others, is answered with 501 too, by any route. Services
of `notebooks_v2` and `notebooks_v1` are Workbench's, if `google-cloud-notebooks` is installed;
those of `notebooks_v1` over gRPC only, as its client.

Everywhere: any project and location is served, and all of them are one store. Ids are 1 to 128
small letters, digits and hyphens, as the SDK documents them; the API's reference says 4 to 128.
Numbers in metadata are doubles. NaN and infinity, which JSON has not, are the words `NaN`,
`Infinity` and `-Infinity`. Filters are those of Vertex AI's documentation; what is not
understood is `INVALID_ARGUMENT`, never true. Lists without an order are newest first for what is
in the metadata store, oldest first for the rest. The three RPCs
of IAM (`setIamPolicy`, `getIamPolicy`, `testIamPermissions`) are not served for any resource:
there is nobody to grant anything to.

Cloud Storage is no service of these four: `docs/emulator.md` says what is there for `gs://`. The
Model service is not there, so `register_model` is refused.
"""


def text(known: catalog.Catalog) -> str:
    """The whole file."""
    parts = [HEAD]
    groups: dict[str, list[str]] = {}
    for name in sorted(known.methods):
        service, _, rpc = name.rpartition(".")
        state = "served" if name in HANDLERS else "501"
        groups.setdefault(service, []).append(f"| {rpc} | {state} | {NOTES.get(name, '')} |")
    for service, rows in sorted(groups.items()):
        served = sum("| served |" in row for row in rows)
        parts.append(f"\n## {service}: {served} of {len(rows)}\n\n| RPC | State | Note |\n")
        parts.append("|---|---|---|\n" + "\n".join(rows) + "\n")
    return "".join(parts)


if __name__ == "__main__":
    FILE.write_text(text(catalog.load()))
