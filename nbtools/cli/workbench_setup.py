"""`nbtools workbench setup`."""

from __future__ import annotations

import sys

import click

from nbtools.cli import show
from nbtools.cli.show import JSON
from nbtools.settings import Settings


@click.command(short_help="Make an instance ready for work, from inside.")
@click.argument("repository")
@click.option("--folder", default="", help="Where to. Default: as git would call it, here.")
@click.option("--branch", default="", help="Default: the repository's own.")
@click.option("--idle-shutdown", "idle", default="", help="Stop when idle so long: 3h, or off.")
@click.option("--script", is_flag=True, help="Print a post-startup script that does this.")
@JSON
def setup(repository: str, folder: str, branch: str, idle: str, script: bool, json_: bool) -> None:
    """Inside of an instance: clone REPOSITORY, install filter, hooks and kernels, and put store
    and idle shutdown in place. Doing it again changes nothing.
    """
    from nbtools.workbench import setup as verb

    if script:
        text = verb.script(repository, folder=folder, branch=branch, idle=idle)
        if json_:
            show.as_json({"script": text})
        else:
            click.echo(text, nl=False)
        return
    steps = verb.setup(
        repository, verb.folder_of(repository, folder), Settings.load(), branch=branch, idle=idle
    )
    if json_:
        show.as_json([show.record(step) for step in steps])
    else:
        show.findings(steps)
    if any(step.mend for step in steps):
        sys.exit(1)
