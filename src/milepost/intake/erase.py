"""Erasure in the lane: an actor goes from everything that is read, in one transaction, or, of many activities, in several.

Each step removes up to `STEP_ROWS` activities, the newest first; the last one, which finds fewer, takes the person itself: name, attributes,
memberships, follows, invitations, read markers, versions of what was its own once, and what was kept under its number. An actor is
named by a hash (`milepost.subject_of`), so that no command in the queue has the name. What occurred before the first step stays out from
then on, whenever and by whichever way it comes (`milepost.erasure`).

With totals kept, numbers that count others too stay as they are: the erased one is nobody among them, counted once where people are
counted. Its own numbers (rollups by actor, boards of actors, goals) go. Without, all that it contributed is folded away.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from milepost import faults
from milepost.activity import SMALLEST_ID
from milepost.errors import Conflict
from milepost.intake.derive import hide
from milepost.intake.removal import remove
from milepost.postgres import Connection, load_queries
from milepost.schema.compile import CompiledModel, CompiledRollup
from milepost.storage.recall import Recall
from milepost.storage.versions import forget_actor

__all__ = ["STEP_ROWS", "Totals", "erase"]

STEP_ROWS = 20_000

Totals = Literal["keep", "shrink"]

_queries = load_queries(__package__, "erase.sql")


async def erase(
    conn: Connection, compiled: CompiledModel, tenant_id: int, command: dict[str, Any], now: datetime, recall: Recall
) -> dict[str, Any]:
    """One step. → `id` of the erasure, `removed` by table so far, `left`: whether another step is needed. Raises `Conflict` under a
    legal hold, and where more is archived than a load brings back. The temp tables are empty."""
    tenant = {"tenant_id": tenant_id}
    subject, totals = bytes.fromhex(command["subject"]), command.get("totals", "keep")
    asked = {**tenant, "subject": subject}
    if held := await (await conn.execute(_queries.held, asked)).fetchone():
        raise Conflict(f"Hold {held[0]} covers the actor's activities: lift it first.", hold=held[0])
    found = await (await conn.execute(_queries.number_of, asked)).fetchone()
    if found is not None:  # what is archived goes like the rest; the files are written anew later
        await recall.of_history(conn, tenant_id, groups=(), actors=(found[0],), low=SMALLEST_ID, members=False)
    row = await (await conn.execute(_queries.running, asked)).fetchone()
    if row is None:
        until = datetime.fromisoformat(command["until"]) if command.get("until") else now
        values = {**asked, "until": until, "totals": totals, "by": command.get("by", ""), "actor": found and found[0]}
        row = await (await conn.execute(_queries.begin, values)).fetchone()
    assert row is not None
    erasure = {**tenant, "erasure": row[0]}
    left = False
    if found is not None:
        whose = {**tenant, "actor": found[0]}
        ids = [one for (one,) in await (await conn.execute(_queries.next_ids, {**whose, "rows": STEP_ROWS})).fetchall()]
        if ids:
            why = f"erasure {row[0]}"
            files = await remove(conn, compiled, tenant_id, ids, recall, keep_totals=totals == "keep", how="erased", why=why)
            if files:
                await conn.execute(_queries.add_removed, {**erasure, "what": "file", "rows": files})
            await conn.execute(_queries.add_removed, {**erasure, "what": "activity", "rows": len(ids)})
        left = len(ids) == STEP_ROWS
        if not left:
            await _take_person(conn, compiled, tenant_id, found[0], erasure, totals)
    faults.reach("erase.step")
    if left:
        return {"id": row[0], "removed": {}, "left": True}
    done = await (await conn.execute(_queries.removed, erasure)).fetchone()
    assert done is not None
    return {"id": row[0], "removed": done[0], "left": False}


async def _take_person(
    conn: Connection, compiled: CompiledModel, tenant_id: int, actor: int, erasure: dict[str, Any], totals: Totals
) -> None:
    whose: dict[str, Any] = {"tenant_id": tenant_id, "actor": actor}
    row = await (await conn.execute(_queries.name_of, whose)).fetchone()
    assert row is not None
    name: str = row[0]
    whose["name"] = name
    row = await (await conn.execute(_queries.nobody)).fetchone()
    assert row is not None
    whose["nobody"] = row[0]
    await _take_numbers(conn, compiled, whose)
    boards = [board.name for board in compiled.boards if board.member == "actor_id"]
    if places := await _take_places(conn, {**whose, "boards": boards}, totals):
        await conn.execute(_queries.add_removed, {**erasure, "what": "snapshot_place", "rows": places})
    if versions := await forget_actor(conn, tenant_id, actor, name):
        await conn.execute(_queries.add_removed, {**erasure, "what": "activity_version", "rows": versions})
    for what, query in (
        ("board_member", _queries.board_member),
        ("member", _queries.member),
        ("member.added_by", _queries.added_by),
        ("invitation", _queries.invitation),
        ("invitation.invited_by", _queries.invited_by),
        ("follow", _queries.follow),
        ("read_marker", _queries.read_marker),
        ("parked", _queries.parked),
        ("legal_hold.actor", _queries.legal_hold),
        ("erased_actor", _queries.erased_actor),
        ("actor", _queries.actor),
    ):
        gone = (await conn.execute(query, {**whose, "boards": boards})).rowcount
        if gone and what != "erased_actor":
            await conn.execute(_queries.add_removed, {**erasure, "what": what, "rows": gone})


async def _take_places(conn: Connection, whose: dict[str, Any], totals: Totals) -> int:
    """Where it stood in snapshots. → how many places: with totals kept nobody has them now, else those behind have moved up."""
    if totals == "keep":
        return (await conn.execute(_queries.masked_places, whose)).rowcount
    places = await (await conn.execute(_queries.places, whose)).fetchall()
    for snapshot, ordinal, rank in places:
        given = {"tenant_id": whose["tenant_id"], "snapshot": snapshot, "ordinal": ordinal, "rank": rank}
        await conn.execute(_queries.closed_places, given)
    return len(places)


async def _take_numbers(conn: Connection, compiled: CompiledModel, whose: dict[str, Any]) -> None:
    """Its own rows of rollups and boards; elsewhere its number, where it is counted once, becomes nobody's."""
    own: list[str] = []
    for board in compiled.boards:
        if board.member == "actor_id":
            await hide(conn, board, whose["tenant_id"], whose["actor"], hidden=True)  # off the counted ranges
        await _take_rows(conn, board.tally, whose, own)
    for rollup in compiled.rollups:
        await _take_rows(conn, rollup, whose, own)
    await conn.execute(_queries.residue_of, {**whose, "names": own})
    await conn.execute(_queries.residue_seen, whose)
    for milestones in compiled.milestones:
        if not milestones.by_group:
            await _run(conn, f"DELETE FROM {milestones.table} WHERE tenant_id = %(tenant_id)s AND actor_id = %(actor)s", whose)


async def _take_rows(conn: Connection, rollup: CompiledRollup, whose: dict[str, Any], own: list[str]) -> None:
    tables = [f"{rollup.table}_seen_{what}" for what in rollup.distinct]
    if "actor_id" in rollup.keys:
        own.append(rollup.table.removeprefix("milepost."))
        for table in (rollup.table, *tables):
            await _run(conn, f"DELETE FROM {table} WHERE tenant_id = %(tenant_id)s AND actor_id = %(actor)s", whose)
    elif "actor" in rollup.distinct:
        await _run(
            conn,
            f"UPDATE {rollup.table}_seen_actor SET value = %(nobody)s WHERE tenant_id = %(tenant_id)s AND value = %(actor)s",
            whose,
        )


async def _run(conn: Connection, statement: str, parameters: dict[str, Any]) -> None:
    # Names of tables are compiled from the model, whose names are checked identifiers.
    await conn.execute(statement, parameters)
