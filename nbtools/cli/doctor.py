"""`nbtools doctor`."""

from __future__ import annotations

import sys

import click

from nbtools.cli import show
from nbtools.doctor import examine
from nbtools.settings import Settings


@click.command(short_help="Say what is installed, where the store is, what is wrong.")
@click.option("--json", "json_", is_flag=True, help="Print for machines.")
def doctor(json_: bool) -> None:
    """Say what is installed, where the store is and what is wrong; exit code 1 if anything is."""
    findings = examine(Settings.load())
    if json_:
        show.as_json([show.record(finding) for finding in findings])
    else:
        show.findings(findings)
    if any(f.mend for f in findings):
        sys.exit(1)
