"""Receipts: what a client holds for a batch that is durable, and what has become of the batch since.

A receipt is opaque and signed, and belongs to one tenant: nobody can make one, or ask after another tenant's batch.
What the queue remembers of a batch goes when its table is emptied, some minutes after it was loaded; a receipt then
still says "loaded". A receipt that is not this tenant's raises `NotFound`, like one that never was.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from dataclasses import dataclass
from typing import Any, Literal

from milepost.errors import DatabaseError, NotFound
from milepost.intake._tables import for_every_table
from milepost.intake.relay import batch_ids, is_elsewhere
from milepost.postgres import Connection, load_queries

__all__ = ["BatchState", "Receipts", "batch_state"]

SIGNATURE_BYTES = 12

_queries = load_queries(__package__, "receipts.sql")


@dataclass(frozen=True, kw_only=True)
class BatchState:
    """loaded, duplicates: None where that is no longer known, or not yet. set_aside: rows that lie in the dead letters now; the
    state is `set aside` where that is all of them. result: what a command answered.
    """

    state: Literal["waiting", "loaded", "set aside"]
    loaded: int | None = None
    duplicates: int | None = None
    set_aside: int = 0
    result: dict[str, Any] | None = None


class Receipts:
    """Signs and opens receipts with the deployment's secret."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def sign(self, tenant_id: int, batch_id: int) -> str:
        number = batch_id.to_bytes(8, "big")
        return urlsafe_b64encode(number + self._signature(tenant_id, number)).rstrip(b"=").decode()

    def open(self, tenant_id: int, receipt: str) -> int:
        """The batch's id. Raises `NotFound`."""
        try:
            raw = urlsafe_b64decode(receipt.encode("ascii") + b"=" * (-len(receipt) % 4))
        except (NotBase64, UnicodeEncodeError):
            raw = b""
        number = raw[:8]
        if len(number) < 8 or not hmac.compare_digest(raw[8:], self._signature(tenant_id, number)):
            raise NotFound("There is no such receipt.")
        return int.from_bytes(number, "big")

    def _signature(self, tenant_id: int, number: bytes) -> bytes:
        signed = b"receipt" + tenant_id.to_bytes(4, "big") + number
        return hmac.digest(self._secret, signed, "sha256")[:SIGNATURE_BYTES]


async def batch_state(conn: Connection, tenant_id: int, lane: int, batch_id: int) -> BatchState:
    """What has become of a batch. batch_id: as the receipt has it: where it was given elsewhere, as long as the queue was away, the
    batch is `waiting` until it is in the queue. conn: in a transaction that is one snapshot.
    """
    if is_elsewhere(batch_id):
        moved = await batch_ids(conn, [batch_id])
        if batch_id not in moved:
            return BatchState(state="waiting")
        batch_id = moved[batch_id]
    state = await (await conn.execute(_queries.tables)).fetchone()
    if state is None:
        raise DatabaseError("The queue has no tables yet: run `milepost db migrate`.")
    parameters = {"tenant_id": tenant_id, "lane": lane, "batch_id": batch_id}
    row = await (await conn.execute(_queries.set_aside, parameters)).fetchone()
    set_aside, all_of_it = row or (0, False)
    if all_of_it:
        return BatchState(state="set aside", set_aside=set_aside)
    row = await (await conn.execute(for_every_table(_queries.mark, state[0]), parameters)).fetchone()
    if row is not None:
        loaded, duplicates, result = row
        if result is not None and "set_aside" in result:  # of activities, not the answer to a command
            result = None
        return BatchState(state="loaded", loaded=loaded, duplicates=duplicates, set_aside=set_aside, result=result)
    row = await (await conn.execute(for_every_table(_queries.waiting, state[0]), parameters)).fetchone()
    return BatchState(state="loaded" if row is None else "waiting", set_aside=set_aside)
