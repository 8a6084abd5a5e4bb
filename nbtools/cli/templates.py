"""`nbtools templates` and `nbtools new`."""

from __future__ import annotations

import click

from nbtools.cli import show
from nbtools.git.install import NoRepository, git
from nbtools.nouns import default_experiment, utc_now
from nbtools.template import find
from nbtools.template import templates as known


@click.command(short_help="List the templates to begin a notebook from.")
@show.JSON
def templates(json_: bool) -> None:
    """List the notebooks to begin from: `nbtools new NAME` copies one."""
    found = known()
    if json_:
        show.as_json(
            [
                {"name": t.name, "summary": t.summary, "path": str(t.path),
                 "parameters": [p.name for p in t.parameters]}
                for t in found
            ]
        )  # fmt: skip
        return
    rows = [(t.name, t.summary, " ".join(p.name for p in t.parameters)) for t in found]
    show.table(("NAME", "WHAT IT DOES", "PARAMETERS"), rows, "no templates: install nbtools again")


@click.command(short_help="Begin a notebook from a template.")
@click.argument("template")
@click.argument("path", default=".")
@click.option("--title", default="", help="Its heading; default: the file's name in words.")
@click.option("--author", default=None, help="Who begins it; default: git's user.name.")
@click.option("--kernel", default="", help="The kernelspec that it names.")
@click.option("--force", is_flag=True, help="Overwrite a file that is there.")
@show.JSON
def new(
    template: str, path: str, title: str, author: str | None, kernel: str, force: bool, json_: bool
) -> None:
    """Copy TEMPLATE, one of `nbtools templates`, to PATH, and fill its header.

    PATH is a file or a folder; by default it is called as the template is, and lies here.
    """
    chosen = find(template)
    author = _author() if author is None else author
    made = chosen.begin(path, utc_now(), title=title, author=author, kernel=kernel, force=force)
    needs = chosen.needs(made.parent)
    if json_:
        show.as_json({"path": str(made), "template": chosen.name, "needs": needs})
        return
    me, file = show.program(), show.short(str(made))
    click.echo(f"{file}, from the template {chosen.name}: {chosen.summary}")
    click.echo("Next:")
    if made.suffix == ".yaml":
        for name in needs:
            click.echo(f"  {me} new {name} {show.short(str(made.parent))}")
        click.echo(f"  {me} schedule apply {file}")
        return
    click.echo(f"  {me} params {file}    # what to change with -p NAME VALUE")
    click.echo(f"  {me} run {file}")
    click.echo(f"  {me} runs list --experiment {default_experiment(made)}")


def _author() -> str:
    try:
        return git("config", "--get", "user.name", check=False)
    except NoRepository:  # no git here: a header does without a name
        return ""
