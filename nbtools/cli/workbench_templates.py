"""`nbtools workbench templates`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from nbtools.cli import show
from nbtools.cli.show import JSON
from nbtools.cli.workbench import ASYNC, DRY, place, print_record, print_request, send, where


@click.group(short_help="Colab Enterprise's runtime templates.")
def templates() -> None:
    """Runtime templates of Colab Enterprise, which execution jobs run on too: descriptions of
    machines that are begun when needed. They are no Workbench instances.
    """


@templates.command("create")
@click.argument("file", metavar="YAML")
@DRY
@ASYNC
@JSON
@where
def create(
    file: str, dry_run: bool, async_: bool, json_: bool, project: str, location: str, vertex: str
) -> None:
    """Create the template that a YAML file describes."""
    from nbtools.workbench import spec as specs
    from nbtools.workbench import templates as verb

    spec = specs.read(Path(file))
    request = verb.create(
        spec, place(project, location, "" if dry_run else vertex, regional=True), file
    )
    if dry_run:
        print_request(request)
        return
    answer = send(request, wait=not async_)
    if json_:
        show.as_json(answer)
    else:
        click.echo(answer.get("name") or f"begun: {answer['operation']}")


@templates.command("list")
@DRY
@JSON
@where
def list_(dry_run: bool, json_: bool, project: str, location: str, vertex: str) -> None:
    """List the templates of a region."""
    from nbtools.workbench import templates as verb

    request = verb.list_(place(project, location, "" if dry_run else vertex, regional=True))
    if dry_run:
        print_request(request)
        return
    found = send(request)
    if json_:
        show.as_json(found)
        return
    rows = [
        (t["name"].rpartition("/")[2], t.get("displayName", ""),
         t.get("machineSpec", {}).get("machineType", ""),
         t.get("machineSpec", {}).get("acceleratorType", ""))
        for t in found
    ]  # fmt: skip
    heads = ("TEMPLATE", "CALLED", "MACHINE", "ACCELERATOR")
    show.table(heads, rows, "none: nbtools workbench templates create YAML")


@templates.command("show")
@click.argument("template")
@DRY
@JSON
@where
def show_(
    template: str, dry_run: bool, json_: bool, project: str, location: str, vertex: str
) -> None:
    """Show all that there is to a template."""
    from nbtools.workbench import templates as verb

    request = verb.act(
        "Get", template, place(project, location, "" if dry_run else vertex, regional=True)
    )
    if dry_run:
        print_request(request)
        return
    found = send(request)
    if json_:
        show.as_json(found)
    else:
        print_record(found)


@templates.command("delete")
@click.argument("template")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@DRY
@JSON
@where
def delete(template: str, yes: bool, dry_run: bool, json_: bool, **options: Any) -> None:
    """Delete a template. Machines that were begun of it stay."""
    from nbtools.workbench import templates as verb

    options["vertex"] = "" if dry_run else options["vertex"]
    request = verb.act("Delete", template, place(**options, regional=True))
    if dry_run:
        print_request(request)
        return
    if not yes:
        click.confirm(f"delete {request.fields['name']}?", abort=True, err=True)
    send(request)
    if json_:
        show.as_json({"name": request.fields["name"]})
    else:
        click.echo(f"deleted: {template}")
