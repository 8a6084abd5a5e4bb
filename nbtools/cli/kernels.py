"""`nbtools kernels list|warm|stop|install`."""

from __future__ import annotations

import click

from nbtools.cli import show
from nbtools.settings import Settings


@click.group(short_help="List, warm up and stop the processes that fork kernels.")
def kernels() -> None:
    """List, warm up and stop zygotes: the processes that have a notebook's imports loaded
    and fork its kernel. They end by themselves when they were idle for a while.
    """


@kernels.command("list")
@click.option("--json", "json_", is_flag=True, help="Print for machines.")
def list_(json_: bool) -> None:
    """List the zygotes of this user on this machine."""
    from nbtools.kernels.zygotes import Zygotes

    settings = Settings.load()
    found = Zygotes(settings.runtime).list()
    if json_:
        show.as_json([show.record(zygote) for zygote in found])
        return
    rows = [
        (
            z.key, z.pid, z.children, f"{z.memory / 1e6:.0f} MB", show.short(z.python),
            " ".join(z.preload), " ".join(f"{name}: {why}" for name, why in z.refused.items()),
        )
        for z in found
    ]  # fmt: skip
    heads = ("ZYGOTE", "PID", "KERNELS", "MEMORY", "PYTHON", "LOADED", "REFUSED")
    show.table(heads, rows, "none is warm: `nbtools kernels warm NOTEBOOK`, or run one")


@kernels.command("warm")
@click.argument("notebook")
@click.option("-k", "--kernel", default="", help="Default: the notebook's own.")
@click.option("--json", "json_", is_flag=True, help="Print for machines.")
def warm(notebook: str, kernel: str, json_: bool) -> None:
    """Load what NOTEBOOK imports, so that its next kernel starts at once."""
    from nbtools.warming import warm as begin

    made = begin(notebook, kernel)
    if json_:
        show.as_json(show.record(made))
        return
    click.echo(f"{made.key}  has loaded {' '.join(made.preload)}")
    for name, why in made.refused.items():
        click.echo(f"  not {name}: {why}")


@kernels.command("stop")
@click.argument("zygote", default="")
@show.JSON
def stop(zygote: str, json_: bool) -> None:
    """Stop ZYGOTE, or all. Kernels at work go on."""
    from nbtools.kernels.zygotes import Zygotes

    stopped = Zygotes(Settings.load().runtime).stop(zygote)
    if json_:
        show.as_json({"stopped": stopped})
    else:
        click.echo(f"{stopped} stopped")


@kernels.command("install")
@click.option("--name", default="nbtools", help="Name of the kernelspec.")
@click.option("--prefix", default="", help="Install here. Default: for this user.")
@click.option("--preload", multiple=True, metavar="MODULE", help="Load these modules.")
def install(name: str, prefix: str, preload: tuple[str, ...]) -> None:
    """Install a kernelspec of this environment whose kernels are warm, for JupyterLab,
    papermill, nbclient and nbconvert.
    """
    from nbtools.warming import install as write

    click.echo(write(name, prefix, preload))
