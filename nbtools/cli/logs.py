"""`nbtools logs`."""

from __future__ import annotations

import click


@click.command(short_help="Show what a job has said, cell by cell.")
@click.argument("job")
@click.option("-f", "--follow", is_flag=True, help="Go on until the job ends.")
@click.option("--json", "json_", is_flag=True, help="Print for machines, an object a line.")
def logs(job: str, follow: bool, json_: bool) -> None:
    """Show what JOB has said: its cells as they began and ended, and their output."""
    import json
    import sys
    from dataclasses import asdict

    from nbtools.cli import show
    from nbtools.watch import watch

    for event in watch(job, follow):
        if json_:
            click.echo(json.dumps(asdict(event)))
        elif event.kind == "begin":
            click.secho(f"[{event.cell}] {event.text[:100]}", fg="blue")
        elif event.kind == "end":
            click.secho(f"[{event.cell}] {show.seconds(event.seconds)}", dim=True)
        elif event.kind == "text":
            click.echo(event.text, nl=False, err=event.stream == "stderr")
        elif event.kind == "ended":
            click.echo(show.state(event.text) if event.text.isupper() else event.text)
        else:
            click.echo(event.text)
        sys.stdout.flush()
