"""`milepost tenant`: the isolation units of a deployment."""

from __future__ import annotations

from dataclasses import asdict
from math import inf
from typing import Any

import click

from milepost.access.limits import DEFAULT, Default, default_limits, read_limits, read_use, set_limits
from milepost.access.logins import Login, drop_login, make_login
from milepost.access.tenants import Tenant, create_tenant, find_tenant, list_tenants
from milepost.cli._database import as_owner, as_service
from milepost.cli._options import PLACE, json_option, settings_options, system_option
from milepost.cli._output import print_json, print_table
from milepost.postgres import Connection, Database
from milepost.settings import Settings

__all__ = ["every_tenant", "tenant", "tenant_named"]

PAGE = 500
DEFAULTS = ("tenant_rate", "tenant_burst", "tenant_per_day", "tenant_per_month")


@click.group()
def tenant() -> None:
    """Tenants: what keeps one customer's data from another's."""


@tenant.command()
@click.argument("name")
@json_option
@system_option
@settings_options(*PLACE, "lanes")
def create(name: str, settings: Settings, system: str | None, as_json: bool) -> None:
    """Make the tenant NAME.

    A name is of a-z and 0-9, and after the first character of `_`, `.` and `-`, too.
    """

    async def work(database: Database) -> Tenant:
        async with database.transaction("write") as connection:
            return await create_tenant(connection, name, settings.lanes)

    made = as_service(settings, work, system=system)
    if as_json:
        print_json(asdict(made))
    else:
        click.echo(f"tenant {made.name} made (number {made.tenant_id}, lane {made.lane})")


@tenant.command("list")
@json_option
@system_option
@settings_options(*PLACE)
def list_(settings: Settings, system: str | None, as_json: bool) -> None:
    """List the tenants."""

    found = as_service(settings, every_tenant, system=system)
    if as_json:
        print_json({"items": [asdict(one) for one in found]})
    else:
        print_table(("NAME", "NUMBER", "LANE", "SINCE"), ((one.name, one.tenant_id, one.lane, one.created_at) for one in found))


@tenant.command()
@click.argument("name")
@click.option("--rate", metavar="NUMBER", help="Activities a second.")
@click.option("--burst", metavar="NUMBER", help="How many of them at once, after a pause.")
@click.option("--per-day", metavar="NUMBER", help="Activities a day (UTC).")
@click.option("--per-month", metavar="NUMBER", help="Activities a month (UTC).")
@json_option
@system_option
@settings_options(*PLACE, *DEFAULTS)
def limit(name: str, settings: Settings, system: str | None, as_json: bool, **given: str | None) -> None:
    """Limit what the tenant NAME may send: a number, `none` for no limit, `default` for the deployment's.

    What is not given stays as it is. Servers follow within two seconds.
    """
    chosen = {limit: _limit(limit, text) for limit, text in given.items() if text is not None}
    if not chosen:
        raise click.UsageError("Say what to limit: --rate, --burst, --per-day or --per-month.")

    async def work(database: Database) -> dict[str, Any]:
        found = await tenant_named(database, name)
        async with database.transaction("write") as connection:
            await set_limits(connection, found.tenant_id, chosen)
        return await _shown(database, found, settings)

    _print_limits(as_service(settings, work, system=system), as_json=as_json)


@tenant.command()
@click.argument("name")
@json_option
@system_option
@settings_options(*PLACE, *DEFAULTS)
def show(name: str, settings: Settings, system: str | None, as_json: bool) -> None:
    """Show the tenant NAME, its limits, and what it has sent."""

    async def work(database: Database) -> dict[str, Any]:
        return await _shown(database, await tenant_named(database, name), settings)

    _print_limits(as_service(settings, work, system=system), as_json=as_json)


@tenant.command()
@click.argument("name")
@click.option("--drop", is_flag=True, help="Take the login away.")
@json_option
@system_option
@settings_options(*PLACE)
def login(name: str, settings: Settings, system: str | None, drop: bool, as_json: bool) -> None:
    """Make a login of PostgreSQL's that reads the rows of the tenant NAME by raw SQL, and print its password, this once.

    Again: a new password. The database's own login must be allowed to make roles.
    """

    async def work(owner: Connection) -> Login | str:
        found = await find_tenant(owner, name)
        return await drop_login(owner, found) if drop else await make_login(owner, found)

    done = as_owner(settings, work, system=system)
    if isinstance(done, str):
        shown, sentence = {"dropped": done}, f"login {done} dropped"
    else:
        shown, sentence = {"login": done.login, "password": done.password}, f"login {done.login}, password {done.password}"
    if as_json:
        print_json(shown)
    else:
        click.echo(sentence)


def _limit(name: str, text: str) -> float | Default | None:
    plain = text.strip().lower()
    if plain in ("none", "default"):
        return None if plain == "none" else DEFAULT
    try:
        most = float(plain) if name == "rate" else int(plain)
    except ValueError:
        wanted = "a number" if name == "rate" else "a whole number"
        raise click.BadParameter(f"{text!r} is not {wanted}, none or default.", param_hint=_flag(name)) from None
    if not 0 < most < inf:
        raise click.BadParameter(f"{text} is not more than 0.", param_hint=_flag(name))
    return most


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


async def _shown(database: Database, found: Tenant, settings: Settings) -> dict[str, Any]:
    async with database.transaction("point") as connection:
        limits = (await read_limits(connection, [found.tenant_id], default_limits(settings)))[found.tenant_id]
        use = (await read_use(connection, [found.tenant_id]))[found.tenant_id]
    return {**asdict(found), "limits": asdict(limits), "sent": asdict(use)}


def _print_limits(shown: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(shown)
        return
    click.echo(f"tenant {shown['name']} (number {shown['tenant_id']}, lane {shown['lane']}, since {shown['created_at']})")
    limits, sent = shown["limits"], shown["sent"]
    print_table(
        ("LIMIT", "MOST", "SENT"),
        (
            ("rate", limits["rate"], None),
            ("burst", limits["burst"], None),
            ("per day", limits["per_day"], sent["today"]),
            ("per month", limits["per_month"], sent["this_month"]),
        ),
    )


async def tenant_named(database: Database, name: str) -> Tenant:
    """The tenant; raises `NotFound`."""
    async with database.transaction("point") as connection:
        return await find_tenant(connection, name)


async def every_tenant(database: Database) -> list[Tenant]:
    found: list[Tenant] = []
    while True:
        async with database.transaction("point") as connection:
            page = await list_tenants(connection, after=found[-1].tenant_id if found else 0, limit=PAGE)
        found += page
        if len(page) < PAGE:
            return found
