"""`nbtools secret set|list|delete`."""

from __future__ import annotations

import sys

import click

from nbtools.cli import show


@click.group(short_help="Keep secrets for notebooks, outside of every store.")
def secret() -> None:
    """Keep secrets for notebooks, in a file that is yours alone: `~/.config/nbtools/secrets.json`.

    `--secret NAME` of run, submit, sweep and schedule create takes what the environment has
    under that name, or else what is kept here.
    """


@secret.command("set")
@click.argument("name")
def set_(name: str) -> None:
    """Keep a secret as NAME. It is asked for, or read from standard input.

    nbtools secret set API_KEY < key.txt
    """
    from nbtools.keyring import Keyring
    from nbtools.secrets import named
    from nbtools.settings import Settings

    named([name])  # before it is asked for
    if sys.stdin.isatty():
        value: str = click.prompt(name, hide_input=True, err=True)
    else:
        value = sys.stdin.read().removesuffix("\n").removesuffix("\r")
    keyring = Keyring(Settings.load())
    keyring.set(name, value)
    click.echo(f"kept {name} in {keyring.path}")


@secret.command("list")
@click.option("--json", "json_", is_flag=True, help="Print for machines.")
def list_(json_: bool) -> None:
    """List the names of the secrets that are kept, never their values."""
    from nbtools.keyring import Keyring
    from nbtools.settings import Settings

    names = sorted(Keyring(Settings.load()).read())
    if json_:
        show.as_json(names)
    else:
        empty = f"none yet: {show.program()} secret set NAME"
        show.table(("SECRET",), [(name,) for name in names], empty)


@secret.command("delete")
@click.argument("name")
def delete(name: str) -> None:
    """Forget the secret NAME."""
    from nbtools.keyring import Keyring
    from nbtools.settings import Settings

    Keyring(Settings.load()).delete(name)
    click.echo(f"deleted {name}")
