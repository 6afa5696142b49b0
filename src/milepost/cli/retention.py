"""`milepost retention`: what would go, what went, how long each rule keeps, and legal holds."""

from __future__ import annotations

from getpass import getuser
from typing import Any

import click

from milepost.cli._database import as_service
from milepost.cli._options import PLACE, json_option, settings_options, system_option
from milepost.cli._output import print_json, print_table
from milepost.cli.tenant import tenant_named
from milepost.jobs.retention import plan_retention, run_retention
from milepost.postgres import Database
from milepost.schema.models import current_model
from milepost.settings import Settings
from milepost.storage.retention import holds, lift_hold, log_page, place_hold, put_rule

__all__ = ["retention"]

every_tenant_option = click.option("--tenant", "name", metavar="NAME", help="Only this tenant's. Default: every tenant's.")
tenant_option = click.option("--tenant", "name", metavar="NAME", required=True, help="Whose.")


@click.group()
def retention() -> None:
    """What the model's `keep` says is over goes, once a day; here is what would go, and what went."""


@retention.command()
@every_tenant_option
@json_option
@system_option
@settings_options(*PLACE, "analytics_timeout_s")
def plan(settings: Settings, system: str | None, name: str | None, as_json: bool) -> None:
    """A dry run: what would go now, by tenant, rule and verb. Nothing is changed."""

    async def work(database: Database) -> list[dict[str, Any]]:
        return await plan_retention(database, tenant=name)

    found = as_service(settings, work, system=system)
    if as_json:
        print_json({"items": found})
        return
    titles = ("tenant", "rule", "delete after", "activities", "oldest", "newest", "verbs")
    print_table(titles, [_line(one) for one in found])


@retention.command()
@every_tenant_option
@json_option
@system_option
@settings_options(*PLACE)
def run(settings: Settings, system: str | None, name: str | None, as_json: bool) -> None:
    """Remove what is over, now. A server must be running: the tenants' lanes do it."""

    async def work(database: Database) -> dict[str, Any]:
        return await run_retention(database, settings, tenant=name)

    done = as_service(settings, work, system=system)
    if as_json:
        print_json(done)
        return
    lines = [(tenant, rule, n) for tenant, by_rule in done["removed"].items() for rule, n in by_rule.items()]
    if lines:
        print_table(("tenant", "rule", "removed"), lines)
    else:
        click.echo("Nothing is over.")


@retention.command()
@tenant_option
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="At most so many batches.")
@json_option
@system_option
@settings_options(*PLACE)
def log(settings: Settings, system: str | None, name: str, limit: int, as_json: bool) -> None:
    """What went, batch by batch, the newest first."""

    async def work(database: Database) -> list[dict[str, Any]]:
        tenant_id = (await tenant_named(database, name)).tenant_id
        async with database.transaction("point", tenant_id=tenant_id) as conn:
            return await log_page(conn, tenant_id, limit=limit)

    found = as_service(settings, work, system=system)
    if as_json:
        print_json({"items": found})
        return
    lines = [(f"{one['at']:%Y-%m-%d %H:%M}", one["rule"], one["removed"], one["first_at"], one["last_at"]) for one in found]
    print_table(("at (UTC)", "rule", "removed", "oldest", "newest"), lines)


@retention.command("set")
@click.argument("rule")
@tenant_option
@click.option(
    "--delete-after", metavar="DURATION", help="Such as `6 months`: no longer than the model says. Without: as the model says."
)
@system_option
@settings_options(*PLACE)
def set_(settings: Settings, system: str | None, rule: str, name: str, delete_after: str | None) -> None:
    """Have a rule of the model delete a tenant's activities sooner."""

    async def work(database: Database) -> None:
        tenant_id = (await tenant_named(database, name)).tenant_id
        async with database.transaction("write", tenant_id=tenant_id) as conn:
            model = (await current_model(conn)).model
            await put_rule(conn, tenant_id, model, rule, delete_after=delete_after, by=getuser())

    as_service(settings, work, system=system)
    click.echo(f"{rule}: " + (f"deletes after {delete_after}" if delete_after else "as the model says"))


@retention.command()
@tenant_option
@click.option("--actor", metavar="ID", help="Only this actor's activities.")
@click.option("--group", metavar="ID", help="Only those addressed to this group.")
@click.option("--verb", metavar="VERB", help="Only of this verb.")
@click.option("--reason", required=True, help="Why: it stays on record.")
@json_option
@system_option
@settings_options(*PLACE)
def hold(settings: Settings, system: str | None, name: str, reason: str, as_json: bool, **covered: str | None) -> None:
    """Place a legal hold: what it covers is not removed until it is lifted."""

    async def work(database: Database) -> int:
        tenant_id = (await tenant_named(database, name)).tenant_id
        async with database.transaction("write", tenant_id=tenant_id) as conn:
            return await place_hold(conn, tenant_id, covered, reason=reason, by=getuser())

    number = as_service(settings, work, system=system)
    if as_json:
        print_json({"id": number})
    else:
        click.echo(f"hold {number}")


@retention.command()
@click.argument("number", type=int)
@tenant_option
@system_option
@settings_options(*PLACE)
def lift(settings: Settings, system: str | None, number: int, name: str) -> None:
    """Lift a legal hold. It stays on record."""

    async def work(database: Database) -> None:
        tenant_id = (await tenant_named(database, name)).tenant_id
        async with database.transaction("write", tenant_id=tenant_id) as conn:
            await lift_hold(conn, tenant_id, number, by=getuser())

    as_service(settings, work, system=system)
    click.echo(f"hold {number} is lifted")


@retention.command("holds")
@tenant_option
@click.option("--lifted", is_flag=True, help="Those that were lifted, too.")
@json_option
@system_option
@settings_options(*PLACE)
def holds_(settings: Settings, system: str | None, name: str, lifted: bool, as_json: bool) -> None:
    """The legal holds of a tenant."""

    async def work(database: Database) -> list[dict[str, Any]]:
        tenant_id = (await tenant_named(database, name)).tenant_id
        async with database.transaction("point", tenant_id=tenant_id) as conn:
            return await holds(conn, tenant_id, lifted=lifted)

    found = as_service(settings, work, system=system)
    if as_json:
        print_json({"items": found})
    else:
        names = ("id", "actor", "group", "verb", "reason", "placed_at", "placed_by", "lifted_at", "lifted_by")
        print_table(names, [[one[name] for name in names] for one in found])


def _line(one: dict[str, Any]) -> tuple[Any, ...]:
    verbs = ", ".join(f"{verb} {n}" for verb, n in one["verbs"].items())
    ends = (one[end] and f"{one[end]:%Y-%m-%d}" for end in ("first_at", "last_at"))
    return (one["tenant"], one["rule"], one["delete_after"] or "kept", one["activities"], *ends, verbs)
