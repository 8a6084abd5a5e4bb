"""`nbtools lineage show`."""

from __future__ import annotations

from collections.abc import Callable

import click

from nbtools import lineage
from nbtools.cli import show
from nbtools.digests import Digests
from nbtools.graph import LIMIT, Graph
from nbtools.jobs import Jobs
from nbtools.nouns import Artifact

#: format -> what to print.
FORMATS: dict[str, Callable[[Graph], str]] = {
    "mermaid": Graph.mermaid,
    "dot": Graph.dot,
    "svg": Graph.svg,
    "json": lambda graph: show.dumps(graph.json()),
    "openlineage": lambda graph: show.dumps(graph.openlineage()),
}


@click.group("lineage", short_help="Show what something came from, and what came from it.")
def group() -> None:
    """Show what an artifact, job or run came from, and what came from it."""


@group.command("show")
@click.argument("name", metavar="URI|ID|PATH")
@click.option("--up", is_flag=True, help="Only what it came from.")
@click.option("--down", is_flag=True, help="Only what came from it.")
@click.option("--depth", type=int, help="How many executions far. Default: all the way.")
@click.option(
    "--format", "form", type=click.Choice(["table", *FORMATS]), default="table",
    help="Default: table. svg is a picture, whole in itself.",
)  # fmt: skip
@show.JSON
def show_(name: str, up: bool, down: bool, depth: int | None, form: str, json_: bool) -> None:
    """Show the lineage of an artifact, a job or a run.

    An artifact is given by its name, URI or path; a job or a run by its name, the newest job
    as `last`.
    """
    jobs = Jobs.open()
    jobs.reconcile()
    graph = lineage.subgraph(name, up=up or not down, down=down or not up, depth=depth)
    form = "json" if json_ else form
    if form == "table":
        _table(graph, Digests(jobs.store.folder))
    else:
        click.echo(FORMATS[form](graph).rstrip("\n"))
    if not graph.whole:
        click.echo(f"only the first {LIMIT} nodes: --depth shows less", err=True)


def _table(graph: Graph, digests: Digests) -> None:
    known = {(e.type, e.artifact, e.execution) for e in graph.events}
    joined = {name for _, *names in known for name in names}
    rows = []
    for e in sorted(graph.executions, key=lambda e: str(e.create_time)):
        what = (e.name, e.state, show.when(e.create_time))
        for kind in ("INPUT", "OUTPUT"):
            ours = [a for a in graph.artifacts if (kind, a.name, e.name) in known]
            rows += [(kind, _artifact(a), *what) for a in ours]
        if e.name not in joined:
            rows.append(("", "", *what))
    rows += [("", _artifact(a), "", "", "") for a in graph.artifacts if a.name not in joined]
    show.table(("EVENT", "ARTIFACT", "EXECUTION", "STATE", "BEGUN"), rows, "nothing is known")
    for execution in graph.executions:
        for key, does in (("retry_of", "executes {} again"), ("resume_of", "goes on from {}")):
            if before := execution.metadata.get(key):
                click.echo(f"{execution.name}  {does.format(before)}")
    for name, run in graph.runs.items():
        click.echo(f"{name}  {show.values({**run.params, **run.metrics})}")
    for artifact in graph.artifacts:
        if artifact.metadata.get("commit"):
            click.echo(f"{artifact.display_name}  {_revision(artifact)}")
        if said := lineage.changed(artifact, digests):
            warning = f"{artifact.display_name} at {show.short(artifact.uri)} {said}"
            click.secho(show.text(warning), fg="yellow")


def _artifact(artifact: Artifact) -> str:
    return f"{artifact.display_name or artifact.name} ({artifact.schema_title.rpartition('.')[2]})"


def _revision(artifact: Artifact) -> str:
    meta = artifact.metadata
    branch = f" ({meta['branch']})" if meta.get("branch") else ""
    return f"{'changed since' if meta.get('dirty') else 'at'} commit {meta['commit'][:12]}{branch}"
