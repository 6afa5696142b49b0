"""`milepost chain`: the head of a tenant's chain, verifying all of it, a proof of one activity, and giving it up."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import UUID

import click
import msgspec

from milepost.access.tenants import find_tenant
from milepost.cli._database import as_owner, as_service
from milepost.cli._options import PLACE, json_option, settings_options, system_option
from milepost.cli._output import print_json
from milepost.cli.tenant import tenant_named
from milepost.postgres import Connection, Database
from milepost.schema.models import current_model
from milepost.settings import Settings
from milepost.storage.chain_digests import moment_of
from milepost.storage.chain_head import Head, chain_head, drop_chain
from milepost.storage.chain_proof import Proof, ProofFails, check_proof, prove
from milepost.storage.chain_verify import ChainVerification, verify_chain

__all__ = ["chain"]

SHOWN_MAX = 50  # differences that are printed one by one; --json gives more

tenant_option = click.option("--tenant", "name", metavar="NAME", required=True, help="Whose.")


@click.group()
def chain() -> None:
    """The chain that shows whether activities were changed behind milepost's back: a model with `chain = true` has one."""


@chain.command("head")
@tenant_option
@json_option
@system_option
@settings_options(*PLACE)
def head_(settings: Settings, system: str | None, name: str, as_json: bool) -> None:
    """The newest link, signed. Keep what --json prints elsewhere: verify then shows that nothing before it was made anew."""

    async def work(database: Database) -> dict[str, Any]:
        tenant_id = (await tenant_named(database, name)).tenant_id
        async with database.transaction("point", tenant_id=tenant_id) as conn:
            return await chain_head(conn, tenant_id, name)

    head = as_service(settings, work, system=system)
    if as_json:
        print_json(head)
    else:
        click.echo(f"link {head['link']} of {head['made_at']}: {head['digest']}")


@chain.command()
@tenant_option
@click.option(
    "--head",
    "file",
    type=click.Path(path_type=Path, exists=True),
    metavar="FILE",
    help="A head that was kept elsewhere: the chain must lead to it.",
)
@click.option("--newest", is_flag=True, help="Only the newest links and activities, as the daily job does.")
@click.option(
    "--contents/--no-contents", default=True, help="Whether contents in the object store are fetched, too. Default: yes."
)
@json_option
@system_option
@settings_options(*PLACE, "analytics_work_mem", "analytics_timeout_s")
def verify(
    settings: Settings, system: str | None, name: str, file: Path | None, newest: bool, contents: bool, as_json: bool
) -> int:
    """Recompute every link, and compare every activity, hot or archived, with what the chain has of it.

    It may run while activities come in. Exit code 1: something is not as it was, and is named.
    """
    kept = _head_in(file) if file is not None else None

    async def work(database: Database) -> ChainVerification:
        await tenant_named(database, name)
        return await verify_chain(database, name, head=kept, newest=newest, contents=contents, on_progress=_said)

    found = as_service(settings, work, system=system)
    _said("")
    if as_json:
        print_json(asdict(found))
    else:
        _print(found)
    return 1 if found.differences else 0


@chain.command()
@click.argument("activity", type=click.UUID)
@tenant_option
@click.option(
    "--until", type=click.IntRange(1), metavar="LINK", help="The link of the head that was kept. Default: the newest."
)
@system_option
@settings_options(*PLACE)
def proof(settings: Settings, system: str | None, activity: UUID, name: str, until: int | None) -> None:
    """Print a proof, as JSON, that an activity is in the chain as it is, or when and why it went: for whoever kept a head."""

    async def work(database: Database) -> Proof:
        tenant = await tenant_named(database, name)
        async with database.transaction("analytics", tenant_id=tenant.tenant_id, snapshot=True) as conn:
            compiled = (await current_model(conn)).compiled
            return await prove(conn, tenant, compiled, settings, activity, until=until)

    print_json(msgspec.to_builtins(as_service(settings, work, system=system)))


@chain.command()
@click.argument("proof", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--head",
    "file",
    type=click.Path(path_type=Path, exists=True),
    metavar="FILE",
    required=True,
    help="The head that was kept.",
)
def check(proof: Path, file: Path) -> int:
    """Whether a proof leads to a head that was kept. Asks no database. Exit code 1: it does not."""
    try:
        found = msgspec.json.decode(proof.read_bytes(), type=Proof)
        check_proof(found, _head_in(file))
    except msgspec.MsgspecError as error:
        raise click.UsageError(f"{proof} is no proof: {error}.") from error
    except ProofFails as error:
        click.echo(str(error))
        return 1
    link = found.links[-1]
    click.echo(f"{found.kind} in link {link.number} ({link.why}), {moment_of(link.made_at).isoformat()}")
    if found.said is not None:
        click.echo(found.said.form)
    return 0


@chain.command()
@tenant_option
@json_option
@system_option
@settings_options(*PLACE)
def drop(settings: Settings, system: str | None, name: str, as_json: bool) -> None:
    """Give a tenant's chain up, with all that it proves. Where the model has a chain, one begins anew with what is there."""

    async def work(conn: Connection) -> int:
        return await drop_chain(conn, await find_tenant(conn, name))

    links = as_owner(settings, work, system=system)
    if as_json:
        print_json({"links": links})
    else:
        click.echo(f"{links} links are gone")


def _head_in(file: Path) -> Head:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Head)
    except msgspec.MsgspecError as error:
        raise click.UsageError(f"{file} is no head of a chain: {error}.") from error


def _print(found: ChainVerification) -> None:
    for item in found.items[:SHOWN_MAX]:
        click.echo(item["detail"])
    if found.differences > SHOWN_MAX:
        click.echo(f"and {found.differences - SHOWN_MAX} more")
    if found.filling:
        click.echo("older activities were left out: the chain is still taking them in")
    if found.ended:
        click.echo("activities were left out: the model has no chain any more")
    said = ", ".join(f"{n} {kind}" for kind, n in sorted(found.entries.items()))
    click.echo(f"{found.links} links up to {found.last_link} ({said or 'nothing'}), {found.differences} differences")


def _said(what: str) -> None:
    """What is being compared, on one line that is written over; on a terminal only."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{what}")
        sys.stderr.flush()
