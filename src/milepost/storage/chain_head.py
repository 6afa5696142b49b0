"""The head of a chain: its newest link, signed, for whoever keeps a copy elsewhere.

A link has the digests of those before it, so a head that was kept proves later, to whoever has it, that all up to it was not made anew: a chain that
was rewritten does not lead to it.
"""

from __future__ import annotations

from typing import Any

import msgspec

from milepost.access.tenants import Tenant
from milepost.errors import NotFound
from milepost.postgres import Connection, load_queries
from milepost.schema.models import current_model
from milepost.storage.activities import rfc3339
from milepost.storage.manifest import hold_lane
from milepost.storage.signed import holds, signature_of

__all__ = ["Head", "chain_head", "drop_chain", "head_holds"]

queries = load_queries(__package__, "chain_head.sql")

SIGNED_AS = "chain head"


class Head(msgspec.Struct, frozen=True):
    """As `chain_head` gave it. digest: in hexadecimal."""

    tenant: str
    link: int
    digest: str
    made_at: str
    signature: str


async def chain_head(conn: Connection, tenant_id: int, tenant: str) -> dict[str, Any]:
    """`tenant`, `link`, `digest`, `made_at`, `signature`. Raises `NotFound` where there is no link."""
    row = await (await conn.execute(queries.head, {"tenant_id": tenant_id})).fetchone()
    if row is None:
        raise NotFound("There is no chain: the model says `chain = true`, or nothing came in since it does.")
    number, made_at, digest = row
    head = {"tenant": tenant, "link": number, "digest": bytes(digest).hex(), "made_at": rfc3339(made_at)}
    return head | {"signature": signature_of(SIGNED_AS, head, await _secret(conn))}


async def head_holds(conn: Connection, head: Head) -> bool:
    """Whether this deployment gave the head, as it is."""
    return holds(SIGNED_AS, msgspec.structs.asdict(head), await _secret(conn))


async def drop_chain(owner: Connection, tenant: Tenant) -> int:
    """The chain goes, with its proofs; where the model has one, it begins anew with what is there. → its links."""
    whose = {"tenant_id": tenant.tenant_id}
    async with owner.transaction():
        await hold_lane(owner, tenant.tenant_id)
        links = (await owner.execute(queries.drop_links, whose)).rowcount
        await owner.execute(queries.drop_blocks, whose)
        on = (await current_model(owner)).model.chain
        await owner.execute(queries.begin_anew if on else queries.forget_filling, whose)
    return links


async def _secret(conn: Connection) -> bytes:
    row = await (await conn.execute(queries.secret)).fetchone()
    assert row is not None
    return bytes(row[0])
