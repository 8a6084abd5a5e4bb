"""`nbtools git secrets`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from nbtools.errors import RequestError


@click.command(short_help="Find keys and passwords in notebooks.")
@click.argument("paths", nargs=-1)
@click.option("--staged", is_flag=True, help="Look at what is staged, not at the work tree.")
@click.option("--baseline", help="Fingerprints of what is no secret; .nbtools-secrets.json.")
@click.option("--update", is_flag=True, help="Write what is found into the baseline.")
@click.option("--json", "json_", is_flag=True, help="Print for machines.")
def secrets(
    paths: tuple[str, ...], staged: bool, baseline: str | None, update: bool, json_: bool
) -> None:
    """Find what looks like a secret in notebooks: in source and in text outputs.

    PATHS are notebooks and folders; without them, all notebooks that git tracks here. The exit
    code is 1 when something is found that the baseline does not have, and 2 when a notebook
    cannot be read. A line that ends in `# pragma: allowlist secret` is passed over.
    """
    from nbtools.git.baseline import Baseline
    from nbtools.git.document import BadNotebook
    from nbtools.git.secrets import Secret, scan, unknown

    where = Path(baseline or Baseline.NAME)
    known = Baseline.read(where)
    found: list[Secret] = []
    names, failed = [], False
    for name, data in _staged(paths) if staged else _files(paths):
        try:
            found += scan(data, name)
            names.append(name)
        except BadNotebook as error:
            click.echo(f"nbtools: {error}", err=True)
            failed = True
    if update:
        known.update(names, found)
        known.write(where)
        click.echo(f"{where}: {len(found)} in {len(names)} notebooks; look at each, and commit it")
        raise SystemExit(2 if failed else 0)
    left = unknown(found, known)
    if json_:
        from nbtools.cli import show

        keys = ("notebook", "line", "cell", "cell_id", "part", "part_line", "kind", "masked")
        show.as_json([{key: getattr(secret, key) for key in keys} for secret in left])
    else:
        for secret in left:
            click.echo(str(secret))
        count, many = len(names), "s" * (len(names) != 1)
        click.echo(f"{len(left) or 'no'} secret{'s' * (len(left) != 1)} in {count} notebook{many}")
        if left:
            click.echo("Next: change what was leaked, read it from the environment instead, or")
            click.echo("  nbtools git secrets --update    # when it is none")
    if failed or left:
        raise SystemExit(2 if failed else 1)


def _files(paths: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    from nbtools.git.repository import Repository

    names: list[str] = []
    for path in paths:
        if Path(path).is_dir():
            found = (p for p in Path(path).rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts)
            names += sorted(map(str, found))
        else:
            names.append(path)
    if not paths:
        names = Repository.at(Path.cwd()).lines("ls-files", "-z", "--", "*.ipynb")
    for name in dict.fromkeys(names):
        try:
            yield name, Path(name).read_bytes()
        except FileNotFoundError:
            if paths:  # of what git tracks, a file may be deleted
                raise RequestError(f"{name}: no such file; name notebooks or folders") from None
        except OSError as error:
            raise RequestError(f"{name}: {error.strerror}; name notebooks or folders") from None


def _staged(paths: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    from nbtools.git.repository import Repository

    repository = Repository.at(Path.cwd())
    command = ("diff", "--cached", "--name-only", "--relative", "-z", "--diff-filter=d", "--")
    for name in repository.lines(*command, *paths):
        if name.endswith(".ipynb"):
            yield name, repository.blob(f":./{name}")
