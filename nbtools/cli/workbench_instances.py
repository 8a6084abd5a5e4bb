"""`nbtools workbench instances`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nbtools.cli import show, workbench_flags
from nbtools.cli.show import JSON
from nbtools.cli.workbench import (
    ASYNC,
    DRY,
    command,
    place,
    print_record,
    print_request,
    send,
    where,
)

if TYPE_CHECKING:
    from nbtools.workbench.request import Request

_DISK_TYPES = click.Choice(["PD_STANDARD", "PD_SSD", "PD_BALANCED", "PD_EXTREME"])


@click.group(short_help="Create, start, upgrade, open … instances.")
def instances() -> None:
    """Workbench instances, from their creation to their end."""


@instances.command("create")
@click.argument("name", default="")
@click.option("-f", "--file", default="", metavar="YAML", help="A spec; flags come on top of it.")
@click.option("--machine-type", default="", help="e2-standard-4, n1-standard-8 …")
@click.option("--accelerator", default="", metavar="TYPE[:COUNT]", help="NVIDIA_TESLA_T4:1")
@click.option("--install-gpu-driver", is_flag=True, help="Let Google install it.")
@click.option("--image", default="", metavar="PROJECT/FAMILY", help="Default: Workbench's newest.")
@click.option("--container", default="", metavar="REPOSITORY[:TAG]", help="Of your own.")
@click.option("--boot-disk-size", default=0, metavar="GB")
@click.option("--boot-disk-type", default=None, type=_DISK_TYPES)
@click.option("--data-disk-size", default=0, metavar="GB")
@click.option("--data-disk-type", default=None, type=_DISK_TYPES)
@click.option("--kms-key", default="", help="Encrypt both disks with it: projects/…/cryptoKeys/…")
@click.option("--network", default="", help="Name, or projects/…/global/networks/…")
@click.option("--subnet", default="", help="Name, or projects/…/regions/…/subnetworks/…")
@click.option("--no-public-ip", is_flag=True)
@click.option("--tag", "tags", multiple=True, help="Of the network. May be repeated.")
@click.option("--service-account", default="", metavar="E-MAIL", help="As whom code runs.")
@click.option("--owner", default="", metavar="E-MAIL", help="The single user who may open it.")
@click.option("--idle-shutdown", default="", metavar="DURATION", help="3h, 90m; off: never.")
@click.option("--post-startup-script", default="", metavar="GS_URI")
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE")
@click.option("--metadata", multiple=True, metavar="KEY=VALUE")
@DRY
@ASYNC
@JSON
@where
def create(name: str, file: str, dry_run: bool, async_: bool, json_: bool, project: str,
           location: str, vertex: str, **flags: Any) -> None:  # fmt: skip
    """Create the instance NAME, of flags, of a YAML spec, or of both."""
    from nbtools.workbench import instances as verb
    from nbtools.workbench import spec as specs

    spec = specs.read(Path(file)) if file else {}
    spec = specs.merged(spec, workbench_flags.spec(name, location, flags))
    spec = specs.checked(spec, file or "instance")
    request = verb.create(spec, place(project, location, "" if dry_run else vertex))
    if dry_run:
        print_request(request)
        return
    _done(send(request, wait=not async_), request, json_, next_="instances open")


def _done(answer: Mapping[str, Any], request: Request, json_: bool, next_: str = "") -> None:
    """Say what came of a request; `next_` is the command that its user may want then."""
    if json_:
        show.as_json(answer)
        return
    if "operation" in answer:
        click.echo(f"begun: {answer['operation']}")
        next_ = "instances show"
    else:
        click.echo(f"{show.state(answer.get('state', 'DELETED'))}  {request.target.split('/')[5]}")
    if next_:
        click.echo(f"  {command(next_, request.target)}")


@instances.command("list")
@DRY
@JSON
@where
def list_(dry_run: bool, json_: bool, project: str, location: str, vertex: str) -> None:
    """List the instances of a project, in all zones unless --location names one."""
    from nbtools.workbench import instances as verb

    request = verb.list_(place(project, location or "-", "" if dry_run else vertex))
    if dry_run:
        print_request(request)
        return
    found = send(request)
    if json_:
        show.as_json(found)
        return
    rows = [
        (i["name"].split("/")[5], i.get("state", ""), i["name"].split("/")[3],
         i.get("gceSetup", {}).get("machineType", "").rpartition("/")[2], _accelerator(i),
         i.get("healthState", ""))
        for i in found
    ]  # fmt: skip
    heads = ("INSTANCE", "STATE", "ZONE", "MACHINE", "ACCELERATOR", "HEALTH")
    show.table(heads, rows, "none: nbtools workbench instances create NAME")


def _accelerator(instance: Mapping[str, Any]) -> str:
    found = instance.get("gceSetup", {}).get("acceleratorConfigs", [])
    return f"{found[0].get('coreCount', 1)} {found[0].get('type', '')}" if found else ""


@instances.command("show")
@click.argument("name")
@DRY
@JSON
@where
def show_(name: str, dry_run: bool, json_: bool, **options: Any) -> None:
    """Show all that there is to an instance."""
    found = _get(name, dry_run, options)
    if found is None:
        return
    if json_:
        show.as_json(found)
        return
    print_record(found, found.get("state", ""))


def _get(name: str, dry_run: bool, options: Any) -> Any:
    """The instance as it is; None after a dry run."""
    from nbtools.workbench import instances as verb

    request = verb.act("Get", _named(name, dry_run, options))
    if dry_run:
        print_request(request)
        return None
    return send(request)


def _named(name: str, dry_run: bool, options: Any) -> str:
    vertex = "" if dry_run else options["vertex"]
    return place(options["project"], options["location"], vertex).name(name)


def _command(verb: str, text: str) -> None:
    """`start`, `stop` and `reset`, which are alike."""

    @instances.command(verb.lower(), help=text)
    @click.argument("name")
    @DRY
    @ASYNC
    @JSON
    @where
    def act(name: str, dry_run: bool, async_: bool, json_: bool, **options: Any) -> None:
        from nbtools.workbench import instances as verbs

        request = verbs.act(verb, _named(name, dry_run, options))
        if dry_run:
            print_request(request)
        else:
            _done(send(request, wait=not async_), request, json_)


_command("Start", "Start a stopped instance.")
_command("Stop", "Stop an instance: its disks stay, and cost, its machine does not.")
_command("Reset", "Reset an instance, as a power switch does.")


@instances.command("update")
@click.argument("name")
@click.option("--idle-shutdown", default="", metavar="DURATION", help="3h, 90m; off: never.")
@click.option("--machine-type", default="", help="Of a stopped instance.")
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="KEY= takes it out.")
@click.option("--metadata", multiple=True, metavar="KEY=VALUE", help="KEY= takes it out.")
@DRY
@ASYNC
@JSON
@where
def update(name: str, machine_type: str, dry_run: bool, async_: bool, json_: bool, project: str,
           location: str, vertex: str, **flags: Any) -> None:  # fmt: skip
    """Change idle shutdown, labels, metadata, or the type of a stopped machine.

    What is not named stays: the instance is read first, also for a dry run.
    """
    from nbtools.workbench import instances as verb

    full = place(project, location, vertex).name(name)
    changes = workbench_flags.changes(flags) | (
        {"machine_type": machine_type} if machine_type else {}
    )
    changes = {key: value for key, value in changes.items() if value != {}}
    request = verb.update(full, changes, send(verb.act("Get", full)))
    if dry_run:
        print_request(request)
    else:
        _done(send(request, wait=not async_), request, json_)


@instances.command("upgrade")
@click.argument("name")
@click.option("--check", is_flag=True, help="Only say whether there is something newer.")
@DRY
@ASYNC
@JSON
@where
def upgrade(
    name: str, check: bool, dry_run: bool, async_: bool, json_: bool, **options: Any
) -> None:
    """Upgrade an instance's environment, when a check says that there is something newer."""
    from nbtools.workbench import instances as verb

    full = _named(name, dry_run, options)
    asked, request = verb.check(full), verb.act("Upgrade", full)
    if dry_run:
        print_request(*([asked] if check else [asked, request]))
        return
    found = send(asked)
    newer = found.get("upgradeable", False)
    if check or not newer:
        if json_:
            show.as_json(found)
        else:
            said = f"{found.get('upgradeVersion', '')}  {found.get('upgradeImage', '')}".rstrip()
            info = found.get("upgradeInfo", "")
            click.echo(f"can be upgraded to {said}" if newer else f"nothing newer: {info}")
        return
    _done(send(request, wait=not async_), request, json_, next_="instances rollback")


