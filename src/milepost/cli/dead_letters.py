"""`milepost dead-letters`: batches that PostgreSQL refused for good. They are kept whole, and nothing of them was loaded."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from milepost.cli._database import as_service
from milepost.cli._options import PLACE, json_option, settings_options, system_option
from milepost.cli._output import print_json, print_table
from milepost.cli.tenant import every_tenant, tenant_named
from milepost.postgres import Database, load_queries
from milepost.settings import Settings

__all__ = ["dead_letters"]

queries = load_queries(__package__, "dead_letters.sql")

KINDS = ("activities", "command")
LIMIT = 1000  # of one tenant


@click.group("dead-letters")
def dead_letters() -> None:
    """Batches that could not be loaded."""


@dead_letters.command("list")
@click.option("--tenant", "name", metavar="NAME", help="Only this tenant.")
@json_option
@system_option
@settings_options(*PLACE)
def list_(settings: Settings, system: str | None, name: str | None, as_json: bool) -> int:
    """List them, with their errors. Exit code 1: there are some."""

    async def work(database: Database) -> list[dict[str, Any]]:
        if name is not None:
            tenants = [await tenant_named(database, name)]
        else:
            tenants = await every_tenant(database)
        found: list[dict[str, Any]] = []
        for tenant in tenants:
            async with database.transaction("point", tenant_id=tenant.tenant_id) as connection:
                values = {"tenant_id": tenant.tenant_id, "limit": LIMIT}
                rows = await (await connection.execute(queries.of_tenant, values)).fetchall()
            found += [_shown(tenant.name, *row) for row in rows]
        return found

    found = as_service(settings, work, system=system)
    if as_json:
        print_json({"items": found})
    elif found:
        print_table(
            ("TENANT", "BATCH", "KIND", "ROWS", "FAILED AT", "ERROR"),
            [[one[name] for name in ("tenant", "batch_id", "kind", "rows", "failed_at", "error")] for one in found],
        )
    else:
        click.echo("there are none")
    return 1 if found else 0


def _shown(
    tenant: str, batch_id: int, kind: int, rows: int, received_at: datetime, failed_at: datetime, error: str
) -> dict[str, Any]:
    return {
        "tenant": tenant,
        "batch_id": batch_id,
        "kind": KINDS[kind],
        "rows": rows,
        "received_at": received_at.isoformat(),
        "failed_at": failed_at.isoformat(),
        "error": error,
    }
