"""`milepost verify`: is everything derived what the activities say?"""

from __future__ import annotations

import sys
from typing import Any

import click
import msgspec

from milepost.cli._database import as_service
from milepost.cli._options import PLACE, json_option, settings_options, system_option
from milepost.cli._output import print_json
from milepost.cli.tenant import tenant_named
from milepost.postgres import Database
from milepost.rollups.verify import Verification
from milepost.rollups.verify import verify as recompute
from milepost.rollups.verify_names import KIND_OF, with_names
from milepost.schema.compile import EVERYWHERE
from milepost.settings import Settings

__all__ = ["verify"]

_encode = msgspec.json.Encoder(decimal_format="number").encode
SHOWN_MAX = 50  # differences that are printed one by one; --json gives more


@click.command()
@click.option("--tenant", metavar="NAME", help="Only this tenant.")
@json_option
@system_option
@settings_options(*PLACE, "analytics_work_mem", "analytics_timeout_s")
def verify(settings: Settings, system: str | None, tenant: str | None, as_json: bool) -> int:
    """Recompute every rollup, latest and pairs table and goal from the activities, and print each difference.

    It may run while activities come in. Exit code 1: there is a difference.
    """

    async def work(database: Database) -> tuple[Verification, list[dict[str, Any]]]:
        if tenant is not None:
            await tenant_named(database, tenant)
        found = await recompute(database, tenant=tenant, on_progress=_said)
        return found, await with_names(database, found.items if as_json else found.items[:SHOWN_MAX])

    found, items = as_service(settings, work, system=system)
    _said("")
    if as_json:
        answer = {"checked": found.checked, "differences": found.differences, "items": items}
        print_json(answer | {"filling": found.filling})
    else:
        for item in items:
            click.echo(_line(item))
        if found.differences > SHOWN_MAX:
            click.echo(f"and {found.differences - SHOWN_MAX} more")
        for table in found.filling:
            click.echo(f"left out, because it is being filled from history: {table}")
        click.echo(f"{found.checked} comparisons, {found.differences} differences")
    return 1 if found.differences else 0


def _line(item: dict[str, Any]) -> str:
    """A difference, by the app's own ids: `acme: rollup rollup_distance, group team-1, verb run, day 2026-03-01: stored n 1, should be n 2`."""
    named = item["named"]
    bucket = "" if item["per"] == "all" or item["bucket"] is None else f" {item['bucket'].removesuffix('T00:00:00')}"
    where = [f"{item['kind']} {item['name']}".strip(), *_parts(item["keys"], named)]
    if item["per"] not in (None, item["kind"]):
        where.append(f"{item['per']}{bucket}")
    values = [", ".join(_parts(item[one], named)) or "nothing" for one in ("stored", "recomputed")]
    return f"{item['tenant']}: {', '.join(where)}: stored {values[0]}, should be {values[1]}"


def _parts(values: Any, named: dict[str, dict[str, str]]) -> list[str]:
    """Each value with its name; a number that is nobody's is said to be one."""
    if not isinstance(values, dict):
        return [] if values is None else [_text(values)]
    parts = []
    for name, value in values.items():
        if name in KIND_OF and isinstance(value, int):
            who = named.get(name, {}).get(str(value), f"number {value}")
            parts.append("everywhere" if value == EVERYWHERE else f"{name.removesuffix('_id')} {who}")
        else:
            parts.append(f"{name.removeprefix('d_')} {_text(value)}")
    return parts


def _text(value: Any) -> str:
    if value is None or value == "":
        return "none"
    return value if isinstance(value, str) and value.isprintable() else _encode(value).decode()


def _said(what: str) -> None:
    """What is being compared, on one line that is written over; on a terminal only."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{what}")
        sys.stderr.flush()
