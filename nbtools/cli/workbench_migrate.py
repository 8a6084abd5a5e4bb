"""`nbtools workbench migrate`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from nbtools.cli import show
from nbtools.cli.show import JSON
from nbtools.cli.workbench import place, send, where
from nbtools.errors import RequestError


@click.command(short_help="Plan how deprecated notebooks are replaced.")
@click.argument("names", nargs=-1)
@click.option("--plan", is_flag=True, help="Required: plans are all that this makes.")
@click.option("--from", "files", multiple=True, metavar="JSON",
              help="Read what gcloud described, not the service. May be repeated.")  # fmt: skip
@click.option("-o", "--output", default="", metavar="FOLDER",
              help="Write specs and a script there. Default: only say.")  # fmt: skip
@click.option("--bucket", default="BUCKET", help="Where the script is to keep the files meanwhile.")
@JSON
@where
def migrate(
    names: tuple[str, ...], plan: bool, files: tuple[str, ...], output: str, bucket: str,
    json_: bool, **options: Any,
) -> None:  # fmt: skip
    """Read managed and user-managed notebooks, both deprecated, and write the specs of the
    instances that replace them, the commands, and what has no equivalent. NAMES: of those alone.
    """
    from nbtools.workbench import migration

    if not plan:
        raise RequestError("nothing is migrated by this command: `migrate --plan` says what to do")
    records = (
        [r for file in files for r in _described(Path(file))] if files else _deprecated(options)
    )
    plans = [migration.plan(record) for record in records]
    plans = [one for one in plans if not names or one.id in names or one.name in names]
    if missing := [n for n in names if n not in {x for p in plans for x in (p.id, p.name)}]:
        raise RequestError(f"no notebook {', '.join(missing)}: without names all are shown")
    written = migration.write(plans, Path(output), bucket) if output and plans else []
    if json_:
        show.as_json([one.record() for one in plans])
        return
    for one in plans:
        click.secho(f"{one.name}  ({one.kind})", bold=True)
        click.echo(f"  becomes {one.spec['name']} in {one.spec['location']}")
        for said in one.lost:
            click.echo(f"  {click.style('no equivalent', fg='yellow')}: {show.text(said)}")
        for said in one.notes:
            click.echo(f"  {show.text(said)}")
    for path in written:
        click.echo(f"wrote {show.short(str(path))}")
    if not plans:
        click.echo("no managed and no user-managed notebook: there is nothing to migrate")
    elif not written:
        click.echo("nbtools workbench migrate --plan -o FOLDER    # specs and commands")


def _described(path: Path) -> list[Any]:
    """What `gcloud notebooks … describe|list --format=json` has written."""
    import json

    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RequestError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise RequestError(f"{path} is not JSON: {error}") from None
    return found if isinstance(found, list) else [found]


def _deprecated(options: Any) -> list[Any]:
    from nbtools.cloud import Place
    from nbtools.workbench.request import Request

    somewhere = place(**options)
    everywhere = Place(somewhere.project, options["location"] or "-")
    v1 = "notebooks_v1"
    asked: Sequence[str] = (
        f"{v1}.ManagedNotebookService.ListRuntimes", f"{v1}.NotebookService.ListInstances",
    )  # fmt: skip
    return [r for rpc in asked for r in send(Request(rpc, {"parent": everywhere.parent}))]
