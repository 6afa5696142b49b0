"""Erasing an actor: what the lane does at once, and then what lies outside of what is read; and the receipt.

    done = await erase_actor(db, settings, tenant, "user-17", totals="keep", by="key 3f…")

The lane's steps take the actor from every table that is read (`milepost.intake.erase`). Then, here, its rows leave the dead letters, the
search index and the files of the archive, which are written anew, and its contents and files the object store. The receipt says what was
removed where, and until when the rest holds copies: the queue's tables, which rotate, and backups. It is signed with the deployment's
secret, and names nobody. Killed anywhere, the job `erasures` does the rest: the ledger has the hash, by which each name in a payload is
told, and never the name.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import structlog

from milepost import faults
from milepost.access.tenants import Tenant
from milepost.errors import MilepostError, NotFound
from milepost.intake.asking import Asking, asking
from milepost.intake.unnamed import without
from milepost.jobs.job import Work
from milepost.postgres import Connection, Database, Jsonb, load_queries, translated
from milepost.schema.models import current_model
from milepost.settings import Settings
from milepost.storage.content import Contents
from milepost.storage.files_unused import collect_files
from milepost.storage.moving import collect_erased
from milepost.storage.objects import object_store
from milepost.storage.rewrite import rewrite
from milepost.storage.signed import holds, signature_of

__all__ = ["erase_actor", "erasure_shown", "erasures", "ledger", "reapply", "receipt_holds"]

queries = load_queries(__package__, "erasing.sql")

_log = structlog.get_logger(__name__)
SIGNED_AS = "erasure receipt"
ROTATIONS = 2  # a batch is in a table that is being written, and then in one that waits to be emptied


async def erase_actor(
    db: Database, settings: Settings, tenant: Tenant, actor: str, *, totals: str, by: str, lane: Asking | None = None
) -> dict[str, Any]:
    """All of it. → the erasure with its receipt. Raises `Conflict` under a legal hold, `Timeout` where nobody serves the lane. lane:
    where the process has a queue of its own."""
    owner = await db.owner()
    try:
        with translated(owner):
            row = await (await owner.execute(queries.subject, {"tenant_id": tenant.tenant_id, "name": actor})).fetchone()
    finally:
        await owner.close()
    assert row is not None
    return await _by_subject(db, settings, tenant, {"subject": row[0].hex(), "totals": totals, "by": by}, lane)


async def erasures(work: Work) -> dict[str, Any]:
    """What others began and did not end."""
    with translated(work.owner):
        rows = await (await work.owner.execute(queries.unfinished)).fetchall()
    done = []
    for tenant_id, name, lane, number, subject, totals, state in rows:
        tenant = Tenant(tenant_id=tenant_id, name=name, lane=lane, created_at=work.now)
        if state == "running":
            command = {"subject": subject.hex(), "totals": totals, "by": "schedule"}
            await _by_subject(work.db, work.settings, tenant, command, None)
        else:
            await _finish(work.db, work.settings, tenant, number, subject)
        done.append(number)
    return {"finished": done}


async def _by_subject(
    db: Database, settings: Settings, tenant: Tenant, command: dict[str, Any], lane: Asking | None
) -> dict[str, Any]:
    if lane is None:
        async with db.transaction("point") as conn:
            version = (await current_model(conn)).version
        async with asking(db, settings, version) as made:
            return await _by_subject(db, settings, tenant, command, made)
    step: dict[str, Any] = {"left": True}
    while step["left"]:
        step = await lane.do(tenant.tenant_id, tenant.lane, {"do": "erase", **command})
        faults.reach("erase.stepped")
    return await _finish(db, settings, tenant, step["id"], bytes.fromhex(command["subject"]))


async def _finish(db: Database, settings: Settings, tenant: Tenant, number: int, subject: bytes) -> dict[str, Any]:
    owner = await db.owner(settings={"idle_in_transaction_session_timeout": "60s"})
    whose = {"tenant_id": tenant.tenant_id, "erasure": number}
    try:
        with translated(owner):
            row = await (await owner.execute(queries.secret)).fetchone()
            assert row is not None
            secret = bytes(row[0])
            documents = (await owner.execute(queries.documents, whose)).rowcount
            letters, unread = await _clean_letters(owner, tenant.tenant_id, subject, secret)
            archived = await (await owner.execute(queries.archived, whose)).fetchone()
            cold = await rewrite(db, tenant.tenant_id, actors=[archived[0]], at_once=True) if archived is not None else None
            # Those of the actor that nobody else names, and whatever else of the tenant is due.
            while await collect_files(owner, object_store(settings), tenant_id=tenant.tenant_id):
                pass
            contents = await collect_erased(owner, Contents(object_store(settings)), tenant.tenant_id)
            faults.reach("erase.cleaned")
            shown = await erasure_shown(owner, tenant.tenant_id, number)
            removed = dict(shown["removed"])
            gone = {"search_document": documents, "dead_letter": letters, "cold": cold.rows if cold else 0, "content": contents}
            for what, rows in gone.items():
                if rows:
                    removed[what] = removed.get(what, 0) + rows
            if unread:
                _log.warning("dead letters that nobody can read were left alone", tenant_id=tenant.tenant_id, letters=unread)
            now = datetime.now(UTC)
            receipt = _receipt(shown, removed, tenant, subject, settings, now)
            receipt["signature"] = signature_of(SIGNED_AS, receipt, secret)
            values = {**whose, "at": now, "removed": Jsonb(removed), "receipt": Jsonb(receipt)}
            await owner.execute(queries.finish, values)
            faults.reach("erase.finished")
            return await erasure_shown(owner, tenant.tenant_id, number)
    finally:
        await owner.close()


async def _clean_letters(owner: Connection, tenant_id: int, subject: bytes, secret: bytes) -> tuple[int, int]:
    """→ how many rows left the dead letters, and how many letters could not be read."""

    def is_meant(name: str) -> bool:
        return sha256(secret + f"{tenant_id}/{name}".encode()).digest() == subject

    gone = after = unread = 0
    while found := await (await owner.execute(queries.letters, {"tenant_id": tenant_id, "after": after})).fetchall():
        for letter, kind, payload, rows in found:
            after = letter
            try:
                left = without(kind, bytes(payload), is_meant)
            except ValueError:
                unread += 1
                continue
            if left is None:
                continue
            values = {"tenant_id": tenant_id, "letter": letter, "payload": left.payload, "rows": left.rows}
            await owner.execute(queries.cut_letter if left.rows else queries.drop_letter, values)
            gone += rows - left.rows
    return gone, unread


def _receipt(
    shown: dict[str, Any], removed: dict[str, int], tenant: Tenant, subject: bytes, settings: Settings, now: datetime
) -> dict[str, Any]:
    rotated = timedelta(seconds=ROTATIONS * settings.queue_rotate_s)
    return {
        "erasure": shown["id"],
        "tenant": tenant.name,
        "subject": subject.hex(),
        "asked_at": shown["asked_at"].isoformat(),
        "done_at": now.isoformat(),
        "totals": shown["totals"],
        "removed": removed,
        "remains_until": {
            "queue": (now + rotated).isoformat(),
            "backups_and_wal": (now + timedelta(days=settings.backup_days)).isoformat(),
        },
    }


async def receipt_holds(owner: Connection, receipt: dict[str, Any]) -> bool:
    """Whether this deployment gave the receipt, as it is."""
    row = await (await owner.execute(queries.secret)).fetchone()
    assert row is not None
    return holds(SIGNED_AS, receipt, bytes(row[0]))


async def erasure_shown(conn: Connection, tenant_id: int, number: int) -> dict[str, Any]:
    """Raises `NotFound`."""
    row = await (await conn.execute(queries.one, {"tenant_id": tenant_id, "erasure": number})).fetchone()
    if row is None:
        raise NotFound(f"There is no erasure {number}.")
    number, _, _, state, asked_at, _, done_at, totals, removed, receipt = row
    state = "done" if state == "done" else "running"
    return {
        "id": number,
        "state": state,
        "asked_at": asked_at,
        "done_at": done_at,
        "totals": totals,
        "removed": removed,
        "receipt": receipt,
    }


async def ledger(owner: Connection, tenant: str | None = None) -> list[dict[str, Any]]:
    """What a restored database needs: keep it with the backups, but not in them."""
    rows = await (await owner.execute(queries.ledger, {"name": tenant})).fetchall()
    return [
        {"tenant": name, "subject": subject.hex(), "until": until.isoformat(), "totals": totals, "by": by}
        for name, subject, until, totals, by, _ in rows
    ]


async def reapply(db: Database, settings: Settings, tenants: dict[str, Tenant], entries: list[dict[str, Any]]) -> int:
    """Erase again what a ledger names, in a database that was restored from before. → how many. Raises `MilepostError` where a tenant is not
    there."""
    async with db.transaction("point") as conn:
        version = (await current_model(conn)).version
    async with asking(db, settings, version) as lane:
        for entry in entries:
            tenant = tenants.get(entry["tenant"])
            if tenant is None:
                raise MilepostError(f"The ledger names the tenant {entry['tenant']!r}, which is not here.")
            command = {name: entry[name] for name in ("subject", "until", "totals", "by")}
            await _by_subject(db, settings, tenant, command, lane)
    return len(entries)
