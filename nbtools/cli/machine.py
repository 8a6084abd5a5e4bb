"""The options that say what machine a job asks for, the same for every command that makes jobs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from typing import Any

import click

from nbtools.machine import Machine

#: field of the record -> its option.
_OPTIONS = {
    "type": click.option("--machine", "type", default="", metavar="TYPE",
                         help="On Vertex AI: its type, n1-standard-8."),
    "gpu": click.option("--gpu", default="", metavar="KIND[:N]", help="NVIDIA_TESLA_T4:2."),
    "disk": click.option("--disk", default=0, metavar="GB", help="Size of its disk."),
    "network": click.option("--network", default="", help="projects/P/global/networks/NAME."),
    "subnet": click.option("--subnet", default="", help="projects/P/regions/R/subnetworks/NAME."),
    "service_account": click.option("--service-account", default="", metavar="EMAIL",
                                    help="Who the notebook is there."),
    "execution_user": click.option("--execution-user", default="", metavar="EMAIL",
                                   help="The same, a person; with --runtime-template."),
    "runtime_template": click.option("--runtime-template", default="", metavar="NAME",
                                     help="A machine described there: `workbench templates`."),
}  # fmt: skip


def options(command: Callable[..., None]) -> Callable[..., None]:
    """The command is called with `machine` in their place."""

    @wraps(command)
    def taking(*args: Any, **asked: Any) -> None:
        machine = Machine(**{f.name: asked.pop(f.name) for f in fields(Machine)})
        return command(*args, machine=machine, **asked)

    made: Callable[..., None] = taking
    for option in reversed(_OPTIONS.values()):
        made = option(made)
    return made
