"""`nbtools git`: its commands are imported when they are called."""

from __future__ import annotations

import click

from nbtools.cli import Commands

#: command -> (where it lies, what it does)
GIT = {
    "install": ("git_install:install", "Clean notebooks on their way into git."),
    "uninstall": ("git_install:uninstall", "Undo what install did."),
    "status": ("git_status:status", "Say what is installed, and whether it works."),
    "merge": ("git_merge:merge", "Merge three versions of a notebook: git's merge driver."),
    "fix": ("git_merge:fix", "Mend a notebook that a merge left with conflict markers."),
    "diff": ("git_diff:diff", "Show what changed in notebooks, cell by cell."),
    "textconv": ("git_diff:textconv", "Print a notebook as text: git's diff driver."),
    "refresh": ("git_refresh:refresh", "Clear notebooks that only seem modified."),
    "secrets": ("git_secrets:secrets", "Find keys and passwords in notebooks."),
    "rewrite-history": ("git_history:rewrite_history", "Say what stripping history would save."),
}


class GitCommands(Commands):
    """The commands about git."""

    table = GIT


@click.group(
    cls=GitCommands, short_help="Keep notebooks clean in git: filter, merge, diff, checks."
)
def git() -> None:
    """Keep notebooks clean in git: outputs stay out, merges and diffs go cell by cell."""
