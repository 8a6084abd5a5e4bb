"""`nbtools schedule create|list|show|next|history|pause|resume|run-now|cancel|delete|apply`."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from nbtools.cli import machine, show
from nbtools.cli.quantity import Duration, Size
from nbtools.cli.run import VERTEX
from nbtools.errors import RequestError
from nbtools.machine import Machine

if TYPE_CHECKING:
    from nbtools.schedule import Schedule, Tick

JSON = show.JSON


class Time(click.ParamType[datetime]):
    """A time with its zone; without one it is meant in this machine's."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        try:
            return datetime.fromisoformat(str(value)).astimezone()
        except ValueError:
            self.fail(f"{value!r} is no time: write 2026-03-01T08:00+01:00", param, ctx)


@click.group(short_help="Execute notebooks by the clock, or after each other.")
def schedule() -> None:
    """Execute notebooks by the clock, or after each other. `nbtools service run` does it;
    these write down what is wanted.
    """


@schedule.command("create")
@click.argument("name")
@click.argument("cron")
@click.argument("notebook")
@click.option("-p", "--param", "params", nargs=2, multiple=True, metavar="NAME VALUE",
              help="A parameter's value; may hold {{ scheduled_time }} and the like.")  # fmt: skip
@click.option("-r", "--raw", nargs=2, multiple=True, metavar="NAME TEXT",
              help="A parameter's value that is text, whatever it looks like.")  # fmt: skip
@click.option("-f", "--file", "files", multiple=True, metavar="YAML",
              help="A YAML file of parameters; -p comes after it.")  # fmt: skip
@click.option("--tz", default="", help="Time zone, for example Europe/Berlin. Default: UTC.")
@click.option("--after", multiple=True, metavar="SCHEDULE",
              help="Come after it, with CRON a hyphen: `-`. May be repeated.")  # fmt: skip
@click.option("-o", "--output", default="", help="Deliver the executed notebook here.")
@click.option("--experiment", default="", help="Default: the notebook's name.")
@click.option("-k", "--kernel", default="", help="Default: the notebook's own.")
@click.option("--cwd", default="", help="Default: the notebook's folder.")
@click.option("--executor", default="", help="Who runs it. Default: local.")
@click.option("--start", type=Time(), default=None, help="Not due before.")
@click.option("--end", type=Time(), default=None, help="Not due after.")
@click.option("--max-runs", default=0, help="So many runs, then COMPLETED.")
@click.option("--max-concurrent", default=1, help="Its jobs at work at a time. Default: 1.")
@click.option("--concurrency", default="", help="When so many are: allow, skip, queue, replace.")
@click.option("--misfire", default="latest", help="Of missed times, make up: skip, latest, all.")
@click.option("--max-age", type=Duration(), default=0.0, help="Unless missed longer ago.")
@click.option("--retries", default=0, help="Execute a failed job again, so often.")
@click.option("--backoff", type=Duration(), default=30.0, help="After this; doubled each time.")
@click.option("--timeout", type=Duration(), default=0.0, help="Limit for each attempt.")
@click.option("--memory", type=Size(), default=0, help="Limit for its kernel: 2GiB.")
@click.option("--cpu-time", type=Duration(), default=0.0, help="Limit of CPU for each attempt.")
@click.option("--secret", "secrets", multiple=True, metavar="NAME",
              help="A secret for its environment: `nbtools secret set NAME` keeps it.")  # fmt: skip
@VERTEX
@click.option("--priority", default=0, help="The higher goes first when there is no room.")
@click.option("--notify", multiple=True, metavar="TARGET",
              help="On failure and recovery: https://…, mailto:…, command:…")  # fmt: skip
@machine.options
@JSON
def create(
    name: str, cron: str, notebook: str, params: Any, raw: Any, files: Any, tz: str,
    start: datetime | None, end: datetime | None, max_runs: int, max_concurrent: int,
    concurrency: str, misfire: str, json_: bool, **asked: Any,
) -> None:  # fmt: skip
    """Execute NOTEBOOK whenever CRON is due, for example "0 2 * * *"."""
    from datetime import UTC

    from nbtools.cron import written
    from nbtools.schedule import Schedule
    from nbtools.schedules import Schedules

    cron = "" if cron == "-" else cron
    if tz and not cron:
        raise RequestError("--tz without a cron expression: it comes after others, in their zone")
    schedules = Schedules.open()
    made = schedules.create(
        Schedule(
            name=name,
            cron=written(cron, tz) if cron else "",
            notebook=notebook,
            params=_params(notebook, files, params, raw),
            start_time=start.astimezone(UTC) if start else None,
            end_time=end.astimezone(UTC) if end else None,
            max_run_count=max_runs,
            max_concurrent_run_count=max_concurrent,
            concurrency=concurrency or ("queue" if misfire == "all" else "skip"),
            misfire=misfire,
            **asked,
        )
    )
    if json_:
        show.as_json(record(made))
        return
    click.echo(f"{show.state(made.state)}  {made.name}")
    _next(made, schedules.next(made.name))
    if made.handle:
        click.echo(f"fired by {made.executor}: {made.handle}")
    else:
        _hint_of_service()
    _hint_of_secrets(made)


