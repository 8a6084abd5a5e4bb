"""`nbtools workbench`: its commands are imported when they are called; what they have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from nbtools import registry
from nbtools.cli import Commands, show
from nbtools.settings import Settings, environment, set_environment

if TYPE_CHECKING:
    from nbtools.cloud import Place
    from nbtools.workbench.request import Request

DRY = click.option("--dry-run", is_flag=True, help="Print the request, and send nothing.")
ASYNC = click.option("--async", "async_", is_flag=True, help="Do not wait until it is done.")


def where(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say where, as `project`, `location` and `vertex`."""
    options = (
        click.option("--project", default="", help="Default: that of [tool.nbtools], or "
                     "GOOGLE_CLOUD_PROJECT."),
        click.option("--location", default="", help="A zone; of templates a region. Default: zone, "
                     "or location, of [tool.nbtools]."),
        click.option("--vertex", is_flag=False, flag_value="local", default="",
                     type=click.Choice(["", "local"]), help="local: the emulator, not Google."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def place(project: str, location: str, vertex: str = "", *, regional: bool = False) -> Place:
    """The place that options and settings say, of what is in a zone or is `regional`; with
    `vertex` the emulator is begun.
    """
    from nbtools.cloud import Place

    if vertex:
        env = environment()
        set_environment({**env, **registry.vertex(vertex)(Settings.load().store, env)})
    settings = Settings.load()
    default = settings.location if regional else settings.zone
    return Place(project or settings.project, location or default)


def send(request: Request, *, wait: bool = True) -> Any:
    """The answer, of Google or of this shell's emulator."""
    from nbtools.cloud import Endpoint
    from nbtools.workbench import client

    settings = Settings.load()
    try:
        return client.send(request, Endpoint.of(settings), wait=wait)
    except KeyboardInterrupt as error:
        click.echo("".join(f"\nnbtools: {said}" for said in error.args), err=True)
        raise


def command(words: str, full: str, *more: str) -> str:
    """A command about the resource of that full name, for this shell: it says the project and
    the location that are no settings.
    """
    settings, (_, project, _, location, *_, id_) = Settings.load(), full.split("/")
    made = ["nbtools", "workbench", words, id_, *more]
    made += ["--project", project] if project != settings.project else []
    made += ["--location", location] if location != settings.zone else []
    return " ".join(made)


def print_request(*requests: Request) -> None:
    """For --dry-run."""
    records = [request.record() for request in requests]
    show.as_json(records[0] if len(records) == 1 else records)


def print_record(record: Mapping[str, Any], state: str = "") -> None:
    """All that there is to a resource, a line a value."""
    click.echo(f"{show.state(state)}  {record['name']}" if state else record["name"])
    for path, value in _flat({k: v for k, v in record.items() if k not in ("name", "state")}):
        click.echo(f"  {path:<40}  {show.text(str(value))}")  # whole: names may be long


def _flat(value: Any, path: str = "") -> list[tuple[str, Any]]:
    if isinstance(value, Mapping):
        return [x for k, v in value.items() for x in _flat(v, f"{path}.{k}".lstrip("."))]
    if isinstance(value, list):
        return [x for number, v in enumerate(value) for x in _flat(v, f"{path}[{number}]")]
    return [(path, value)]


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
