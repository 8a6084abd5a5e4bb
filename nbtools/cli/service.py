"""`nbtools service run|install|status`."""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

import click

from nbtools.cli import show

PARALLEL = click.option(
    "-j", "--jobs", "parallel", type=click.IntRange(0), default=0,
    help="So many jobs of schedules at a time, whichever service began them. Default: as fit.",
)  # fmt: skip
METRICS_PORT = click.option(
    "--metrics-port", type=click.IntRange(0, 65535),
    help="Serve Prometheus metrics there; 0: any port that is free.",
)  # fmt: skip
METRICS_HOST = click.option(
    "--metrics-host", default="127.0.0.1", show_default=True, help="Serve them on this address."
)


@click.group(short_help="Run, install and look at what executes schedules.")
def service() -> None:
    """Run, install and look at what executes schedules. Several services may run on one
    store: each scheduled time is executed once.
    """


@service.command("run")
@PARALLEL
@METRICS_PORT
@METRICS_HOST
def run(parallel: int, metrics_port: int | None, metrics_host: str) -> None:
    """Execute what is due, until Ctrl-C or SIGTERM. Jobs at work then go on, and the next
    service sees to their end.
    """
    from nbtools.batch import room
    from nbtools.jobs import Jobs
    from nbtools.service import Service

    jobs = Jobs.open()
    parallel = parallel or room(1000)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())

    def say(sentence: str) -> None:
        click.echo(f"{show.when(jobs.clock())}  {show.text(sentence)}", err=True)

    if metrics_port is not None:
        from nbtools.metrics import serve

        say(f"metrics: {serve(jobs.settings.store, jobs.clock, metrics_host, metrics_port)}")
    say(f"service of {jobs.settings.store}, {parallel} jobs at a time; Ctrl-C ends it")
    Service(jobs, parallel, say).run(stop)
    say("ended; what is at work goes on")


@service.command("install")
@PARALLEL
@METRICS_PORT
@click.option("--name", default="nbtools", help="Name of the systemd unit.")
@click.option("--print", "only_print", is_flag=True, help="Print the unit and do nothing.")
def install(parallel: int, metrics_port: int | None, name: str, only_print: bool) -> None:
    """Have the service begin with the machine: as a systemd user unit, or say how else."""
    from nbtools.settings import Settings
    from nbtools.unit import install as carry_out
    from nbtools.unit import unit

    settings = Settings.load()
    options = ["-j", str(parallel)] if parallel else []
    options += ["--metrics-port", str(metrics_port)] if metrics_port is not None else []
    if only_print:
        click.echo(unit(settings, Path.cwd(), options), nl=False)
        return
    done = carry_out(settings, Path.cwd(), name, options)
    if done.path:
        click.echo(f"wrote {done.path}")
    for line in done.advice:
        click.echo(line)
    if not done.done:
        sys.exit(1)


@service.command("status")
@click.option("--json", "json_", is_flag=True, help="Print for machines.")
def status(json_: bool) -> None:
    """Show the services that run, what waits, and notices that could not be sent.

    Ends with 1 when no service runs.
    """
    from nbtools.jobs import Jobs
    from nbtools.service import HANGS
    from nbtools.service import status as look

    jobs = Jobs.open()
    found, now = look(jobs), jobs.clock()
    if json_:
        show.as_json(show.record(found))
    else:
        rows = [
            (
                f"{s.host} {s.pid}", show.when(s.start_time), s.parallel or "", s.begun,
                s.error or ("hangs" if (now - s.beat).total_seconds() > HANGS else "well"),
            )
            for s in found.services
        ]  # fmt: skip
        none = f"no service runs: {show.program()} service run, or install"
        show.table(("SERVICE", "SINCE", "AT A TIME", "BEGUN", "IS"), rows, none)
        due = show.when(found.next_time) or "none"
        click.echo(f"{found.working} at work, {found.queued} queued, next due: {due}")
        for line in found.waiting_notices:
            click.secho(f"not sent: {line}", fg="yellow")
        if found.lost_notices:
            click.secho(f"{found.lost_notices} notices were given up", fg="red")
    if not found.services:
        sys.exit(1)