@schedule.command("list")
@JSON
def list_(json_: bool) -> None:
    """List schedules, and what became of each the last time."""
    from nbtools.schedules import Schedules

    schedules = Schedules.open()
    found = schedules.standing(schedules.all())
    if json_:
        show.as_json([record(s) for s in found])
        return
    rows = []
    for s in found:
        last = [] if s.handle else schedules.history(s.name, 1)
        rows.append((
            s.name, s.state, _when(s), show.when(s.next_run_time),
            last[0].state if last else "", show.short(s.notebook),
        ))  # fmt: skip
        if s.handle and s.reason:
            click.echo(f"{s.name}: {s.reason}", err=True)
    empty = f'none yet: {show.program()} schedule create NAME "0 2 * * *" NOTEBOOK'
    show.table(("SCHEDULE", "STATE", "DUE", "NEXT", "LAST", "NOTEBOOK"), rows, empty)


@schedule.command("show")
@click.argument("name")
@JSON
def show_(name: str, json_: bool) -> None:
    """Show one schedule: its rules, its next times, what became of the last."""
    from dataclasses import MISSING, fields

    from nbtools.schedules import Schedules

    schedules = Schedules.open()
    (found,) = schedules.standing([schedules.get(name)])
    if json_:
        show.as_json(record(found))
        return
    click.echo(f"{show.state(found.state)}  {found.name}  {show.text(found.reason)}".rstrip())
    for field in fields(found):
        value = getattr(found, field.name)
        default = None if field.default is MISSING else field.default
        if field.name in ("name", "state", "reason", "next_run_time") or value in (default, {}, ()):
            continue
        said = show.when(value) if isinstance(value, datetime) else _said(value)
        click.echo(f"  {field.name:<24}  {said}")
    _next(found, schedules.next(name))
    _ticks(schedules.history(name, 5), "no run yet")


@schedule.command("next")
@click.argument("name")
@click.option("--count", default=5, help="So many.")
@JSON
def next_(name: str, count: int, json_: bool) -> None:
    """Show the next times at which a schedule will be due."""
    from nbtools.schedules import Schedules

    schedules = Schedules.open()
    found = schedules.next(name, count)
    if json_:
        show.as_json([time.isoformat() for time in found])
    else:
        _next(schedules.get(name), found)


@schedule.command("history")
@click.argument("name")
@click.option("--limit", default=20, help="At most so many; 0 for all.")
@JSON
def history(name: str, limit: int, json_: bool) -> None:
    """Show the times at which a schedule was due, and what became of each."""
    from nbtools.schedules import Schedules

    found = Schedules.open().history(name, limit)
    if json_:
        show.as_json([show.record(tick) for tick in found])
    else:
        _ticks(found, "it was not due yet")


@schedule.command("pause")
@click.argument("name")
@JSON
def pause(name: str, json_: bool) -> None:
    """Have a schedule not be due until it is resumed. What was queued is still executed."""
    from nbtools.schedules import Schedules

    found = Schedules.open().pause(name)
    if json_:
        show.as_json(record(found))
    else:
        click.echo(f"{show.state(found.state)}  {found.name}")


@schedule.command("resume")
@click.argument("name")
@click.option("--catch-up/--no-catch-up", default=None,
              help="Make up for the times since. Default: with misfire all.")  # fmt: skip
@JSON
def resume(name: str, catch_up: bool | None, json_: bool) -> None:
    """Have a paused schedule be due again."""
    from nbtools.schedules import Schedules

    schedules = Schedules.open()
    found = schedules.resume(name, catch_up)
    if json_:
        show.as_json(record(found))
        return
    click.echo(f"{show.state(found.state)}  {found.name}")
    _next(found, schedules.next(name))


@schedule.command("run-now")
@click.argument("name")
@JSON
def run_now(name: str, json_: bool) -> None:
    """Have a schedule be due once more, at once; and those that come after it."""
    from nbtools.schedules import Schedules

    tick = Schedules.open().run_now(name)
    if json_:
        show.as_json(show.record(tick))
        return
    click.echo(f"{tick.state}  {tick.name}")
    _hint_of_service()


