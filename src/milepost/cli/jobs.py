"""`milepost jobs`: the schedule: when each job is due, what its runs came to, one run by hand, and when it may run."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from getpass import getuser
from typing import Any

import click

from milepost.cli._database import as_owner, as_service
from milepost.cli._options import PLACE, json_option, settings_options, system_option
from milepost.cli._output import print_json, print_table
from milepost.jobs.catalogue import JOBS
from milepost.jobs.job import EVERY, Standing, due_at
from milepost.jobs.runs import Run, history, set_times, standings
from milepost.jobs.schedule import job_named, run_by_hand
from milepost.postgres import Connection, Database
from milepost.settings import Settings

__all__ = ["jobs"]


@click.group()
def jobs() -> None:
    """What a deployment does once a day, week, month and quarter, in one process of many: when it is due, and what came of it."""


@jobs.command("list")
@json_option
@system_option
@settings_options(*PLACE)
def list_(settings: Settings, system: str | None, as_json: bool) -> None:
    """List the jobs, when each is due in the current period, and how its last run ended."""

    async def work(conn: Connection) -> list[dict[str, Any]]:
        now, known = datetime.now(UTC), await standings(conn, JOBS)
        found = []
        for job in JOBS:
            last = await history(conn, name=job.name, limit=1)
            shown = {"name": job.name, "about": job.about} | _times(known[job.name])
            found.append(shown | {"due_at": due_at(known[job.name], now), "last": asdict(last[0]) if last else None})
        return found

    found = as_owner(settings, work, system=system)
    if as_json:
        print_json({"items": found})
        return
    lines = []
    for one in found:
        last = one["last"]
        due = "paused" if one["paused"] else one["due_at"].isoformat(timespec="minutes") if one["due_at"] else "done or not yet"
        ended = f"{last['outcome']} {last['started_at']:%Y-%m-%d %H:%M}" if last else None
        lines.append((one["name"], one["every"], one["hours"] and "{}-{}".format(*one["hours"]), due, ended, one["about"]))
    print_table(("job", "every", "hours", "due", "last", "what it does"), lines)


@jobs.command()
@click.argument("name")
@json_option
@system_option
@settings_options(*PLACE, "refresh_views", "refresh_quiet_s", "partitions_ahead_months", "archive_share")
def run(settings: Settings, system: str | None, name: str, as_json: bool) -> int:
    """Run a job here and now, whatever the schedule says. Exit code 1: it failed."""
    job = job_named(name)

    async def work(database: Database) -> Run:
        return await run_by_hand(database, settings, job.name, by=getuser())

    done = as_service(settings, work, system=system)
    _print_run(done, as_json=as_json)
    return 0 if done.outcome == "done" else 1


@jobs.command("history")
@click.argument("name", required=False)
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="At most so many runs.")
@json_option
@system_option
@settings_options(*PLACE)
def history_(settings: Settings, system: str | None, name: str | None, limit: int, as_json: bool) -> None:
    """The runs of a job, or of all, newest first, with what each answered."""
    chosen = job_named(name).name if name is not None else None

    async def work(conn: Connection) -> list[Run]:
        return await history(conn, name=chosen, limit=limit)

    found = as_owner(settings, work, system=system)
    if as_json:
        print_json({"items": [asdict(one) for one in found]})
    elif found:
        lines = [
            (one.id, one.job, f"{one.started_at:%Y-%m-%d %H:%M:%S}", one.outcome, one.attempt, one.by, one.error)
            for one in found
        ]
        print_table(("run", "job", "started (UTC)", "outcome", "attempt", "by", "error"), lines)
    else:
        click.echo("No job has run yet.")


@jobs.command("set")
@click.argument("name")
@click.option("--every", type=click.Choice(EVERY), help="How often it runs.")
@click.option(
    "--hours", metavar="FROM-TO", help="Only from this hour of the day to before that one, such as 8-18; `any` for all day."
)
@click.option("--time-zone", metavar="ZONE", help="Whose hours and days, such as Europe/Berlin.")
@click.option("--pause/--resume", "paused", default=None, help="Leave it out of the schedule, or take it in again.")
@json_option
@system_option
@settings_options(*PLACE)
def set_(settings: Settings, system: str | None, name: str, hours: str | None, as_json: bool, **given: Any) -> None:
    """Change when a job runs."""
    job = job_named(name)
    changed = {option: value for option, value in given.items() if value is not None}
    if hours is not None:
        changed["hours"] = None if hours == "any" else _hours(hours)

    async def work(conn: Connection) -> Standing:
        return await set_times(conn, job, (await standings(conn, [job]))[job.name], **changed)

    standing = as_owner(settings, work, system=system)
    if as_json:
        print_json({"name": job.name} | _times(standing))
    else:
        click.echo(f"{job.name}: " + ", ".join(f"{option} {value}" for option, value in _times(standing).items()))


def _hours(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    if not (first.isdecimal() and last.isdecimal()):
        raise click.BadParameter("two hours of the day, such as 8-18, or any", param_hint="--hours")
    return int(first), int(last)


def _times(standing: Standing) -> dict[str, Any]:
    return {
        "every": standing.every,
        "hours": standing.hours,
        "time_zone": standing.time_zone,
        "paused": standing.paused,
    }


def _print_run(done: Run, *, as_json: bool) -> None:
    if as_json:
        print_json(asdict(done))
        return
    click.echo(f"{done.job}: {done.outcome}" + (f": {done.error}" if done.error else ""))
    for name, value in (done.result or {}).items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            click.echo(f"{name}:")
            print_table(tuple(value[0]), [tuple(item.values()) for item in value])
        else:
            click.echo(f"{name}: {value}")
