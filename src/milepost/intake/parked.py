"""Parked: corrections and retractions that came before their activity, and wait for it.

Within a lane that cannot be: an activity that was acknowledged before its correction was sent is loaded before it. But an activity
may still lie in another queue, in a client's spool, or in the dead letters, while its id is known already, since it is made of the
tenant, source, key and time. A command that says `"park": true` then waits in a table, and the load that inserts this id does it in
the same transaction, after all that waited for the id before it.

What waited and cannot be done after all (the activity is at another version, the correction would make it invalid) becomes a dead
letter, since nobody is there to be answered; so does what has waited for too long (`expire`). A command for an id that was
retracted, or that is none of ours, is not parked.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from milepost.errors import DatabaseUnavailable, Timeout
from milepost.intake.fault import Fault, fault_of, storable
from milepost.intake.lane import LeaseLost
from milepost.postgres import Connection, Jsonb, load_queries, translated
from milepost.telemetry import count

if TYPE_CHECKING:
    from milepost.intake.load import Lane

__all__ = ["TAKE", "Waited", "do", "expire", "park"]

PARKED_MAX = 10_000  # of one tenant: more is a client's mistake
EXPIRED_MAX = 1_000  # in one step
OUR_IDS = 8  # the version of the UUIDs that milepost makes

_queries = load_queries(__package__, "parked.sql")
TAKE = _queries.take  # for the load's own pipeline, beside its journal

Waited = tuple[int, datetime, dict[str, Any]]  # the model version it was accepted under, when it was received, the command


async def park(
    conn: Connection, tenant_id: int, commands: Sequence[dict[str, Any]], *, model: int, received_at: datetime
) -> set[UUID]:
    """Commands whose activity is not there, in their order. → the ids of those that wait now; inside their transaction."""
    wanted = [one for one in commands if one.get("park") is True and UUID(one["id"]).version == OUR_IDS]
    if not wanted:
        return set()
    tenant = {"tenant_id": tenant_id}
    row = await (await conn.execute(_queries.waiting, {**tenant, "commands_max": PARKED_MAX})).fetchone()
    room = PARKED_MAX - (row[0] if row else 0)
    asked = [UUID(one["id"]) for one in wanted]
    buried = {row[0] for row in await (await conn.execute(_queries.buried, {**tenant, "ids": asked})).fetchall()}
    kept = [one for one in wanted if UUID(one["id"]) not in buried][:room]
    if not kept:
        return set()
    ids = [UUID(one["id"]) for one in kept]
    values = {
        **tenant,
        "ids": ids,
        "model": model,
        "received_at": received_at,
        "commands": [msgspec.json.encode(one).decode() for one in kept],
    }
    await conn.execute(_queries.park, values)
    count("parked_commands", len(kept), outcome="parked")
    return set(ids)


async def do(lane: Lane, tenant_id: int, waited: Sequence[Waited]) -> None:
    """What waited for activities that this load has inserted, in the load's transaction, which it does not fail."""
    conn = lane.conn
    commands = [command for _, _, command in waited]
    try:
        with translated(conn):
            async with conn.transaction():  # a savepoint: the load is as it was, whatever comes
                answers = await lane.runner(tenant_id, after_load=True).run(commands, max(at for _, at, _ in waited))
                await lane.journal(tenant_id)
    except (DatabaseUnavailable, LeaseLost, Timeout):
        raise
    except Exception as error:
        if conn.closed:
            raise
        for one in waited:
            await _set_aside(conn, tenant_id, one, fault_of(error))
        return
    for one, answer in zip(waited, answers, strict=True):
        if answer["status"] >= 300:
            errors = answer.get("errors", [])
            detail = storable(f"When its activity came: {answer['detail']}")
            await _set_aside(
                conn, tenant_id, one, Fault(error_class="parked", error=detail, facts={"errors": errors} if errors else {})
            )
        else:
            count("parked_commands", outcome="done")


async def _set_aside(conn: Connection, tenant_id: int, waited: Waited, fault: Fault) -> None:
    model, received_at, command = waited
    values = {
        "tenant_id": tenant_id,
        "model": model,
        "received_at": received_at,
        "error_class": fault.error_class,
        "error": fault.error,
        "facts": Jsonb(fault.facts),
        "payload": msgspec.json.encode(command),
    }
    await conn.execute(_queries.set_aside, values)
    count("parked_commands", outcome="set aside")
    count("dead_letters", error_class=fault.error_class)


async def expire(owner: Connection, hours: float) -> int:
    """One step of setting aside what waited for longer than `hours`; 0 when nothing does. As the owner."""
    with translated(owner):
        expired = (await owner.execute(_queries.expire, {"hours": hours, "rows_max": EXPIRED_MAX})).rowcount
    if expired:
        count("parked_commands", expired, outcome="set aside")
        count("dead_letters", expired, error_class="parked")
    return expired
