"""`nbtools workbench`: its commands are imported when they are called; what they have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from nbtools.cli import Commands, show
from nbtools.settings import Settings, environment, set_environment

if TYPE_CHECKING:
    from nbtools.cloud import Place
    from nbtools.workbench.request import Request

JSON = click.option("--json", "json_", is_flag=True, help="Print for machines.")
DRY = click.option("--dry-run", is_flag=True, help="Print the request, and send nothing.")
ASYNC = click.option("--async", "async_", is_flag=True, help="Do not wait until it is done.")


def where(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say where, as `project`, `location` and `vertex`."""
    options = (
        click.option("--project", default="", help="Default: that of [tool.nbtools], or "
                     "GOOGLE_CLOUD_PROJECT."),
        click.option("--location", default="", help="A zone: us-central1-a. Default: zone of "
                     "[tool.nbtools]."),
        click.option("--vertex", is_flag=False, flag_value="local", default="",
                     type=click.Choice(["", "local"]), help="local: the emulator, not Google."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def place(project: str, location: str, vertex: str = "") -> Place:
    """The place that options and settings say; with `vertex` the emulator is begun."""
    from nbtools.cloud import Place

    if vertex:
        from nbtools import registry

        whole = environment()
        set_environment({**whole, **registry.vertex(vertex)(Settings.load().store, whole)})
    settings = Settings.load()
    return Place(project or settings.project, location or settings.zone)


def send(request: Request, *, wait: bool = True) -> Any:
    """The answer, of Google or of this shell's emulator."""
    from nbtools.cloud import Endpoint
    from nbtools.workbench import client

    settings = Settings.load()
    return client.send(request, Endpoint.of(settings), wait=wait)


def print_request(*requests: Request) -> None:
    """For --dry-run."""
    records = [request.record() for request in requests]
    show.as_json(records[0] if len(records) == 1 else records)


#: command -> (where it lies, what it does)
WORKBENCH = {
    "instances": ("workbench_instances:instances", "Create, start, upgrade, open … instances."),
    "access": ("workbench_access:access", "Show who may open an instance's JupyterLab."),
    "share": ("workbench_access:share", "Plan, and carry out, what lets people open one."),
    "migrate": ("workbench_migrate:migrate", "Plan how deprecated notebooks are replaced."),
    "templates": ("workbench_templates:templates", "Colab Enterprise's runtime templates."),
    "setup": ("workbench_setup:setup", "Make an instance ready for work, from inside."),
}


class WorkbenchCommands(Commands):
    """The commands about Workbench."""

    table = WORKBENCH


@click.group(
    cls=WorkbenchCommands, short_help="Create, share, migrate and set up Workbench instances."
)
def workbench() -> None:
    """Google's machines with JupyterLab on them: create, share, migrate and set them up."""
