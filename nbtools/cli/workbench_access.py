"""`nbtools workbench access` and `share`."""

from __future__ import annotations

from typing import Any

import click

from nbtools.cli import show
from nbtools.cli.show import JSON
from nbtools.cli.workbench import command, place, send, where


@click.command(short_help="Show who may open an instance's JupyterLab.")
@click.argument("name")
@JSON
@where
def access(name: str, json_: bool, **options: Any) -> None:
    """Show who may open an instance's JupyterLab, and what it takes."""
    from nbtools.workbench import access as verb
    from nbtools.workbench import instances

    full = place(**options).name(name)
    found = verb.of(send(instances.act("Get", full)))
    if json_:
        show.as_json(show.record(found))
        return
    click.echo(f"{full.rpartition('/')[2]}  {found.mode}")
    click.echo(
        f"  {'service account':<16}  {found.service_account or 'the default of Compute Engine'}"
    )
    if found.mode == verb.SINGLE_USER:
        click.echo(f"  {'owner':<16}  {found.owner or 'not shown by the service'}")
        click.echo("  nobody else can open it, and that cannot be changed")
    else:
        click.echo(f"  whoever has {verb.ACT_AS} on that service account can open it")
        click.echo(f"  {command('share', full, 'alex@example.com')}    # what that takes")
    if not found.proxy:
        click.echo("  there is no proxy: it is reached by SSH only")


@click.command(short_help="Plan, and carry out, what lets people open one.")
@click.argument("name")
@click.argument("people", nargs=-1, required=True, metavar="E-MAIL...")
@click.option("--manage", is_flag=True, help="Let them start, stop and delete it too.")
@click.option("--apply", "apply_", is_flag=True, help="Carry the plan out, with gcloud.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@JSON
@where
def share(
    name: str, people: tuple[str, ...], manage: bool, apply_: bool, yes: bool, json_: bool,
    **options: Any,
) -> None:  # fmt: skip
    """Say what it takes that PEOPLE can open an instance's JupyterLab: a plan to read first.
    With --apply it is carried out, word by word, when you have said yes.
    """
    from nbtools.workbench import access as verb
    from nbtools.workbench import instances

    found = verb.of(send(instances.act("Get", place(**options).name(name))))
    bindings = verb.plan(found, people, "manage" if manage else "use")
    if json_:
        show.as_json([{**show.record(b), "command": b.command()} for b in bindings])
    else:
        for binding in bindings:
            click.echo(f"# {binding.member.partition(':')[2]}: {binding.why}")
            click.echo(binding.line)
    if apply_:
        if not yes:
            click.confirm("grant this?", abort=True, err=True)
        verb.apply(bindings)
        click.echo(f"granted: {len(bindings)}", err=True)
    elif not json_:
        click.echo("# nothing is granted yet: read it, then again with --apply")