@instances.command("rollback")
@click.argument("name")
@click.option("--snapshot", default="", help="Default: that of the last upgrade.")
@DRY
@ASYNC
@JSON
@where
def rollback(
    name: str, snapshot: str, dry_run: bool, async_: bool, json_: bool, **options: Any
) -> None:
    """Go back to before an upgrade. The instance is read first, also for a dry run."""
    from nbtools.workbench import instances as verb

    full = _named(name, dry_run=False, options=options)
    request = verb.rollback(full, send(verb.act("Get", full)), snapshot)
    if dry_run:
        print_request(request)
    else:
        _done(send(request, wait=not async_), request, json_)


@instances.command("diagnose")
@click.argument("name")
@click.argument("bucket")
@click.option("--repair", is_flag=True, help="Let the service try to repair what it finds.")
@click.option("--copy-home", is_flag=True, help="Put the files of /home/jupyter there too.")
@DRY
@ASYNC
@JSON
@where
def diagnose(name: str, bucket: str, repair: bool, copy_home: bool, dry_run: bool, async_: bool,
             json_: bool, **options: Any) -> None:  # fmt: skip
    """Write a report of what is wrong with an instance to BUCKET: gs://BUCKET/FOLDER."""
    from nbtools.workbench import instances as verb

    request = verb.diagnose(_named(name, dry_run, options), bucket, repair=repair, home=copy_home)
    if dry_run:
        print_request(request)
    else:
        _done(send(request, wait=not async_), request, json_)
        if not json_:
            config = request.fields["diagnosticConfig"]
            click.echo(
                f"  its report goes to {config['gcsBucket']}/{config.get('relativePath', '')}"
            )


@instances.command("delete")
@click.argument("name")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@DRY
@ASYNC
@JSON
@where
def delete(name: str, yes: bool, dry_run: bool, async_: bool, json_: bool, **options: Any) -> None:
    """Delete an instance with its disks."""
    from nbtools.workbench import instances as verb

    full = _named(name, dry_run, options)
    request = verb.act("Delete", full)
    if dry_run:
        print_request(request)
        return
    if not yes:
        click.confirm(f"delete {full} with its disks?", abort=True, err=True)
    _done({"name": full, **send(request, wait=not async_)}, request, json_)


@instances.command("open")
@click.argument("name")
@click.option("--print", "print_", is_flag=True, help="Print the address, open no browser.")
@JSON
@where
def open_(name: str, print_: bool, json_: bool, **options: Any) -> None:
    """Open an instance's JupyterLab in a browser; with --json its address is printed only."""
    from nbtools.workbench import instances as verb

    address = verb.address(_get(name, dry_run=False, options=options))
    if json_:
        show.as_json({"url": address})
        return
    click.echo(address)
    if not print_:
        click.launch(address)