@schedule.command("cancel")
@click.argument("name")
@JSON
def cancel(name: str, json_: bool) -> None:
    """Cancel what waits or is at work: all of the schedule NAME, or the one time that has
    that name in `history`.
    """
    from nbtools.schedules import Schedules

    found = Schedules.open().cancel(name)
    if json_:
        show.as_json([show.record(tick) for tick in found])
        return
    for tick in found:
        click.echo(f"{tick.state} -> CANCELLED  {tick.name}")


@schedule.command("delete")
@click.argument("name")
@JSON
def delete(name: str, json_: bool) -> None:
    """Forget a schedule and its history. What was queued is dropped, jobs stay."""
    from nbtools.schedules import Schedules

    found = Schedules.open().delete(name)
    if json_:
        show.as_json(record(found))
    else:
        click.echo(f"deleted {found.name}")


@schedule.command("apply")
@click.argument("file", default="nbtools.yaml")
@click.option("--dry-run", is_flag=True, help="Only show what would be changed.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@JSON
def apply(file: str, dry_run: bool, yes: bool, json_: bool) -> None:
    """Make the schedules what FILE declares. What would be changed is shown first."""
    from nbtools.declared import apply as carry_out
    from nbtools.declared import difference
    from nbtools.nouns import place
    from nbtools.schedules import Schedules

    schedules, path = Schedules.open(), place(file)
    changes = difference(path, schedules)
    if json_:
        show.as_json([show.record(change) for change in changes])
    else:
        _changes(changes)
    if dry_run or all(change.kind == "keep" for change in changes):
        return
    if not yes:
        click.confirm("Apply?", abort=True, err=True)
    carry_out(path, schedules)
    click.echo("applied", err=json_)


def record(found: Schedule) -> dict[str, Any]:
    """A schedule for machines, with the two of Vertex AI's fields that follow from others."""
    return {
        **found.dumps(), "allow_queueing": found.allow_queueing, "catch_up": found.catch_up
    }  # fmt: skip


def _params(notebook: str, files: Any, params: Any, raw: Any) -> dict[str, Any]:
    """As `run` reads them; what holds a placeholder is read when it is filled in."""
    from nbtools.cli.run import read_params

    later = {name: text for name, text in params if "{{" in text}
    typed = [(name, text) for name, text in params if name not in later]
    return {**read_params(notebook, files, typed, raw), **later}


def _changes(changes: Any) -> None:
    marks = {"add": ("+", "green"), "change": ("~", "yellow"), "remove": ("-", "red"),
             "keep": (" ", None)}  # fmt: skip
    for change in changes:
        mark, colour = marks[change.kind]
        click.secho(f"{mark} {change.name}", fg=colour)
        for field, before, after in change.details:
            click.echo(f"    {field}: {_said(before)} -> {_said(after)}")
    if not changes:
        click.echo("no schedules")


def _said(value: object) -> str:
    if isinstance(value, datetime):
        return show.when(value)
    if isinstance(value, tuple):
        from nbtools.notices import shown

        return " ".join(shown(str(item)) for item in value) or "none"
    if isinstance(value, Machine):
        return show.values(value.asked)
    if isinstance(value, dict):
        return show.values(value)
    return show.value(value) if value not in ("", None) else "none"


def _when(found: Schedule) -> str:
    return found.cron.removeprefix("TZ=UTC ") if found.cron else f"after {', '.join(found.after)}"


def _next(found: Schedule, times: list[datetime]) -> None:
    from nbtools.cron import zone_of

    zone = zone_of(found.cron)
    if found.after:
        click.echo(f"due after {', '.join(found.after)}")
    elif times:
        click.echo("due next:")
        for time in times:
            click.echo(f"  {time.astimezone(zone):%a %Y-%m-%d %H:%M:%S %Z}")
    else:
        click.echo(f"not due: it is {found.state}")


def _ticks(found: list[Tick], empty: str) -> None:
    rows = [
        (show.when(t.time), t.state, t.attempt, t.job if t.state.final else t.name,
         t.reason[: show.LONGEST])
        for t in found
    ]  # fmt: skip
    show.table(("DUE", "STATE", "ATTEMPT", "JOB", "REASON"), rows, empty)


def _hint_of_service() -> None:
    from nbtools.service import running
    from nbtools.settings import Settings

    if not running(Settings.load().store):
        click.echo(f"no service runs: begin one with {show.program()} service run", err=True)


def _hint_of_secrets(made: Schedule) -> None:
    from nbtools.keyring import only_here
    from nbtools.secrets import holes
    from nbtools.settings import Settings

    for name in only_here({*made.secrets, *holes(made.params)}, Settings.load()):
        click.echo(
            f"secret {name} is in this environment only, and a service may have another: "
            f"`{show.program()} secret set {name}` keeps it",
            err=True,
        )
