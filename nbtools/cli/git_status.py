"""`nbtools git status`."""

from __future__ import annotations

import sys

import click

from nbtools.cli import show
from nbtools.git.status import examine


@click.command(short_help="Say what is installed, and whether it works.")
@click.option("--json", "json_", is_flag=True, help="Print for machines.")
def status(json_: bool) -> None:
    """Say what is installed in which scope, whether it works, and what mends it.

    Exit code 1 if anything is wrong.
    """
    findings = examine()
    if json_:
        show.as_json([show.record(finding) for finding in findings])
    else:
        show.findings(findings)
    if any(f.mend for f in findings):
        sys.exit(1)
